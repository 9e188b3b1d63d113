"""All incremental rules over a stream in one pass, so that it is decoded and read once and never held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from conformance.findings import Finding, Judgement
from conformance.message import read_messages
from conformance.rules.stream import KEPT, Listener, Run, Stream, StreamContext, StreamRule
from conformance.transcript import Ended
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

    def __init__(
        self, rule: StreamRule, found: Callable[[type[StreamRule], Finding], None] | None = None
    ) -> None:
        self.rule = rule
        self._found = found
        self._listeners = _Listeners(rule)
        self.findings: list[Finding] = []
        self.more = 0
        self.error: Exception | None = None

    def keep(self, found: Iterable[Finding]) -> None:
        for finding in found:
            if self._found is not None:
                self._found(type(self.rule), finding)
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


class Pass:
    """Incremental rules over one stream: its events as they come, then its end. Bounded memory.

    A rule that raises is thrown out, with its exception. `found` is told of each finding as it is made.
    """

    def __init__(
        self,
        context: StreamContext,
        rules: Sequence[type[StreamRule]],
        found: Callable[[type[StreamRule], Finding], None] | None = None,
    ) -> None:
        self._seats: list[_Seat] = []
        self.errors: dict[type[StreamRule], Exception] = {}
        for wanted in rules:
            try:
                self._seats.append(_Seat(wanted(context), found))
            except Exception as error:
                self.errors.setdefault(wanted, error)
        self._skippers = [seat for seat in self._seats if type(seat.rule).skipped is not StreamRule.skipped]

    def feed(self, run: Run) -> None:
        """Judge events that came one right after the other."""
        for seat in self._seats:
            if not seat.done:
                seat.look_at(run)

    def skipped(self, block: Block) -> None:
        """Judge a block that dispatches nothing."""
        for seat in self._skippers:
            seat.attempt(lambda seat=seat: seat.rule.skipped(block))  # type: ignore[misc]

    def close(self, ended: Ended) -> None:
        """Judge the end of the stream."""
        for seat in self._seats:
            seat.attempt(lambda seat=seat: seat.rule.close(ended))  # type: ignore[misc]

    def judgements(self) -> Iterator[tuple[type[StreamRule], Judgement]]:
        """What each rule says; those that raised are in `errors` too."""
        for seat in self._seats:
            rule = type(seat.rule)
            if seat.error is not None:
                self.errors.setdefault(rule, seat.error)
            yield rule, Judgement(tuple(seat.findings), seat.rule.judged, seat.notes)


def judge_streams(
    streams: Iterable[Stream], rules: Sequence[type[StreamRule]]
) -> dict[type[StreamRule], Judgement | Exception]:
    """What each rule says of the streams together; the exception instead where a rule raised one."""
    findings: dict[type[StreamRule], list[Finding]] = {rule: [] for rule in rules}
    notes: dict[type[StreamRule], list[str]] = {rule: [] for rule in rules}
    judged = dict.fromkeys(rules, 0)
    errors: dict[type[StreamRule], Exception] = {}
    for stream in streams:
        over = Pass(stream.context, rules)
        for part in _parts(stream):
            if isinstance(part, Block):
                over.skipped(part)
            else:
                over.feed(part)
        over.close(stream.transcript.ended)
        for rule, judgement in over.judgements():
            findings[rule].extend(judgement.findings)
            notes[rule].extend(judgement.notes)
            judged[rule] += judgement.judged
        for rule, error in over.errors.items():
            errors.setdefault(rule, error)
    return {
        rule: errors.get(rule) or Judgement(tuple(findings[rule]), judged[rule], tuple(notes[rule]))
        for rule in rules
    }


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
