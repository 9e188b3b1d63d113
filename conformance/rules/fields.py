"""The fields beside `data`: `event`, `id` and `retry` (SSE-EVT-01 to SSE-EVT-04)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator

from conformance.catalogue import event_schemas
from conformance.findings import Finding, Judgement
from conformance.message import Message
from conformance.rules._newest import Newest
from conformance.rules.base import (
    Case,
    Listener,
    RuleByType,
    Run,
    Stream,
    StreamContext,
    StreamRule,
    check,
    stream_check,
)
from conformance.rules.everywhere import EVERYWHERE, SHOWN, counted, shown
from conformance.transcript import Ended
from conformance.wire import Block, Line

WINDOW = 65_536  # the newest ids of a stream among which one may not come twice
NAMES = 1_000  # event names of one stream that are told apart
# Frames that a server makes for one connection; they may repeat the newest id of what they stand beside.
SYNTHETIC = ("server.", "ping", "heartbeat", "keepalive", "keep-alive")


@stream_check("SSE-EVT-01a", probes=EVERYWHERE)
class NoEmptyNamedBlocks(StreamRule):
    """WHATWG HTML §9.2.6: a block without data dispatches nothing, whatever its `event` says."""

    reads_fields = True

    def feed(self, message: Message) -> Iterable[Finding]:
        """Count what has data."""
        self.judged += 1
        return ()

    def takes(self, run: Run) -> bool:
        """Whatever has data counts."""
        self.judged += len(run.messages)
        return True

    def skipped(self, block: Block) -> Iterable[Finding]:
        """Judge a block that dispatches nothing."""
        self.judged += 1
        if block.event is not None:
            yield Finding(
                "a block that sets `event` and has no data",
                "a `data` line in every block that names an event",
                f"{shown(block.raw)}, of which clients see nothing",
                self.context.role,
                None,
                (block.start, block.end),
            )


@stream_check("SSE-EVT-01b", probes=EVERYWHERE)
class IdsAlone(StreamRule):
    """Reported: blocks with `id` alone. They are legal and move the cursor (WHATWG HTML §9.2.6)."""

    reads_fields = True

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._alone = 0

    def feed(self, message: Message) -> Iterable[Finding]:
        """Count what has data."""
        self.judged += 1
        return ()

    def takes(self, run: Run) -> bool:
        """Whatever has data counts."""
        self.judged += len(run.messages)
        return True

    def skipped(self, block: Block) -> Iterable[Finding]:
        """Count a block that sets an id and nothing else."""
        self.judged += 1
        self._alone += block.id is not None and block.event is None
        return ()

    def close(self, ended: Ended) -> Iterable[Finding]:
        """Say how many there were."""
        if self._alone:
            self.notes.append(f"{self.context.role}: {self._alone} blocks with `id` alone")
        return ()


class _NamedEvents(StreamRule):
    """Events with an `event` name other than "message" or "": `onmessage` does not see them (§9.2.6)."""

    reads_fields = True

    documented = True

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._knows = event_schemas(context.protocol).knows
        self._seen: dict[tuple[bytes, str], int] = {}

    def feed(self, message: Message) -> Iterable[Finding]:
        """Judge the next event."""
        self.judged += 1
        name = message.block.event
        if not name or name == b"message" or self._knows(message.type) is not self.documented:
            return ()
        key = (name, message.type)
        if key in self._seen:
            self._seen[key] += 1
        elif len(self._seen) < NAMES:
            self._seen[key] = 1
            return (self._named(message, name),)
        return ()

    def takes(self, run: Run) -> bool:
        """An ordinary event has no name."""
        self.judged += len(run.messages) if run.ordinary else 0
        return run.ordinary

    @abstractmethod
    def _named(self, message: Message, name: bytes) -> Finding:
        """What is wrong with the first event of that name."""

    def close(self, ended: Ended) -> Iterable[Finding]:
        """Say how often each name came."""
        for (name, kind), count in self._seen.items():
            if count > 1:
                self.notes.append(
                    f"{self.context.role}: `event: {shown(name)}` on {count} {kind or 'untyped'} events"
                )
        return ()


@stream_check("SSE-EVT-02a", probes=EVERYWHERE)
class NoHiddenEvents(_NamedEvents):
    """The documents' clients read with `onmessage`: a name hides the event from them."""

    def _named(self, message: Message, name: bytes) -> Finding:
        return self.finding(
            message,
            f"a {message.type} event is hidden from `onmessage`",
            expected="no `event` field, or `event: message`",
            observed=f"`event: {shown(name)}` on a documented event",
        )


@stream_check("SSE-EVT-02b", probes=EVERYWHERE)
class NoOtherNamedEvents(_NamedEvents):
    """Events that no document shows are no better for a name that no client listens to."""

    documented = False

    def _named(self, message: Message, name: bytes) -> Finding:
        return self.finding(
            message,
            "a named event that no document shows",
            expected="no `event` field, or `event: message`",
            observed=f"`event: {shown(name)}` with data {shown(message.event.data.encode())}",
        )


def _lines(stream: Stream, field: bytes, within: bytes) -> Iterator[tuple[Block, Line]]:
    """The lines of a field in complete blocks; only blocks that contain `within` are looked into."""
    for block in stream.walk():
        if within in block.raw:
            for line in block.lines:
                if line.field == field:
                    yield block, line


@check("SSE-EVT-03a", probes=EVERYWHERE, recorded=True, every=False)
def ids_without_nul(case: Case) -> Judgement:
    """WHATWG HTML §9.2.6: an `id` that holds U+0000 is ignored, so the cursor stays behind."""
    findings: list[Finding] = []
    notes: list[str] = []
    judged = 0
    for stream in case.streams:
        bad = []
        if stream.ignores:
            bad = [(block, line) for block, line in _lines(stream, b"id", b"\0") if b"\0" in line.value]
        judged += 1 if bad or stream.sets_ids else 0
        for block, line in bad[:SHOWN]:
            findings.append(
                Finding(
                    "an `id` with NUL in it",
                    "an id without U+0000",
                    f"the id {shown(line.value)}, which every client ignores",
                    stream.role,
                    None if block.dispatch is None else block.dispatch.index,
                    (line.start, line.end),
                )
            )
        notes += counted(stream, len(bad) - SHOWN, "ids with NUL")
    return Judgement(
        tuple(findings), judged, tuple(notes), not_applicable="" if judged else "no stream sends ids"
    )


@check("SSE-EVT-03b", probes=EVERYWHERE, recorded=True, every=False)
def retry_is_digits(case: Case) -> Judgement:
    """WHATWG HTML §9.2.6: a `retry` of anything but ASCII digits is ignored."""
    findings: list[Finding] = []
    notes: list[str] = []
    judged = 0
    for stream in case.streams:
        if not stream.sets_retry and not stream.ignores:
            continue
        bad = 0
        for block, line in _lines(stream, b"retry", b"retry"):
            judged += 1
            if line.value.isdigit():  # of bytes: ASCII digits only
                continue
            bad += 1
            if bad <= SHOWN:
                findings.append(
                    Finding(
                        "a `retry` that is not a number of ASCII digits",
                        "milliseconds in ASCII digits alone",
                        f"the line {shown(block.raw[line.start - block.start : line.end - block.start])}",
                        stream.role,
                        None if block.dispatch is None else block.dispatch.index,
                        (line.start, line.end),
                    )
                )
        notes += counted(stream, bad - SHOWN, "such lines")
    return Judgement(
        tuple(findings), judged, tuple(notes), not_applicable="" if judged else "no stream sends `retry`"
    )


@stream_check("SSE-EVT-04", probes=EVERYWHERE)
class UniqueIds(RuleByType):
    """An id is a cursor: two events with one id, or an id beside its event, make resuming inexact.

    Not accused: an empty id (it resets the cursor), a synthetic frame that repeats the newest id (before a
    replay: the newest that the server has, which then comes again with its event), blocks with an id alone
    beside events that have their own. Ids are compared within a window of `WINDOW`.
    """

    reads_fields = True

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._seen: Newest[bytes] = Newest(WINDOW)
        self._newest = b""
        self._own = False  # some event has an id in its own block
        self._alone = False  # the block before set an id and dispatched nothing
        self._apart: Message | None = None  # the first event whose id stood in the block before

    def listener(self, kind: str) -> Listener:
        """Synthetic frames have a right of their own."""
        return self._synthetic if kind.startswith(SYNTHETIC) else self._event

    def takes(self, run: Run) -> bool:
        """Events without ids say nothing; ids that count up are unique."""
        if self._alone or any(kind.startswith(SYNTHETIC) for kind in run.types):
            return False
        ids = [message.block.id for message in run.messages]
        named = [value for value in ids if value]
        if named and (len(named) < len(ids) or not self._seen.extend(named, run.numbers)):
            return False
        if named:
            self._own = True
            self._newest = named[-1]
            self.judged += len(named)
        return bool(named) or b"" not in ids

    def _event(self, message: Message) -> Iterable[Finding]:
        value = self._id(message)
        if not value:
            return ()
        first = self._seen.add(value, message.block.number)
        if first is not None:
            return (self._twice(message, value, first),)
        self._newest = value
        return ()

    def _synthetic(self, message: Message) -> Iterable[Finding]:
        value = self._id(message)
        if not value:
            return ()
        first = self._seen.get(value)
        return () if first is None or value == self._newest else (self._twice(message, value, first),)

    def _id(self, message: Message) -> bytes | None:
        """The event's own id; None or empty where it has none to be judged."""
        value = message.block.id
        if value is None:
            if self._alone and self._apart is None:
                self._apart = message
        else:
            self._own = True
            self.judged += 1 if value else 0
        self._alone = False
        return value

    def skipped(self, block: Block) -> Iterable[Finding]:
        """Remember an id that stands alone."""
        if block.id:
            self._alone = True
        return ()

    def close(self, ended: Ended) -> Iterable[Finding]:
        """Ids that never stand with their events are found at the end."""
        if self._apart is None or self._own:
            return ()
        self.judged += 1
        return (
            self.finding(
                self._apart,
                "ids stand in blocks of their own, before their events",
                expected="`id` in the block of its event",
                observed="an id in the block before; a connection cut between the two resumes past the event",
            ),
        )

    def _twice(self, message: Message, value: bytes, first: int) -> Finding:
        return self.finding(
            message,
            "an id that an earlier event has",
            expected="an id of its own for each event",
            observed=f"id {shown(value)} again, first on event {first}",
        )
