"""PG-TOOL-02 and -03 over turns, exactly: which part is wrong, what is asked of equal, odd and redacted calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from conformance.findings import Judgement
from conformance.profile import Profile, Tool, Tools
from conformance.rules.base import Case
from conformance.rules.penguin_tools import (
    every_call_has_its_part,
    failing_tools_end_in_error,
    odd_calls_end_in_error,
    tool_parts,
    tools_end,
)
from conformance.script import Failure, ModelTurn, Script, ToolCall, say
from conformance.transcript import Action, Chunk, Ended, Head, Observation, Request, Transcript
from tests.support.penguin_cases import HEADERS, Event, encode, profile_of

SSE = "http://127.0.0.1:1/api/v1/events/sse"
READ = Tool("read_file", "path")
WRITE = Tool(
    "write_file", "path", content="content", shown_name="edit", shown_path="file", shown_content="new"
)
PROFILE = replace(profile_of(), tools=Tools(READ, WRITE, None))
Events = list[int | None]


def call(path: str = "a.txt", *, name: str = "read_file", fails: bool = False, **args: Any) -> ToolCall:
    return ToolCall(name, {"path": path, **args}, fails=fails)


def part(
    state: str = "completed",
    given: Any = None,
    *,
    name: str = "p",
    tool: str = "read_file",
    ident: str = "c",
    session: str = "s",
    of: str = "m",
    kind: str = "tool",
) -> Event:
    shown: Event = {
        "id": name,
        "messageID": of,
        "sessionID": session,
        "type": kind,
        "callID": ident,
        "tool": tool,
    }
    shown["state"] = {"status": state, **({} if given is None else {"input": given})}
    return {"type": "message.part.updated", "properties": {"part": shown, "sessionID": session}}


def read(path: str = "a.txt", state: str = "completed", **more: Any) -> Event:
    return part(state, {"path": path}, **more)


def transcript(*events: Event, opened: float = 0.0, until: float = 99.0, **more: Any) -> Transcript:
    head = Head(opened, 200, "OK", "1.1", HEADERS)
    chunks = (Chunk(opened + 0.1, encode(events)),) if events else ()
    made = Transcript(Request("GET", SSE), opened, head, chunks, Ended.CLOSED_BY_US, until)
    return replace(made, **more)


def prompt(*calls: ToolCall, at: float = 1.0, until: float | None = 2.0, **more: Any) -> Action:
    given = {"session": "s", "stream": "stream", "status": 200, "prompt": "do it", **more}
    script = Script((ModelTurn(tools=calls), ModelTurn(text=("Done.",)))) if calls else say("x")
    return Action(at, "prompt", script=script, until=until, **given)


def judge(
    rule: Callable[[Case], Judgement],
    seen: Transcript | dict[str, Transcript],
    *actions: Action,
    profile: Profile = PROFILE,
) -> tuple[int, Events]:
    streams = seen if isinstance(seen, dict) else {"stream": seen}
    judgement = rule(Case(Observation("tools", profile, tuple(streams.items()), actions)))
    return judgement.judged, [found.event for found in judgement.findings]


# ---- the parts of a stream


def removed(kind: str, **names: str) -> Event:
    return {"type": kind, "properties": names}


def shown(*events: Event) -> list[tuple[str, str]]:
    stream = Case(Observation("tools", PROFILE, (("stream", transcript(*events)),))).streams[0]
    return [(each.id, each.status) for each in tool_parts(stream, "s")]


def test_parts_as_they_are_in_the_end() -> None:
    a, b = part("running", name="a"), part("running", name="b", of="n")
    done = part("completed", name="a")
    assert shown(a, b, done) == [("a", "completed"), ("b", "running")]
    assert shown(a, part("", name="a")) == [("a", "running")]
    assert shown(a, part("error", name="a", kind="text"), part("error", name="a", session="t")) == [
        ("a", "running")
    ]
    assert shown(part(name="", ident="x"), part("error", name="", ident="x")) == [("x", "error")]
    assert shown(part(name="", ident=""), a) == [("a", "running")]
    assert shown(part("running", session="")) == [("p", "running")]
    by_part, by_message = (
        removed("message.part.removed", partID="a", messageID="m"),
        removed("message.removed", messageID="m"),
    )
    assert shown(a, b, by_part) == [("b", "running")]
    assert shown(a, b, by_message) == [("b", "running")]
    assert shown(a, by_part, done) == [("a", "completed")]
    assert shown(a, by_part, b, removed("message.removed", messageID="n", partID="a")) == []


# ---- PG-TOOL-02a


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([read(state="running"), read()], (1, [])),
        ([read(state="error")], (1, [])),
        ([read(state="running")], (1, [0])),
        ([read(state="pending"), read(state="running")], (1, [1])),
        ([read(ident="c"), read(ident="d")], (1, [1])),
        ([read(ident="c"), read(ident="")], (1, [])),
        ([read(), read(name="q"), read(state="running", name="r")], (3, [2])),
        ([read(state="running", ident="c"), read(state="running", ident="d")], (1, [1, 1])),
        ([], (0, [])),
    ],
)
def test_tools_end(events: list[Event], said: tuple[int, Events]) -> None:
    assert judge(tools_end, transcript(*events), prompt(call())) == said


OPEN = read(state="running")
FAILING = Script((ModelTurn(error=Failure("no", status=400)),))
FAILS = Action(3.0, "prompt", "s", stream="stream", script=FAILING, status=200, until=4.0)


@pytest.mark.parametrize(
    ("actions", "judged"),
    [
        ([prompt(call())], 1),
        ([prompt(call()), prompt(call(), at=3.0, until=4.0)], 1),  # the session once
        ([prompt(call()), prompt(at=3.0, until=99.0)], 1),
        ([prompt(call()), prompt(at=3.0, until=99.5)], 0),  # the stream was gone before the second turn's end
        ([prompt(call()), prompt(at=3.0, until=None)], 0),
        ([prompt(call()), FAILS], 0),
        ([prompt(call()), Action(3.0, "abort", session="s")], 0),
        ([prompt(call(), status=500)], 0),
    ],
)
def test_which_sessions_are_judged(actions: list[Action], judged: int) -> None:
    assert judge(tools_end, transcript(OPEN), *actions) == (judged, [0] * judged)
    # What one session is excused of does not excuse another.
    streams = {"stream": transcript(OPEN), "other": transcript(read(state="running", session="t"))}
    other = prompt(call(), session="t", stream="other")
    for acted in ([*actions, other], [other, *actions]):
        assert judge(tools_end, streams, *acted)[0] == judged + 1


def test_a_stream_that_joined_midway_excuses_no_other() -> None:
    streams = {
        "stream": transcript(OPEN, opened=1.5),
        "other": transcript(read(state="running", session="t")),
    }
    other = prompt(call(), session="t", stream="other")
    assert judge(tools_end, streams, prompt(call()), other) == (1, [0])


def test_calls_of_turns_before_the_stream_are_not_asked_for() -> None:
    early, late = prompt(call("early.txt")), prompt(call("late.txt"), at=5.0, until=6.0)
    made = transcript(read("late.txt"), opened=3.0)
    assert judge(every_call_has_its_part, made, early, late) == (1, [])
    midway = transcript(read("late.txt"), opened=1.5)
    assert judge(every_call_has_its_part, midway, early, late) == (0, [])
    assert judge(every_call_has_its_part, transcript(read("late.txt"), opened=5.0), early, late) == (1, [])


# ---- PG-TOOL-02b

BAD = call("no.txt", fails=True)


@pytest.mark.parametrize(
    ("calls", "events", "said"),
    [
        ([BAD], [read("no.txt", "error")], (2, [])),
        ([BAD], [read("no.txt")], (2, [0])),
        ([BAD], [], (1, [])),
        ([BAD], [read("no.txt"), read("no.txt", "error", name="q")], (3, [0])),
        ([BAD, call()], [read("no.txt", "error"), read(name="q")], (3, [])),
        ([BAD, call()], [read("no.txt", "error"), read(state="error", name="q")], (3, [])),
        ([BAD, BAD], [read("no.txt", "error"), read("no.txt", "error", name="q")], (4, [])),
        ([BAD, BAD], [read("no.txt", "error"), read("no.txt", name="q")], (4, [1])),
        ([BAD, BAD], [read("no.txt"), read("no.txt", name="q")], (4, [0, 1])),
        ([call("no.txt"), BAD], [read("no.txt"), read("no.txt", "error", name="q")], (3, [])),
        ([call("no.txt"), BAD], [read("no.txt"), read("no.txt", name="q")], (3, [1])),
        ([call()], [read(tool="read_file"), read(tool="other")], (1, [1])),
        ([call()], [read(tool="read_file"), read(tool="")], (1, [])),
        ([call("x", name="nobody", fails=True)], [read("x", tool="nobody")], (0, [])),  # 02c speaks
        (
            [call("x", name="nobody"), call()],
            [read("x", tool="nobody"), read(name="q"), read(name="q", tool="other")],
            (1, [2]),
        ),
    ],
)
def test_failing_tools_end_in_error(
    calls: list[ToolCall], events: list[Event], said: tuple[int, Events]
) -> None:
    assert judge(failing_tools_end_in_error, transcript(*events), prompt(*calls)) == said


# ---- PG-TOOL-02c


@pytest.mark.parametrize(
    ("calls", "events", "said"),
    [
        ([call(name="nobody")], [read(state="error", tool="nobody")], (1, [])),
        ([call(name="nobody")], [read(tool="nobody")], (1, [0])),
        ([call(name="nobody")], [read()], (0, [])),
        ([call(name="nobody"), call()], [read(), read(name="q", tool="nobody")], (1, [1])),
        ([call(name="nobody")], [], (0, [])),
        ([call()], [read()], (0, [])),
        ([ToolCall("read_file", {"file": 7})], [read(state="error")], (1, [])),
        ([ToolCall("read_file", {"file": 7})], [read(), read(name="q", tool="other")], (1, [0])),
        ([ToolCall("write_file", {"file": 7})], [read(tool="edit")], (1, [0])),
    ],
)
def test_odd_calls_end_in_error(calls: list[ToolCall], events: list[Event], said: tuple[int, Events]) -> None:
    judgement = odd_calls_end_in_error(
        Case(Observation("tools", PROFILE, (("stream", transcript(*events)),), (prompt(*calls),)))
    )
    assert (judgement.judged, [found.event for found in judgement.findings]) == said
    assert bool(judgement.not_applicable) is (said[0] == 0)


# ---- PG-TOOL-03


@pytest.mark.parametrize(
    ("calls", "events", "said"),
    [
        ([call()], [read()], (1, [])),
        ([call()], [], (1, [None])),
        ([call()], [read("b.txt")], (1, [None])),
        ([call()], [read("/srv/work/a.txt")], (1, [])),
        ([call()], [read("/srv/work/xa.txt")], (1, [None])),
        ([call()], [read(), read(name="q")], (1, [1])),
        ([call(), call()], [read(), read(name="q")], (1, [])),
        ([call(), call()], [read()], (1, [0])),
        ([call(), call("b.txt")], [read(), read("b.txt", name="q")], (2, [])),
        ([call(), call("b.txt")], [read(), read(name="q")], (2, [1, None])),
        ([call()], [read(tool="other")], (1, [0])),
        ([call()], [part(given={"file": "a.txt"})], (1, [0])),  # under another name
        ([call()], [part(given={"path": "a.txt", "more": 1})], (1, [])),
        ([call()], [part(given=["a.txt"])], (1, [0])),
        ([call()], [part(given={"deep": [{"path": "a.txt"}]})], (1, [0])),
        ([call(lines=3)], [part(given={"path": "a.txt", "lines": 3})], (1, [])),
        ([call(lines=3)], [part(given={"path": "a.txt", "lines": "3"})], (1, [None])),
        ([call(lines=1)], [part(given={"path": "a.txt", "lines": True})], (1, [None])),
        ([call(name="nobody")], [], (0, [])),
        ([call(), call(name="nobody")], [read(), read(name="q")], (1, [])),  # it may have a part or not
        ([call(), call(name="nobody")], [read()], (1, [])),
    ],
)
def test_every_call_has_its_part(
    calls: list[ToolCall], events: list[Event], said: tuple[int, Events]
) -> None:
    assert judge(every_call_has_its_part, transcript(*events), prompt(*calls)) == said


WRITES = ToolCall("write_file", {"path": "a.txt", "content": "hello"})


@pytest.mark.parametrize(
    ("given", "tool", "events"),
    [
        ({"file": "a.txt", "new": "hello"}, "edit", []),
        ({"file": "a.txt", "new": "hello"}, "", []),
        ({"file": "a.txt", "new": "hello"}, "write_file", [0]),
        ({"path": "a.txt", "content": "hello"}, "edit", [0]),
        ({"file": "a.txt"}, "edit", [None]),
    ],
)
def test_a_tool_that_is_shown_otherwise(given: Any, tool: str, events: Events) -> None:
    made = transcript(part(given=given, tool=tool))
    assert judge(every_call_has_its_part, made, prompt(WRITES)) == (1, events)


def test_what_is_redacted_need_not_be_shown() -> None:
    hidden = replace(PROFILE, redact=("content",))
    made = transcript(part(given={"file": "a.txt"}, tool="edit"))
    assert judge(every_call_has_its_part, made, prompt(WRITES), profile=hidden) == (1, [])


def test_where_parts_show_no_input_nothing_is_asked_of_it() -> None:
    first = replace(PROFILE, protocol="penguin/1")
    assert judge(every_call_has_its_part, transcript(part()), prompt(call()), profile=first) == (0, [])
    assert judge(
        every_call_has_its_part, transcript(part(), read("b.txt")), prompt(call()), profile=first
    ) == (1, [None])
    streams = {"stream": transcript(part()), "other": transcript(part(given={"x": 1}, session="t"))}
    other = prompt(call(), session="t", stream="other")
    assert judge(every_call_has_its_part, streams, prompt(call()), other, profile=first) == (1, [None])
