"""What every driver can do, so that probes of the stream itself need not know the protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from conformance.observe.recording import Recording
from conformance.observe.transport import LiveStream
from conformance.profile import Profile
from conformance.script import Script
from conformance.transcript import Request


@dataclass(frozen=True, slots=True)
class Turn:
    """A prompt under way or done: its session or dialog, and the stream in which its effect shows."""

    session: str
    stream: LiveStream


class Driver(ABC):
    """Knows a protocol's routes. It remembers the sessions and dialogs that it made, and removes them."""

    family: str
    resumable_by_get: bool  # the stream is a GET (Penguin, OpenCode), not the answer to a POST (AgentSmithy)

    def __init__(self, profile: Profile) -> None:
        self.profile = profile

    @property
    def streams_apart(self) -> bool:
        """Whether turns that are played at once show on streams of their own, each without the others."""
        return True

    @abstractmethod
    def stream_request(self) -> Request:
        """The plainest request that is answered by an event stream, for probes of HTTP itself.

        It costs a (plain, unscripted, short) prompt where the stream is the answer to a prompt.
        """

    async def fresh_request(self, recording: Recording) -> Request:
        """`stream_request`, in a session or dialog made for it where it would otherwise share one."""
        return self.stream_request()

    @abstractmethod
    async def turn(
        self,
        recording: Recording,
        script: Script | None,
        *,
        role: str = "stream",
        session: str | None = None,
        timeout: float | None = None,
    ) -> Turn:
        """Play one script (None: a plain prompt) to its end and record its stream under `role`.

        Makes a fresh session or dialog unless `session` names one. Records a "prompt" action whose `stream`
        is `role`. Returns when the turn has ended, with its stragglers, or the deadline has passed.
        """

    @abstractmethod
    async def begin(
        self, recording: Recording, script: Script | None, *, role: str = "stream", session: str | None = None
    ) -> Turn:
        """Like `turn`, but return once the prompt is sent; its stream goes on in the background."""

    @abstractmethod
    async def alive(self, recording: Recording, *, role: str) -> bool:
        """Whether the target still serves: a fresh stream, recorded as `role`, has a first event."""

    @abstractmethod
    def is_final(self, stream: LiveStream) -> bool:
        """Whether the turn's end has been seen in this stream (`done`, or idle after busy)."""

    @abstractmethod
    async def cleanup(self) -> None:
        """Remove the sessions and dialogs that this driver made. Errors are swallowed at the end of a run."""
