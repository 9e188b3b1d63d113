"""Faults of Penguin streams, as changes to their events: tools, failures, statuses, filters, order."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.support.generated_faults import PENGUIN, Events, changed, lacking, on_events, pick, places, typed
from tests.support.generated_faults_penguin import (
    CALLED,
    MESSAGES,
    PARTS,
    SECOND,
    of_the_part,
    part_of,
    shows_ids,
)
from tests.support.generated_penguin import SESSION
from tests.support.generated_scenes import Draft
from tests.support.generated_scripts import Wanted
from tests.support.generated_wire import Event


def tool_events(events: Events, *statuses: str) -> list[int]:
    def shows(event: Event) -> bool:
        part = part_of(event) if event["type"] == PARTS else {}
        return part.get("type") == "tool" and (not statuses or part["state"]["status"] in statuses)

    return places(events, shows)


@on_events("state-goes-back", "PG-TOOL-01", PENGUIN, wanted=CALLED)
def state_back(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, tool_events(events, "completed", "error"))
    assert at is not None
    earlier = [n for n in of_the_part(events, at) if n < at]
    again = pick(draw, earlier)
    assert again is not None
    later = draw(st.integers(at + 1, len(events)))
    return [*events[:later], events[again], *events[later:]]


@on_events("final-state-changes", "PG-TOOL-01", PENGUIN, wanted=CALLED)
def state_changes(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, tool_events(events, "completed", "error"))
    assert at is not None
    state = part_of(events[at])["state"]
    other = {"completed": "error", "error": "completed"}[state["status"]]
    state = {**state, "status": other, "error": "x", "output": "x"}
    again = changed(events[at], "properties", "part", "state", state)
    later = draw(st.integers(at + 1, len(events)))
    return [*events[:later], again, *events[later:]]


@on_events("tool-never-ends", "PG-TOOL-02a", PENGUIN, wanted=CALLED)
def tool_open(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, tool_events(events, "completed", "error"))
    assert at is not None
    return events[:at] + events[at + 1 :]


@on_events("call-id-changes", "PG-TOOL-02a", PENGUIN, wanted=CALLED)
def call_id(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, tool_events(events))
    assert at is not None
    if "callID" not in part_of(events[at]):
        return None
    events[at] = changed(events[at], "properties", "part", "callID", "call_other")
    return events


@on_events("tool-name-changes", "PG-TOOL-02b", PENGUIN, wanted=CALLED)
def tool_name(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, tool_events(events))
    assert at is not None
    events[at] = changed(events[at], "properties", "part", "tool", "another_tool")
    return events


@on_events("failing-tool-completed", "PG-TOOL-02b", PENGUIN, wanted=CALLED)
def failing_completed(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, tool_events(events, "error"))
    if at is None or "input" not in part_of(events[at])["state"]:
        return None
    state = {**part_of(events[at])["state"], "status": "completed", "output": ""}
    events[at] = changed(events[at], "properties", "part", "state", state)
    return events


@on_events("tool-part-lost", "PG-TOOL-03", PENGUIN, wanted=Wanted(tools=2, fails=""))
def tool_lost(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    if not shows_ids(events):
        return None
    at = pick(draw, tool_events(events))
    assert at is not None
    gone = set(of_the_part(events, at))
    left = [event for number, event in enumerate(events) if number not in gone]
    return left if draft.revision > 1 or tool_events(left) else None


@on_events("tool-part-doubled", "PG-TOOL-03", PENGUIN, wanted=CALLED)
def tool_doubled(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    if not shows_ids(events):
        return None
    at = pick(draw, tool_events(events, "completed", "error"))
    assert at is not None
    again = changed(events[at], "properties", "part", "id", "part_again")
    return [*events[: at + 1], again, *events[at + 1 :]]


@on_events("input-altered", "PG-TOOL-03", PENGUIN, wanted=CALLED)
def input_altered(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    if not shows_ids(events):
        return None
    at = pick(draw, tool_events(events))
    assert at is not None
    path = part_of(events[at])["state"]["input"]["path"]
    wrong = draw(st.sampled_from([path.upper() + "x", "", 7]))
    for number in of_the_part(events, at):
        events[number] = changed(events[number], "properties", "part", "state", "input", "path", wrong)
    return events


@on_events("tool-of-another-name", "PG-TOOL-03", PENGUIN, wanted=CALLED)
def other_tool(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    if not shows_ids(events) or len(draft.script.tools) > 1:
        return None
    for number in tool_events(events):
        events[number] = changed(events[number], "properties", "part", "tool", "another_tool")
    return events


def _unseen(kind: str) -> None:
    @on_events(f"failure-unseen-{kind}", "PG-ERR-01", PENGUIN, wanted=Wanted(fails=kind))
    def unseen(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
        shown = [lacking(e, "properties", "error") if e["type"] == MESSAGES else e for e in events]
        if any(e["type"] == "session.status" and e["properties"]["status"]["type"] == "retry" for e in shown):
            return None
        return shown


for _kind in ("status", "in-stream", "reset"):
    _unseen(_kind)


@on_events("idle-missing", "PG-ERR-02", SECOND)
def idle_missing(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    idle = [
        n
        for n in places(events, typed("session.status"))
        if events[n]["properties"]["status"]["type"] == "idle"
    ]
    return events[: idle[-1]] + events[idle[-1] + 1 :]


@on_events("busy-after-idle", "PG-ERR-02", SECOND)
def busy_again(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    busy = places(events, typed("session.status"))[0]
    return [*events, events[busy]]


@on_events("foreign-event", "PG-FLT-01", PENGUIN)
def foreign(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    """An event of another session in a stream that was asked for one."""
    named = places(
        events, lambda e: e["properties"].get("sessionID") == SESSION and e["type"] != "server.connected"
    )
    at = pick(draw, named)
    if at is None:
        return None
    other = changed(events[at], "properties", "sessionID", "session_2")
    if "part" in other["properties"]:
        other = changed(other, "properties", "part", "sessionID", "session_2")
    place = draw(st.integers(1, len(events)))
    return [*events[:place], other, *events[place:]]


@on_events("sse-id-is-another", "PG-2-01a", SECOND)
def other_id(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = draw(st.integers(1, len(events) - 1))
    wrong = draw(st.sampled_from([None, "7", events[at]["id"].upper()]))
    events[at] = lacking(events[at], "_id") if wrong is None else changed(events[at], "_id", wrong)
    return events


@on_events("order-goes-back", "PG-2-01a", SECOND)
def order_back(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = draw(st.integers(2, len(events) - 1))
    before = events[at - 1]["order"]
    events[at] = changed(events[at], "order", draw(st.integers(0, before)))
    return events


@on_events("time-goes-back", "PG-2-01a", SECOND)
def time_back(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = draw(st.integers(2, len(events) - 1))
    before = events[at - 1]["time"]
    events[at] = changed(events[at], "time", before - draw(st.integers(1, 10_000)))
    return events


@on_events("order-leaves-a-hole", "PG-2-01b", SECOND)
def order_hole(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = draw(st.integers(2, len(events) - 1))
    ahead = draw(st.integers(1, 1_000))
    return events[:at] + [changed(event, "order", event["order"] + ahead) for event in events[at:]]


@on_events("two-events-swapped", "PG-2-01a", SECOND)
def swapped(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = draw(st.integers(1, len(events) - 2))
    events[at], events[at + 1] = events[at + 1], events[at]
    return events


@on_events("an-event-lost", "PG-2-01b", SECOND)
def lost(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = draw(st.integers(2, len(events) - 2))
    return events[:at] + events[at + 1 :]


@on_events("an-event-doubled", "PG-EVT-03", SECOND)
def doubled(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = draw(st.integers(1, len(events) - 1))
    again = draw(st.integers(at, len(events)))
    return [*events[:again], events[at], *events[again:]]
