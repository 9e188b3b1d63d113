"""Locust users: each holds one stream at a time."""

from __future__ import annotations

from typing import Any

import gevent
from locust import User, task

from loadtests.chats import Dialog
from loadtests.control import Control
from loadtests.rooms import Subscriber

_AGAIN = 1.0  # seconds before a session is tried to be made again
_IDLE = 3_600.0


class StreamUser(User):
    """What all have in common. `family` is the protocol that it speaks."""

    abstract = True
    family = ""

    @property
    def control(self) -> Control:
        """This process's share of the run."""
        return Control.of(self.environment)


class AgentSmithyUser(StreamUser):
    """Prompts a dialog of its own, again and again; the answer to a prompt is a stream."""

    family = "agentsmithy"

    def on_start(self) -> None:
        """Make a dialog."""
        run = self.control.run
        self._dialog = Dialog(run, run.target(self.family))

    @task
    def ask(self) -> None:
        """One prompt, and its answer."""
        if self.control.run.draining:
            gevent.sleep(_IDLE)
        self._dialog.ask()


class SubscriberUser(StreamUser):
    """Listens for long; what it hears others have asked for."""

    abstract = True
    _subscriber: Subscriber | None = None

    @task
    def listen(self) -> None:
        """From now on."""
        control = self.control
        if control.run.draining:
            gevent.sleep(_IDLE)
        self._subscriber = control.rooms(self.family).join()
        if self._subscriber is None:
            gevent.sleep(_AGAIN)
            return
        self._subscriber.over.wait()

    def on_stop(self) -> None:
        """It leaves when it has heard what it was promised; that does not hold the user up."""
        if self._subscriber is not None:
            self._subscriber.leave()

    def stop(self, force: bool = False) -> Any:
        """As for any user; a graceful stop waits for what was promised."""
        if not force and self._subscriber is not None:
            self._subscriber.leave()
        return super().stop(force)


class PenguinUser(SubscriberUser):
    """Subscribes to the events of one session."""

    family = "penguin"


class OpenCodeUser(SubscriberUser):
    """Subscribes to the events of a workspace."""

    family = "opencode"


USERS = (AgentSmithyUser, PenguinUser, OpenCodeUser)
