"""One defect in a valid stream, each with the requirement that it breaks: where it applies, that must catch it.

A fault takes a draft's events (or blocks, or bytes) and gives others, or None where the draft has nothing of the
kind, or where the change would be legal or unseen there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from conformance.transcript import Ended
from tests.support.generated_scenes import Draft
from tests.support.generated_scripts import ANY, Wanted
from tests.support.generated_wire import Block, Event

Events = list[Event]
OnEvents = Callable[[st.DrawFn, Draft, Events], Events | None]
OnBlocks = Callable[[st.DrawFn, Draft, list[Block]], list[Block] | None]
OnBytes = Callable[[st.DrawFn, Draft, bytes], bytes | None]
AGENTSMITHY = ("agentsmithy/1", "agentsmithy/2")
PENGUIN = ("penguin/1", "penguin/2")
EVERYWHERE = (*AGENTSMITHY, *PENGUIN)


@dataclass(frozen=True, slots=True)
class Fault:
    """A defect by name. `wanted`: what a script must hold so that it can show at all."""

    name: str
    breaks: str
    protocols: tuple[str, ...]
    wanted: Wanted = ANY
    events: OnEvents | None = None
    blocks: OnBlocks | None = None
    body: OnBytes | None = None
    ended: Ended | None = None
    plain: bool = False  # only where text comes as the script cuts it, and penguin/1 shows ids


FAULTS: list[Fault] = []


def on_events(
    name: str, breaks: str, protocols: Sequence[str], **more: Any
) -> Callable[[OnEvents], OnEvents]:
    """Register a fault of the events; it gets a list that it may change."""

    def register(function: OnEvents) -> OnEvents:
        FAULTS.append(Fault(name, breaks, tuple(protocols), events=function, **more))
        return function

    return register


def on_blocks(
    name: str, breaks: str, protocols: Sequence[str] = EVERYWHERE, **more: Any
) -> Callable[[OnBlocks], OnBlocks]:
    """Register a fault of the blocks."""

    def register(function: OnBlocks) -> OnBlocks:
        FAULTS.append(Fault(name, breaks, tuple(protocols), blocks=function, **more))
        return function

    return register


def on_bytes(
    name: str, breaks: str, protocols: Sequence[str] = EVERYWHERE, **more: Any
) -> Callable[[OnBytes], OnBytes]:
    """Register a fault of the body."""

    def register(function: OnBytes) -> OnBytes:
        FAULTS.append(Fault(name, breaks, tuple(protocols), body=function, **more))
        return function

    return register


def places(events: Iterable[Event], test: Callable[[Event], Any]) -> list[int]:
    """The numbers of the events that pass a test."""
    return [number for number, event in enumerate(events) if test(event)]


def pick(draw: st.DrawFn, numbers: Sequence[int]) -> int | None:
    """One of them, None where there are none."""
    return draw(st.sampled_from(list(numbers))) if numbers else None


def typed(*kinds: str) -> Callable[[Event], bool]:
    """Whether an event is of one of these types."""
    return lambda event: event.get("type") in kinds


def changed(event: Event, *path: str | Any) -> Event:
    """A copy of an event in which the member that the path leads to has the path's last value."""
    *names, value = path
    copy = {**event}
    holder = copy
    for name in names[:-1]:
        holder[name] = {**holder[name]}
        holder = holder[name]
    holder[names[-1]] = value
    return copy


def lacking(event: Event, *path: str) -> Event:
    """A copy of an event without the member that the path leads to."""
    copy = {**event}
    holder = copy
    for name in path[:-1]:
        holder[name] = {**holder[name]}
        holder = holder[name]
    holder.pop(path[-1], None)
    return copy


def with_events(draft: Draft, events: Sequence[Event]) -> Draft:
    """The draft with other events."""
    return replace(draft, events=tuple(events))
