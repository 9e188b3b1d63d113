"""The AgentSmithy rules over turns: faithful and unusual streams are green, each defect has its row."""

from __future__ import annotations

import json

import pytest

from conformance.agentsmithy import ESCAPE, OWN_TURNS
from conformance.turns import TURNS
from tests.support.agentsmithy_bends import (
    Bend,
    changed,
    doubled,
    event,
    events_of,
    index_of,
    insert,
    lacking,
    moved,
    swapped,
    without,
)
from tests.support.agentsmithy_cases import WORKSPACE, encode, profile_of, red, turn_case, unsure, verdicts

SCRIPTED = [turn.name for turn in (*TURNS, *OWN_TURNS) if turn.scripted]
# agentsmithy/1 does not speak of deletions: that probe does not run there.
PLAYED = [
    (name, protocol)
    for name in SCRIPTED
    for protocol in ("agentsmithy/1", "agentsmithy/2")
    if (name, protocol) != ("deletion", "agentsmithy/1")
]


@pytest.mark.parametrize(("name", "protocol"), PLAYED)
def test_a_faithful_stream_is_green(name: str, protocol: str) -> None:
    of = turn_case(name, profile=profile_of(protocol))
    said = verdicts(of)
    assert red(of) == set()
    assert unsure(of) == set()
    for requirement in ("AS-EVT-01", "AS-EVT-02", "AS-EVT-03", "AS-END-01", "AS-END-02", "AS-END-03"):
        assert said[requirement].judged > 0, requirement


# What breaks, in which turn, how, and all the requirements that it breaks: the first one is what it is.
DEFECTS: list[tuple[str, str, Bend, list[str]]] = [
    ("type is a number", "text", changed("chat", 1, type=7), ["AS-EVT-01", "AS-TXT-01"]),
    ("no type", "text", lacking("chat_end", "type"), ["AS-EVT-01", "AS-2-02a"]),
    ("chat without content", "text", lacking("chat", "content", 2), ["AS-EVT-01", "AS-TXT-01"]),
    (
        "content is null",
        "empty",
        insert(1, event("chat_start"), event("chat", content=None), event("chat_end")),
        ["AS-EVT-01"],
    ),
    ("args is text", "tools", changed("tool_call", args="{}"), ["AS-EVT-01", "AS-TOOL-01a"]),
    ("done is not true", "text", changed("done", done=1), ["AS-EVT-01"]),
    ("done without done", "text", lacking("done", "done"), ["AS-EVT-01"]),
    (
        "error is an object",
        "error-status",
        changed("error", error={"message": "no"}),
        ["AS-EVT-01", "AS-ERR-01a"],
    ),
    ("an array", "text", lambda events: [*events[:2], [1], *events[2:]], ["AS-EVT-01"]),  # type: ignore[list-item]
    ("unknown type", "text", insert(3, event("status", text="busy")), ["AS-EVT-02"]),
    ("no dialog_id once, late", "long-text", lacking("chat", "dialog_id", 300), ["AS-EVT-03"]),
    ("no dialog_id on done", "text", lacking("done", "dialog_id"), ["AS-EVT-03"]),
    ("dialog_id is a number", "text", changed("chat_end", dialog_id=7), ["AS-EVT-03"]),
    ("dialog_id changes", "tools", changed("tool_call", dialog_id="other"), ["AS-EVT-03"]),
    (
        "another dialog_id",
        "text",
        lambda events: [{**e, "dialog_id": "other"} for e in events],
        ["AS-EVT-03"],
    ),
    ("done twice", "text", doubled("done"), ["AS-END-01"]),
    ("done twice after an error", "error-status", doubled("done"), ["AS-END-01"]),
    ("text after done", "text", moved("done", 0, -3), ["AS-END-02", "AS-2-02a"]),
    ("an unknown event after done", "text", insert(-1, event("usage", tokens=3)), ["AS-END-02", "AS-EVT-02"]),
    ("no done after text", "text", without("done"), ["AS-END-03"]),
    ("no done after an error", "error-in-stream", without("done"), ["AS-END-03"]),
    ("no done after an empty answer", "empty", without("done"), ["AS-END-03"]),
    ("no done after tools", "tools", without("done"), ["AS-END-03"]),
    ("a chunk lost", "long-text", without("chat", 211), ["AS-TXT-01"]),
    ("a chunk doubled", "long-text", doubled("chat", 350), ["AS-TXT-01"]),
    ("chunks reordered", "long-text", swapped(("chat", 5), ("chat", 6)), ["AS-TXT-01"]),
    ("white space trimmed", "text", changed("chat", 0, content="Hello,"), ["AS-TXT-01"]),
    ("text of the second call lost", "tools", without("chat", 3), ["AS-TXT-01"]),
    ("reasoning lost", "reasoning", without("reasoning", 1), ["AS-TXT-02"]),
    ("reasoning doubled in a later call", "mixed", doubled("reasoning", 3), ["AS-TXT-02"]),
    (
        "reasoning as text",
        "reasoning",
        lambda events: [{**e, "type": e["type"].replace("reasoning", "chat")} for e in events],
        ["AS-TXT-01", "AS-TXT-02"],
    ),
    (
        "text taken for done",
        "protocol-like",
        lambda events: [*events[:2], event("done", done=True)],
        ["AS-TXT-03", "AS-2-02a"],
    ),
    (
        "text taken for an error",
        "protocol-like",
        lambda events: [*events[:4], event("chat_end"), event("error", error="x"), event("done", done=True)],
        ["AS-TXT-03"],
    ),
    ("text lost", "protocol-like", without("chat", 1), ["AS-TXT-03"]),
    ("a call lost", "tools", without("tool_call"), ["AS-TOOL-01a"]),
    ("the second parallel call lost", "parallel-tools", without("tool_call", 1), ["AS-TOOL-01a"]),
    ("a call twice", "parallel-tools", doubled("tool_call", 2), ["AS-TOOL-01a"]),
    ("args lost", "tools", changed("tool_call", args={}), ["AS-TOOL-01a"]),
    ("another name", "tools", changed("tool_call", name="read"), ["AS-TOOL-01a"]),
    ("a call after the text", "tools", moved("tool_call", 0, -2), ["AS-TOOL-01a"]),
    ("calls swapped", "parallel-tools", swapped(("tool_call", 0), ("tool_call", 1)), ["AS-TOOL-01b"]),
    ("no file_edit", "edit", without("file_edit"), ["AS-TOOL-02"]),
    ("no file_edit for the second edit", "edit-twice", without("file_edit", 1), ["AS-TOOL-02"]),
    ("no file_edit for a deletion", "deletion", without("file_edit", 1), ["AS-TOOL-02"]),
    ("a relative path", "edit", changed("file_edit", file="sse-conformance-edit.txt"), ["AS-TOOL-02"]),
    (
        "another folder",
        "edit",
        changed("file_edit", file=f"{WORKSPACE}/made/sse-conformance-edit.txt"),
        ["AS-TOOL-02"],
    ),
    ("another file", "edit", changed("file_edit", file=f"{WORKSPACE}/README.md"), ["AS-TOOL-02"]),
    (
        "file_edit before its call",
        "edit",
        swapped(("tool_call", 0), ("file_edit", 0)),
        ["AS-TOOL-02", "AS-TOOL-03"],
    ),
    (
        "a later file_edit before its call",
        "edit-twice",
        swapped(("tool_call", 1), ("file_edit", 1)),
        ["AS-TOOL-02"],
    ),
    (
        "file_edit without a call",
        "text",
        insert(2, event("file_edit", file=f"{WORKSPACE}/a")),
        ["AS-TOOL-03"],
    ),
    ("an escape", "escape", insert(2, event("file_edit", file=f"/srv/{ESCAPE}")), ["AS-TOOL-04"]),
    (
        "an escape in dots",
        "escape",
        insert(2, event("file_edit", file=f"{WORKSPACE}/../{ESCAPE}")),
        ["AS-TOOL-04"],
    ),
    ("a neighbour folder", "escape", insert(2, event("file_edit", file=f"{WORKSPACE}-2/a")), ["AS-TOOL-04"]),
    ("a refusal untold", "error-status", without("error"), ["AS-ERR-01a"]),
    ("a blank error", "error-status", changed("error", error=" \n"), ["AS-ERR-01a"]),
    ("a refusal after a tool untold", "error-after-tool", without("error"), ["AS-ERR-01a"]),
    (
        "a refusal as text",
        "error-status",
        lambda events: [
            events[0],
            event("chat_start"),
            event("chat", content="Error: scripted refusal"),
            event("chat_end"),
            events[-1],
        ],
        ["AS-ERR-01a"],
    ),
    ("a failing stream untold", "error-in-stream", without("error"), ["AS-ERR-01b"]),
    (
        "a failing stream as text",
        "error-in-stream",
        lambda events: [*events[:4], event("chat", content="[scripted failure]"), *events[4:-2], events[-1]],
        ["AS-ERR-01b"],
    ),
    ("a reset untold", "cut-reset", without("error"), ["AS-ERR-02a"]),
    ("a reset untold, its text lost", "cut-reset", lambda events: [events[0], events[-1]], ["AS-ERR-02a"]),
    (
        "a reset untold, part of the text",
        "cut-reset",
        lambda events: [*events[:3], event("chat_end"), events[-1]],
        ["AS-ERR-02a"],
    ),
    (
        "a reset untold after a retry",
        "cut-reset",
        lambda events: [*events[:4], *events[2:4], event("chat_end"), events[-1]],
        ["AS-ERR-02a"],
    ),
    ("a cut untold", "cut-close", without("error"), ["AS-ERR-02b"]),
    ("no user", "text", without("user"), ["AS-2-01"]),
    ("user second", "text", swapped(("user", 0), ("chat_start", 0)), ["AS-2-01"]),
    ("user without the prompt", "text", changed("user", content="something else"), ["AS-2-01"]),
    ("user cut short", "tools", changed("user", content="test"), ["AS-2-01"]),
    ("no chat_start", "text", without("chat_start"), ["AS-2-02a"]),
    ("no chat_end", "text", without("chat_end"), ["AS-2-02a"]),
    ("no chat_end in the first of two runs", "tools", without("chat_end"), ["AS-2-02a"]),
    ("chat after its end", "text", swapped(("chat", 3), ("chat_end", 0)), ["AS-2-02a"]),
    (
        "reasoning inside chat only",
        "reasoning",
        lambda events: [e for e in events if e["type"] not in ("reasoning_start", "reasoning_end")],
        ["AS-2-02a"],
    ),
    ("open at an error", "error-in-stream", without("chat_end"), ["AS-2-02a"]),
    ("summary never ends", "text", insert(1, event("summary_start")), ["AS-2-02a", "AS-2-02b"]),
    ("overlap", "reasoning", moved("reasoning_end", 0, -3), ["AS-2-02b"]),
    (
        "an event between error and done",
        "error-status",
        insert(-2, event("file_edit", file=f"{WORKSPACE}/x")),
        ["AS-2-03", "AS-TOOL-03"],
    ),
    ("segment ends after the error", "error-in-stream", swapped(("chat_end", 0), ("error", 0)), ["AS-2-03"]),
    ("two errors", "error-status", doubled("error"), ["AS-2-03"]),
    ("diff is no diff", "edit", changed("file_edit", diff="+made by sse-conformance"), ["AS-2-04"]),
    (
        "diff of another file",
        "edit",
        changed("file_edit", diff="--- a/other.txt\n+++ b/other.txt\n@@ -0,0 +1 @@\n+made\n"),
        ["AS-2-04"],
    ),
    (
        "diff whose hunk counts wrongly",
        "edit",
        changed(
            "file_edit",
            diff="--- a/sse-conformance-edit.txt\n+++ b/sse-conformance-edit.txt\n@@ -1 +1 @@\n-a\n\n+b\n",
        ),
        ["AS-2-04"],
    ),
]


@pytest.mark.parametrize(("name", "bend", "broken"), [d[1:] for d in DEFECTS], ids=[d[0] for d in DEFECTS])
def test_a_defect_breaks_its_requirement(name: str, bend: Bend, broken: list[str]) -> None:
    of = turn_case(name, bend(events_of(name)))
    assert red(of) == set(broken)


def test_findings_tell_event_and_bytes() -> None:
    events = without("chat", 211)(events_of("long-text"))
    of = turn_case("long-text", events)
    (finding,) = verdicts(of)["AS-TXT-01"].findings
    at = index_of(events, "chat", 211)  # the first event whose text is not where it belongs
    assert finding.event == at
    assert finding.span is not None
    start, end = finding.span
    body = of.streams[0].body
    assert body[start:end] == encode([events[at]])
    assert finding.role == "stream"


# What is unusual and right, in which turn.
LEGAL: list[tuple[str, str, Bend]] = [
    ("members beyond the document", "text", changed("chat", 0, model="x", tokens=[1])),
    ("user with checkpoint and session", "text", changed("user", checkpoint="abc", session="session_1")),
    (
        "all text in one event",
        "text",
        lambda events: [
            *events[:2],
            event("chat", content="Hello, this is a scripted answer."),
            *events[-2:],
        ],
    ),
    (
        "a segment for each chunk",
        "text",
        lambda events: [
            x
            for e in events
            if e["type"] not in ("chat_start", "chat_end")
            for x in ([event("chat_start"), e, event("chat_end")] if e["type"] == "chat" else [e])
        ],
    ),
    ("an empty chunk", "text", insert(3, event("chat", content=""))),
    ("empty segments", "empty", insert(1, event("chat_start"), event("chat_end"))),
    ("a skipped summary", "text", insert(1, event("summary_start"), event("summary_end"))),
    (
        "more args than the model gave",
        "tools",
        changed("tool_call", args={"path": "sse-conformance-no-such-file-one.txt", "recursive": False}),
    ),
    (
        "a call of the agent's own",
        "tools",
        insert(1, event("tool_call", name="set_title", args={"title": "x"})),
    ),
    ("the call before its own turn's text", "tools", moved("tool_call", 0, 1)),
    ("one call edits two files", "edit", insert(-2, event("file_edit", file=f"{WORKSPACE}/b.txt"))),
    ("both calls, then both edits", "edit-twice", moved("file_edit", 0, -2)),
    ("a doubled slash", "edit", changed("file_edit", file=f"/{WORKSPACE}//sse-conformance-edit.txt")),
    (
        "a diff",
        "edit-twice",
        changed(
            "file_edit",
            1,
            diff=(
                "--- a//srv/work/sse-conformance-twice.txt\n+++ b//srv/work/sse-conformance-twice.txt\n"
                "@@ -1,2 +1,3 @@\n one\n-two\n+three\n+four\n"
            ),
        ),
    ),
    ("an empty diff", "edit", changed("file_edit", diff="")),
    (
        "a diff without a final newline",
        "edit",
        changed(
            "file_edit",
            diff=(
                "--- /dev/null\t2026-01-01\n+++ /srv/work/sse-conformance-edit.txt\t2026-01-01\n"
                "@@ -0,0 +1,2 @@\n+one\n+two\n\\ No newline at end of file\n"
            ),
        ),
    ),
    (
        "words of the agent for an empty answer",
        "empty",
        insert(1, event("chat_start"), event("chat", content="I have nothing to say."), event("chat_end")),
    ),
    ("an edit refused, told inside", "escape", insert(3, event("file_edit", file=f"{WORKSPACE}/{ESCAPE}"))),
    (
        "an answer that went on after a reset",
        "cut-reset",
        lambda events: [
            *events[:4],
            event("chat", content="and now the whole of it."),
            event("chat_end"),
            events[-1],
        ],
    ),
    (
        "an answer that went on after a failure",
        "error-in-stream",
        lambda events: [
            *events[:4],
            event("chat", content="and now the whole of it."),
            event("chat_end"),
            events[-1],
        ],
    ),
    ("chunks lost before a failure", "error-in-stream", lambda events: [events[0], *events[-2:]]),
]


@pytest.mark.parametrize(("name", "bend"), [d[1:] for d in LEGAL], ids=[d[0] for d in LEGAL])
def test_what_is_unusual_and_legal_stays_green(name: str, bend: Bend) -> None:
    of = turn_case(name, bend(events_of(name)))
    assert red(of) == set()
    assert unsure(of) == set()


def test_the_bends_bend() -> None:
    """Each defect changes its stream, so that none is caught for nothing."""
    for what, name, bend, _ in DEFECTS:
        events = events_of(name)
        assert json.dumps(bend(events)) != json.dumps(events), what
