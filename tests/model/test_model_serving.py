"""The scripted model over real sockets: every feature of the grammar, as a client sees it."""

from __future__ import annotations

import base64
import json
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.scripted_model import (
    DEADLINE,
    Model,
    chat_body,
    eventually,
    prompt,
    read_answer,
    request,
    serving,
)

NEVER_MS = 3_600_000
TOOL = {"name": "read_file", "args": {"path": "a.py", "deep": {"x": [1, "é"]}}}


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with serving() as running:
        yield running


def roles(*turns: list[str] | str) -> list[dict[str, Any]]:
    """Messages: "u:text" is the user's, "a:text" an answer, "t" a tool's result."""
    names = {"u": "user", "a": "assistant", "s": "system", "t": "tool"}
    return [{"role": names[turn[0]], "content": turn[2:]} for turn in turns if isinstance(turn, str)]


def test_text_comes_chunk_by_chunk(model: Model) -> None:
    answer = model.play([{"text": ["Hello, ", "", "\u2028\r\n\n", "]] \U0001f600", "end"]}])
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.complete
    assert answer.data[-1] == "[DONE]"
    assert answer.data.count("[DONE]") == 1
    assert answer.said() == ["Hello, ", "\u2028\r\n\n", "]] \U0001f600", "end"]
    assert answer.deltas[0] == {"role": "assistant", "content": ""}
    assert len(answer.deltas) == 6, "an empty chunk is a chunk too"
    assert {chunk["object"] for chunk in answer.chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in answer.chunks}) == 1
    assert [chunk["choices"][0]["finish_reason"] for chunk in answer.chunks[-2:]] == [None, "stop"]
    assert answer.body.isascii()


def test_reasoning_comes_before_text(model: Model) -> None:
    answer = model.play([{"text": ["So."], "reasoning": ["Let ", "me."]}])
    assert answer.deltas[1:] == [
        {"reasoning": "Let ", "reasoning_content": "Let "},
        {"reasoning": "me.", "reasoning_content": "me."},
        {"content": "So."},
    ]


@pytest.mark.parametrize("member", ["reasoning", "reasoning_content"])
def test_reasoning_in_one_member(member: Any) -> None:
    with serving(reasoning=member) as model:
        assert model.play([{"reasoning": ["hm"]}]).deltas[1:] == [{member: "hm"}]


def test_tool_calls_come_in_pieces(model: Model) -> None:
    answer = model.play([{"text": ["I look. "], "tools": [TOOL, {"name": "list_files", "args": {}}]}])
    assert answer.said() == ["I look. "]
    assert answer.chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    calls: dict[int, dict[str, str]] = {}
    pieces = 0
    for delta in answer.deltas[2:]:
        (call,) = delta["tool_calls"]
        if call["index"] not in calls:
            assert call["type"] == "function"
            calls[call["index"]] = {"id": call["id"], "name": call["function"]["name"], "arguments": ""}
        else:
            assert set(call) == {"index", "function"}
            pieces += 1
        calls[call["index"]]["arguments"] += call["function"]["arguments"]
    assert [(calls[i]["name"], json.loads(calls[i]["arguments"])) for i in (0, 1)] == [
        ("read_file", TOOL["args"]),
        ("list_files", {}),
    ]
    assert pieces > 2
    assert calls[0]["id"] != calls[1]["id"]


def test_usage_only_when_asked_for(model: Model) -> None:
    script = prompt([{"text": ["a", "b"]}])
    assert all("usage" not in chunk for chunk in model.chat(script).chunks)
    last = model.chat(script, stream_options={"include_usage": True}).chunks[-1]
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 2
    assert last["usage"]["total_tokens"] == 2 + last["usage"]["prompt_tokens"]


def test_answer_without_a_stream(model: Model) -> None:
    answer = model.chat(
        prompt([{"reasoning": ["h", "m"], "text": ["a", "b"], "tools": [TOOL]}]), stream=False
    )
    (choice,) = answer.json["choices"]
    assert choice["finish_reason"] == "tool_calls"
    message = choice["message"]
    assert (message["content"], message["reasoning"], message["reasoning_content"]) == ("ab", "hm", "hm")
    (call,) = message["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == TOOL["args"]
    assert answer.json["object"] == "chat.completion"
    assert answer.json["usage"]["completion_tokens"] == 4


def test_prompt_without_a_script_gets_the_constant(model: Model) -> None:
    first, second = model.chat("hello"), model.chat("something else")
    assert first.said() == second.said() != []


def test_past_the_end_comes_the_constant_and_after_tools_an_empty_answer(model: Model) -> None:
    constant = "".join(model.chat("hello").said())
    said = {"role": "assistant", "content": "x"}
    text = prompt([{"text": ["only"]}])
    assert "".join(model.chat(text, said).said()) == constant
    tools = prompt([{"tools": [TOOL]}])
    empty = model.chat(tools, said)
    assert empty.said() == []
    assert empty.chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert "".join(model.chat(tools, said, said).said()) == constant


def test_last_turn_repeats(model: Model) -> None:
    script = prompt([{"text": ["first"], "tools": [TOOL]}, {"text": ["again"], "tools": [TOOL]}], repeat=True)
    said = {"role": "assistant", "content": "x"}
    heard = [model.chat(script, *[said] * number).said() for number in range(5)]
    assert heard == [["first"], ["again"], ["again"], ["again"], ["again"]]


def test_turn_is_counted_from_the_last_directive(model: Model) -> None:
    script = prompt([{"text": [str(n)], "tools": [TOOL]} for n in range(4)])
    old = prompt([{"text": ["old"]}])
    cases = {
        "0": roles(f"u:{script}"),
        "1": roles(f"u:{script}", "a:x", "t:result", "t:result"),
        "2": roles("s:be good", f"u:{old}", "a:x", f"u:{script}", "a:x", "t:r", "a:x", "t:r", "u:go on"),
        "3": roles(f"u:{script}", "a:", "u:nudge", "a:x", "a:x"),
        "old": roles(f"u:{script}", "a:x", f"u:{old}"),
    }
    assert {name: model.chat(*messages).said() for name, messages in cases.items()} == {n: [n] for n in cases}


def test_turn_is_counted_by_the_tool_calls_where_an_agent_merges_or_splits_answers(model: Model) -> None:
    def calls_of(*messages: dict[str, Any] | str) -> tuple[list[dict[str, Any]], list[str]]:
        message = model.chat(*messages, stream=False).json["choices"][0]["message"]
        return message.get("tool_calls", []), [message["content"] or ""]

    script = prompt([{"text": ["one "], "tools": [TOOL]}, {"tools": [TOOL]}, {"text": ["three"]}])
    first, _ = calls_of(script)
    second, _ = calls_of(script, {"role": "assistant", "content": "one ", "tool_calls": first})
    assert len(first) == len(second) == 1
    merged = {"role": "assistant", "content": "one ", "tool_calls": first + second}
    assert calls_of(script, merged) == ([], ["three"])
    split = [
        {"role": "assistant", "content": "one "},
        {"role": "assistant", "content": "", "tool_calls": first},
        {"role": "tool", "content": "r", "tool_call_id": first[0]["id"]},
    ]
    assert calls_of(script, *split)[1] == [""]
    foreign = {"role": "assistant", "content": "", "tool_calls": [{"id": "toolu_1"}]}
    assert calls_of(script, foreign, foreign) == ([], ["three"])


def test_content_may_be_parts(model: Model) -> None:
    parts = [{"type": "text", "text": "Look:"}, {"type": "image_url", "image_url": {"url": "x"}}]
    script = {"type": "text", "text": prompt([{"text": ["seen"]}])}
    assert model.chat({"role": "user", "content": [*parts, script]}).said() == ["seen"]


def test_side_calls_are_known_before_any_directive(model: Model) -> None:
    script = prompt([{"text": ["the conversation"]}])
    title = {"role": "system", "content": "\nYou are a title generator. You output ONLY a thread title."}
    first = model.chat(title, script)
    assert first.said() == ["A scripted title"]
    assert model.calls()[-1]["side_call"] == "title"
    other = {"role": "system", "content": "You are an agent. Never say: You are a title generator."}
    assert model.chat(other, script).said() == ["the conversation"]


def test_error_status(model: Model) -> None:
    answer = model.play([{"error": {"message": "not today", "status": 418}}])
    assert answer.status == 418
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["error"]["message"] == "not today"
    assert "retry-after" not in answer.headers
    eventually(lambda: model.calls()[-1]["state"] == "refused")
    assert model.play([{"error": {"message": "m", "status": 418}}]).status == 418, "without `times`: always"


def test_error_with_retry_after(model: Model) -> None:
    answer = model.play([{"error": {"message": "slow", "status": 429, "retry_after": 7}}])
    assert (answer.status, answer.headers["retry-after"]) == (429, "7")


def test_error_fails_so_often_then_the_chunks_come(model: Model) -> None:
    turns = [{"error": {"message": "busy", "status": 503, "times": 2}, "text": ["at last"]}]
    for _ in range(2):  # and a fresh session with the same prompt sees the same
        assert [model.play(turns).status for _ in range(2)] == [503, 503]
        assert model.play(turns).said() == ["at last"]


def test_failures_are_counted_per_conversation(model: Model) -> None:
    script = prompt([{"error": {"message": "busy", "status": 503, "times": 1}, "text": ["ok"]}])
    statuses = [model.chat(*messages).status for messages in (("one", script), ("two", script)) * 2]
    assert statuses == [503, 503, 200, 200]


def test_system_prompts_that_change_do_not_start_the_count_anew(model: Model) -> None:
    script = prompt([{"error": {"message": "busy", "status": 503, "times": 1}, "text": ["clock"]}])
    statuses = [model.chat(*roles(f"s:it is {hour} o'clock", f"u:{script}")).status for hour in (1, 2)]
    assert statuses == [503, 200]


def test_error_in_the_stream(model: Model) -> None:
    answer = model.play([{"text": ["This ", "breaks"], "error": {"message": "fuse", "in_stream": True}}])
    assert answer.status == 200
    assert answer.said() == ["This ", "breaks"]
    assert json.loads(answer.data[-1])["error"]["message"] == "fuse"
    assert "[DONE]" not in answer.data
    assert answer.complete, "the connection itself ends in order"
    eventually(lambda: model.calls()[-1]["state"] == "failed")


def test_cut_by_close_ends_in_order_without_the_marker(model: Model) -> None:
    answer = model.play([{"text": ["Half an ", "answer"], "cut": "close"}])
    assert answer.said() == ["Half an ", "answer"]
    assert "[DONE]" not in answer.data
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in answer.chunks)
    assert answer.complete
    assert not answer.reset


@pytest.mark.parametrize("http", ["h11", "httptools"])
@pytest.mark.parametrize("size", [1, 400_000])
def test_cut_by_reset_comes_after_all_chunks(http: str, size: int) -> None:
    if http == "httptools":
        pytest.importorskip("httptools")
    with serving(http=http) as model:
        answer = model.play([{"text": ["Half ", {"fill": size, "times": 3}], "cut": "reset"}])
        assert answer.reset
        assert not answer.complete
        assert len(answer.said()) == 4
        assert sum(len(piece) for piece in answer.said()) == 5 + 3 * size
        eventually(lambda: model.calls()[-1]["state"] == "cut")
        assert model.play([{"text": ["alive"]}]).said() == ["alive"]


def test_failures_without_a_stream(model: Model) -> None:
    def play(turn: dict[str, Any]) -> Any:
        return model.chat(prompt([turn]), stream=False)

    broken = play({"text": ["x"], "error": {"message": "fuse", "in_stream": True}})
    assert (broken.status, broken.json["error"]["message"]) == (500, "fuse")
    closed = play({"text": ["half"], "cut": "close"})
    assert closed.json["choices"][0]["finish_reason"] is None
    reset = play({"text": ["half"], "cut": "reset"})
    assert reset.reset
    assert not reset.complete
    assert reset.body.startswith(b'{"id"')


def test_chunks_are_withheld_for_the_pace(model: Model) -> None:
    with model.connect() as connection:
        started = time.monotonic()
        turns = [{"text": ["one", "two"]}]
        connection.sendall(request("POST", "/v1/chat/completions", chat_body(prompt(turns, pace_ms=300))))
        seen = times_of(connection, [b'"one"', b'"two"', b"[DONE]"], started)
    assert seen[0] >= 0.3
    assert seen[1] >= 0.6


def test_stall_is_silence_before_the_first_chunk(model: Model) -> None:
    with model.connect() as connection:
        started = time.monotonic()
        body = chat_body(prompt([{"stall_ms": 400, "text": ["one", "two"]}]))
        connection.sendall(request("POST", "/v1/chat/completions", body))
        assert times_of(connection, [b'"one"'], started)[0] >= 0.4


@pytest.mark.parametrize("how", [{"pace_ms": NEVER_MS}, {}], ids=["pace", "stall"])
def test_the_head_comes_at_once_and_the_end_is_no_chunk(model: Model, how: dict[str, int]) -> None:
    with model.connect() as connection:
        turns = [{"text": ["late"]} | ({} if how else {"stall_ms": NEVER_MS})]
        connection.sendall(request("POST", "/v1/chat/completions", chat_body(prompt(turns, **how))))
        times_of(connection, [b'"role"'], time.monotonic())
    assert model.play([{"text": []}], pace_ms=NEVER_MS).data[-1] == "[DONE]"


def test_other_calls_go_on_during_a_stall_and_a_flood(model: Model) -> None:
    with model.connect() as stalled, model.connect() as flooded:
        body = chat_body(prompt([{"stall_ms": 60_000, "text": ["late"]}]))
        stalled.sendall(request("POST", "/v1/chat/completions", body))
        body = chat_body(prompt([{"text": [{"fill": 20, "times": 10**9}]}]))
        flooded.sendall(request("POST", "/v1/chat/completions", body))
        flooded.recv(1000)
        assert model.play([{"text": ["quick"]}]).said() == ["quick"]


def test_a_megabyte_needs_no_megabyte_of_prompt(model: Model) -> None:
    answer = model.play([{"text": [{"fill": 65536, "times": 16}]}])
    assert len("".join(answer.said())) == 1 << 20
    assert [piece[:8] for piece in answer.said()] == [f"{i:08d}" for i in range(16)]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
@pytest.mark.parametrize(
    ("stream", "turn"),
    [
        (True, {"text": ["a", "b"], "stall_ms": NEVER_MS}),
        (True, {"text": [{"fill": 65_536, "times": 10_000}]}),  # written until nobody takes any more
        (False, {"text": ["a", "b"], "stall_ms": NEVER_MS}),
        (True, {"error": {"message": "m", "status": 503, "times": 1}, "text": ["a"], "stall_ms": NEVER_MS}),
        (True, {"text": ["a"], "cut": "close", "stall_ms": NEVER_MS}),
    ],
    ids=["silent", "blocked", "whole", "refused", "cut"],
)
def test_journal_notes_a_client_that_leaves(
    model: Model, path: str, stream: bool, turn: dict[str, Any]
) -> None:
    last = model.calls()[-1]["number"] if model.calls() else 0
    connection = model.connect()
    body = {"model": "m", "stream": stream, "input": prompt([turn]), "messages": [{"role": "user"}]}
    body["messages"][0]["content"] = body["input"]
    connection.sendall(request("POST", path, body))
    eventually(lambda: [call["state"] for call in since(model, last)] == ["open"])
    assert since(model, last)[0]["ended"] is None
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    eventually(lambda: [call["state"] for call in since(model, last)] == ["cancelled"])


def test_journal_tells_what_was_asked(model: Model) -> None:
    last = model.calls()[-1]["number"]
    said = {"role": "assistant", "content": "x"}
    model.chat(prompt([{"tools": [TOOL]}, {"text": ["b", "c"]}]), said, model="some/model")
    model.chat("plain", stream=False)
    model.post("/v1/embeddings", {"model": "e", "input": "x"})
    eventually(lambda: all(call["ended"] for call in model.calls()[-3:]))
    calls = model.get(f"/__model/calls?since={last}").json
    shown = [
        (c["number"] - last, c["path"], c["model"], c["stream"], c["turn"], c["state"], c["chunks"])
        for c in calls
    ]
    assert shown == [
        (1, "/v1/chat/completions", "some/model", True, 1, "finished", 2),
        (2, "/v1/chat/completions", "any", False, None, "finished", 3),
        (3, "/v1/embeddings", "e", False, None, "finished", 0),
    ]
    assert all(0 <= call["started"] <= call["ended"] for call in calls)
    assert model.get("/__model/calls?since=x").status == 400


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        ([], "not a JSON object"),
        ({}, "`messages`"),
        ({"messages": []}, "`messages`"),
        ({"messages": ["x"]}, "a message is not"),
        ({"messages": [{"role": "user", "content": "[[script {]]"}]}, "script: not JSON"),
        (
            {"messages": [{"role": "user", "content": '[[script {"turns": 1}]]'}]},
            "script.turns: expected a list",
        ),
    ],
)
def test_bad_requests(model: Model, body: object, says: str) -> None:
    answer = model.post("/v1/chat/completions", body)
    assert answer.status == 400
    assert says in answer.json["error"]["message"]


def test_other_routes(model: Model) -> None:
    assert model.get("/v1/models").json["data"][0]["id"] == "scripted"
    assert model.get("/v1/models/vendor/name").json["id"] == "vendor/name"
    assert model.get("/nothing").status == 404
    assert model.get("/v1/nothing").json["error"]["message"] == "no such route: /v1/nothing"
    # A base URL without its end is the commonest mistake.
    assert (
        model.post("/chat/completions", {})
        .json["error"]["message"]
        .endswith("(the base URL of this API ends in /v1)")
    )
    assert model.get("/v1/chat/completions").status == 405


def test_embeddings_are_deterministic_unit_vectors(model: Model) -> None:
    def embed(**members: Any) -> Any:
        answer = model.post("/v1/embeddings", {"model": "e", **members})
        return answer.json["data"] if answer.status == 200 else answer.json["error"]["message"]

    one, two = embed(input=["a", "b"])
    (again,) = embed(input="a")
    assert one["embedding"] == again["embedding"] != two["embedding"]
    assert two["index"] == 1
    assert abs(sum(value * value for value in one["embedding"]) - 1) < 1e-6
    (small,) = embed(input="a", dimensions=3)
    assert len(small["embedding"]) == 3
    (packed,) = embed(input="a", dimensions=3, encoding_format="base64")
    unpacked = struct.unpack("<3f", base64.b64decode(packed["embedding"]))
    assert unpacked == pytest.approx(small["embedding"])
    assert len(embed(input=[1, 2, 3])) == 1
    assert "`input`" in embed(input=[])
    assert "`dimensions`" in embed(input="x", dimensions=0)


def test_any_token_is_accepted_unless_one_is_required() -> None:
    body = chat_body(prompt([{"text": ["in"]}]))
    with serving() as model:
        assert model.post("/v1/chat/completions", body, {"Authorization": "Bearer any"}).said() == ["in"]
    with serving(token="right") as model:
        refused = model.post("/v1/chat/completions", body, {"Authorization": "Bearer wrong"})
        assert refused.status == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert model.get("/v1/models").status == 401
        assert model.get("/__model/calls").status == 401
        assert model.post("/v1/chat/completions", body, {"Authorization": "Bearer right"}).said() == ["in"]


def test_connections_are_kept_alive(model: Model) -> None:
    with model.connect() as connection:
        for number in range(3):
            raw = request("POST", "/v1/embeddings", {"input": str(number), "dimensions": 1})
            keep = raw.replace(b"Connection: close", b"Connection: keep-alive")
            connection.sendall(keep if number < 2 else raw)
            if number < 2:
                assert b"200 OK" in connection.recv(65536)
        assert read_answer(connection).status == 200


def times_of(connection: socket.socket, marks: list[bytes], started: float) -> list[float]:
    """When each mark was seen, in seconds since `started`."""
    seen, raw = [], b""
    while len(seen) < len(marks):
        assert time.monotonic() - started < DEADLINE
        piece = connection.recv(65536)
        assert piece, "the stream ended"
        raw += piece
        while len(seen) < len(marks) and marks[len(seen)] in raw:
            seen.append(time.monotonic() - started)
    return seen


def since(model: Model, number: int) -> list[dict[str, Any]]:
    """The calls after that one."""
    calls = model.get(f"/__model/calls?since={number}").json
    assert isinstance(calls, list)
    return calls
