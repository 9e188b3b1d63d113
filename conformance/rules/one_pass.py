"""All incremental rules over a stream in one pass, so that it is decoded and read once and never held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from conformance.findings import Finding, Judgement
from conformance.message import read_message
from conformance.rules.stream import KEPT, Listener, Stream, StreamRule

# A defect of every event is shown by its first occurrences and a count …
SHOWN = 25
# … and after so many a rule need not look at the rest of the stream: explaining each costs time.
ENOUGH = 1_000
TYPES = 256  # event types of which it is remembered who listens: types are the server's to choose
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


class _Audience:
    """Who is given the events of one type, and who only counts them (`ordinary` events alone)."""

    __slots__ = ("came", "counting", "listening")

    def __init__(self, seats: list[_Seat], kind: str, ordinary: bool) -> None:
        self.came = 0
        self.counting: list[StreamRule] = []
        self.listening: list[tuple[_Seat, Listener]] = []
        for seat in seats:
            if seat.done:
                continue
            try:
                listener = seat.rule.listener(kind)
                counts = ordinary and listener is not None and seat.rule.counts(kind)
            except Exception as error:
                seat.error = error
                continue
            if counts:
                self.counting.append(seat.rule)
            elif listener is not None:
                self.listening.append((seat, listener))

    def settle(self) -> None:
        """Tell those who count how many came."""
        for rule in self.counting:
            rule.judged += self.came
        self.came = 0


class _Hall:
    """Who listens to what. Rules are asked once for each type, and anew when one of them is done."""

    def __init__(self, seats: list[_Seat]) -> None:
        self._seats = seats
        self.ordinary: dict[str, _Audience] = {}
        self.odd: dict[str, _Audience] = {}

    def enter(self, kind: str, ordinary: bool) -> _Audience:
        """The audience of a type that has none yet."""
        table = self.ordinary if ordinary else self.odd
        if len(table) >= TYPES:
            self.empty()
        audience = table[kind] = _Audience(self._seats, kind, ordinary)
        return audience

    def empty(self) -> None:
        """Count what was not counted yet, and forget who listens."""
        for table in (self.ordinary, self.odd):
            for audience in table.values():
                audience.settle()
            table.clear()


def _over(stream: Stream, seats: list[_Seat]) -> None:
    skippers = [seat for seat in seats if type(seat.rule).skipped is not StreamRule.skipped]
    hall = _Hall(seats)
    ordinary, odd = hall.ordinary, hall.odd
    kept = iter(stream.messages) if stream.size < KEPT else None
    for block in stream.walk():
        if block.data is None:
            if block.end - block.start > BLANK:
                for seat in skippers:
                    seat.attempt(lambda seat=seat, block=block: seat.rule.skipped(block))  # type: ignore[misc]
            continue
        message = read_message(block) if kept is None else next(kept)
        kind = message.type
        if kind and block.event is None and not message.error and not message.duplicates:
            audience = ordinary.get(kind) or hall.enter(kind, True)
        else:
            audience = odd.get(kind) or hall.enter(kind, False)
        audience.came += 1
        done = False
        for seat, listener in audience.listening:
            try:
                found = listener(message)
                if found:
                    seat.keep(found)
                    done = done or seat.done
            except Exception as error:
                seat.error = error
                done = True
        if done:
            hall.empty()
    hall.empty()
    ended = stream.transcript.ended
    for seat in seats:
        seat.attempt(lambda seat=seat: seat.rule.close(ended))  # type: ignore[misc]
