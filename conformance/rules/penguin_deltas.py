"""PG-MSG-02: the deltas of a part make its text, incrementally.

Source: Penguin SSE Endpoint Documentation, §Event Types (`message.part.updated` with delta streaming); OpenCode
server, Shapes (`message.part.delta` beside full snapshots).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from conformance.findings import Finding
from conformance.message import Message
from conformance.parts import DELTA, GAP, PART, PartInfo, increment_of, part_of, session_of, status_of
from conformance.penguin import BUSES, UNFILTERED_BY_AGENT
from conformance.rules._penguin_beginnings import MESSAGES, Beginnings
from conformance.rules.base import Listener, RuleByType, StreamContext, stream_check
from conformance.rules.said import difference
from conformance.transcript import Ended

PARTS = 256  # growing parts whose text is remembered per connection


@dataclass(slots=True)
class _Growing:
    """A text-like part as it grows. `joined` is what its deltas make of what it had at first sight.

    `apart` are increments that came as events of their own since the last event with text, not joined yet, and
    `base` is the text before the first of them. `changed`: since it was compared.
    """

    last: Message
    session: str
    joined: str = ""
    text: str | None = None
    base: str = ""
    apart: list[str] = field(default_factory=list)
    deltas: bool = False
    ended: bool = False
    accused: bool = False
    changed: bool = False

    def join(self) -> None:
        """Join the increments that came apart."""
        self.joined = "".join((self.joined, *self.apart))
        self.apart.clear()


@stream_check("PG-MSG-02", probes=UNFILTERED_BY_AGENT, families=BUSES)
class DeltasMakeTheText(RuleByType):
    """Joined deltas equal the final text, and text only grows. Remembers the 256 parts that changed last.

    Deltas and text are compared when the turn has ended, not event by event: a snapshot may run ahead. Texts that a
    declared plugin rewrites are not compared.
    """

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._rewritten = context.profile.rewrites_text
        self._beginnings = Beginnings(context)
        self._parts: OrderedDict[str, _Growing] = OrderedDict()
        self._changed: dict[str, set[str]] = {}  # by session: parts that changed since they were compared
        self._forgot = False
        self._busy: set[str] = set()

    def listener(self, kind: str) -> Listener | None:
        if kind == PART:
            return self._part
        if kind == DELTA:
            return self._increment
        return self._event if kind in Beginnings.KINDS or kind == "message.part.removed" else None

    def _event(self, message: Message) -> Iterable[Finding]:
        self._beginnings.feed(message)
        if message.type == "message.part.removed":
            self._drop(str(message.properties.get("partID")))
        elif message.type == GAP:
            self._parts.clear()  # what was missed may have been deltas
            self._changed.clear()
        elif (status := status_of(message)) is not None:
            if status[1] == "idle":
                self._busy.discard(status[0])
                return self._compare(status[0])
            if len(self._busy) < MESSAGES:
                self._busy.add(status[0])
        return ()

    def close(self, ended: Ended) -> Iterable[Finding]:
        for session in sorted(set(self._changed) - self._busy):
            yield from self._compare(session)

    def _part(self, message: Message) -> Iterable[Finding]:
        part = part_of(message)
        if part.type not in ("text", "reasoning") or not part.id:
            return ()
        growing = self._parts.get(part.id)
        if growing is None:
            growing = self._begin(message, part)
        else:
            self._parts.move_to_end(part.id)
        text, delta, before = part.text, part.delta, growing.text
        found: Iterable[Finding] = ()
        if delta and growing.ended:
            self.judged += 1
            found = (self._late(message, part, delta),)
        if text is not None:
            if before is not None and not self._rewritten:
                self.judged += 1
                if not text.startswith(before):
                    found = (*found, self._not_grown(message, part, before, text))
            growing.text = text
            if growing.apart:
                growing.join()
        if delta is not None:
            if delta:
                growing.deltas = True
            joined = growing.joined + delta
            growing.joined = text if text == joined else joined  # one string in memory, not two
        if part.ended:
            growing.ended = True
        growing.last = message
        if not growing.changed:
            self._note(part.id, growing)
        return found

    def _increment(self, message: Message) -> Iterable[Finding]:
        part = increment_of(message)
        growing = self._parts.get(part.id)
        if not part.id or not part.delta:
            return ()
        if growing is None:
            growing = self._begin(message, part)
        else:
            self._parts.move_to_end(part.id)
        found: Iterable[Finding] = ()
        if growing.ended:
            self.judged += 1
            found = (self._late(message, part, part.delta),)
        if not growing.deltas:
            growing.deltas, growing.base = True, growing.text or ""
        growing.apart.append(part.delta)  # to be compared when the next text is told
        growing.last = message
        return found

    def _note(self, identity: str, growing: _Growing) -> None:
        growing.changed = True
        if (changed := self._changed.get(growing.session)) is None:
            changed = self._changed[growing.session] = set()
        changed.add(identity)

    def _begin(self, message: Message, part: PartInfo) -> _Growing:
        growing = self._parts[part.id] = _Growing(message, session_of(message))
        if self._forgot or not self._beginnings.seen(growing.session):
            text, delta = part.text or "", part.delta or ""
            growing.joined = text.removesuffix(delta)  # it began before we came
            # Deltas alone do not tell what it had before, nor does a snapshot that has run ahead of them.
            growing.accused = part.text is None or not text.endswith(delta)
        if len(self._parts) > PARTS:
            self._drop(next(iter(self._parts)))
            self._forgot = True
        return growing

    def _late(self, message: Message, part: PartInfo, delta: str) -> Finding:
        return self.finding(
            message,
            "a delta comes after its part's end",
            expected=f"nothing more of part {part.id}, whose end time was sent",
            observed=f"a delta of {len(delta)} characters",
        )

    def _not_grown(self, message: Message, part: PartInfo, before: str, text: str) -> Finding:
        return self.finding(
            message,
            "a cumulative text does not go on from the one before",
            expected=f"the text of part {part.id} to begin with what it was",
            observed=difference(before, text[: len(before)]),
        )

    def _drop(self, identity: str) -> None:
        part = self._parts.pop(identity, None)
        if part is not None and (changed := self._changed.get(part.session)) is not None:
            changed.discard(identity)
            if not changed:
                del self._changed[part.session]

    def _compare(self, session: str) -> Iterable[Finding]:
        for identity in sorted(self._changed.pop(session, ())):
            part = self._parts[identity]
            part.changed = False
            # Increments after the last text: its final text was not told, as of a part whose turn failed.
            if not part.deltas or part.text is None or part.apart or self._rewritten:
                continue
            self.judged += 1
            # They may go on from the text before them, which may as well have run ahead of them.
            if part.text not in (part.joined, part.base + part.joined) and not part.accused:
                part.accused = True
                yield self.finding(
                    part.last,
                    "the deltas of a part do not make its final text",
                    expected=f"the joined deltas of part {identity} to equal its text",
                    observed=f"what the deltas make {difference(part.text, part.joined)}",
                )
