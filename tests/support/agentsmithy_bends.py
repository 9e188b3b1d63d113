"""Ways to bend the events of a faithful AgentSmithy stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.agentsmithy_cases import DIALOG, Events, faithful, profile_of, script_of

Bend = Callable[[Events], Events]


def events_of(name: str, protocol: str = "agentsmithy/2") -> Events:
    profile = profile_of(protocol)
    return faithful(script_of(name, profile), profile)


def index_of(events: Events, kind: str, nth: int = 0) -> int:
    return [index for index, event in enumerate(events) if event["type"] == kind][nth]


def event(kind: str, **members: Any) -> dict[str, Any]:
    return {"dialog_id": DIALOG, "type": kind, **members}


def insert(at: int, *added: dict[str, Any]) -> Bend:
    return lambda events: [*events[: at % (len(events) + 1)], *added, *events[at % (len(events) + 1) :]]


def without(kind: str, nth: int = 0) -> Bend:
    def bend(events: Events) -> Events:
        at = index_of(events, kind, nth)
        return events[:at] + events[at + 1 :]

    return bend


def changed(kind: str, nth: int = 0, **members: Any) -> Bend:
    def bend(events: Events) -> Events:
        at = index_of(events, kind, nth)
        return [*events[:at], {**events[at], **members}, *events[at + 1 :]]

    return bend


def lacking(kind: str, member: str, nth: int = 0) -> Bend:
    def bend(events: Events) -> Events:
        at = index_of(events, kind, nth)
        kept = {key: value for key, value in events[at].items() if key != member}
        return [*events[:at], kept, *events[at + 1 :]]

    return bend


def doubled(kind: str, nth: int = 0) -> Bend:
    def bend(events: Events) -> Events:
        at = index_of(events, kind, nth)
        return [*events[:at], events[at], *events[at:]]

    return bend


def swapped(left: tuple[str, int], right: tuple[str, int]) -> Bend:
    def bend(events: Events) -> Events:
        one, other = index_of(events, *left), index_of(events, *right)
        bent = list(events)
        bent[one], bent[other] = bent[other], bent[one]
        return bent

    return bend


def moved(kind: str, nth: int, to: int) -> Bend:
    def bend(events: Events) -> Events:
        at = index_of(events, kind, nth)
        rest = events[:at] + events[at + 1 :]
        place = to if to >= 0 else len(rest) + 1 + to
        return [*rest[:place], events[at], *rest[place:]]

    return bend
