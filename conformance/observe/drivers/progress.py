"""What a stream of messages and parts has shown so far, session by session: for waiting, not for judging."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from conformance.message import Message
from conformance.observe.transport import LiveStream
from conformance.parts import (
    TERMINAL,
    PartInfo,
    message_info,
    part_info,
    session_of,
    shows_failure,
    status_of,
    title_of,
)

Shows = Callable[[LiveStream], bool]
BULK = 4_096  # bytes within the settling time that are more than heartbeats: what was said is still coming


@dataclass(slots=True)
class _Session:
    busy: bool = False
    turns: int = 0  # times it became idle after having been busy
    failures: int = 0  # events that tell of an error
    retries: int = 0  # times that its status said that a model call is tried again
    text: str = ""  # what the agent's newest text part says
    part: str = ""  # the id of that part
    texts: set[str] = field(default_factory=set)  # the ids of text parts: an increment by itself does not say
    users: dict[str, int] = field(default_factory=dict)  # user's messages: turns ended when first told of
    messages: dict[str, bool] = field(default_factory=dict)  # assistant messages: completed?
    tools: dict[str, bool] = field(default_factory=dict)  # tool parts: in a terminal state?


class Progress:
    """Reads the messages of a growing list once each."""

    def __init__(self) -> None:
        self._read = 0
        self._sessions: dict[str, _Session] = {}
        self.any_status = False  # whether the stream shows at all whether sessions are at work

    def read(self, messages: Sequence[Message]) -> None:
        """Take note of what is new at the end of `messages`."""
        for index in range(self._read, len(messages)):
            self._feed(messages[index])
        self._read = len(messages)

    @property
    def any_turn(self) -> bool:
        """Whether a turn of any session has ended."""
        return any(session.turns for session in self._sessions.values())

    def turns(self, session: str) -> int:
        """How many turns of the session have ended: idle after busy."""
        return self._of(session).turns

    def users(self, session: str) -> frozenset[str]:
        """The user's messages in the session, by their ids."""
        return frozenset(self._of(session).users)

    def over_since(self, session: str, known: frozenset[str]) -> bool:
        """Whether a turn has ended that a message of the user began which is not among those."""
        state = self._of(session)
        return any(state.turns > ended for user, ended in state.users.items() if user not in known)

    def failures(self, session: str) -> int:
        """How many events of the session told of an error; a retry is none."""
        return self._of(session).failures

    def retries(self, session: str) -> int:
        """How often the session's status said that a model call is tried again."""
        return self._of(session).retries

    def closed(self, session: str) -> bool:
        """Whether every assistant message that shows times is completed and every tool part has ended."""
        state = self._of(session)
        return all(state.messages.values()) and all(state.tools.values())

    def completed(self, session: str) -> int:
        """How many assistant messages of the session are completed."""
        return sum(self._of(session).messages.values())

    def says(self, session: str, words: str) -> bool:
        """Whether the newest text of the agent in the session ends with these words."""
        # A protocol that names no sessions shows everything as of "".
        return self._of(session).text.endswith(words) or self._of("").text.endswith(words)

    def _of(self, session: str) -> _Session:
        return self._sessions.setdefault(session, _Session())

    def _feed(self, message: Message) -> None:
        if message.type == "message.part.removed":
            self._of(session_of(message)).tools.pop(str(message.properties.get("partID")), None)
            return
        status = status_of(message)
        if status is not None:
            self.any_status = True
            state = self._of(status[0])
            if status[1] == "idle" and state.busy:
                state.turns += 1
            state.retries += status[1] == "retry"
            state.busy = status[1] != "idle"
            return
        if shows_failure(message):
            self._of(session_of(message)).failures += 1
        info = message_info(message)
        if info is not None:
            state = self._of(info.session)
            if info.role == "user":
                state.users.setdefault(info.id, state.turns)
            elif info.timed:
                state.messages[info.id] = info.completed is not None
            return
        part = part_info(message)
        if part is not None:
            state = self._of(session_of(message))
            if part.type == "tool":
                state.tools[part.id or part.call] = part.status in TERMINAL
            elif self._is_text(state, part) and part.message not in state.users:
                before = state.text if part.id == state.part else ""
                state.text = part.text if part.text is not None else before + (part.delta or "")
                state.part = part.id

    @staticmethod
    def _is_text(state: _Session, part: PartInfo) -> bool:
        if not part.type:
            return part.id in state.texts
        if part.type == "text":
            state.texts.add(part.id)
        return part.type == "text"


def titles(stream: LiveStream) -> set[str]:
    """The titles that the newest events of a stream give to sessions."""
    # A fence is among the newest events; the whole stream need not be searched after every read.
    return {title_of(message) for message in stream.messages[-256:]}


class StillComing(Exception):
    """Data in bulk was still arriving at the deadline: what had not shown by then may not be held against anyone."""


async def patiently(stream: LiveStream, shows: Shows, settle: float, most: float) -> bool:
    """Wait `settle` seconds until it shows, and on while data comes in bulk: about `most` seconds in all.

    An answer may overtake its stream: a slow link has megabytes still to carry when the prompt is answered.
    Raises `StillComing` where that is so at the end of `most` seconds.
    """
    clock = asyncio.get_running_loop().time
    latest = clock() + most
    while True:
        before = stream.body_bytes
        if await stream.wait(shows, settle):
            return True
        if stream.ended or stream.body_bytes - before < BULK:
            return False
        if clock() >= latest:
            raise StillComing


async def quiet(stream: LiveStream, moment: float, limit: float) -> None:
    """Wait until no byte has come for a moment (a large event comes in many pieces); at most `limit` seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit):
            while await _more(stream, stream.body_bytes, moment):
                pass


async def _more(stream: LiveStream, size: int, moment: float) -> bool:
    return await stream.wait(lambda live: live.body_bytes > size, moment)
