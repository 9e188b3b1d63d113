"""The picture of an exchange as inline SVG: a lane for each connection, a mark for each event.

Positions along the time are percentages, so the picture fits any width without its words growing or shrinking. The
kinds of marks differ by shape, never by colour alone; the same is said in words in the picture's description.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from markupsafe import Markup

from conformance.report.html_page import environment
from conformance.report.html_text import count, seconds
from conformance.report.timeline import Lane, Mark, MarkKind, Timeline

_LEFT, _WIDTH = 1.5, 97.0  # percent of the picture's width that the time axis takes
_HEAD, _LANE, _STRIP, _AXIS = 20, 44, 16, 20  # heights in pixels
_SPACE_FOR_LABEL = 14.0  # percent
_LAST_TICK = 96.0  # percent; beyond it a word in the middle would stick out
_TICK = {MarkKind.EVENT: (1, 14), MarkKind.HEARTBEAT: (8, 7), MarkKind.COMMENT: (1, 7)}  # from, length
_LEGEND = (
    (MarkKind.EVENT, "┃", "event"),
    (MarkKind.HEARTBEAT, "╻", "heartbeat"),
    (MarkKind.COMMENT, "╹", "comment"),
    (MarkKind.ACTION, "▼", "what the probe did"),
)
_BROKEN = ("reset", "truncated", "protocol", "no response", "no-response", "cut", "broken")


@dataclass(frozen=True, slots=True)
class Spot:
    """A place along the time axis, in percent, with a word beside it; `end`: the word stands to its left."""

    x: float
    word: str = ""
    end: bool = False


@dataclass(frozen=True, slots=True)
class DrawnLane:
    """A lane ready to be drawn: percentages along the axis, pixels from the top."""

    lane: Lane
    y: int
    opened: float
    answered: float
    closed: float
    ticks: tuple[tuple[str, str], ...]  # kind and SVG path, in thousandths of the axis
    actions: tuple[Spot, ...]
    hit: Spot | None
    broken: bool
    told: str


def draw(timeline: Timeline, *, name: str, most_lanes: int = 12, most_marks: int = 160) -> Markup:
    """The picture. `name` makes its element ids unique in the page."""
    whole = max(timeline.seconds, 0.001)
    lanes = _most_telling(timeline.lanes, most_lanes)
    drawn = [_drawn(lane, index, whole, most_marks) for index, lane in enumerate(lanes)]
    kinds = {mark.kind for lane in lanes for mark in lane.marks}
    hidden = timeline.hidden + len(timeline.lanes) - len(lanes)
    height = _HEAD + _LANE * len(drawn) + _AXIS
    made = (
        environment()
        .get_template("timeline.html")
        .render(
            name=name,
            height=height,
            floor=height - _AXIS,
            strip=_STRIP,
            left=_LEFT,
            width=_WIDTH,
            lanes=drawn,
            axis=_axis(whole),
            at=None
            if timeline.at is None
            else _spot(timeline.at, whole, f"at {_moment(timeline.at, whole)}"),
            legend=[(sign, word) for kind, sign, word in _LEGEND if kind in kinds],
            hidden=hidden,
            told=_told(timeline, drawn, hidden),
        )
    )
    return Markup(made)


def _drawn(lane: Lane, index: int, whole: float, most: int) -> DrawnLane:
    marks = _thinned(lane, most)
    hit = None if lane.marked is None else lane.marks[lane.marked]
    return DrawnLane(
        lane,
        _HEAD + _LANE * index,
        _x(lane.opened, whole),
        _x(lane.closed if lane.head is None else lane.head, whole),
        _x(lane.closed, whole),
        tuple(
            (kind.value, path)
            for kind, shape in _TICK.items()
            if (path := _path([mark for mark in marks if mark.kind is kind], shape, whole))
        ),
        _labelled([mark for mark in marks if mark.kind is MarkKind.ACTION], whole),
        None if hit is None else _spot(hit.at, whole, hit.label),
        any(word in lane.how for word in _BROKEN),
        _ended(lane),
    )


def _most_telling(lanes: tuple[Lane, ...], most: int) -> list[Lane]:
    """The lane with the offending event, what the probe did, then the others as they come; in their own order."""
    ranked = sorted(lanes, key=lambda lane: (lane.marked is None, bool(lane.role)))
    kept = {id(lane) for lane in ranked[:most]}
    return [lane for lane in lanes if id(lane) in kept]


def _thinned(lane: Lane, most: int) -> list[Mark]:
    if len(lane.marks) <= most:
        return list(lane.marks)
    step = len(lane.marks) / most
    kept = {int(number * step) for number in range(most)} | {lane.marked}
    return [mark for number, mark in enumerate(lane.marks) if number in kept]


def _path(marks: Iterable[Mark], shape: tuple[int, int], whole: float) -> str:
    start, length = shape
    places = sorted({round(1000 * _within(mark.at, whole), 1) for mark in marks})
    return "".join(f"M{place:g} {start}v{length}" for place in places)


def _labelled(marks: list[Mark], whole: float) -> tuple[Spot, ...]:
    """A word only where there is room for it, before the next one."""
    places = [_x(mark.at, whole) for mark in marks]
    return tuple(
        Spot(x, mark.label[:18] if following - x >= _SPACE_FOR_LABEL else "")
        for mark, (x, following) in zip(marks, pairwise([*places, 100.0]), strict=True)
    )


def _axis(whole: float) -> list[Spot]:
    """Three to seven round times."""
    step = next(
        size * 10.0**power for power in range(-4, 6) for size in (1, 2, 5) if size * 10.0**power * 6 >= whole
    )
    count_of = int(whole / step + 1e-9)
    places = [step * number for number in range(count_of + 1)]
    return [replace(_spot(at, whole, f"{at:g} s"), end=_x(at, whole) > _LAST_TICK) for at in places]


def _moment(at: float, whole: float) -> str:
    """A time as exact as its scale: 0.051 s, 12.3 s."""
    return f"{at:.{3 if whole < 2 else 2 if whole < 20 else 1}f} s"


def _spot(at: float, whole: float, word: str) -> Spot:
    x = _x(at, whole)
    return Spot(x, word, x > 80)


def _x(at: float, whole: float) -> float:
    return round(_LEFT + _WIDTH * _within(at, whole), 2)


def _within(at: float, whole: float) -> float:
    return min(max(at / whole, 0.0), 1.0)


def _ended(lane: Lane) -> str:
    if not lane.role:
        return ""
    parts = [str(lane.status)] if lane.status is not None else []
    parts.append(count(lane.events, "event"))
    return " · ".join([*parts, lane.how] if lane.how else parts)


def _told(timeline: Timeline, lanes: list[DrawnLane], hidden: int) -> str:
    whole = timeline.seconds
    told = [f"{seconds(whole)} in all."]
    for drawn in lanes:
        lane = drawn.lane
        if not lane.role:
            did = ", ".join(f"{mark.label} at {_moment(mark.at, whole)}" for mark in lane.marks[:12])
            told.append(f"The probe did: {did or 'nothing besides'}.")
            continue
        told.append(f"{lane.role}, {lane.title}, opened at {_moment(lane.opened, whole)}: {drawn.told}.")
        if drawn.hit is not None and lane.marked is not None:
            told.append(
                f"The offending one is in {lane.role}, at {_moment(lane.marks[lane.marked].at, whole)}."
            )
    if hidden:
        told.append(f"{count(hidden, 'connection')} more not drawn.")
    return " ".join(told)
