"""All incremental rules over a stream in one pass, so that it is decoded and read once and never held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from conformance.findings import Finding, Judgement
from conformance.message import read_messages
from conformance.rules.stream import KEPT, Listener, Run, Stream, StreamRule
from conformance.wire import Block

# A defect of every event is shown by its first occurrences and a count …
SHOWN = 25
# … and after so many a rule need not look at the rest of the stream: explaining each costs time.
ENOUGH = 1_000
TYPES = 256  # event types of which it is remembered who listens: types are the server's to choose
BLANK = 2  # bytes of a block that is a blank line and nothing else: no rule has anything to say of it
# A run ends with the event that fills one of these: what it holds is to fit into a processor's cache.
EVENTS, BYTES = 64, 65_536


class _Listeners(dict[str, Listener | None]):
    """What a rule does with each type of event. It is asked once for each, mostly."""

    def __init__(self, rule: StreamRule) -> None:
        self._rule = rule

    def __missing__(self, kind: str) -> Listener | None:
        if len(self) >= TYPES:
            self.clear()
        listener = self[kind] = self._rule.listener(kind)
        return listener


class _Seat:
    """One rule in a pass: what it found, or the exception that threw it out."""

    def __init__(self, rule: StreamRule) -> None:
        self.rule = rule
        self._listeners = _Listeners(rule)
        self.findings: list[Finding] = []
        self.more = 0
        self.error: Exception | None = None

    def keep(self, found: Iterable[Finding]) -> None:
        for finding in found:
            if len(self.findings) < SHOWN:
                self.findings.append(finding)
            else:
                self.more += 1

    def look_at(self, run: Run) -> None:
        """Let the rule judge these events, at once or one by one."""
        listeners = self._listeners
        try:
            if self.rule.takes(run) or not any(map(listeners.__getitem__, run.types)):
                return
            for message, listener in zip(run.messages, map(listeners.__getitem__, run.kinds), strict=True):
                if listener is not None:
                    found = listener(message)
                    if found:
                        self.keep(found)
                        if self.done:
                            return
        except Exception as error:
            self.error = error

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
    for part in _parts(stream):
        if isinstance(part, Block):
            for seat in skippers:
                seat.attempt(lambda seat=seat, block=part: seat.rule.skipped(block))  # type: ignore[misc]
        else:
            for seat in seats:
                if not seat.done:
                    seat.look_at(part)
    ended = stream.transcript.ended
    for seat in seats:
        seat.attempt(lambda seat=seat: seat.rule.close(ended))  # type: ignore[misc]


def _parts(stream: Stream) -> Iterator[Run | Block]:
    """The stream as runs of events, and blocks that dispatch nothing."""
    kept = iter(stream.messages) if stream.size < KEPT else None

    def run() -> Run:
        messages = read_messages(blocks) if kept is None else [*islice(kept, len(blocks))]
        return Run(messages)

    blocks: list[Block] = []
    for block in stream.walk():
        if block.data is not None:
            blocks.append(block)
            if len(blocks) < EVENTS and block.end - blocks[0].start < BYTES:
                continue
        elif block.end - block.start <= BLANK:
            continue
        if blocks:
            yield run()
            blocks = []
        if block.data is None:
            yield block
    if blocks:
        yield run()
