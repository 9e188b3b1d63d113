"""Rules over OpenCode's shapes: what the original does stays green, each defect turns the row red that it breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from conformance.catalogue import catalogue
from conformance.findings import Level, Verdict
from conformance.offline import judge_observation
from conformance.penguin import ABORT, DIRECTORIES, FAN_OUT, LOST, ODD_TOOLS, RETRY, TOGETHER, words
from conformance.rules.base import Case
from conformance.script import Failure, ModelTurn, Script, ToolCall, say
from conformance.transcript import Action
from tests.support.opencode_cases import (
    OpenCode,
    connected,
    heartbeat,
    one_turn,
    opencode,
    scene,
)
from tests.support.penguin_cases import Event, Events, Scene, copy, findings, judged, part_of, red, where

TURNS = ("text", "empty", "reasoning", "awkward", "rare", "protocol-like", "large", "tools", "parallel-tools")
FAILING = ("error-status", "error-in-stream", "cut-reset", "cut-close")
PART, DELTA, MESSAGE, STATUS = (
    "message.part.updated",
    "message.part.delta",
    "message.updated",
    "session.status",
)
ABORTED = {"name": "MessageAbortedError", "data": {"message": "Aborted"}}


def musts(made: Scene) -> set[str]:
    """The rows with findings that would fail."""
    rows = catalogue("opencode/1")
    return {name for name in red(made) if (row := rows.get(name)) and row.level is Level.MUST}


def verdicts(case: Case) -> dict[str, Verdict]:
    return {result.requirement.id: result.verdict for result in judge_observation(case.observation)}


# ---------------------------------------------------------------- legal


@pytest.mark.parametrize("name", [*TURNS, *FAILING, "edit"])
def test_a_faithful_turn_is_green_also_when_strict(name: str) -> None:
    for profile in (opencode(), opencode(strict=True)):
        made = one_turn(name, profile)
        assert findings(made.case()) == {}
        for requirement in ("PG-CON-01", "PG-EVT-01", "PG-EVT-02", "PG-EVT-03", "PG-MSG-01", "PG-ERR-02"):
            assert judged(made.case(), requirement) > 0, requirement
        if name not in (*FAILING, "empty"):
            for requirement in ("PG-MSG-02", "PG-MSG-03", "PG-MSG-04"):
                assert judged(made.case(), requirement) > 0, requirement
        if "tools" in name:
            for requirement in ("PG-TOOL-01", "PG-TOOL-02a", "PG-TOOL-02b", "PG-TOOL-03"):
                assert judged(made.case(), requirement) > 0, requirement


def bent(name: str, bend: Callable[[Events], None], **profile: Any) -> Scene:
    """A faithful turn that a function has changed."""
    made = one_turn(name, opencode(**profile))
    bend(made.streams["stream"])
    return made


def kind(name: str, **part: str) -> Callable[[Event], bool]:
    def test(event: Event) -> bool:
        shown = part_of(event)
        return event["type"] == name and all(shown.get(key) == value for key, value in part.items())

    return test


def last(events: Events, test: Callable[[Event], bool]) -> int:
    return max(index for index, event in enumerate(events) if test(event))


def agents(event: Event) -> bool:
    return event["type"] == MESSAGE and event["properties"]["info"]["role"] == "assistant"


def again(events: Events, index: int, at: int | None = None) -> Event:
    """Insert an event once more, with an id of its own."""
    made = copy([events[index]])[0]
    made["id"] = f"evt_again_{index}"
    events.insert(index + 1 if at is None else at, made)
    return made


def other(name: str, **properties: Any) -> Event:
    return {"id": f"evt_{name}", "type": name, "properties": properties, "_sse_id": None}


def _heartbeats_everywhere(events: Events) -> None:
    for number in range(len(events), 0, -1):
        events.insert(number, heartbeat(number))


def _busy_again_and_again(events: Events) -> None:
    for index in range(len(events) - 3, 0, -1):
        if events[index]["type"] == MESSAGE:
            events.insert(
                index, {**other(STATUS, sessionID="s1", status={"type": "busy"}), "id": f"b{index}"}
            )


def _idle_twice(events: Events) -> None:
    again(events, last(events, kind(STATUS)), len(events))


def _first_announced_completed(events: Events) -> None:
    events[where(events, agents)]["properties"]["info"]["time"]["completed"] = 9


def _a_snapshot_between_increments(events: Events) -> None:
    first, second = [i for i, e in enumerate(events) if e["type"] == DELTA][:2]
    begun = copy([events[first - 1]])[0]
    begun["properties"]["part"]["text"] = events[first]["properties"]["delta"]
    begun["id"] = "evt_between"
    events.insert(second, begun)


def _first_snapshot_written_late(events: Events) -> None:
    """The part's first event is serialised when its first increments are in it, and these come all the same."""
    first = where(events, kind(DELTA))
    said = events[first]["properties"]["delta"] + events[first + 1]["properties"]["delta"]
    events[first - 1]["properties"]["part"]["text"] = said


def _increments_go_on_from_the_first_snapshot(events: Events) -> None:
    first = where(events, kind(DELTA))
    events[first - 1]["properties"]["part"]["text"] = events.pop(first)["properties"]["delta"]


def _an_empty_increment(events: Events) -> None:
    again(events, where(events, kind(DELTA)))["properties"]["delta"] = ""


def _an_increment_of_another_field(events: Events) -> None:
    again(events, where(events, kind(DELTA)))["properties"] |= {"field": "metadata", "delta": "x"}


def _final_text_told_twice(events: Events) -> None:
    again(events, last(events, kind(PART, type="text")))


def _a_shell_tool_starts_at_running(events: Events) -> None:
    events[:] = [e for e in events if part_of(e).get("state", {}).get("status") != "pending"]


def _asked_before_the_tool_runs(events: Events) -> None:
    at = where(events, lambda e: part_of(e).get("state", {}).get("status") == "running")
    asks = {"id": "per_1", "sessionID": "s1", "permission": "bash", "patterns": ["x"], "metadata": {}}
    question = {"question": "Which?", "header": "Which", "options": [{"label": "a", "description": "b"}]}
    todo = {"content": "x", "status": "pending", "priority": "high"}
    events[at:at] = [
        other("permission.asked", **asks, always=["x"], tool={"messageID": "m", "callID": "c"}),
        other("permission.replied", sessionID="s1", requestID="per_1", reply="once"),
        other("question.asked", id="que_1", sessionID="s1", questions=[question]),
        other("question.replied", sessionID="s1", requestID="que_1", answers=[["a"]]),
        other("todo.updated", sessionID="s1", todos=[todo]),
        other("file.edited", file="/srv/work/a.py"),
    ]


def _parts_of_every_other_type(events: Events) -> None:
    at = where(events, kind(PART, type="step-start"))
    own = {key: part_of(events[at])[key] for key in ("messageID", "sessionID")}
    error = {"name": "APIError", "data": {"message": "no", "isRetryable": True}}
    for number, part in enumerate(
        (
            {"type": "patch", "hash": "h", "files": ["a"]},
            {"type": "snapshot", "snapshot": "h"},
            {"type": "compaction", "auto": True},
            {"type": "agent", "name": "explore"},
            {"type": "subtask", "prompt": "p", "description": "d", "agent": "explore"},
            {"type": "file", "mime": "text/plain", "url": "file:///a"},
            {"type": "retry", "attempt": 1, "error": error, "time": {"created": 1}},
        )
    ):
        shown = {**own, "id": f"prt_x{number}", **part}
        events.insert(at + 1, {**other(PART, sessionID="s1", part=shown, time=7), "id": f"evt_x{number}"})


def _the_next_form_of_events_beside(events: Events) -> None:
    """`session.next.*` with a time as text, where the server's own description says a number."""
    at = where(events, kind(DELTA))
    told = {"timestamp": "2026-11-20T21:39:51.094Z", "sessionID": "s1", "assistantMessageID": "m"}
    events.insert(at, other("session.next.text.delta", **told, textID="0", delta="Hello"))


def _told_of_the_user_again_after_the_end(events: Events) -> None:
    made = again(events, where(events, kind(MESSAGE)), len(events))
    made["properties"]["info"]["summary"] = {"diffs": []}


def _a_part_taken_back(events: Events) -> None:
    at = where(events, kind(DELTA)) + 1
    part = events[at - 1]["properties"]
    more = {**part, "partID": "prt_gone"}
    shown = copy([events[at - 2]])[0]
    shown["id"], shown["properties"]["part"]["id"] = "evt_gone", "prt_gone"
    events[at:at] = [
        shown,
        other(DELTA, **more),
        other("message.part.removed", sessionID="s1", messageID=part["messageID"], partID="prt_gone"),
    ]


LEGAL: list[tuple[str, Callable[[Events], None]]] = [
    *((name, _heartbeats_everywhere) for name in TURNS),
    ("tools", _busy_again_and_again),
    ("text", _idle_twice),
    ("tools", _first_announced_completed),
    ("text", _a_snapshot_between_increments),
    ("text", _first_snapshot_written_late),
    ("text", _increments_go_on_from_the_first_snapshot),
    ("text", _an_empty_increment),
    ("text", _an_increment_of_another_field),
    ("text", _final_text_told_twice),
    ("parallel-tools", _a_shell_tool_starts_at_running),
    ("tools", _asked_before_the_tool_runs),
    ("text", _parts_of_every_other_type),
    ("text", _the_next_form_of_events_beside),
    ("text", _told_of_the_user_again_after_the_end),
    ("text", _a_part_taken_back),
]


@pytest.mark.parametrize(("name", "bend"), LEGAL, ids=lambda value: getattr(value, "__name__", value))
def test_what_is_unusual_and_legal_stays_green(name: str, bend: Callable[[Events], None]) -> None:
    assert findings(bent(name, bend).case()) == {}


def test_a_sub_agents_turn_with_its_own_idle_inside_the_parents() -> None:
    server, script = OpenCode(), say("That is ", "all.")
    server.user("s1", "msg_u", "go")
    server.status("s1", "busy")
    server.assistant("s1", "msg_1", "msg_u")
    task = server.tool("s1", "msg_1", ToolCall("task", {"prompt": "look"}))
    task("pending", "running")
    server.session("s2", "for a sub-agent", "session.created")
    server.turn("s2", say("I look. ", "Found."), prompt="look")
    task("running", "completed")
    server.assistant("s1", "msg_1", "msg_u", completed=True)
    server.step("s1", "msg_u", script.turns[0])
    server.status("s1", "idle")
    made = scene("text", script, server)
    assert findings(made.case()) == {}
    # The sub-agent's words are not the agent's, and its idle does not end the agent's turn.
    text = next(e for e in made.streams["stream"] if e["properties"].get("delta") == "all.")
    text["properties"]["delta"] = "lost."
    assert red(made) == {"PG-MSG-02"}
    made.streams["stream"] = [e for e in made.streams["stream"] if not _idle_of(e, "s1")]
    assert "PG-ERR-02" in red(made)


def _idle_of(event: Event, session: str) -> bool:
    properties = event["properties"]
    return properties.get("sessionID") == session and properties.get("status") == {"type": "idle"}


@pytest.mark.parametrize("name", ["text", "reasoning", "parallel-tools"])
def test_who_joins_in_mid_turn_is_not_accused_of_what_came_before(name: str) -> None:
    whole = one_turn(name).streams["stream"][1:]
    for cut in range(1, len(whole)):
        made = Scene(name, opencode(), {"stream": [connected(), *whole[cut:]]}, joins={"stream"})
        assert findings(made.case()) == {}, f"joined before {whole[cut]}"


def test_a_stream_shows_other_sessions_that_were_under_way_when_it_was_opened() -> None:
    script, server = say("one ", "two"), OpenCode()
    stray = OpenCode(_count=500)
    stray.turn("s9", say("three ", "four"))
    server.turn("s1", script)
    made = scene("text", script, server)
    made.streams["stream"][3:3] = stray.events[6:]  # its beginning was before
    assert findings(made.case()) == {}
    made.actions[0] = replace(made.actions[0], session="s9")  # but a session of our own we saw begin
    assert {"PG-MSG-01", "PG-MSG-03"} <= red(made)


def test_a_retry_says_it_anew_in_the_same_message() -> None:
    script = Script((ModelTurn(("after ", "all."), error=Failure("slow", status=429, times=1)),))
    server = OpenCode()
    server.user("s1", "msg_u", "go")
    server.status("s1", "busy")
    server.assistant("s1", "msg_1", "msg_u")
    server.grow("s1", "msg_1", "text", ("after ",), end=False)  # broken off, and never ended
    server.status("s1", "retry", attempt=1, message="slow", next=5)
    server.status("s1", "busy")
    server.grow("s1", "msg_1", "text", ("after ", "all."))
    server.assistant("s1", "msg_1", "msg_u", completed=True)
    server.status("s1", "idle")
    made = scene(RETRY, script, server)
    assert findings(made.case()) == {}
    as_a_turn = scene("text", script, server)
    assert findings(as_a_turn.case()) == {}


def test_an_abort_tells_its_last_words_after_idle_and_is_idle_twice() -> None:
    script, server = say("w0 ", "w1 ", "w2 "), OpenCode()
    server.user("s1", "msg_u", "go")
    server.status("s1", "busy")
    server.assistant("s1", "msg_1", "msg_u")
    part = server.grow("s1", "msg_1", "text", ("w0 ", "w1 "), end=False)
    server.emit("session.error", sessionID="s1", error=ABORTED)
    server.status("s1", "idle")
    end = {"id": part, "type": "text", "text": "w0 w1 ", "time": {"start": 6, "end": 8}}
    server.part("s1", "msg_1", end)
    server.assistant("s1", "msg_1", "msg_u", completed=True, error=ABORTED)
    server.status("s1", "idle")
    made = scene(ABORT, script, server)
    made.actions.append(Action(1.2, "abort", session="s1", stream="stream", status=200))
    assert findings(made.case()) == {}
    assert judged(made.case(), "PG-ERR-02") == 1
    recorded = scene("text", None, server)  # nobody knows that it was aborted: the stream says so
    assert findings(recorded.case()) == {}


def test_an_abort_of_an_idle_session_and_events_without_a_turn() -> None:
    server = OpenCode()
    for title in ("one", "two"):
        server.session("s1", title)
    server.status("s1", "idle")
    server.emit("catalog.updated")
    server.emit("plugin.added", id="agent")
    assert findings(scene("text", None, server).case()) == {}


def test_a_shell_tool_that_outlives_its_message_is_a_warning_and_no_failure() -> None:
    server = OpenCode()
    server.user("s1", "msg_u", "go")
    server.status("s1", "busy")
    server.assistant("s1", "msg_1", "msg_u")
    shell = server.tool("s1", "msg_1", ToolCall("bash", {"command": "ls"}))
    shell("running")
    server.assistant("s1", "msg_1", "msg_u", completed=True)
    shell("completed")
    server.status("s1", "idle")
    made = scene("text", None, server)
    assert red(made) == {"PG-MSG-05"}
    assert musts(made) == set()
    assert verdicts(made.case())["PG-MSG-05"] is Verdict.WARN


def test_texts_that_a_declared_plugin_rewrites_are_held_to_their_increments() -> None:
    def rewrite(events: Events) -> None:
        final = events[last(events, kind(PART, type="text"))]
        final["properties"]["part"]["text"] = "[redacted]"

    assert red(bent("text", rewrite)) == {"PG-MSG-02", "PG-MSG-03"}
    assert red(bent("text", rewrite, rewrites_text=True)) == set()

    def lose(events: Events) -> None:
        rewrite(events)
        del events[where(events, kind(DELTA))]

    assert red(bent("text", lose, rewrites_text=True)) == {"PG-MSG-03"}


@pytest.mark.parametrize("state", ["completed", "error"])
def test_odd_calls_may_have_no_part_or_one_of_another_name(state: str) -> None:
    script = Script(
        (
            ModelTurn(("Odd. ",), tools=(ToolCall("no_such_tool", {"path": "x"}),)),
            ModelTurn(("Enough.",)),
        )
    )
    server = OpenCode()
    server.user("s1", "msg_u", "go")
    server.status("s1", "busy")
    server.assistant("s1", "msg_1", "msg_u")
    server.grow("s1", "msg_1", "text", ("Odd. ",))
    server.tool("s1", "msg_1", ToolCall("invalid", {"tool": "no_such_tool", "error": "unavailable"}))(state)
    server.assistant("s1", "msg_1", "msg_u", completed=True)
    server.step("s1", "msg_u", script.turns[1])
    server.status("s1", "idle")
    assert musts(scene(ODD_TOOLS, script, server)) == set()


# ---------------------------------------------------------------- one defect each


def _greeted_by_a_heartbeat(events: Events) -> None:
    events.insert(0, heartbeat(0))


def _greeted_again(events: Events) -> None:
    events.insert(5, {**connected(), "id": "evt_again"})


def _nothing_of_the_turn(events: Events) -> None:
    del events[1:]


def _without_id(events: Events) -> None:
    del events[where(events, kind(DELTA))]["id"]


def _message_told_flat(events: Events) -> None:
    at = last(events, agents)
    events[at]["properties"] = events[at]["properties"]["info"]


def _heartbeat_without_id(events: Events) -> None:
    events.insert(4, {key: value for key, value in heartbeat(1).items() if key != "id"})


def _failed_tool_without_its_error(events: Events) -> None:
    del part_of(events[last(events, kind(PART, type="tool"))])["state"]["error"]


def _tool_succeeds(events: Events) -> None:
    for event in events:
        state = part_of(event).get("state")
        if state is not None and state["status"] == "error":
            state |= {"status": "completed", "output": "yes", "title": "t", "metadata": {}}


def _unknown_event(events: Events) -> None:
    events.insert(4, other("session.weather", sessionID="s1"))


def _unknown_part(events: Events) -> None:
    at = where(events, kind(PART, type="step-start"))
    again(events, at)["properties"]["part"] |= {"id": "prt_w", "type": "weather"}


def _id_used_twice(events: Events) -> None:
    at = where(events, kind("session.idle"))
    events[at]["id"] = events[at - 1]["id"]


def _part_before_its_message(events: Events) -> None:
    at = where(events, agents)
    message = events.pop(at)
    events.insert(where(events, kind(PART, type="step-start")) + 1, message)


def _increment_before_its_part(events: Events) -> None:
    at = where(events, kind(DELTA))
    events[at - 1], events[at] = events[at], events[at - 1]


def _increment_of_no_part(events: Events) -> None:
    again(events, where(events, kind(DELTA)))["properties"]["partID"] = "prt_nobody"


def _increment_of_another_message(events: Events) -> None:
    events[where(events, kind(DELTA))]["properties"]["messageID"] = "msg_0002"


def _part_of_another_session(events: Events) -> None:
    part_of(events[where(events, kind(PART, type="step-start"))])["sessionID"] = "s7"


def _final_text_cut(events: Events) -> None:
    part = part_of(events[last(events, kind(PART, type="text"))])
    part["text"] = part["text"][:-1]


def _increment_after_the_end(events: Events) -> None:
    at = last(events, kind(PART, type="text"))
    again(events, at - 1, at + 1)["properties"]["delta"] = "!"


def _text_shrinks_between(events: Events) -> None:
    at = last(events, kind(PART, type="text"))
    for text in ("Hello, this", "Hello"):
        shown = again(events, at, at)
        shown["id"] = f"evt_{text}"
        shown["properties"]["part"] |= {"text": text, "time": {"start": 6}}
    events[at], events[at + 1] = events[at + 1], events[at]


def _increment_lost(events: Events) -> None:
    """… and missing in the final text, too, so that the two agree."""
    gone = events.pop(where(events, kind(DELTA)))["properties"]["delta"]
    part = part_of(events[last(events, kind(PART, type="text"))])
    part["text"] = part["text"].replace(gone, "", 1)


def _never_completed(events: Events) -> None:
    for event in events:
        if agents(event):
            event["properties"]["info"]["time"].pop("completed", None)


def _completion_taken_back(events: Events) -> None:
    at = last(events, agents)
    del again(events, at)["properties"]["info"]["time"]["completed"]
    again(events, at, at + 2)["id"] = "evt_back"


def _completed_before_it_was_made(events: Events) -> None:
    for event in events:
        if agents(event) and "completed" in event["properties"]["info"]["time"]:
            event["properties"]["info"]["time"]["completed"] = 1


def _ends_after_its_message(events: Events) -> None:
    at = last(events, kind(PART, type="text"))
    end = events.pop(at)
    events.insert(last(events, agents) + 1, end)


def _completed_after_idle(events: Events) -> None:
    again(events, last(events, agents), len(events))


def _pending_again(events: Events) -> None:
    at = last(events, kind(PART, type="tool"))
    first = where(events, kind(PART, type="tool"))
    again(events, first, at)


def _never_ends(events: Events) -> None:
    del events[last(events, kind(PART, type="tool"))]


def _call_id_changes(events: Events) -> None:
    part_of(events[last(events, kind(PART, type="tool"))])["callID"] = "call_other"


def _tool_name_changes(events: Events) -> None:
    part_of(events[where(events, kind(PART, type="tool"))])["tool"] = "lookup"


def _input_lost_at_the_end(events: Events) -> None:
    part_of(events[last(events, kind(PART, type="tool"))])["state"]["input"] = {}


def _called_twice(events: Events) -> None:
    for index in reversed([i for i, e in enumerate(events) if part_of(e).get("type") == "tool"]):
        again(events, index)["properties"]["part"] |= {"id": "prt_twice", "callID": "call_twice"}


def _fails_in_silence(events: Events) -> None:
    events[:] = [e for e in events if e["type"] != "session.error"]
    for event in events:
        if agents(event):
            event["properties"]["info"].pop("error", None)


def _never_idle(events: Events) -> None:
    events[:] = [e for e in events if not _idle_of(e, "s1")]


DEFECTS: list[tuple[str, Callable[[Events], None], set[str]]] = [
    ("text", _greeted_by_a_heartbeat, {"PG-CON-01"}),
    ("text", _greeted_again, {"PG-CON-01"}),
    ("text", _nothing_of_the_turn, {"PG-CON-02", "PG-MSG-03", "PG-MSG-04"}),
    ("text", _without_id, {"PG-EVT-01"}),
    ("text", _message_told_flat, {"PG-EVT-01"}),
    ("text", _heartbeat_without_id, {"PG-EVT-01"}),
    ("tools", _failed_tool_without_its_error, {"PG-EVT-01"}),
    ("tools", _tool_succeeds, {"PG-TOOL-02b"}),
    ("text", _unknown_event, {"PG-EVT-02"}),
    ("text", _unknown_part, {"PG-EVT-02"}),
    ("text", _id_used_twice, {"PG-EVT-03"}),
    ("text", _part_before_its_message, {"PG-MSG-01"}),
    ("text", _increment_before_its_part, {"PG-MSG-01"}),
    ("text", _increment_of_no_part, {"PG-MSG-01"}),
    ("text", _increment_of_another_message, {"PG-MSG-01"}),
    ("text", _part_of_another_session, {"PG-MSG-01"}),
    ("text", _final_text_cut, {"PG-MSG-02", "PG-MSG-03"}),
    ("reasoning", _final_text_cut, {"PG-MSG-02", "PG-MSG-03"}),
    ("text", _increment_after_the_end, {"PG-MSG-02", "PG-MSG-03"}),
    ("text", _text_shrinks_between, {"PG-MSG-02"}),
    ("text", _increment_lost, {"PG-MSG-03"}),
    ("text", _never_completed, {"PG-MSG-04"}),
    ("text", _completion_taken_back, {"PG-MSG-04"}),
    ("text", _completed_before_it_was_made, {"PG-MSG-04"}),
    ("text", _ends_after_its_message, {"PG-MSG-05"}),
    ("text", _completed_after_idle, {"PG-MSG-05"}),
    ("tools", _pending_again, {"PG-TOOL-01"}),
    ("tools", _never_ends, {"PG-TOOL-02a", "PG-TOOL-02b"}),
    ("tools", _call_id_changes, {"PG-TOOL-02a"}),
    ("tools", _tool_name_changes, {"PG-TOOL-02b"}),
    ("tools", _input_lost_at_the_end, {"PG-TOOL-03"}),
    ("tools", _called_twice, {"PG-TOOL-03"}),
    ("error-status", _fails_in_silence, {"PG-ERR-01"}),
    ("text", _never_idle, {"PG-ERR-02"}),
]


@pytest.mark.parametrize(
    ("name", "bend", "expected"), DEFECTS, ids=lambda value: getattr(value, "__name__", None)
)
def test_a_defect_turns_its_row_red_and_no_other(
    name: str, bend: Callable[[Events], None], expected: set[str]
) -> None:
    assert red(bent(name, bend)) == expected


def test_an_unknown_tool_that_ends_as_completed_is_a_warning() -> None:
    script = Script((ModelTurn(("Odd. ",), tools=(ToolCall("no_such_tool", {"path": "x"}),)),))
    server = OpenCode()
    server.turn("s1", script)
    made = scene(ODD_TOOLS, script, server)
    assert red(made) == {"PG-TOOL-02c"}
    assert musts(made) == set()


# ---------------------------------------------------------------- several streams


def several(probe: str, roles: dict[str, Events], *prompts: tuple[str, Script, str]) -> Scene:
    made = Scene(probe, opencode(), {role: [connected(), *events] for role, events in roles.items()})
    made.joins = set(roles)
    for session, script, role in prompts:
        made.prompt(session, script, role, agent="build")
    return made


def together() -> tuple[Events, Events]:
    """Two turns of which each other event is one's and the other's; and the events of the first alone."""
    a, b = OpenCode(), OpenCode(_count=500)
    a.turn("s1", words("a-first"))
    b.turn("s2", words("b-first"))
    mixed = [event for pair in zip(a.events, b.events, strict=True) for event in pair]
    return mixed, a.events


def test_prompts_at_the_same_moment() -> None:
    mixed, _ = together()
    prompts = (("s1", words("a-first"), "a"), ("s2", words("b-first"), "b"))
    assert findings(several(TOGETHER, {"a": mixed, "b": mixed}, *prompts).case()) == {}
    crossed = copy(mixed)
    crossed[where(crossed, kind(DELTA))]["properties"]["sessionID"] = "s2"
    assert {"PG-CONC-01"} <= red(several(TOGETHER, {"a": crossed, "b": crossed}, *prompts))
    swapped = copy(mixed)
    first, second = [e for e in swapped if e["type"] == DELTA][:2]
    first["properties"]["delta"], second["properties"]["delta"] = (
        second["properties"]["delta"],
        first["properties"]["delta"],
    )
    assert "PG-MSG-02" in red(several(TOGETHER, {"a": swapped, "b": swapped}, *prompts))


def test_subscribers_of_one_directory() -> None:
    mixed, _ = together()
    roles: dict[str, Events] = {f"all-{number}": copy(mixed) for number in range(3)}
    for number, events in enumerate(roles.values()):
        events.insert(7 + number, heartbeat(number))  # made for each connection
    made = several(FAN_OUT, roles)
    made.actions += [Action(0.5, "create-session", answer={"id": name}, status=200) for name in ("s1", "s2")]
    assert findings(made.case()) == {}
    assert judged(made.case(), "PG-FAN-01a") == 2 * (len(mixed) - 2)  # up to the fence, a renaming

    # Under one id, what one subscriber is told later.
    other_words = made.streams["all-2"][where(made.streams["all-2"], agents)]
    other_words["properties"]["info"]["time"]["completed"] = 9
    assert red(made) == {"PG-FAN-01a"}

    made.streams["all-2"] = [connected(), *copy(mixed)]
    made.streams["all-2"][3], made.streams["all-2"][4] = made.streams["all-2"][4], made.streams["all-2"][3]
    assert red(made) == {"PG-FAN-01b"}


def test_directories_are_exact() -> None:
    a, b = OpenCode(), OpenCode(_count=500)
    a.turn("s1", words("a-first"))
    b.turn("s2", words("b-first"))
    prompts = (("s1", words("a-first"), "in-a"), ("s2", words("b-first"), "in-b"))

    def seen(in_a: Events, in_b: Events) -> Scene:
        made = several(DIRECTORIES, {"in-a": in_a, "in-b": in_b}, *prompts)
        made.facts = {"session-a": "s1", "session-b": "s2", "bound": True}
        return made

    assert findings(seen(a.events, b.events).case()) == {}
    assert judged(seen(a.events, b.events).case(), "PG-FLT-06a") == len(a.events) + len(b.events)
    for stray in (next(e for e in b.events if e["type"] == DELTA), b.events[-2]):
        leaky = seen([*a.events[:9], *copy([stray]), *a.events[9:]], b.events)
        assert "PG-FLT-06a" in red(leaky), stray
    mute = seen(a.events, [])
    assert verdicts(mute.case())["PG-FLT-06a"] is Verdict.INCONCLUSIVE


def lost(second: Events, third: Events, full: Events) -> Scene:
    before, after = OpenCode(), OpenCode(_count=500)
    before.turn("s1", words("before"))
    after.turn("s1", words("after"))
    streams = {
        "full": [*before.events, *full, *after.events],
        "first": before.events,
        "second": second,
        "third": [*third, *after.events],
    }
    made = several(LOST, streams, ("s1", words("before"), "first"))
    made.prompt("s1", words("after"), "third", at=30.0, agent="build")
    made.spans = {"first": (0.0, 10.0), "second": (11.0, 20.0), "third": (21.0, 100.0)}
    return made


def test_after_a_lost_connection_what_follows_and_nothing_old() -> None:
    assert findings(lost([], [], []).case()) == {}
    assert judged(lost([], [], []).case(), "PG-REC-06") == 2
    before = OpenCode()
    before.turn("s1", words("before"))
    assert red(lost(before.events[-2:-1], [], [])) == {"PG-REC-06"}
    deaf = lost([], [], [])
    deaf.streams["third"] = deaf.streams["third"][:1]
    assert {"PG-REC-01"} <= red(deaf)


def test_what_it_costs_on_the_wire_is_told_and_never_red() -> None:
    made = one_turn("text")
    assert verdicts(made.case())["PG-WIRE-01"] is Verdict.NOTE
    assert "PG-WIRE-01" not in red(made)


def test_every_row_of_opencode_was_turned_red_here() -> None:
    rows = {
        row.id
        for row in catalogue("opencode/1").requirements
        if row.id.startswith("PG-") and row.level is not Level.INFO
    }
    several_streams = {"PG-CONC-01", "PG-FAN-01a", "PG-FAN-01b", "PG-FLT-06a", "PG-REC-01", "PG-REC-06"}
    assert rows - set().union(*(red for _, _, red in DEFECTS)) - several_streams == {"PG-TOOL-02c"}
