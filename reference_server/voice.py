"""A protocol's voice: how it tells what happens in sessions on its event bus, and how that bus is listened to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Literal

from starlette.types import Receive, Scope, Send

from reference_server.bus import Bus, Filter, Labels
from reference_server.running import Running
from reference_server.seam import current
from reference_server.session import Event, Json, Prompt, Session, Turn
from reference_server.stream import Beat, Headers, stream

Change = Literal["created", "updated", "deleted"]


class Voice(ABC):
    """One protocol at one base URL. `replay_events`: how many of its newest events a cursor can reach back."""

    def __init__(self, running: Running, *, replay_events: int) -> None:
        self._running = running
        self._settings = settings = running.settings
        self.bus = Bus(
            running.sender,
            queue_bytes=settings.queue_bytes,
            queue_events=settings.queue_events,
            replay_events=replay_events,
            replay_bytes=settings.replay_bytes,
        )
        running.at_end(self.bus.close)

    @abstractmethod
    def info(self, session: Session) -> Json:
        """A session as routes answer it."""

    @abstractmethod
    def turn(self, session: Session, prompt: Prompt) -> Turn:
        """The events of a prompt."""

    @abstractmethod
    def change(self, session: Session, change: Change) -> Event:
        """The event that says what became of a session."""

    @abstractmethod
    def write(self, session: Session, event: Event, labels: Labels) -> None:
        """Number an event, encode it once and publish it."""

    def tell(self, session: Session, change: Change) -> None:
        """Publish what became of a session."""
        self.publish(session, [self.change(session, change)], Labels(session.id, None, session.directory))

    def publish(self, session: Session, events: Iterable[Event], labels: Labels) -> None:
        """Publish events of a session."""
        for event in current().events(session, events):
            self.write(session, event, labels)

    async def listen(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        wanted: Filter,
        first: Callable[[Filter], Iterable[bytes]],
        beat: Beat,
        headers: Headers,
    ) -> None:
        """Serve a subscriber. `first` makes the frames that come before all that is published from now on."""
        wanted = current().wanted(wanted)
        # From here on nothing is missed: there is no await between the listener and its first frames.
        subscriber = self.bus.subscribe(wanted)
        current().subscribed(subscriber)
        for frame in first(wanted):
            subscriber.mailbox.owe(frame)
        del first
        stall = self._settings.stall_timeout
        try:
            sender = self._running.sender
            await stream(scope, receive, send, subscriber.mailbox, sender, beat, stall, headers)
        finally:
            self.bus.unsubscribe(subscriber)
