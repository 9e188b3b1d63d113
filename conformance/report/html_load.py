"""Load results as one HTML page that needs nothing beside it: no network, no other file, and no script to be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from markupsafe import Markup

from conformance import __version__
from conformance.load_compare import LoadComparison
from conformance.load_result import (
    ERRORS,
    INTEGRITY,
    Distribution,
    LoadResult,
    Row,
    Sample,
    Second,
    Spread,
    Step,
)
from conformance.report import charts
from conformance.report.charts import Axis, Bar, Curve, Mark, Point
from conformance.report.html_page import page
from conformance.report.html_text import count, seconds
from conformance.report.html_view import when
from conformance.report.load_view import TITLES, LoadView, conditions, outcomes, rate, size, views
from conformance.slo import duration

_MOST_MOMENTS = 240  # of a timeline: seconds are put together beyond it
_MOST_LISTED = 40  # of the streams that are told in words
_SHORT = 0.25  # of the run: streams that are shorter are drawn from their own opening
_SMALL, _TALL = 120, 170  # heights of charts in pixels
# How a sampled stream is drawn, with its sign and words in the legend.
_TONES = {
    "good": ("━", "good"),
    "slow": ("━", "correct, but a limit was missed"),
    "open": ("─", "still open at the end"),
    "wrong": ("█", "its events were wrong"),
    "broken": ("╍▏", "failed"),
}


def render(results: Sequence[LoadResult], comparisons: Sequence[LoadComparison] = ()) -> str:
    """The page: a section for each result, in the order given, with what got worse since an older one."""
    shown = views(results, comparisons)
    return page(
        "load.html",
        styles=("load.css",),
        views=shown,
        headline=shown[0].headline if len(shown) == 1 else _together(shown),
        failed=any(not view.result.passed for view in shown),
        charts={view.key: _charts(view) for view in shown},
        when=when,
        size=size,
        rate=rate,
        duration=duration,
        troubled={view.key: _troubled(view.result) for view in shown},
        version=__version__,
    )


def _together(shown: Sequence[LoadView]) -> str:
    failed = sum(not view.result.passed for view in shown)
    if not failed:
        return f"All {len(shown)} load runs pass"
    return f"{failed} of {len(shown)} load runs {'fails' if failed == 1 else 'fail'}"


def _charts(view: LoadView) -> dict[str, list[Markup]]:
    """The pictures of one result, by the part of the page; a part without pictures has an empty list."""
    result = view.result
    return {
        "distributions": [_ecdf(view, name) for name in TITLES if result.distribution(name).count],
        "concurrency": list(_concurrency(view)),
        "timeline": list(_timeline(view)),
        "raster": list(_raster(view)),
        "process": list(_process(view)),
    }


def _ecdf(view: LoadView, name: str) -> Markup:
    """The cumulative distribution, and the older one beside it, if there is one."""
    result, comparison = view.result, view.comparison
    found = result.distribution(name)
    before = None if comparison is None else comparison.old.distribution(name)
    both = [found] if before is None or not before.count else [found, before]
    x = charts.seconds_axis(min(one.low for one in both), max(one.high for one in both))
    y = charts.linear(0, 1, "{:.0%}".format, most=4)
    drawn = [
        Curve(
            "this run" if number == 0 else "the older run",
            _rising(one, x, y),
            "one" if number == 0 else "old",
            steps=True,
        )
        for number, one in enumerate(both)
    ]
    marks = [
        Mark(condition.value, condition.text.partition(":")[2], "limit")
        for condition in conditions(result)
        if condition.metric == name and condition.percent is not None and x.low <= condition.value <= x.high
    ]
    return charts.curves(
        drawn,
        x,
        y,
        name=f"{view.key}-ecdf-{name}",
        title=TITLES[name],
        told=_told(found),
        height=_SMALL,
        upright=marks,
    )


def _rising(found: Distribution, x: Axis, y: Axis) -> tuple[Point, ...]:
    points = [
        (found.low, 0.0),
        *((min(bound, found.high), number / found.count) for bound, number in found.points),
    ]
    return charts.thinned(points, x, y)


def _told(found: Distribution) -> str:
    parts = [
        f"{percent:g} % within {duration(value)}"
        for percent in (50, 90, 99)
        if (value := found.percentile(percent)) is not None
    ]
    parts.append(f"all within {duration(found.high)}")
    return f"Share that took no longer, of {count(found.count)} measured: {', '.join(parts)}."


def _concurrency(view: LoadView) -> Iterator[Markup]:
    """Percentiles, rate and good streams over the number of users, with the knee."""
    steps = sorted(view.result.steps, key=lambda step: step.users)
    if len(steps) < 2:
        return
    x = charts.linear(0, steps[-1].users, "{:,.12g}".format)
    found = view.knee
    marks = [] if found is None else [Mark(found.users, f"knee: {count(found.users, 'user')}", "knee")]
    for name in ("ttfe", "gap"):
        spreads = [(step.users, spread) for step in steps if (spread := getattr(step, name)) is not None]
        if len(spreads) > 1:
            yield _spreads(view, name, spreads, x, marks)
    yield charts.curves(
        [Curve("events per second", _per_user(steps, lambda step: step.events_per_s), dots=True)],
        x,
        charts.linear(0, max(step.events_per_s for step in steps), "{:,.12g}".format, most=4),
        name=f"{view.key}-rate",
        title="Events per second over users",
        told=_list(steps, lambda step: f"{rate(step.events_per_s)} events per second"),
        height=_TALL,
        upright=marks,
    )
    yield charts.curves(
        [Curve("good streams", _per_user(steps, _good), dots=True)],
        x,
        charts.linear(0, 1, "{:.0%}".format, most=4),
        name=f"{view.key}-good",
        title="Good streams over users",
        told=_list(steps, lambda step: f"{step.good} of {count(step.streams, 'stream')} good"),
        height=_TALL,
        upright=marks,
    )


def _spreads(
    view: LoadView, name: str, spreads: Sequence[tuple[int, Spread]], x: Axis, marks: Sequence[Mark]
) -> Markup:
    y = charts.seconds_axis(min(one.p50 for _, one in spreads), max(one.p99 for _, one in spreads))
    drawn = [
        Curve(part, tuple((float(users), getattr(one, part)) for users, one in spreads), tone, dots=True)
        for part, tone in (("p50", "one"), ("p90", "two"), ("p99", "three"))
    ]
    told = "; ".join(
        f"{count(users, 'user')}: p50 {duration(one.p50)}, p90 {duration(one.p90)}, p99 {duration(one.p99)}"
        for users, one in spreads
    )
    limits = [
        Mark(condition.value, condition.text.partition(":")[2], "limit")
        for condition in conditions(view.result)
        if condition.metric == name and condition.percent is not None and y.low <= condition.value <= y.high
    ]
    return charts.curves(
        drawn,
        x,
        y,
        name=f"{view.key}-over-{name}",
        title=f"{TITLES[name]} over users",
        told=f"{told}.",
        height=_TALL,
        upright=marks,
        level=limits,
    )


def _per_user(steps: Sequence[Step], value: Callable[[Step], float]) -> tuple[Point, ...]:
    return tuple((float(step.users), value(step)) for step in steps)


def _good(step: Step) -> float:
    return step.good / step.streams if step.streams else 0.0


def _list(steps: Sequence[Step], say: Callable[[Step], str]) -> str:
    return "; ".join(f"{count(step.users, 'user')}: {say(step)}" for step in steps) + "."


def _timeline(view: LoadView) -> Iterator[Markup]:
    """Users and streams, events and errors over time."""
    moments = _moments(view.result.timeline)
    if len(moments) < 2:
        return
    x = charts.over(0.0, max(view.result.seconds, moments[-1].at), "{:g} s".format)
    users, streams = _over(moments, lambda one: one.users), _over(moments, lambda one: one.streams)
    most_streams, most_users = (max(value for _, value in points) for points in (streams, users))
    yield charts.curves(
        [Curve("open streams", streams, area=True), Curve("users", users, "two")],
        x,
        charts.linear(0, max(most_streams, most_users), "{:,.12g}".format, most=4),
        name=f"{view.key}-active",
        title="Open streams and users",
        told=f"At most {most_streams:,.0f} open streams and {most_users:,.0f} users.",
        height=_SMALL,
    )
    events = _over(moments, lambda one: one.events)
    yield charts.curves(
        [Curve("events", events, area=True)],
        x,
        charts.linear(0, max(value for _, value in events), "{:,.12g}".format, most=4),
        name=f"{view.key}-events",
        title="Events per second",
        told=_range([value for _, value in events], rate, "events per second"),
        height=_SMALL,
    )
    sizes = _over(moments, lambda one: one.size)
    yield charts.curves(
        [Curve("bytes", sizes, area=True)],
        x,
        _sizes(max(value for _, value in sizes), per="/s"),
        name=f"{view.key}-bytes",
        title="Bytes per second",
        told=_range([value for _, value in sizes], size, "per second"),
        height=_SMALL,
    )
    errors = _over(moments, lambda one: one.errors)
    if any(value for _, value in errors):
        yield charts.curves(
            [Curve("errors", errors, "bad", area=True)],
            x,
            charts.linear(0, max(value for _, value in errors), "{:,.12g}".format, most=3),
            name=f"{view.key}-errors",
            title="Errors per second",
            told=f"{count(sum(one.errors for one in view.result.timeline), 'error')} in all; the first at "
            f"{seconds(next(one.at for one in view.result.timeline if one.errors))}.",
            height=_SMALL,
        )


def _moments(timeline: Sequence[Second]) -> list[Second]:
    """The seconds, or means of as many together as fit."""
    width = -(-len(timeline) // _MOST_MOMENTS) or 1
    made = []
    for start in range(0, len(timeline), width):
        part = timeline[start : start + width]
        made.append(
            Second(
                part[0].at,
                max(one.users for one in part),
                max(one.streams for one in part),
                round(sum(one.events for one in part) / len(part)),
                round(sum(one.size for one in part) / len(part)),
                # An error that is alone in its second must not round to nothing.
                -(-sum(one.errors for one in part) // len(part)),
            )
        )
    return made


def _over(moments: Sequence[Second], value: Callable[[Second], float]) -> tuple[Point, ...]:
    return tuple((one.at, float(value(one))) for one in moments)


def _range(values: Sequence[float], say: Callable[[float], str], noun: str) -> str:
    between = f"Between {say(min(values))} and {say(max(values))} {noun}".rstrip()
    return f"{between}; at the end {say(values[-1])}."


def _sizes(most: float, per: str = "") -> Axis:
    """An axis of bytes, its words in the unit of the greatest."""
    unit, divisor = next(
        ((name, by) for name, by in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)) if most >= by), ("B", 1.0)
    )
    axis = charts.linear(0, most / divisor, f"{{:g}} {unit}{per}".format, most=4)
    return Axis(axis.low * divisor, axis.high * divisor, axis.ticks)


def _raster(view: LoadView) -> Iterator[Markup]:
    """Each sampled stream as a row: over the run, or from its own opening where streams are much shorter than that."""
    rows = sorted(view.result.raster, key=lambda row: row.begin)
    if not rows:
        return
    whole = max([view.result.seconds, *(row.end for row in rows)])
    lengths = sorted(row.end - row.begin for row in rows)
    apart = lengths[len(lengths) // 2] < whole * _SHORT
    whole = (lengths[-1] if apart else whole) or 1.0

    def place(at: float, row: Row) -> float:
        return (at - row.begin if apart else at) / whole

    bars = [
        Bar(
            place(row.begin, row),
            place(row.end, row),
            _tone(row.outcome),
            None if row.first is None else place(row.first, row),
            tuple((place(start, row), place(until, row)) for start, until in row.stalls),
        )
        for row in rows
    ]
    used = {bar.tone for bar in bars}
    legend = [(sign, tone, word) for tone, (sign, word) in _TONES.items() if tone in used]
    legend.append(("╻", "first", "first event"))
    if any(bar.stalls for bar in bars):
        legend.append(("■", "stalled", "stall"))
    told = ", ".join(f"{number} {outcome.replace('_', ' ')}" for outcome, number in outcomes(view.result))
    axis = "seconds since each was opened" if apart else "seconds of the run"
    yield charts.raster(
        bars,
        charts.over(0.0, whole, "{:g} s".format),
        name=f"{view.key}-raster",
        title=f"{count(len(rows), 'sampled stream')} in the order of their opening, a row each: {axis}",
        told=f"{told}; {count(sum(len(row.stalls) for row in rows), 'stall')}.",
        legend=legend,
    )


def _tone(outcome: str) -> str:
    if outcome in INTEGRITY:
        return "wrong"
    return "broken" if outcome in ERRORS else outcome


def _troubled(result: LoadResult) -> tuple[Row, ...]:
    """The sampled streams of which there is something to tell, as many as a reader reads."""
    rows = (row for row in result.raster if row.outcome not in ("good", "open") or row.stalls)
    return tuple(sorted(rows, key=lambda row: row.begin))[:_MOST_LISTED]


def _process(view: LoadView) -> Iterator[Markup]:
    samples = view.result.process
    if len(samples) < 2:
        return
    step = -(-len(samples) // _MOST_MOMENTS)
    kept = samples[::step]
    x = charts.over(0.0, max(view.result.seconds, samples[-1].at), "{:g} s".format)
    most = max(sample.rss for sample in kept)
    yield _sampled(view, kept, x, "rss", "Memory (resident)", _sizes(most), size)
    cpu = max(sample.cpu for sample in kept)
    yield _sampled(
        view,
        kept,
        x,
        "cpu",
        "CPU (share of one core)",
        charts.linear(0, cpu or 1, "{:.0%}".format, 4),
        "{:.0%}".format,
    )
    if all(sample.descriptors is not None for sample in kept):
        top = max(sample.descriptors or 0 for sample in kept)
        yield _sampled(
            view,
            kept,
            x,
            "descriptors",
            "Open descriptors",
            charts.linear(0, top or 1, "{:,.12g}".format, 4),
            "{:,.0f}".format,
        )


def _sampled(
    view: LoadView,
    samples: Sequence[Sample],
    x: Axis,
    member: str,
    title: str,
    y: Axis,
    say: Callable[[float], str],
) -> Markup:
    points = tuple((sample.at, float(getattr(sample, member))) for sample in samples)
    return charts.curves(
        [Curve(title, points, area=True)],
        x,
        y,
        name=f"{view.key}-{member}",
        title=title,
        told=_range([value for _, value in points], say, ""),
        height=_SMALL,
    )


__all__ = ["render"]
