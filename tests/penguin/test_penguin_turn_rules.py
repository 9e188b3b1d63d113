"""Rules over one turn: legal streams stay green, each defect turns the row red that it breaks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from conformance.penguin import LIFECYCLE, ODD_TOOLS
from conformance.profile import Tool, Tools
from conformance.script import Failure, ModelTurn, Script, ToolCall
from conformance.transcript import Action
from tests.support.penguin_cases import (
    Event,
    Events,
    Scene,
    Server,
    connected,
    copy,
    findings,
    gap,
    judged,
    one_turn,
    part_of,
    profile_of,
    red,
    where,
)

TURNS = ("text", "empty", "reasoning", "awkward", "rare", "protocol-like", "large", "tools", "parallel-tools")
FAILING = ("error-status", "error-in-stream", "cut-reset", "cut-close")


@pytest.mark.parametrize("protocol", ["penguin/1", "penguin/2"])
@pytest.mark.parametrize("name", [*TURNS, *FAILING, "edit"])
def test_a_faithful_turn_is_green(name: str, protocol: str) -> None:
    scene = one_turn(name, profile_of(protocol))
    assert findings(scene.case()) == {}
    for requirement in ("PG-CON-01", "PG-EVT-01", "PG-EVT-02"):
        assert judged(scene.case(), requirement) > 0
    if name not in (*FAILING, "empty"):
        assert judged(scene.case(), "PG-MSG-03") > 0


@pytest.mark.parametrize("name", [*TURNS, *FAILING])
def test_what_the_document_of_revision_1_does_not_show_is_not_asked_for(name: str) -> None:
    scene = one_turn(name, profile_of("penguin/1"))
    for event in scene.streams["stream"]:
        properties = event["properties"]
        properties.pop("sessionID", None)
        if event["type"] == "message.updated":
            event["properties"] = {"id": properties["id"], "model": "m"}
        for member in ("id", "messageID", "sessionID", "callID", "tool"):
            part_of(event).pop(member, None)
        part_of(event).get("state", {}).pop("input", None)
        if "[[script" in str(part_of(event).get("text")):
            properties["part"]["text"] = scene.actions[0].prompt
    assert set(findings(scene.case())) <= {"PG-ERR-01"}  # a note there


Bend = Callable[[Events], None]


def _is(kind: str, **part: str) -> Callable[[Event], bool]:
    def test(event: Event) -> bool:
        shown = part_of(event)
        return event["type"] == kind and all(shown.get(key) == value for key, value in part.items())

    return test


PART = "message.part.updated"


def _busy_again(events: Events) -> None:
    at = where(events, _is("session.status")) + 3
    events.insert(at, {**copy([events[where(events, _is("session.status"))]])[0], "_sse_id": "x1"})
    _renumber(events)


def _renumber(events: Events) -> None:
    """Ids, orders and times in the order of the events, as a server would have given them."""
    for order, event in enumerate((e for e in events if e["type"] != "server.connected"), start=1):
        event |= {"id": f"evt:session:s1:{order:08d}", "order": order, "time": 1_000 + order}
        event.pop("_sse_id", None)


def _empty_last_delta(events: Events) -> None:
    at = max(i for i, e in enumerate(events) if _is(PART, type="text")(e) and "delta" in e["properties"])
    again = copy([events[at]])[0]
    again["properties"]["delta"] = ""
    events.insert(at + 1, again)
    _renumber(events)


def _reasoning_stays_empty(events: Events) -> None:
    at = where(events, lambda e: _is(PART, type="text")(e) and "delta" in e["properties"])
    empty = copy([events[at]])[0]
    empty["properties"]["part"] |= {"id": "part_r", "type": "reasoning", "text": ""}
    del empty["properties"]["delta"]
    events.insert(at, empty)
    _renumber(events)


def _completed_twice(events: Events) -> None:
    at = max(i for i, e in enumerate(events) if e["type"] == "message.updated")
    events.insert(at + 1, copy([events[at]])[0])
    _renumber(events)


def _snapshot_ahead(events: Events) -> None:
    """A snapshot that runs ahead of its delta, in the end both the same."""
    shown = [e for e in events if _is(PART, type="text")(e) and "delta" in e["properties"]]
    shown[0]["properties"]["part"]["text"] = shown[1]["properties"]["part"]["text"]


def _named_frames(events: Events) -> None:
    """A handshake that repeats the id of the newest event."""
    events[0] |= {"id": events[1]["id"], "order": events[1]["order"], "time": 5}


def _unlabelled_toast(events: Events) -> None:
    toast = {"title": "hi", "message": "there", "variant": "info", "duration": 1000}
    events.insert(3, {"type": "tui.toast.show", "id": "evt:global:00000009", "order": 9, "time": 7})
    events[3]["properties"] = toast


def _prose_status(events: Events) -> None:
    """A second idle, as an abort of an idle session gives it."""
    at = max(i for i, e in enumerate(events) if e["type"] == "session.status")
    events.insert(at + 1, copy([events[at]])[0])
    _renumber(events)


@pytest.mark.parametrize(
    "bend",
    [
        _busy_again,
        _empty_last_delta,
        _reasoning_stays_empty,
        _completed_twice,
        _snapshot_ahead,
        _named_frames,
        _unlabelled_toast,
        _prose_status,
    ],
)
def test_unusual_and_legal(bend: Bend) -> None:
    scene = one_turn("tools")
    bend(scene.streams["stream"])
    assert findings(scene.case()) == {}


def _no_connected(events: Events) -> None:
    del events[0]


def _connected_twice(events: Events) -> None:
    events.insert(4, connected(sessionID="s1"))


def _drop(kind: str, **part: str) -> Bend:
    def bend(events: Events) -> None:
        del events[where(events, _is(kind, **part))]

    return bend


def _envelope(events: Events) -> None:
    events[2]["properties"] = "text"


def _wrong_member(events: Events) -> None:
    events[where(events, _is(PART, type="tool"))]["properties"]["part"]["state"]["status"] = "finished"


def _unknown_event(events: Events) -> None:
    events.insert(3, {**copy([events[2]])[0], "type": "weather.changed", "id": "evt:w:1", "order": 1})


def _unknown_part(events: Events) -> None:
    events[where(events, _is(PART, type="tool"))]["properties"]["part"]["type"] = "picture"


def _id_twice(events: Events) -> None:
    events[5]["id"] = events[4]["id"]


def _part_before_message(events: Events) -> None:
    at = where(events, lambda e: e["properties"].get("role") == "assistant")
    events[at], events[at + 1] = events[at + 1], events[at]
    _renumber(events)


def _second_message_not_announced(events: Events) -> None:
    ids = [e["properties"]["id"] for e in events if e["properties"].get("role") == "assistant"]
    events[:] = [e for e in events if e["properties"].get("id") != ids[-1]]
    _renumber(events)


def _part_of_other_session(events: Events) -> None:
    events[where(events, _is(PART, type="tool"))]["properties"]["part"]["sessionID"] = "s2"


def _last_text(events: Events) -> Event:
    return [e for e in events if _is(PART, type="text")(e) and "delta" in e["properties"]][-1]


def _delta_lost(events: Events) -> None:
    events.remove([e for e in events if "delta" in e["properties"]][-2])
    _renumber(events)


def _delta_doubled(events: Events) -> None:
    last = _last_text(events)
    events.insert(events.index(last), copy([last])[0])
    _renumber(events)


def _text_shrinks(events: Events) -> None:
    last = _last_text(events)
    last["properties"]["part"]["text"] = last["properties"]["part"]["text"][3:]


def _delta_after_end(events: Events) -> None:
    shown = [e for e in events if _is(PART, type="text")(e) and "delta" in e["properties"]]
    shown[0]["properties"]["part"]["time"] = {"start": 1, "end": 2}


def _text_changed(events: Events) -> None:
    for event in events:
        if "delta" in event["properties"]:
            for holder, key in ((event["properties"], "delta"), (event["properties"]["part"], "text")):
                holder[key] = holder[key].replace("all", "naught")


def _tail_lost(events: Events) -> None:
    events.remove(_last_text(events))
    _renumber(events)


def _never_completed(events: Events) -> None:
    last = [e for e in events if e["properties"].get("role") == "assistant"][-1]
    for event in events:
        if event["properties"].get("id") == last["properties"]["id"] or (
            event["properties"].get("role") == "assistant"
        ):
            event["properties"]["time"]["completed"] = None


def _completed_early(events: Events) -> None:
    last = [e for e in events if e["properties"].get("role") == "assistant"][-1]
    last["properties"]["time"] = {"created": 100, "completed": 99}


def _taken_back(events: Events) -> None:
    at = max(i for i, e in enumerate(events) if e["properties"].get("role") == "assistant")
    again = copy([events[at]])[0]
    again["properties"]["time"]["completed"] = None
    events.insert(at + 1, again)
    events.insert(at + 2, copy([events[at]])[0])
    _renumber(events)


def _part_after_completion(events: Events) -> None:
    tool = max(i for i, e in enumerate(events) if _is(PART, type="tool")(e))
    message = part_of(events[tool])["messageID"]
    completed = where(
        events, lambda e: e["properties"].get("id") == message and bool(e["properties"]["time"]["completed"])
    )
    events.insert(completed, events.pop(tool))
    _renumber(events)


def _message_after_idle(events: Events) -> None:
    last = max(i for i, e in enumerate(events) if e["type"] == "message.updated")
    idle = max(i for i, e in enumerate(events) if e["type"] == "session.status")
    events.insert(idle, events.pop(last))
    _renumber(events)


def _tool_back(events: Events) -> None:
    at = [i for i, e in enumerate(events) if _is(PART, type="tool")(e)]
    events.insert(at[1] + 1, copy([events[at[0]]])[0])
    events.insert(at[1] + 2, copy([events[at[1]]])[0])
    _renumber(events)


def _terminal_changes(events: Events) -> None:
    at = [i for i, e in enumerate(events) if _is(PART, type="tool")(e)][1]
    again = copy([events[at]])[0]
    again["properties"]["part"]["state"] = {
        **part_of(again)["state"],
        "status": "completed",
        "output": "after all",
    }
    events.insert(at, again)
    _renumber(events)


def _tool_open(events: Events) -> None:
    del events[[i for i, e in enumerate(events) if _is(PART, type="tool")(e)][-1]]
    _renumber(events)


def _call_changes(events: Events) -> None:
    [e for e in events if _is(PART, type="tool")(e)][-1]["properties"]["part"]["callID"] = "call_other"


def _tool_renamed(events: Events) -> None:
    [e for e in events if _is(PART, type="tool")(e)][-1]["properties"]["part"]["tool"] = "other"


def _fails_as_completed(events: Events) -> None:
    last = [e for e in events if _is(PART, type="tool")(e)][-1]
    last["properties"]["part"]["state"] |= {"status": "completed", "output": "no"}


def _no_tool_part(events: Events) -> None:
    events[:] = [e for e in events if not _is(PART, type="tool")(e)]
    _renumber(events)


def _tool_twice(events: Events) -> None:
    at = [i for i, e in enumerate(events) if _is(PART, type="tool")(e)]
    more = copy(events[i] for i in at)
    for event in more:
        event["properties"]["part"] |= {"id": "part_again", "callID": "call_again"}
    events[at[-1] + 1 : at[-1] + 1] = more
    _renumber(events)


def _input_lost(events: Events) -> None:
    for event in events:
        if _is(PART, type="tool")(event):
            event["properties"]["part"]["state"]["input"] = {}


def _no_idle(events: Events) -> None:
    del events[max(i for i, e in enumerate(events) if e["type"] == "session.status")]
    _renumber(events)


def _sse_id_differs(events: Events) -> None:
    events[6]["_sse_id"] = "evt:other"


def _order_repeats(events: Events) -> None:
    events[6]["order"] = events[5]["order"]


def _time_back(events: Events) -> None:
    events[6]["time"] = 3


def _hole(events: Events) -> None:
    for event in events[6:]:
        event["order"] += 1


def _swapped(events: Events) -> None:
    # Two events change places with their ids: once in a whole stream.
    events[6], events[7] = events[7], events[6]


DEFECTS: list[tuple[str, Bend, str, set[str]]] = [
    # turn, defect, the row that it breaks, rows that may follow from it
    ("tools", _no_connected, "PG-CON-01", set()),
    ("tools", _connected_twice, "PG-CON-01", set()),
    ("tools", _envelope, "PG-EVT-01", {"PG-MSG-01"}),
    ("tools", _wrong_member, "PG-EVT-01", set()),
    ("tools", _unknown_event, "PG-EVT-02", set()),
    ("tools", _unknown_part, "PG-EVT-02", {"PG-EVT-01"}),
    ("tools", _id_twice, "PG-EVT-03", {"PG-2-01a", "PG-REC-05a"}),
    ("tools", _part_before_message, "PG-MSG-01", set()),
    ("tools", _second_message_not_announced, "PG-MSG-01", set()),
    ("tools", _part_of_other_session, "PG-MSG-01", set()),
    ("tools", _delta_lost, "PG-MSG-02", set()),
    ("text", _delta_doubled, "PG-MSG-02", set()),
    ("text", _text_shrinks, "PG-MSG-02", {"PG-MSG-03"}),
    ("text", _delta_after_end, "PG-MSG-02", {"PG-EVT-01"}),
    ("tools", _text_changed, "PG-MSG-03", set()),
    ("tools", _tail_lost, "PG-MSG-03", set()),
    ("text", _never_completed, "PG-MSG-04", set()),
    ("tools", _completed_early, "PG-MSG-04", set()),
    ("tools", _taken_back, "PG-MSG-04", set()),
    ("tools", _part_after_completion, "PG-MSG-05", set()),
    ("tools", _message_after_idle, "PG-MSG-05", set()),
    ("tools", _tool_back, "PG-TOOL-01", set()),
    ("parallel-tools", _terminal_changes, "PG-TOOL-01", set()),
    ("parallel-tools", _tool_open, "PG-TOOL-02a", {"PG-TOOL-02b"}),
    ("tools", _call_changes, "PG-TOOL-02a", set()),
    ("parallel-tools", _tool_renamed, "PG-TOOL-02b", set()),
    ("parallel-tools", _fails_as_completed, "PG-TOOL-02b", {"PG-EVT-01"}),
    ("tools", _no_tool_part, "PG-TOOL-03", set()),
    ("tools", _tool_twice, "PG-TOOL-03", set()),
    ("tools", _input_lost, "PG-TOOL-03", set()),
    ("tools", _no_idle, "PG-ERR-02", set()),
    ("error-status", _no_idle, "PG-ERR-02", set()),
    ("tools", _sse_id_differs, "PG-2-01a", {"PG-REC-05a"}),
    ("tools", _order_repeats, "PG-2-01a", {"PG-2-01b"}),
    ("tools", _time_back, "PG-2-01a", set()),
    ("tools", _hole, "PG-2-01b", set()),
    ("tools", _swapped, "PG-2-01a", {"PG-2-01b", "PG-MSG-02", "PG-MSG-03"}),
]


@pytest.mark.parametrize(
    ("name", "bend", "row", "follow"), DEFECTS, ids=[f"{d[1].__name__[1:]}-{d[0]}" for d in DEFECTS]
)
def test_each_defect_is_caught_by_its_row(name: str, bend: Bend, row: str, follow: set[str]) -> None:
    scene = one_turn(name)
    bend(scene.streams["stream"])
    found = red(scene)
    assert row in found
    assert found <= {row, *follow}


@pytest.mark.parametrize("name", ["error-status", "error-in-stream", "cut-reset"])
def test_an_invisible_failure_is_found(name: str) -> None:
    scene = one_turn(name)
    for event in scene.streams["stream"]:
        event["properties"].pop("error", None)
    assert red(scene) == {"PG-ERR-01"}


@pytest.mark.parametrize("kind", ["status", "event"])
def test_other_ways_to_show_a_failure(kind: str) -> None:
    scene = one_turn("error-status")
    events = scene.streams["stream"]
    for event in events:
        event["properties"].pop("error", None)
    at = where(events, _is("session.status"))
    shown = copy([events[at]])[0]
    if kind == "status":
        shown["properties"]["status"] = {"type": "retry", "attempt": 1, "message": "x", "next": 1}
    else:
        shown |= {"type": "session.error", "properties": {"sessionID": "s1", "error": {"name": "x"}}}
    events.insert(at + 1, shown)
    _renumber(events)
    assert "PG-ERR-01" not in red(scene)


def test_an_aborted_turn_needs_no_end_of_parts() -> None:
    scene = one_turn("tools")
    _tail_lost(scene.streams["stream"])
    _tool_open(scene.streams["stream"])
    scene.actions.append(Action(1.2, "abort", session="s1", status=200, until=1.3))
    assert red(scene) == set()


def test_a_stream_that_we_cut_is_not_held_to_the_turns_end() -> None:
    scene = one_turn("tools")
    del scene.streams["stream"][8:]
    scene.spans["stream"] = (0.0, 1.2)  # before the prompt's answer
    assert red(scene) == set()


def test_a_late_joiner_is_not_accused_of_what_came_before() -> None:
    scene = one_turn("tools")
    events = scene.streams["stream"]
    at = max(i for i, e in enumerate(events) if "delta" in e["properties"])
    scene.streams["stream"] = [events[0], *events[at:]]
    scene.joins.add("stream")
    scene.spans["stream"] = (1.2, 100.0)
    assert red(scene) == set()


def test_after_a_gap_nothing_is_held_to_what_came_before() -> None:
    scene = one_turn("tools")
    events = scene.streams["stream"]
    at = where(events, _is(PART, type="tool"))
    scene.streams["stream"] = [*events[:4], gap("x"), *events[at:]]
    scene.actions.clear()
    assert red(scene) == set()


def test_tools_are_mapped_by_the_profile() -> None:
    tools = Tools(read=Tool("read_file", shown_name="read", shown_path="filePath"))
    scene = one_turn("tools", profile_of(tools=tools))
    for event in scene.streams["stream"]:
        if _is(PART, type="tool")(event):
            event["properties"]["part"]["tool"] = "read"
            state = event["properties"]["part"]["state"]
            state["input"] = {"filePath": f"/srv/work/{state['input']['path']}"}
    assert red(scene) == set()
    scene.profile = profile_of()
    assert red(scene) == {"PG-TOOL-03"}


def test_an_unknown_tool_that_completes_is_found() -> None:
    script = Script(
        (ModelTurn(("A.",), tools=(ToolCall("sse_conformance_no_such_tool", {"path": "x"}, fails=True),)),)
    )
    server = Server()
    server.turn("s1", script)
    scene = Scene(ODD_TOOLS, profile_of(), {"stream": [connected(), *server.events]})
    scene.prompt("s1", script, "stream")
    assert red(scene) == set()
    for event in scene.streams["stream"]:
        state = part_of(event).get("state")
        if state is not None and state["status"] == "error":
            state |= {"status": "completed", "output": "x"}
    assert red(scene) == {"PG-TOOL-02c"}


def test_a_retried_turn_is_exempt() -> None:
    script = Script((ModelTurn(("after ", "all."), error=Failure("slow", status=429, times=1)),))
    server = Server()
    server.turn("s1", script)
    server.events.pop(5)
    scene = Scene("retry", profile_of(), {"stream": [connected(), *server.events]})
    scene.prompt("s1", script, "stream")
    assert "PG-MSG-03" not in red(scene)


def test_the_life_of_a_session_shows() -> None:
    server = Server()
    server.updated("s1", "sse-conformance", "session.created")
    server.updated("s1", "new title")
    server.updated("s1", "new title", "session.deleted")
    scene = Scene(LIFECYCLE, profile_of(), {"control": [connected(), *server.events]})
    scene.actions += [
        Action(1.0, "create-session", status=200, answer={"id": "s1"}, until=1.1),
        Action(2.0, "rename-session", session="s1", status=200, note="new title", until=2.1),
        Action(3.0, "delete-session", session="s1", status=200, until=3.1),
    ]
    assert red(scene) == set()
    assert judged(scene.case(), "PG-2-02") == 3
    for index in (1, 2, 3):
        lacking = Scene(LIFECYCLE, profile_of(), {"control": copy(scene.streams["control"])}, scene.actions)
        del lacking.streams["control"][index]
        assert "PG-2-02" in red(lacking)
