"""The grammar of scripts, as the reference server reads it."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.profile_file import default_profile
from conformance.schema_store import own_validator
from conformance.turns import TURNS, ScriptedTurn
from reference_server.script import (
    CONSTANT,
    EMPTY,
    MAX_FILL,
    Failure,
    Fill,
    ModelTurn,
    Script,
    ScriptError,
    ToolCall,
    parse_script,
    read_directive,
)

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = own_validator("script")
SHOWN = json.loads((ROOT / "schemas/own/script.schema.json").read_text(encoding="utf-8"))


def directive(data: object) -> str:
    return f"[[script {json.dumps(data)}]]"


def test_prompt_without_a_directive_has_no_script() -> None:
    assert read_directive("") is None
    assert read_directive("[script {}] [[scripts {}]] [[script{}]]") is None


def test_whole_grammar() -> None:
    data = {
        "turns": [
            {
                "reasoning": ["hm"],
                "text": ["a", {"fill": 12, "times": 2}],
                "tools": [
                    {"name": "read", "args": {"p": [1]}, "result": "r", "fails": True, "edits": "/w/a.py"},
                    {"name": "list", "args": {}},
                ],
                "stall_ms": 5,
            },
            {"error": {"message": "later", "status": 429, "retry_after": 2, "times": 1}, "text": ["b"]},
        ],
        "pace_ms": 20,
        "repeat": True,
    }
    assert read_directive(f"before {directive(data)} after") == Script(
        (
            ModelTurn(
                reasoning=("hm",),
                text=("a", Fill(12, 2)),
                tools=(ToolCall("read", {"p": [1]}, "r", True, "/w/a.py"), ToolCall("list", {})),
                stall_ms=5,
            ),
            ModelTurn(text=("b",), error=Failure("later", 429, retry_after=2, times=1)),
        ),
        pace_ms=20,
        repeat=True,
    )


@pytest.mark.parametrize(
    "turn",
    [
        {"error": {"message": "m", "in_stream": True}, "text": ["x"]},
        {"cut": "reset", "text": ["x"]},
        {"cut": "close"},
        {},
        {"text": [""]},
        {"error": {"message": "", "status": 400}},
        {"error": {"message": "m", "status": 500, "times": 2}, "cut": "close"},
    ],
)
def test_legal_turns(turn: dict[str, Any]) -> None:
    assert len(parse_script({"turns": [turn]}).turns) == 1


def test_json_may_hold_the_closing_brackets() -> None:
    script = read_directive(directive({"turns": [{"text": ["]] [[script ", "x]]"]}]}) + "]]")
    assert script is not None
    assert list(script.turns[0].text_chunks()) == ["]] [[script ", "x]]"]


def test_first_directive_counts() -> None:
    first, second = directive({"turns": [{"text": ["1"]}]}), directive({"turns": [{"text": ["2"]}]})
    script = read_directive(first + second)
    assert script is not None
    assert script.turns[0].text == ("1",)


def test_white_space_around_the_json_is_legal() -> None:
    assert read_directive('[[script \n {"turns": [{}]}\n ]]') == Script((ModelTurn(),))


ERRORS: list[tuple[object, str, tuple[str | int, ...]]] = [
    ([], "expected an object, found a list", ()),
    ({}, '"turns" is missing', ()),
    ({"turns": []}, "at least one turn", ("turns",)),
    ({"turns": {}}, "expected a list, found an object", ("turns",)),
    ({"turns": [{}], "pace": 1}, 'unknown key "pace"', ()),
    ({"turns": [{}], "pace_ms": -1}, "whole number of at least 0, found -1", ("pace_ms",)),
    ({"turns": [{}], "pace_ms": 1.5}, "found 1.5", ("pace_ms",)),
    ({"turns": [{}], "pace_ms": True}, "found true", ("pace_ms",)),
    ({"turns": [{}], "repeat": 1}, "expected true or false, found 1", ("repeat",)),
    ({"turns": ["x"]}, 'expected an object, found "x"', ("turns", 0)),
    ({"turns": [{}, {}]}, "a turn without tools is the last one", ("turns", 1)),
    ({"turns": [{"tools": []}, {}]}, "a turn without tools is the last one", ("turns", 1)),
    ({"turns": [{"say": []}]}, 'unknown key "say"', ("turns", 0)),
    ({"turns": [{"text": "x"}]}, 'expected a list, found "x"', ("turns", 0, "text")),
    ({"turns": [{"text": ["a", 1]}]}, "expected a string or a fill, found 1", ("turns", 0, "text", 1)),
    ({"turns": [{"text": [{"fill": 1}]}]}, '"times" is missing', ("turns", 0, "text", 0)),
    ({"turns": [{"text": [{"fill": 0, "times": 1}]}]}, "found 0", ("turns", 0, "text", 0, "fill")),
    (
        {"turns": [{"text": [{"fill": MAX_FILL + 1, "times": 1}]}]},
        "from 1 to",
        ("turns", 0, "text", 0, "fill"),
    ),
    ({"turns": [{"tools": [{"name": "x"}]}]}, '"args" is missing', ("turns", 0, "tools", 0)),
    ({"turns": [{"tools": [{"name": "x", "args": []}]}]}, "found a list", ("turns", 0, "tools", 0, "args")),
    ({"turns": [{"tools": [{"name": "", "args": {}}]}]}, "an empty string", ("turns", 0, "tools", 0, "name")),
    (
        {"turns": [{"tools": [{"name": "x", "args": {}, "edits": "a/b"}]}]},
        'an absolute path, found "a/b"',
        ("turns", 0, "tools", 0, "edits"),
    ),
    (
        {"turns": [{"tools": [{"name": "x", "args": {}, "fails": "no"}]}]},
        "expected true or false",
        ("turns", 0, "tools", 0, "fails"),
    ),
    ({"turns": [{"cut": "off"}]}, 'expected "reset" or "close", found "off"', ("turns", 0, "cut")),
    ({"turns": [{"cut": None}]}, "found null", ("turns", 0, "cut")),
    ({"turns": [{"text": None}]}, "expected a list, found null", ("turns", 0, "text")),
    ({"turns": [{"stall_ms": "1"}]}, "found", ("turns", 0, "stall_ms")),
    ({"turns": [{"error": "no"}]}, "expected an object", ("turns", 0, "error")),
    ({"turns": [{"error": {"message": "m"}}]}, '"status" or "in_stream"', ("turns", 0, "error")),
    ({"turns": [{"error": {"status": 400}}]}, '"message" is missing', ("turns", 0, "error")),
    (
        {"turns": [{"error": {"message": "m", "status": 200}}]},
        "from 400 to 599, found 200",
        ("turns", 0, "error", "status"),
    ),
    (
        {"turns": [{"error": {"message": "m", "status": 400, "in_stream": True}}]},
        'beside "in_stream"',
        ("turns", 0, "error", "status"),
    ),
    (
        {"turns": [{"error": {"message": "m", "in_stream": True, "times": 1}}]},
        'beside "in_stream"',
        ("turns", 0, "error", "times"),
    ),
    (
        {"turns": [{"error": {"message": "m", "status": 400, "times": 0}}]},
        "at least 1",
        ("turns", 0, "error", "times"),
    ),
    (
        {"turns": [{"error": {"message": "m", "status": 400}, "text": ["x"]}]},
        'nothing beside "error"',
        ("turns", 0, "text"),
    ),
    (
        {"turns": [{"error": {"message": "m", "in_stream": True}, "cut": "close"}]},
        "not both",
        ("turns", 0, "cut"),
    ),
    (
        {"turns": [{"tools": [{"name": "x", "args": {}}], "cut": "close"}]},
        "never comes to its tools",
        ("turns", 0, "tools"),
    ),
]


@pytest.mark.parametrize(("data", "problem", "path"), ERRORS)
def test_errors_say_where_and_what(data: object, problem: str, path: tuple[str | int, ...]) -> None:
    with pytest.raises(ScriptError, match=re.escape(problem)) as caught:
        read_directive(f"x {directive(data)}")
    assert caught.value.path == path
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        ("[[script ", "not JSON at character 0"),
        ('[[script {"turns": [', "not JSON"),
        ('[[script {"turns": [{}]}', "expected ']]' after the JSON"),
        ('[[script {"turns": [{}]}] ]', "found '] ]'"),
        ('[[script {"turns": [{"text": [], "text": ["x"]}]}]]', 'the key "text" stands twice'),
        ('[[script {"turns": [{}], "pace_ms": NaN}]]', "NaN is not JSON"),
        ("[[script " + "[" * 200_000, "nested too deeply"),
        ("[[script " + "1" * 10_000 + "]]", "not JSON"),
    ],
)
def test_what_is_not_a_directive_is_an_error(prompt: str, problem: str) -> None:
    with pytest.raises(ScriptError, match=re.escape(problem)) as caught:
        read_directive(prompt)
    assert "\n" not in str(caught.value)


def test_yaml_data_may_have_keys_that_json_has_not() -> None:
    with pytest.raises(ScriptError, match="unknown key 1"):
        parse_script({"turns": [{}], 1: 2})
    with pytest.raises(ScriptError, match="found a date"):
        parse_script({"turns": [{"text": [datetime.date(2026, 1, 1)]}]})


def test_turns_past_the_end() -> None:
    tool = ModelTurn(tools=(ToolCall("t", {}),))
    text = ModelTurn(text=("x",))
    assert Script((tool, text)).turn(1) is text
    assert Script((tool, text)).turn(2) is CONSTANT
    assert Script((tool,)).turn(1) is EMPTY
    assert Script((tool,)).turn(2) is CONSTANT
    assert Script((tool,), repeat=True).turn(7) is tool


def test_fills_are_written_out_one_by_one() -> None:
    assert list(Fill(40, 2).chunks()) == [
        "00000000 abcdefghijklmnopqrstuvwxyzabcde",
        "00000001 abcdefghijklmnopqrstuvwxyzabcde",
    ]
    assert list(Fill(3, 1).chunks()) == ["000"]
    endless = ModelTurn(text=("head", Fill(10, 10**12))).text_chunks()
    assert [next(endless) for _ in range(3)] == ["head", "00000000 a", "00000001 a"]


@given(st.integers(1, 300), st.integers(1, 30))
def test_every_fill_chunk_has_its_size(size: int, times: int) -> None:
    chunks = list(Fill(size, times).chunks())
    assert len(chunks) == times
    assert {len(chunk.encode()) for chunk in chunks} == {size}


chunk = st.text(max_size=8) | st.builds(Fill, st.integers(1, 40), st.integers(1, 3))
chunks = st.lists(chunk, max_size=3).map(tuple)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
tool = st.builds(
    ToolCall,
    st.text(min_size=1, max_size=5),
    st.dictionaries(st.text(max_size=3), values, max_size=2),
    st.none() | st.text(max_size=3),
    st.booleans(),
    st.none() | st.text(max_size=4).map(lambda name: f"/{name}"),
)
with_tools = st.builds(ModelTurn, chunks, chunks, st.lists(tool, min_size=1, max_size=2).map(tuple))
failure = st.builds(Failure, st.text(max_size=4), in_stream=st.just(True)) | st.builds(
    Failure,
    st.text(max_size=4),
    st.integers(400, 599),
    retry_after=st.none() | st.integers(0, 9),
    times=st.just(2),
)
last = (
    with_tools
    | st.builds(ModelTurn, chunks, chunks, error=st.none() | failure, stall_ms=st.integers(0, 9))
    | st.builds(ModelTurn, chunks, chunks, cut=st.sampled_from(["reset", "close"]))
)
scripts = st.builds(
    lambda body, end, pace, repeat: Script((*body, end), pace, repeat),
    st.lists(with_tools, max_size=2),
    last,
    st.integers(0, 100),
    st.booleans(),
)


def to_data(script: Script) -> dict[str, Any]:
    """The grammar's JSON, written here once more so that the reader is not tested against itself."""

    def pieces(items: tuple[str | Fill, ...]) -> list[object]:
        return [i if isinstance(i, str) else {"fill": i.size, "times": i.times} for i in items]

    def turn(each: ModelTurn) -> dict[str, Any]:
        data: dict[str, Any] = {"reasoning": pieces(each.reasoning), "text": pieces(each.text)}
        if each.tools:
            data["tools"] = [
                {"name": t.name, "args": t.args, "fails": t.fails}
                | ({} if t.result is None else {"result": t.result})
                | ({} if t.edits is None else {"edits": t.edits})
                for t in each.tools
            ]
        if each.error:
            members = ("message", "status", "in_stream", "retry_after", "times")
            found = {name: getattr(each.error, name) for name in members}
            data["error"] = {
                name: value for name, value in found.items() if value is not None and value is not False
            }
        if each.cut:
            data["cut"] = each.cut
        return data | {"stall_ms": each.stall_ms}

    turns = [turn(each) for each in script.turns]
    return {"turns": turns, "pace_ms": script.pace_ms, "repeat": script.repeat}


def complaint(read: Callable[[], object]) -> str:
    """What a reader says of bad input; anything but its own error fails the test."""
    try:
        read()
    except ScriptError as error:
        return str(error)
    return ""


@given(scripts, st.text(max_size=10), st.text(max_size=10), st.booleans())
def test_reads_back_every_script(script: Script, before: str, after: str, ascii_only: bool) -> None:
    body = json.dumps(to_data(script), ensure_ascii=ascii_only)
    assert read_directive(f"{before}[[script {body}]]{after}") == script


@given(st.text(max_size=60))
def test_raises_nothing_but_its_own_error(text: str) -> None:
    assert "\n" not in complaint(lambda: read_directive(f"[[script {text}"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 500) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["turns", "text", "tools", "error", "status", "message", "name", "args", "fill", "times"]
            ),
            inner,
            max_size=3,
        )
    ),
)


@given(json_values)
def test_any_json_is_a_script_or_an_error(data: object) -> None:
    assert "\n" not in complaint(lambda: parse_script(data))


@given(json_values)
def test_what_the_schema_refuses_the_reader_refuses(data: object) -> None:
    if not SCHEMA.is_valid(data):
        with pytest.raises(ScriptError):
            parse_script(data)


@given(scripts)
def test_what_the_reader_takes_the_schema_takes(script: Script) -> None:
    SCHEMA.validate(to_data(script))


@pytest.mark.parametrize("data", SHOWN["examples"])
def test_examples_of_the_schema_are_legal(data: object) -> None:
    parse_script(data)


@pytest.mark.parametrize("example", SHOWN["x-invalid-examples"], ids=lambda example: example["why"])
def test_invalid_examples_of_the_schema_are_errors(example: dict[str, Any]) -> None:
    with pytest.raises(ScriptError):
        parse_script(example["value"])


@pytest.mark.parametrize("turn", [turn for turn in TURNS if turn.scripted], ids=lambda turn: turn.name)
def test_both_readers_understand_what_the_harness_sends(turn: ScriptedTurn) -> None:
    sent = turn.script(default_profile("penguin/2", "http://127.0.0.1:1"))
    assert sent is not None
    script = read_directive(sent.directive())
    assert script is not None
    assert [list(each.text_chunks()) for each in script.turns] == [
        list(each.text_chunks) for each in sent.turns
    ]
    assert ["".join(each.reasoning_chunks()) for each in script.turns] == [
        each.reasoned for each in sent.turns
    ]
    assert [(t.name, t.args) for each in script.turns for t in each.tools] == [
        (t.name, t.args) for t in sent.tools
    ]


@pytest.mark.parametrize("page", ["docs/scripts.md", "docs/model.md"])
def test_examples_of_the_documentation_are_legal(page: str) -> None:
    blocks = re.findall(
        r"^```\w*\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    examples = [block for block in blocks if "[[script " in block and "# an error" not in block]
    assert examples, "the page shows no script"
    for example in examples:
        # in a shell command the JSON stands inside a JSON string
        text = example.replace('\\"', '"') if "curl" in example else example
        assert read_directive(text) is not None


def test_wrong_examples_of_the_documentation_are_errors() -> None:
    text = (ROOT / "docs/scripts.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\{.*?\})` \| (.*?) \|$", text, re.MULTILINE)
    assert len(rows) >= 5
    for data, message in rows:
        with pytest.raises(ScriptError) as caught:
            parse_script(json.loads(data))
        assert message.strip("`") == str(caught.value).replace("|", r"\|")
