"""All incremental rules over a stream in one pass, so that it is decoded and read once and never held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from conformance.findings import Finding, Judgement
from conformance.message import Message, read_message
from conformance.rules.stream import KEPT, Stream, StreamRule
from conformance.wire import Block

# A defect of every event is shown by its first occurrences and a count …
SHOWN = 25
# … and after so many a rule need not look at the rest of the stream: explaining each costs time.
ENOUGH = 1_000
BLANK = 2  # bytes of a block that is a blank line and nothing else: no rule has anything to say of it


class _Seat:
    """One rule in a pass: what it found, or the exception that threw it out."""

    def __init__(self, rule: StreamRule) -> None:
        self.rule = rule
        self.findings: list[Finding] = []
        self.more = 0
        self.error: Exception | None = None

    def keep(self, found: Iterable[Finding]) -> None:
        for finding in found:
            if len(self.findings) < SHOWN:
                self.findings.append(finding)
            else:
                self.more += 1

    def attempt(self, ask: Callable[[], Iterable[Finding]]) -> None:
        if not self.done:
            try:
                self.keep(ask())
            except Exception as error:
                self.error = error

    @property
    def notes(self) -> tuple[str, ...]:
        rest = ", and the rest of the stream was not looked at" if self.more >= ENOUGH else ""
        beyond = f"{self.rule.context.role}: {self.more} more findings of this kind{rest}"
        return (*self.rule.notes, *((beyond,) if self.more else ()))

    @property
    def done(self) -> bool:
        """Whether it need not look at more of the stream."""
        return self.error is not None or self.more >= ENOUGH


def judge_streams(
    streams: Iterable[Stream], rules: Sequence[type[StreamRule]]
) -> dict[type[StreamRule], Judgement | Exception]:
    """What each rule says of the streams together; the exception instead where a rule raised one."""
    findings: dict[type[StreamRule], list[Finding]] = {rule: [] for rule in rules}
    notes: dict[type[StreamRule], list[str]] = {rule: [] for rule in rules}
    judged = dict.fromkeys(rules, 0)
    errors: dict[type[StreamRule], Exception] = {}
    for stream in streams:
        seats: list[_Seat] = []
        for wanted in rules:
            try:
                seats.append(_Seat(wanted(stream.context)))
            except Exception as error:
                errors.setdefault(wanted, error)
        _over(stream, seats)
        for seat in seats:
            rule = type(seat.rule)
            findings[rule].extend(seat.findings)
            notes[rule].extend(seat.notes)
            judged[rule] += seat.rule.judged
            if seat.error is not None:
                errors.setdefault(rule, seat.error)
    return {
        rule: errors.get(rule) or Judgement(tuple(findings[rule]), judged[rule], tuple(notes[rule]))
        for rule in rules
    }


def _over(stream: Stream, seats: list[_Seat]) -> None:
    skippers = [seat for seat in seats if type(seat.rule).skipped is not StreamRule.skipped]
    wanted: dict[str, list[tuple[_Seat, Callable[[Message], Iterable[Finding]]]]] = {}
    for item in _items(stream):
        if isinstance(item, Block):
            for seat in skippers:
                seat.attempt(lambda seat=seat, item=item: seat.rule.skipped(item))  # type: ignore[misc]
            continue
        listeners = wanted.get(item.type)
        if listeners is None:
            listeners = [(seat, seat.rule.feed) for seat in seats if _wants(seat, item.type)]
            if len(wanted) < 256:  # types are the server's to choose: never a table without a bound
                wanted[item.type] = listeners
        for seat, feed in listeners:
            try:
                found = feed(item)
                if found:
                    seat.keep(found)
                    if seat.done:
                        wanted = {}  # asked anew, without it
            except Exception as error:
                seat.error = error
                wanted = {}  # asked anew, without it
    ended = stream.transcript.ended
    for seat in seats:
        seat.attempt(lambda seat=seat: seat.rule.close(ended))  # type: ignore[misc]


def _wants(seat: _Seat, kind: str) -> bool:
    types = seat.rule.types
    return not seat.done and (types is None or kind in types)


def _items(stream: Stream) -> Iterator[Message | Block]:
    """Messages, and the blocks that dispatch nothing, in the order of the stream."""
    if stream.size < KEPT:
        messages = iter(stream.messages)
        for block in stream.blocks:
            if block.dispatch is not None:
                yield next(messages)
            elif block.end - block.start > BLANK:
                yield block
        return
    for block in stream.walk():
        if block.dispatch is not None:
            yield read_message(block.dispatch)
        elif block.end - block.start > BLANK:
            yield block
