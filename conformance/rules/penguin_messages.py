"""PG-MSG-01, 02, 04, 05, incrementally: messages and parts in order.

Source: Penguin SSE Endpoint Documentation, §Event Types (`message.updated`, `message.part.updated` with delta
streaming), and the order of a turn that every recording of the protocol shows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from conformance.findings import Finding
from conformance.message import Message
from conformance.parts import GAP, MessageInfo, PartInfo, message_info, part_info, session_of, status_of
from conformance.penguin import ALL_STREAMS, FAILING_TURNS, FAMILIES, UNFILTERED_BY_AGENT
from conformance.rules.base import StreamContext, StreamRule, stream_check
from conformance.rules.said import difference
from conformance.transcript import Ended

MESSAGES = 8_192  # messages remembered per connection
PARTS = 256  # growing parts whose text is remembered per connection

_KINDS = frozenset({"message.updated", "message.part.updated", "session.status", "session.created", GAP})


class Beginnings:
    """Which sessions a connection has seen a turn begin in: only those are held to what came before.

    A turn begins with busy after idle. Busy alone proves nothing, for it is said again while a turn goes on, and
    so may be what is known of the user's message.
    """

    def __init__(self, context: StreamContext) -> None:
        self._all = context.from_start
        self._some: OrderedDict[str, bool] = OrderedDict()  # whether a turn has begun since it was idle

    def feed(self, message: Message) -> None:
        """Take note of an event that begins or ends a turn or makes a session, or of a gap."""
        if message.type == GAP:
            self._all = False
            self._some.clear()
        elif message.type == "session.created":
            self._note(session_of(message), True)
        elif (status := status_of(message)) is not None:
            if status[1] == "idle":
                self._note(status[0], self._some.get(status[0], False))
            elif status[0] in self._some:
                self._note(status[0], True)

    def _note(self, session: str, begun: bool) -> None:
        self._some[session] = begun
        if len(self._some) > MESSAGES:
            self._some.popitem(last=False)

    def seen(self, session: str) -> bool:
        """Whether what is missing of this session now is missing indeed."""
        return self._all or self._some.get(session, False)

    def forget(self) -> None:
        """Say that something was dropped from a window: nothing is held to what came before any more."""
        self._all = False


@stream_check("PG-MSG-01", probes=UNFILTERED_BY_AGENT, families=FAMILIES)
class MessagesBeforeTheirParts(StreamRule):
    """A message is announced before its parts, and its parts say so. Remembers 8,192 messages."""

    types = _KINDS

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._beginnings = Beginnings(context)
        self._messages: OrderedDict[str, str] = OrderedDict()
        self._accused: set[str] = set()
        self._forgot = False

    def feed(self, message: Message) -> Iterable[Finding]:
        part = part_info(message)
        if part is not None:
            yield from self._part(message, part)
            return
        self._beginnings.feed(message)
        info = message_info(message)
        if info is not None and info.id:
            self._messages[info.id] = info.session
            if len(self._messages) > MESSAGES:
                self._messages.popitem(last=False)
                self._forgot = True

    def _part(self, message: Message, part: PartInfo) -> Iterable[Finding]:
        if part.session and part.envelope_session:
            self.judged += 1
            if part.session != part.envelope_session:
                yield self.finding(
                    message,
                    "a part names another session than its event",
                    expected=f"part.sessionID = properties.sessionID = {part.envelope_session}",
                    observed=f"part.sessionID {part.session}",
                )
        if not part.message:
            return
        owner = self._messages.get(part.message)
        if owner is None:
            excused = self._forgot or not self._beginnings.seen(session_of(message))
            if excused or part.message in self._accused:
                return
            self.judged += 1
            if len(self._accused) < MESSAGES:
                self._accused.add(part.message)
            yield self.finding(
                message,
                "a part comes before its message",
                expected=f"message.updated of {part.message} before its parts",
                observed=f"a {part.type} part of it, and the message not announced on this connection",
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


@dataclass(slots=True)
class _Growing:
    """A text-like part as it grows. `joined` is what its deltas make of what it had at first sight."""

    last: Message
    session: str
    joined: str = ""
    text: str | None = None
    deltas: bool = False
    ended: bool = False
    accused: bool = False


@stream_check("PG-MSG-02", probes=UNFILTERED_BY_AGENT, families=FAMILIES)
class DeltasMakeTheText(StreamRule):
    """Joined deltas equal the final text, and text only grows. Remembers the 256 parts that changed last.

    Deltas and text are compared when the turn has ended, not event by event: a snapshot may run ahead.
    """

    types = _KINDS | {"message.part.removed"}

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._beginnings = Beginnings(context)
        self._parts: OrderedDict[str, _Growing] = OrderedDict()
        self._changed: dict[str, set[str]] = {}  # by session: parts that changed since they were compared
        self._forgot = False
        self._busy: set[str] = set()

    def feed(self, message: Message) -> Iterable[Finding]:
        part = part_info(message)
        if part is not None:
            if part.id and part.type in ("text", "reasoning"):
                yield from self._grow(message, part)
            return
        self._beginnings.feed(message)
        if message.type == "message.part.removed":
            self._drop(str(message.properties.get("partID")))
        elif message.type == GAP:
            self._parts.clear()  # what was missed may have been deltas
            self._changed.clear()
        elif (status := status_of(message)) is not None:
            if status[1] == "idle":
                self._busy.discard(status[0])
                yield from self._compare(status[0])
            elif len(self._busy) < MESSAGES:
                self._busy.add(status[0])

    def close(self, ended: Ended) -> Iterable[Finding]:
        for session in sorted(set(self._changed) - self._busy):
            yield from self._compare(session)

    def _grow(self, message: Message, part: PartInfo) -> Iterable[Finding]:
        growing = self._parts.get(part.id)
        delta = part.delta or ""
        if growing is None:
            growing = self._parts[part.id] = _Growing(message, session_of(message))
            if self._forgot or not self._beginnings.seen(growing.session):
                growing.joined = (part.text or "").removesuffix(delta)  # it began before we came
                # Deltas alone do not tell what it had before, nor does a snapshot that has run ahead of them.
                growing.accused = part.text is None or not part.text.endswith(delta)
            if len(self._parts) > PARTS:
                self._drop(next(iter(self._parts)))
                self._forgot = True
        self._parts.move_to_end(part.id)
        if delta and growing.ended:
            self.judged += 1
            yield self.finding(
                message,
                "a delta comes after its part's end",
                expected=f"nothing more of part {part.id}, whose end time was sent",
                observed=f"a delta of {len(delta)} characters",
            )
        if part.text is not None and growing.text is not None:
            self.judged += 1
            if not part.text.startswith(growing.text):
                yield self.finding(
                    message,
                    "a cumulative text does not go on from the one before",
                    expected=f"the text of part {part.id} to begin with what it was",
                    observed=difference(growing.text, part.text[: len(growing.text)]),
                )
        if part.delta is not None:
            growing.deltas = growing.deltas or bool(delta)
            joined = growing.joined + delta
            growing.joined = part.text if part.text == joined else joined
        growing.text = part.text if part.text is not None else growing.text
        growing.ended = growing.ended or part.ended
        growing.last = message
        self._changed.setdefault(growing.session, set()).add(part.id)

    def _drop(self, identity: str) -> None:
        part = self._parts.pop(identity, None)
        if part is not None and (changed := self._changed.get(part.session)) is not None:
            changed.discard(identity)
            if not changed:
                del self._changed[part.session]

    def _compare(self, session: str) -> Iterable[Finding]:
        for identity in sorted(self._changed.pop(session, ())):
            part = self._parts[identity]
            if not part.deltas or part.text is None:
                continue
            self.judged += 1
            if part.joined != part.text and not part.accused:
                part.accused = True
                yield self.finding(
                    part.last,
                    "the deltas of a part do not make its final text",
                    expected=f"the joined deltas of part {identity} to equal its text",
                    observed=f"what the deltas make {difference(part.text, part.joined)}",
                )


@stream_check("PG-MSG-04", probes=ALL_STREAMS, families=FAMILIES)
class CompletionsStand(StreamRule):
    """`completed` is not before `created`, and is not taken back. Remembers 8,192 messages."""

    types = frozenset({"message.updated"})

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._completed: OrderedDict[str, float] = OrderedDict()

    def feed(self, message: Message) -> Iterable[Finding]:
        info = message_info(message)
        if info is None or not info.id:
            return
        before = self._completed.get(info.id)
        if before is not None and info.timed:
            self.judged += 1
            if info.completed is None:
                del self._completed[info.id]
                yield self.finding(
                    message,
                    "a completion is taken back",
                    expected=f"message {info.id} to stay completed (at {before:.0f})",
                    observed="time.completed is null or gone",
                )
        if info.completed is None:
            return
        self._completed[info.id] = info.completed
        if len(self._completed) > MESSAGES:
            self._completed.popitem(last=False)
        if info.created is not None:
            self.judged += 1
            if info.completed < info.created:
                yield self.finding(
                    message,
                    "a message is completed before it was created",
                    expected=f"time.completed at {info.created:.0f} or later",
                    observed=f"time.completed {info.completed:.0f}",
                )


@dataclass(slots=True)
class _Announced:
    """A message of the agent."""

    completed: bool = False
    over: bool = False  # the turn in which it was announced has ended
    accused: bool = False


@stream_check("PG-MSG-05", probes=set(UNFILTERED_BY_AGENT) - set(FAILING_TURNS), families=FAMILIES)
class PartsEndBeforeTheirMessage(StreamRule):
    """No part changes after its message is completed, nothing about a message comes after its turn's end.

    Each message is accused once; remembers 8,192 messages.
    """

    types = _KINDS

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._messages: OrderedDict[str, _Announced] = OrderedDict()
        self._open: dict[str, list[_Announced]] = {}  # by session: those whose turn is not over
        self._busy: set[str] = set()

    def feed(self, message: Message) -> Iterable[Finding]:
        status = status_of(message)
        if status is not None:
            self._turn(*status)
            return
        info, part = message_info(message), part_info(message)
        identity = info.id if info is not None else part.message if part is not None else ""
        known = self._messages.get(identity)
        if known is not None:
            self.judged += 1
            if not known.accused:
                yield from self._late(message, identity, known)
        if info is not None and info.id and info.role != "user":
            entry = known or self._announce(info)
            entry.completed = info.completed is not None if info.timed else entry.completed

    def _turn(self, session: str, kind: str) -> None:
        if kind != "idle":
            if len(self._busy) < MESSAGES:
                self._busy.add(session)
        elif session in self._busy:
            self._busy.discard(session)
            for known in self._open.pop(session, ()):
                known.over = True

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

    def _late(self, message: Message, identity: str, known: _Announced) -> Iterable[Finding]:
        part = part_info(message)
        if known.over:
            known.accused = True
            yield self.finding(
                message,
                "an event about a message comes after its turn's end",
                expected=f"nothing more about message {identity} once its session is idle",
                observed=message.type,
            )
        elif part is not None and known.completed:
            known.accused = True
            yield self.finding(
                message,
                "a part changes after its message was completed",
                expected=f"the parts of message {identity} to end before it is completed",
                observed=f"a {part.type} part, {part.status or 'text'}",
            )
