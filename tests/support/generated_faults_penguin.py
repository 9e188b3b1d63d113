"""Faults of Penguin streams, as changes to their events: the connection, messages, texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.support.generated_faults import PENGUIN, Events, changed, lacking, on_events, pick, places, typed
from tests.support.generated_scenes import Draft
from tests.support.generated_scripts import Wanted
from tests.support.generated_wire import Event

SECOND = ("penguin/2",)
SPOKEN = Wanted(pieces=3, fails="")
CALLED = Wanted(tools=1, fails="")
PARTS = "message.part.updated"
BROKEN: tuple[Any, ...] = (None, 7, ["x"])  # no text
MESSAGES = "message.updated"


def part_of(event: Event) -> dict[str, Any]:
    part = event["properties"].get("part", {})
    assert isinstance(part, dict)
    return part


def increments(events: Events, kind: str = "text") -> list[int]:
    """The increments of the agent's own parts."""
    return places(
        events,
        lambda e: e["type"] == PARTS and part_of(e)["type"] == kind and bool(e["properties"].get("delta")),
    )


def of_the_part(events: Events, at: int) -> list[int]:
    """The events of the same part, all of them."""
    name = part_of(events[at]).get("id")
    return places(events, lambda e: e["type"] == PARTS and name is not None and part_of(e).get("id") == name)


def shows_ids(events: Events) -> bool:
    """Whether parts and messages show ids and times, which penguin/1 does not promise."""
    return any("messageID" in part_of(event) for event in events if event["type"] == PARTS)


# ---- the connection and the envelope


@on_events("connected-missing", "PG-CON-01", PENGUIN)
def connected_missing(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    return events[1:]


@on_events("connected-again", "PG-CON-01", PENGUIN)
def connected_again(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = draw(st.integers(1, len(events)))
    return [*events[:at], events[0], *events[at:]]


@on_events("connected-late", "PG-CON-01", PENGUIN)
def connected_late(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = draw(st.integers(2, len(events)))
    return [*events[1:at], events[0], *events[at:]]


@on_events("envelope-broken", "PG-EVT-01", PENGUIN)
def envelope(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = draw(st.integers(0, len(events) - 1))
    event = events[at]
    ways = [lacking(event, "type"), changed(event, "type", 7), lacking(event, "properties")]
    ways += [changed(event, "properties", wrong) for wrong in BROKEN]
    events[at] = draw(st.sampled_from(ways))
    return events


@on_events("member-broken", "PG-EVT-01", PENGUIN)
def member(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, places(events, typed(PARTS, MESSAGES)))
    assert at is not None
    event = events[at]
    if event["type"] == MESSAGES:
        ways = [lacking(event, "properties", "id"), changed(event, "properties", "id", 7)]
    else:
        ways = [lacking(event, "properties", "part"), lacking(event, "properties", "part", "type")]
        ways += [changed(event, "properties", "delta", wrong) for wrong in BROKEN]
        if part_of(event)["type"] == "tool":
            ways += [lacking(event, "properties", "part", "state")]
            ways += [
                changed(event, "properties", "part", "state", "status", wrong)
                for wrong in ("done", None, "Running")
            ]
        else:
            ways += [changed(event, "properties", "part", "text", None)]
    events[at] = draw(st.sampled_from(ways))
    return events


@on_events("event-type-unknown", "PG-EVT-02", PENGUIN)
def unknown_type(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = draw(st.integers(1, len(events)))
    kind = draw(st.sampled_from(["message.part.delta", "Message.updated", "session.status ", "weather"]))
    return [*events[:at], {"type": kind, "properties": {}}, *events[at:]]


@on_events("part-type-unknown", "PG-EVT-02", PENGUIN)
def unknown_part(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, places(events, typed(PARTS)))
    assert at is not None
    events[at] = changed(
        events[at], "properties", "part", "type", draw(st.sampled_from(["Text", "snapshot", "step"]))
    )
    return events


@on_events("json-id-used-twice", "PG-EVT-03", SECOND)
def id_twice(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    left, right = draw(st.lists(st.integers(1, len(events) - 1), min_size=2, max_size=2, unique=True))
    events[left] = {**events[left], "id": events[right]["id"]}
    return events


# ---- messages and texts


@on_events("part-before-its-message", "PG-MSG-01", PENGUIN, wanted=SPOKEN)
def part_first(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    """The message is announced after the first of its parts."""
    if not shows_ids(events):
        return None
    at = pick(draw, increments(events))
    assert at is not None
    owner = part_of(events[at])["messageID"]
    announced = places(events, lambda e: e["type"] == MESSAGES and e["properties"]["id"] == owner)
    kept = [event for number, event in enumerate(events) if number not in announced]
    first = places(kept, lambda e: e["type"] == PARTS and part_of(e).get("messageID") == owner)[0]
    return [*kept[: first + 1], *(events[number] for number in announced), *kept[first + 1 :]]


@on_events("part-of-an-unknown-message", "PG-MSG-01", PENGUIN)
def part_of_nobody(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    found = places(events, lambda e: e["type"] == PARTS and "messageID" in part_of(e))
    at = pick(draw, found)
    if at is None:
        return None
    events[at] = changed(events[at], "properties", "part", "messageID", "msg_unknown")
    return events


@on_events("part-of-another-session", "PG-MSG-01", PENGUIN)
def part_elsewhere(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    found = places(events, lambda e: e["type"] == PARTS and "sessionID" in part_of(e))
    at = pick(draw, found)
    if at is None:
        return None
    events[at] = changed(events[at], "properties", "part", "sessionID", "session_2")
    return events


@on_events("delta-lost-on-the-way", "PG-MSG-02", PENGUIN, wanted=SPOKEN)
def delta_lost(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    """An increment is lost, and later snapshots show its text all the same."""
    found = [at for at in increments(events) if part_of(events[at]).get("id")]
    kept = [
        at
        for at in found
        if any(other > at and events[other]["properties"].get("delta") for other in of_the_part(events, at))
    ]
    at = pick(draw, kept)
    return None if at is None else events[:at] + events[at + 1 :]


@on_events("delta-not-the-increment", "PG-MSG-02", PENGUIN, wanted=SPOKEN)
def delta_altered(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    found = [at for at in increments(events) if part_of(events[at]).get("id")]
    at = pick(draw, found)
    if at is None:
        return None
    delta = events[at]["properties"]["delta"]
    others = [at != other and events[other]["properties"].get("delta") for other in of_the_part(events, at)]
    ways = [delta + "x", delta * 2, f" {delta}", *([delta[:-1], ""] if any(others) else [])]
    wrong = draw(st.sampled_from(ways))
    events[at] = changed(events[at], "properties", "delta", wrong)
    return events


@on_events("text-goes-back", "PG-MSG-02", PENGUIN, wanted=SPOKEN)
def text_back(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    """A snapshot that does not begin with the one before."""
    pairs = [(at, of_the_part(events, at)) for at in increments(events) if part_of(events[at]).get("id")]
    later = [at for at, same in pairs if same and at != same[0]]
    at = pick(draw, later)
    if at is None:
        return None
    before = max(other for other in of_the_part(events, at) if other < at)
    text = part_of(events[before])["text"]
    if not text:
        return None
    wrong = draw(st.sampled_from([text[:-1], "", text[1:], "x" + text]))
    if wrong.startswith(text):
        return None
    events[at] = changed(events[at], "properties", "part", "text", wrong)
    return events


@on_events("delta-after-the-end", "PG-MSG-02", PENGUIN, wanted=SPOKEN)
def after_the_end(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    """A part goes on after the event that carries its end."""
    ended = places(
        events,
        lambda e: e["type"] == PARTS and "end" in part_of(e).get("time", {}) and part_of(e)["type"] != "tool",
    )
    at = pick(draw, [at for at in ended if part_of(events[at]).get("id")])
    if at is None:
        return None
    more = changed(events[at], "properties", "delta", "x")
    more = changed(more, "properties", "part", "text", part_of(events[at])["text"] + "x")
    return [*events[: at + 1], more, *events[at + 1 :]]


def _last_words(
    change: Callable[[st.DrawFn, str], str | None],
) -> Callable[[st.DrawFn, Draft, Events], Events | None]:
    """Changes what the part that holds the last words says in the end, snapshot and increments alike."""

    def fault(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
        # What follows whole snapshots alone: the part's final text is another one, and its deltas make it.
        at = increments(events)[-1]
        delta = events[at]["properties"]["delta"]
        wrong = change(draw, delta)
        if wrong is None or wrong == delta:
            return None
        before = part_of(events[at])["text"].removesuffix(delta)
        after = list(events)
        after[at] = changed(events[at], "properties", "delta", wrong)
        for number in (at, *(n for n in of_the_part(events, at) if n > at)):
            after[number] = changed(after[number], "properties", "part", "text", before + wrong)
        return after

    return fault


on_events("last-words-lost", "PG-MSG-03", PENGUIN, wanted=SPOKEN, plain=True)(
    _last_words(lambda draw, delta: "")
)
on_events("last-words-doubled", "PG-MSG-03", PENGUIN, wanted=SPOKEN, plain=True)(
    _last_words(lambda draw, delta: delta * 2)
)
on_events("last-words-altered", "PG-MSG-03", PENGUIN, wanted=SPOKEN, plain=True)(
    _last_words(
        lambda draw, delta: draw(
            st.sampled_from([delta.swapcase(), delta[:-1] + "?", delta.strip(), f"{delta} "])
        )
    )
)


@on_events("text-part-lost", "PG-MSG-03", PENGUIN, wanted=SPOKEN, plain=True)
def text_part_lost(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, increments(events))
    assert at is not None
    gone = set(of_the_part(events, at))
    return [event for number, event in enumerate(events) if number not in gone]


@on_events(
    "reasoning-part-lost", "PG-MSG-03", PENGUIN, wanted=Wanted(thoughts=2, pieces=1, fails=""), plain=True
)
def reasoning_lost(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, increments(events, "reasoning"))
    assert at is not None
    gone = set(of_the_part(events, at))
    return [event for number, event in enumerate(events) if number not in gone]


def completions(events: Events) -> list[int]:
    return places(
        events,
        lambda e: (
            e["type"] == MESSAGES
            and e["properties"]["role"] == "assistant"
            and e["properties"].get("time", {}).get("completed") is not None
        ),
    )


@on_events("never-completed", "PG-MSG-04", SECOND, wanted=Wanted(pieces=1, tools=1, fails=""))
def never_completed(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    gone = set(completions(events))
    return [event for number, event in enumerate(events) if number not in gone]


@on_events("completed-before-created", "PG-MSG-04", PENGUIN)
def completed_early(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, completions(events))
    if at is None:
        return None
    created = events[at]["properties"]["time"]["created"]
    events[at] = changed(events[at], "properties", "time", "completed", created - draw(st.integers(1, 1_000)))
    return events


@on_events("completion-taken-back", "PG-MSG-04", PENGUIN)
def taken_back(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, completions(events))
    if at is None:
        return None
    later = draw(st.integers(at + 1, len(events)))
    again = changed(events[at], "properties", "time", "completed", None)
    return [*events[:later], again, *events[later:]]


@on_events("part-after-its-message", "PG-MSG-05", PENGUIN, wanted=SPOKEN)
def part_late(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, increments(events))
    assert at is not None
    owner = part_of(events[at]).get("messageID")
    done = [n for n in completions(events) if events[n]["properties"]["id"] == owner]
    if not done:
        return None
    return [*events[: done[0] + 1], events[at], *events[done[0] + 1 :]]


@on_events("message-after-idle", "PG-MSG-05", SECOND, wanted=SPOKEN)
def message_late(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, [*completions(events), *increments(events)])
    assert at is not None
    return [*events, events[at]]
