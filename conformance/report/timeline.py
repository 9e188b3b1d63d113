"""The picture of an exchange over time: what a document draws beside a finding."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MOST_MARKS = 150  # marks of one lane; more are thinned out
MOST_LANES = 12


class MarkKind(StrEnum):
    """What a mark stands for."""

    EVENT = "event"
    HEARTBEAT = "heartbeat"  # an event or a comment that keeps the connection alive
    COMMENT = "comment"  # a block that dispatches nothing
    ACTION = "action"  # what the probe did: a prompt, a session made, an abort


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing at one time (seconds since the observation's origin); `label` is its type or name."""

    at: float
    kind: MarkKind
    label: str = ""


@dataclass(frozen=True, slots=True)
class Lane:
    """One connection, or (role "") what the probe did besides.

    Times are seconds since the observation's origin. `head` is when the response head came, None if it did
    not. `how` says how the exchange ended, in words. `marks` are thinned to about `MOST_MARKS`; `events` counts
    the events that there really were. `marked` is the index in `marks` of the offending one.
    """

    role: str
    title: str  # method and path
    opened: float
    closed: float
    head: float | None = None
    status: int | None = None
    how: str = ""
    marks: tuple[Mark, ...] = ()
    events: int = 0
    marked: int | None = None


@dataclass(frozen=True, slots=True)
class Timeline:
    """The connections of one observation: lanes in the order in which they opened, the probe's actions first.

    `seconds` is the whole length. `at` is when the offending event or byte came, None where a finding has no
    place in time. `hidden` counts lanes that are left out.
    """

    seconds: float
    lanes: tuple[Lane, ...]
    at: float | None = None
    hidden: int = 0
