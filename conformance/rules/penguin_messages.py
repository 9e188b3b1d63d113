"""PG-MSG-01, 04, 05, incrementally: messages and parts in order.

Source: Penguin SSE Endpoint Documentation, §Event Types (`message.updated`, `message.part.updated` with delta
streaming), and the order of a turn that every recording of the protocol shows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from conformance.findings import Finding
from conformance.message import Message
from conformance.parts import (
    DELTA,
    ERROR,
    MESSAGE,
    PART,
    STATUS,
    MessageInfo,
    PartInfo,
    increment_of,
    info_of,
    part_of,
    sends_increments_apart,
    session_of,
    status_of,
)
from conformance.penguin import ALL_STREAMS, BUSES, FAILING_TURNS, UNFILTERED_BY_AGENT
from conformance.rules._penguin_beginnings import MESSAGES, Beginnings
from conformance.rules.base import Listener, RuleByType, StreamContext, StreamRule, stream_check


@stream_check("PG-MSG-01", probes=UNFILTERED_BY_AGENT, families=BUSES)
class MessagesBeforeTheirParts(RuleByType):
    """A message is announced before its parts, a part before its increments, and they say whose they are.

    Remembers 8,192 messages, and as many parts where increments are events of their own.
    """

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._beginnings = Beginnings(context)
        self._messages: OrderedDict[str, str] = OrderedDict()
        self._parts: OrderedDict[str, str] = OrderedDict()  # the message of each
        self._accused: set[str] = set()
        self._forgot = False  # messages
        self._parts_forgot = False
        self._on_part = self._growing_part if sends_increments_apart(context.protocol) else self._part

    def listener(self, kind: str) -> Listener | None:
        if kind == PART:
            return self._on_part
        if kind == DELTA:
            return self._increment
        if kind == MESSAGE:
            return self._message
        return self._beginnings.feed if kind in Beginnings.KINDS else None

    def _message(self, message: Message) -> Iterable[Finding]:
        info = info_of(message)
        if info.id:
            self._messages[info.id] = info.session
            if len(self._messages) > MESSAGES:
                self._messages.popitem(last=False)
                self._forgot = True
        return ()

    def _part(self, message: Message) -> Iterable[Finding]:
        part = part_of(message)
        session, envelope = part.session, part.envelope_session
        owner = self._messages.get(part.message)
        if session and envelope:
            self.judged += 1
            if session == envelope == owner:  # as nearly always
                self.judged += 1
                return ()
        return self._otherwise(message, part, owner)

    def _growing_part(self, message: Message) -> Iterable[Finding]:
        part = part_of(message)
        if part.id:
            self._parts[part.id] = part.message
            if len(self._parts) > MESSAGES:
                self._parts.popitem(last=False)
                self._parts_forgot = True
        return self._part(message)

    def _increment(self, message: Message) -> Iterable[Finding]:
        part = increment_of(message)
        known = self._parts.get(part.id)
        if known is not None:
            self.judged += 1
            self._parts.move_to_end(part.id)
            if part.message == known:
                return self._otherwise(message, part, self._messages.get(known))
            return (
                self.finding(
                    message,
                    "an increment names another message than its part",
                    expected=f"the message of part {part.id}, {known}",
                    observed=part.message,
                ),
            )
        excused = self._parts_forgot or not self._beginnings.seen(session_of(message))
        if excused or part.id in self._accused:
            return ()
        self.judged += 1
        self._accuse(part.id)
        return (
            self.finding(
                message,
                "an increment comes before its part",
                expected=f"message.part.updated of {part.id} before its increments",
                observed=f"an increment of it, and the part not shown on this connection (message {part.message})",
            ),
        )

    def _accuse(self, identity: str) -> None:
        if len(self._accused) < MESSAGES:
            self._accused.add(identity)

    def _otherwise(self, message: Message, part: PartInfo, owner: str | None) -> Iterable[Finding]:
        if part.session and part.envelope_session and part.session != part.envelope_session:
            yield self.finding(
                message,
                "a part names another session than its event",
                expected=f"part.sessionID = properties.sessionID = {part.envelope_session}",
                observed=f"part.sessionID {part.session}",
            )
        if not part.message:
            return
        if owner is None:
            excused = self._forgot or not self._beginnings.seen(session_of(message))
            if excused or part.message in self._accused:
                return
            self.judged += 1
            self._accuse(part.message)
            yield self.finding(
                message,
                "a part comes before its message",
                expected=f"message.updated of {part.message} before its parts",
                observed=f"{_kind(part)} of it, and the message not announced on this connection",
            )
            return
        self.judged += 1
        if owner and part.session and owner != part.session:
            yield self.finding(
                message,
                "a part names another session than its message",
                expected=f"the session of message {part.message}, {owner}",
                observed=part.session,
            )


@stream_check("PG-MSG-04", probes=ALL_STREAMS, families=BUSES)
class CompletionsStand(StreamRule):
    """`completed` is not before `created`, and is not taken back. Remembers 8,192 messages."""

    types = frozenset({MESSAGE})

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._completed: OrderedDict[str, float] = OrderedDict()

    def feed(self, message: Message) -> Iterable[Finding]:
        info = info_of(message)
        if not info.id:
            return ()
        found: list[Finding] = []
        before = self._completed.get(info.id)
        if before is not None and info.timed:
            self.judged += 1
            if info.completed is None:
                del self._completed[info.id]
                found.append(
                    self.finding(
                        message,
                        "a completion is taken back",
                        expected=f"message {info.id} to stay completed (at {before:.0f})",
                        observed="time.completed is null or gone",
                    )
                )
        if info.completed is None:
            return found
        self._completed[info.id] = info.completed
        if len(self._completed) > MESSAGES:
            self._completed.popitem(last=False)
        if info.created is not None:
            self.judged += 1
            if info.completed < info.created:
                found.append(
                    self.finding(
                        message,
                        "a message is completed before it was created",
                        expected=f"time.completed at {info.created:.0f} or later",
                        observed=f"time.completed {info.completed:.0f}",
                    )
                )
        return found


@dataclass(slots=True)
class _Announced:
    """A message of the agent."""

    completed: bool = False
    over: bool = False  # the turn in which it was announced has ended
    excused: bool = False  # accused once already, or of a turn that says itself that it failed or was aborted


@stream_check("PG-MSG-05", probes=set(UNFILTERED_BY_AGENT) - set(FAILING_TURNS), families=BUSES)
class PartsEndBeforeTheirMessage(RuleByType):
    """No part changes after its message is completed, nothing about a message comes after its turn's end.

    Each message is accused once, and none of a turn that says that it failed; remembers 8,192 messages.
    """

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._messages: OrderedDict[str, _Announced] = OrderedDict()
        self._open: dict[str, list[_Announced]] = {}  # by session: those whose turn is not over
        self._busy: set[str] = set()

    def listener(self, kind: str) -> Listener | None:
        return {
            PART: self._part,
            DELTA: self._part,
            MESSAGE: self._message,
            STATUS: self._status,
            ERROR: self._error,
        }.get(kind)

    def _part(self, message: Message) -> Iterable[Finding]:
        part = part_of(message) if message.type == PART else increment_of(message)
        known = self._messages.get(part.message)
        if known is None:
            return ()
        self.judged += 1
        if known.excused or not (known.over or known.completed):
            return ()
        if known.over:
            return self._after_the_turn(message, part.message, known)
        known.excused = True
        return (
            self.finding(
                message,
                "a part changes after its message was completed",
                expected=f"the parts of message {part.message} to end before it is completed",
                observed=f"{_kind(part)}, {part.status or 'text'}",
            ),
        )

    def _message(self, message: Message) -> Iterable[Finding]:
        info = info_of(message)
        known = self._messages.get(info.id)
        found: Iterable[Finding] = ()
        if known is not None:
            self.judged += 1
            if known.over and not known.excused and not info.error:
                found = self._after_the_turn(message, info.id, known)
        if info.id and info.role != "user":
            entry = known or self._announce(info)
            entry.excused = entry.excused or bool(info.error)
            # The first event of a message may be written late and say then that it is completed.
            if known is not None and info.timed:
                entry.completed = info.completed is not None
        return found

    def _status(self, message: Message) -> Iterable[Finding]:
        status = status_of(message)
        assert status is not None
        session, kind = status
        if kind != "idle":
            if len(self._busy) < MESSAGES:
                self._busy.add(session)
        elif session in self._busy:
            self._busy.discard(session)
            for known in self._open.pop(session, ()):
                known.over = True
        return ()

    def _error(self, message: Message) -> Iterable[Finding]:
        for known in self._open.get(session_of(message), ()):
            known.excused = True
        return ()

    def _announce(self, info: MessageInfo) -> _Announced:
        entry = self._messages[info.id] = _Announced()
        if len(self._messages) > MESSAGES:
            self._messages.popitem(last=False)
        current = self._open.setdefault(info.session, [])
        current.append(entry)
        if len(current) > MESSAGES:  # a turn without end, or a protocol that shows none
            del current[: MESSAGES // 2]
        if len(self._open) > MESSAGES:
            self._open.pop(next(iter(self._open)))
        return entry

    def _after_the_turn(self, message: Message, identity: str, known: _Announced) -> Iterable[Finding]:
        known.excused = True
        return (
            self.finding(
                message,
                "an event about a message comes after its turn's end",
                expected=f"nothing more about message {identity} once its session is idle",
                observed=message.type,
            ),
        )


def _kind(part: PartInfo) -> str:
    return f"a {part.type} part" if part.type else "an increment"
