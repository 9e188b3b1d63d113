"""A load result as documents show it: its outcome in a sentence, its figures in words, its tables row by row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from conformance.load_compare import LoadComparison
from conformance.load_knee import knee
from conformance.load_result import DISTRIBUTIONS, ERRORS, INTEGRITY, Example, LoadResult, Step
from conformance.report.html_text import count, seconds
from conformance.slo import Condition, SloError, duration, parse

PERCENTILES = (50.0, 90.0, 99.0, 99.9)
# Titles of what is measured, in the order in which a stream goes through it.
TITLES = {
    "connect": "Connect",
    "headers": "Response head",
    "ttfe": "Time to first event",
    "ttfc": "Time to first content",
    "gap": "Gap between events",
    "stall": "Longest gap of a stream",
    "delay": "Delivery delay",
    "skew": "Fan-out skew",
    "duration": "Stream duration",
    "reconnect": "Reconnect",
}
# What each kind of damage is, and how it is said of a number.
KINDS = {
    "lost": ("Lost", "sent, and never came", "lost"),
    "doubled": ("Doubled", "came again", "doubled"),
    "reordered": ("Reordered", "came after a later one", "reordered"),
    "altered": ("Altered", "came with other content", "altered"),
    "leaked": ("Leaked", "of another session or dialog", "leaked"),
    "invalid": ("Invalid", "refused by the schemas", "invalid"),
    "unfinished": ("Unfinished", "streams without their end", "unfinished"),
}


@dataclass(frozen=True, slots=True)
class Damage:
    """One row of the integrity table. `verdict` is "pass", "fail", or "inconclusive" where nothing was judged."""

    title: str
    meaning: str
    count: int
    per_million: float
    of: str
    verdict: str
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of the table of times: percentiles in words, "" where there are too few values to know one."""

    name: str
    title: str
    meaning: str
    count: int
    percentiles: tuple[str, ...]
    longest: str

    @property
    def told(self) -> str:
        """The row in words."""
        known = [
            f"p{percent:g} {word}"
            for percent, word in zip(PERCENTILES, self.percentiles, strict=True)
            if word
        ]
        return f"{', '.join([*known, f'max {self.longest}'])}, of {count(self.count)}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that a reader looks for first, with what it is and a word more."""

    title: str
    value: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class LoadView:
    """One result, with what documents say of it."""

    key: str
    result: LoadResult
    comparison: LoadComparison | None = None

    @property
    def verdict(self) -> str:
        """Name of the verdict of the run, as styles know it."""
        return "pass" if self.result.passed else "fail"

    @property
    def headline(self) -> str:
        """The run in a sentence: the worst that is to be said of it."""
        return headline(self.result)

    @property
    def figures(self) -> tuple[Figure, ...]:
        """What a reader looks for first."""
        return tuple(_figures(self.result))

    @property
    def damages(self) -> tuple[Damage, ...]:
        """The integrity table."""
        return tuple(_damage(self.result, kind) for kind in INTEGRITY)

    @property
    def measured(self) -> tuple[Measured, ...]:
        """The table of times: what was measured, in the order of `TITLES`."""
        return tuple(_measured(self.result, name) for name in TITLES if self.result.distribution(name).count)

    @property
    def errors(self) -> tuple[tuple[str, str, int], ...]:
        """Kind, meaning and number of the errors, the most frequent first."""
        ranked = sorted(self.result.errors, key=lambda pair: -pair[1])
        return tuple((kind.replace("_", " "), ERRORS[kind], number) for kind, number in ranked)

    @property
    def knee(self) -> Step | None:
        """Beyond which level more users are not worth it."""
        return knee(self.result.steps)

    @property
    def concurrency(self) -> str:
        """What the levels of concurrency show, in a sentence; "" where there is one alone."""
        steps = self.result.steps
        if len(steps) < 2:
            return ""
        least, most = min(step.users for step in steps), max(step.users for step in steps)
        found = self.knee
        if found is None:
            told = f"No knee from {count(least)} to {count(most, 'user')}: more users still got more."
        else:
            told = (
                f"The knee lies at {count(found.users, 'user')}: beyond it, events per second over the median time to "
                "first event (Kleinrock's power) fall."
            )
        return f"{told} The run ended early: {self.result.ended}." if self.result.ended else told

    @property
    def health(self) -> str:
        """The generator's health in a sentence."""
        found = self.result.generator
        told = (
            f"delay of its loop p50 {duration(found.p50)}, p99 {duration(found.p99)}, at most {duration(found.high)}; "
            f"{found.cpu:.0%} of one core"
        )
        return f"{told}: {found.why}" if found.why else told

    @property
    def about(self) -> tuple[tuple[str, str], ...]:
        """What was run, as (name, words)."""
        return tuple((name, words) for name, words in _about(self.result) if words)


def views(results: Sequence[LoadResult], comparisons: Sequence[LoadComparison] = ()) -> tuple[LoadView, ...]:
    """One for each result, in the order given, with its comparison if there is one."""
    found = {id(comparison.new): comparison for comparison in comparisons}
    return tuple(
        LoadView(f"load-{number}", result, found.get(id(result))) for number, result in enumerate(results, 1)
    )


def headline(result: LoadResult) -> str:
    """The run in a sentence."""
    integrity = result.integrity
    if not integrity.events:
        return "Nothing was judged: no event came"
    wrong = [
        (kind, integrity.count(kind)) for kind in INTEGRITY if integrity.count(kind) and kind != "unfinished"
    ]
    parts = [f"{number:,} {KINDS[kind][2]}" for kind, number in wrong]
    if parts:
        noun = "event" if wrong[0][1] == 1 else "events"
        parts[0] = f"{wrong[0][1]:,} {noun} {KINDS[wrong[0][0]][2]}"
    if integrity.unfinished:
        parts.append(f"{count(integrity.unfinished, 'stream')} without an end")
    missed = [gate for gate in result.gates if not gate.held]
    if parts:
        return f"{', '.join(parts)}, at up to {count(result.users, 'user')}"
    if result.generator.late:
        return "Every event arrived, but the load generator was late: its times say more of it than of the server"
    if missed:
        verb = "condition does" if len(missed) == 1 else "conditions do"
        return f"Every event arrived, but {len(missed)} {verb} not hold"
    return f"Every event arrived, and every condition holds, at up to {count(result.users, 'user')}"


def conditions(result: LoadResult) -> tuple[Condition, ...]:
    """The conditions of its gates, as far as they can be read."""
    found = []
    for gate in result.gates:
        try:
            found.append(parse(gate.expression)[0])
        except SloError:
            continue
    return tuple(found)


def size(number: float) -> str:
    """Bytes as people read them: 512 B, 84.0 kB, 25.2 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5 or unit == "GB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "B" else f"{number:.3g} {unit}"


def rate(number: float) -> str:
    """A number per second, to three digits or whole."""
    return f"{number:,.0f}" if number >= 99.5 else f"{number:.3g}"


def outcomes(result: LoadResult) -> tuple[tuple[str, int], ...]:
    """What became of the sampled streams: (outcome, how many), the most frequent first."""
    return tuple(Counter(row.outcome for row in result.raster).most_common())


def _figures(result: LoadResult) -> Iterator[Figure]:
    totals, integrity = result.totals, result.integrity
    yield Figure("Events judged", count(integrity.events), f"in {count(integrity.streams, 'stream')}")
    wrong = sum(integrity.count(kind) for kind in INTEGRITY if kind != "unfinished")
    million = wrong * 1e6 / integrity.events if integrity.events else 0.0
    yield Figure("Wrong per million", f"{million:,.3g}", f"{count(wrong, 'event')} in all")
    for name in ("ttfe", "gap", "delay"):
        measured = result.distribution(name)
        p50, p99 = measured.percentile(50), measured.percentile(99)
        if p50 is not None and p99 is not None:
            known = _known(measured.count, 99)
            shown = duration(p99 if known else measured.high)
            yield Figure(f"{TITLES[name]}, {'p99' if known else 'max'}", shown, f"p50 {duration(p50)}")
    if totals.goodput is not None:
        yield Figure(
            "Good streams", _percent(totals.goodput), f"{count(totals.good)} of {count(totals.streams)}"
        )
    yield Figure("Events per second", rate(totals.events_per_s), f"{size(totals.bytes_per_s)}/s")
    yield Figure("Errors", count(result.all_errors), _kinds(result))


def _percent(share: float) -> str:
    """A share that is 100 % only if nothing is missing."""
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    return f"{min(max(share, 0.0001), 0.9999):.2%}"


def _kinds(result: LoadResult) -> str:
    """The most frequent kinds of errors."""
    ranked = sorted(result.errors, key=lambda pair: -pair[1])
    more = [f"{len(ranked) - 3} more kinds"] if len(ranked) > 3 else []
    return ", ".join([*(f"{number:,} {kind.replace('_', ' ')}" for kind, number in ranked[:3]), *more])


def _damage(result: LoadResult, kind: str) -> Damage:
    integrity = result.integrity
    title, meaning, _ = KINDS[kind]
    of = integrity.of(kind)
    noun = {"unfinished": "stream", "lost": "event sent", "invalid": "event validated"}.get(
        kind, "event judged"
    )
    first, _, last = noun.partition(" ")
    number = integrity.count(kind)
    return Damage(
        title,
        meaning,
        number,
        integrity.per_million(kind),
        f"{count(round(of), first)} {last}".strip(),
        "fail" if number else "pass" if of else "inconclusive",
        tuple(found for found in integrity.examples if found.kind == kind),
    )


def _measured(result: LoadResult, name: str) -> Measured:
    found = result.distribution(name)
    words = []
    for percent in PERCENTILES:
        value = found.percentile(percent)
        words.append(duration(value) if value is not None and _known(found.count, percent) else "")
    return Measured(name, TITLES[name], DISTRIBUTIONS[name], found.count, tuple(words), duration(found.high))


def _known(number: int, percent: float) -> bool:
    """Whether at least one of so many values lies beyond that percentile."""
    return number * (100 - percent) >= 99.99


def _about(result: LoadResult) -> Iterator[tuple[str, str]]:
    yield "Protocol", ", ".join(result.protocols)
    yield "Profile", result.name
    yield "Server", result.label if result.label != result.target else ""
    spawn = f", {result.spawn_rate:g} a second" if result.spawn_rate else ""
    yield "Load", f"{result.shape}, up to {count(result.users, 'user')}{spawn}, for {seconds(result.seconds)}"
    yield "Ended early", result.ended
    workers = count(result.workers, "process", "processes")
    yield (
        "Made by",
        f"{workers}, suite {result.suite}" + ("" if result.seed is None else f", seed {result.seed}"),
    )
    yield (
        "Clock",
        "the kernel's receive stamps"
        if result.clock == "kernel"
        else "the time at which bytes were read, so the generator's own delays are in every time",
    )
    yield "Delivery delay", result.delay_method
    integrity = result.integrity
    yield (
        "Validated",
        f"{_percent(integrity.validated)} of the events, by {integrity.validator}"
        if integrity.validated
        else "nothing",
    )
    totals = result.totals
    if totals.reconnects:
        yield (
            "Reconnects",
            f"{count(totals.reconnects)}, which lost {count(totals.lost_by_reconnects, 'event')}",
        )


__all__ = [
    "KINDS",
    "PERCENTILES",
    "TITLES",
    "Damage",
    "Figure",
    "LoadView",
    "Measured",
    "conditions",
    "headline",
    "outcomes",
    "rate",
    "size",
    "views",
]
