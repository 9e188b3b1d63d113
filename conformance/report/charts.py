"""Charts as inline SVG: curves over an axis, and rows of streams.

Positions along the width are shares of it, so a chart fits any width without its words growing or shrinking; heights
are pixels. Values of the vertical axis stand on its lines, within the chart. Curves differ by their dashes, never
by colour alone; what a chart shows is said in words in its description.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from conformance.report.html_page import environment

Point = tuple[float, float]
Word = Callable[[float], str]  # for a value of an axis

_WIDTH = 1000  # of a drawing, in units of its own
_DEPTH, _CLOSE = 1e-4, 2.0  # of a logarithmic axis: its least share of the greatest, and from which ratio on
_SMALLEST = 0.001  # of an axis: steps below it cannot be seen
_LAST_WORD = 93.0  # percent; beyond it a word in the middle would stick out
# A drawn line in a legend, by the number of the curve: solid, dashed, dotted.
_SIGNS = ("━━", "╍╍", "┅┅")


@dataclass(frozen=True, slots=True)
class Tick:
    """A value of an axis: its place from 0 (left, bottom) to 1, and the word for it."""

    at: float
    word: str


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`, where `high` is above `low`; `log`: every power of ten takes the same room."""

    low: float
    high: float
    ticks: tuple[Tick, ...]
    log: bool = False

    def place(self, value: float) -> float:
        """Where that is, from 0 to 1; what lies outside is moved to the nearer end."""
        return _place(value, self.low, self.high, self.log)


@dataclass(frozen=True, slots=True)
class Curve:
    """A line through points; `steps`: it keeps each value until the next. `dots` marks the points themselves.

    `area` fills what is below. `tone` names its colour in the styles.
    """

    name: str
    points: tuple[Point, ...]
    tone: str = "one"
    steps: bool = False
    dots: bool = False
    area: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A line across the chart at a value, with a word: upright at a value of x, or level at one of y."""

    value: float
    word: str
    tone: str = "ink"


@dataclass(frozen=True, slots=True)
class Bar:
    """One stream of a raster, from 0 to 1 along the axis; `stalls` are (from, until), `end` how it ended."""

    begin: float
    end: float
    tone: str
    first: float | None = None
    stalls: tuple[tuple[float, float], ...] = ()


def linear(low: float, high: float, word: Word = "{:g}".format, most: int = 5) -> Axis:
    """From a round number at or below `low` to one at or above `high`."""
    span = (high - low) or abs(high) or 1.0
    step = next(
        size * 10.0**power
        for power in range(math.floor(math.log10(span)) - 1, math.floor(math.log10(span)) + 2)
        for size in (1, 2, 5)
        if size * 10.0**power * most >= span * (1 - 1e-9)
    )
    first = math.floor(low / step + 1e-9)
    last = max(first + 1, math.ceil(high / step - 1e-9))
    ends = first * step, last * step
    ticks = (
        Tick(_place(number * step, *ends, False), word(round(number * step, 12)))
        for number in range(first, last + 1)
    )
    return Axis(*ends, tuple(ticks))


def over(low: float, high: float, word: Word = "{:g}".format, most: int = 6) -> Axis:
    """Exactly from `low` to `high`, with round numbers within: for what has a beginning and an end."""
    wide = linear(low, high, word, most)
    high = max(high, low + _SMALLEST)
    kept = []
    for tick in wide.ticks:
        value = wide.low + tick.at * (wide.high - wide.low)
        if low - 1e-9 <= value <= high * (1 + 1e-9):
            kept.append(Tick(_place(value, low, high, False), tick.word))
    return Axis(low, high, tuple(kept))


def seconds_axis(low: float, high: float) -> Axis:
    """Times on a logarithmic axis from one of 1, 2, 5 times a power of ten to another, with units of their size.

    Times that lie close together stand on a linear one. Below a ten-thousandth of the greatest nothing is told apart.
    """
    high = max(high, 1e-6)
    low = max(low, high * _DEPTH)
    if high < low * _CLOSE:
        return linear(low, high, clock, most=4)
    ends = _round(low, up=False), _round(high, up=True)
    powers = range(math.floor(math.log10(ends[0]) + 1e-9), math.ceil(math.log10(ends[1]) - 1e-9) + 1)
    # Few powers leave room for what lies between them.
    sizes = (1, 2, 5) if len(powers) <= 3 else (1,)
    values = [size * 10.0**power for power in powers for size in sizes]
    shown = [value for value in values if ends[0] * 0.999 <= value <= ends[1] * 1.001]
    step = -(-len(shown) // 7)
    ticks = (Tick(_place(value, *ends, True), clock(value)) for value in shown[::step])
    return Axis(*ends, tuple(ticks), log=True)


def clock(seconds: float) -> str:
    """A round time: 100 ns, 20 µs, 5 ms, 1 s, 100 s."""
    for unit, size in (("ns", 1e-9), ("µs", 1e-6), ("ms", 1e-3)):
        if seconds < size * 999.5:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.4g} s"


def curves(
    drawn: Sequence[Curve],
    x: Axis,
    y: Axis,
    *,
    name: str,
    title: str,
    told: str,
    height: int = 150,
    upright: Iterable[Mark] = (),
    level: Iterable[Mark] = (),
) -> Markup:
    """The chart of these curves: `name` makes its ids unique in the page, `told` says in words what it shows."""
    made = [
        {
            "tone": curve.tone,
            "path": _path(curve, x, y, height),
            "area": _area(curve, x, y, height) if curve.area else "",
            "dots": [_dot(point, x, y, height) for point in curve.points] if curve.dots else [],
            "dash": number,
        }
        for number, curve in enumerate(drawn)
    ]
    legend = [(_SIGNS[number % len(_SIGNS)], curve.tone, curve.name) for number, curve in enumerate(drawn)]
    return Markup(
        environment()
        .get_template("chart.html")
        .render(
            name=name,
            title=title,
            told=told,
            height=height,
            width=_WIDTH,
            curves=made,
            across=[(_pixel(tick.at, height), tick.word) for tick in y.ticks],
            along=_along(x),
            upright=[_upright(mark, x) for mark in upright],
            level=[(_pixel(y.place(mark.value), height), mark) for mark in level],
            legend=legend if len(drawn) > 1 else [],
        )
    )


def raster(
    bars: Sequence[Bar], x: Axis, *, name: str, title: str, told: str, legend: Sequence[tuple[str, str, str]]
) -> Markup:
    """A row for each stream, the first one on top. `legend` are (sign, tone, word)."""
    row = 3 if len(bars) > 60 else 6
    tones: dict[str, list[str]] = {}
    ends: dict[str, list[str]] = {}
    stalls, firsts = [], []
    for number, bar in enumerate(bars):
        y = number * row + row // 2
        begin, end = _unit(bar.begin), max(_unit(bar.end), _unit(bar.begin) + 1)
        tones.setdefault(bar.tone, []).append(f"M{begin} {y}H{end}")
        if bar.tone not in ("good", "open"):
            ends.setdefault(bar.tone, []).append(f"M{end} {y - row / 2:g}v{row}")
        if bar.first is not None:
            firsts.append(f"M{_unit(bar.first)} {y - row / 2:g}v{row}")
        stalls += [
            f"M{_unit(start)} {y}H{max(_unit(until), _unit(start) + 1)}" for start, until in bar.stalls
        ]
    return Markup(
        environment()
        .get_template("raster.html")
        .render(
            name=name,
            title=title,
            told=told,
            height=max(row * len(bars), 1),
            width=_WIDTH,
            row=row,
            tones=[(tone, "".join(paths)) for tone, paths in tones.items()],
            ends=[(tone, "".join(paths)) for tone, paths in ends.items()],
            stalls="".join(stalls),
            firsts="".join(firsts),
            along=_along(x),
            legend=legend,
        )
    )


def thinned(points: Sequence[Point], x: Axis, y: Axis) -> tuple[Point, ...]:
    """The points without those that nobody could tell from the one before them; the last one stays."""
    kept: list[Point] = []
    last: Point | None = None
    for point in points:
        at = x.place(point[0]), y.place(point[1])
        if last is None or abs(at[0] - last[0]) >= 0.003 or abs(at[1] - last[1]) >= 0.006:
            kept.append(point)
            last = at
    if points and kept[-1] != points[-1]:
        kept.append(points[-1])
    return tuple(kept)


def _path(curve: Curve, x: Axis, y: Axis, height: int) -> str:
    parts: list[str] = []
    for at, value in curve.points:
        place, level = _unit(x.place(at)), _pixel(y.place(value), height)
        if not parts:
            parts.append(f"M{place} {level:g}")
        elif curve.steps:
            parts.append(f"H{place}V{level:g}")
        else:
            parts.append(f"L{place} {level:g}")
    return "".join(parts)


def _area(curve: Curve, x: Axis, y: Axis, height: int) -> str:
    if not curve.points:
        return ""
    first, last = _unit(x.place(curve.points[0][0])), _unit(x.place(curve.points[-1][0]))
    return f"{_path(curve, x, y, height)}L{last} {height}L{first} {height}Z"


def _dot(point: Point, x: Axis, y: Axis, height: int) -> tuple[float, float]:
    return round(100 * x.place(point[0]), 2), _pixel(y.place(point[1]), height)


def _upright(mark: Mark, x: Axis) -> tuple[float, bool, Mark]:
    at = round(100 * x.place(mark.value), 2)
    return at, at > 60, mark


def _along(x: Axis) -> list[tuple[float, str, str]]:
    """Percent, word and anchor of each value along the width."""
    places = [(round(100 * tick.at, 2), tick.word) for tick in x.ticks]
    return [
        (at, word, "end" if at > _LAST_WORD else "start" if at < 100 - _LAST_WORD else "middle")
        for at, word in places
    ]


def _unit(share: float) -> int:
    return round(_WIDTH * min(max(share, 0.0), 1.0))


def _pixel(share: float, height: int) -> float:
    return round(height * (1 - share), 1)


def _place(value: float, low: float, high: float, log: bool) -> float:
    if log:
        value, low, high = math.log(max(value, low)), math.log(low), math.log(high)
    return min(max((value - low) / (high - low), 0.0), 1.0)


def _round(value: float, *, up: bool) -> float:
    power = 10.0 ** math.floor(math.log10(value) + 1e-9)
    sizes = [size * power for size in (1, 2, 5, 10)]
    if up:
        return next(size for size in sizes if size >= value * (1 - 1e-9))
    return next(size for size in reversed(sizes) if size <= value * (1 + 1e-9))


__all__ = [
    "Axis",
    "Bar",
    "Curve",
    "Mark",
    "Point",
    "Tick",
    "clock",
    "curves",
    "linear",
    "over",
    "raster",
    "seconds_axis",
    "thinned",
]
