"""`POST /api/chat`: what comes, in which order, and how it ends, in both revisions."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.raw_sse import RawStream, chat_body, script

AWKWARD = "a\nb\r\nc\rd\n\ndata: x\n\nevent: y\u2028\u2029\u0085\ufeff\0 é 😀"


def chat(base: str, revision: int, prompt: str, **members: object) -> RawStream:
    return RawStream(
        f"{base}/agentsmithy/{revision}/api/chat", method="POST", body=chat_body(prompt, **members)
    )


def said(stream: RawStream, kind: str = "chat") -> str:
    return "".join(event["content"] for event in stream.events if event["type"] == kind)


def test_revision_1_sends_the_documents_events_and_the_terminator(base: str) -> None:
    turn = {"reasoning": ["hm"], "text": ["Hello, ", "you."]}
    with chat(base, 1, script(turn)).to_end() as stream:
        assert stream.types == ["reasoning", "chat", "chat", "done"]
        assert said(stream) == "Hello, you."
        assert stream.events[-1]["done"] is True
        assert stream.terminated
        assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert stream.headers["cache-control"] == "no-cache"
        assert stream.headers["x-accel-buffering"] == "no"
        assert len({event["dialog_id"] for event in stream.events}) == 1


def test_revision_2_frames_segments_that_do_not_overlap(base: str) -> None:
    prompt = script(
        {"reasoning": ["hm"], "text": ["a"], "tools": [{"name": "list_files", "args": {"path": "."}}]},
        {"text": ["b"]},
    )
    with chat(base, 2, prompt).to_end() as stream:
        assert stream.types == [
            "user", "reasoning_start", "reasoning", "reasoning_end", "chat_start", "chat", "chat_end",
            "tool_call", "chat_start", "chat", "chat_end", "done",
        ]  # fmt: skip
        assert stream.events[0]["content"] == prompt


@pytest.mark.parametrize("revision", [1, 2])
def test_text_arrives_as_it_was_said(base: str, revision: int) -> None:
    with chat(base, revision, script({"text": [AWKWARD, AWKWARD[::-1]]})).to_end() as stream:
        assert said(stream) == AWKWARD + AWKWARD[::-1]


def test_an_edit_follows_its_call_and_has_a_diff_in_revision_2(base: str) -> None:
    call = {"name": "write_to_file", "args": {"path": "a/b.txt", "content": "one\ntwo"}}
    with chat(base, 2, script({"tools": [call]}, {"text": ["ok"]})).to_end() as stream:
        assert stream.types[1:3] == ["tool_call", "file_edit"]
        edit = stream.events[2]
        assert edit["file"] == "/workspace/a/b.txt"
        assert edit["diff"].splitlines()[-3:] == ["+one", "+two", "\\ No newline at end of file"]
    with chat(base, 1, script({"tools": [call]}, {"text": ["ok"]})).to_end() as stream:
        assert stream.types == ["tool_call", "file_edit", "chat", "done"]
        assert "diff" not in stream.events[1]


@pytest.mark.parametrize(
    "call",
    [
        {"name": "write_to_file", "args": {"path": "../x", "content": ""}},
        {"name": "write_to_file", "args": {"path": "/etc/passwd", "content": ""}},
        {"name": "write_to_file", "args": {"path": "x", "content": ""}, "edits": "/etc/passwd"},
        {"name": "write_to_file", "args": {"path": "x", "content": ""}, "edits": "/workspace/../x"},
        {"name": "delete_file", "args": {"path": "a/../../x"}},
        {"name": "write_to_file", "args": {"path": 7, "content": ""}},
        {"name": "no_such_tool", "args": {}},
    ],
)
def test_what_leaves_the_workspace_is_not_edited(base: str, call: dict[str, object]) -> None:
    with chat(base, 2, script({"tools": [call]}, {"text": ["ok"]})).to_end() as stream:
        assert stream.types == ["user", "tool_call", "chat_start", "chat", "chat_end", "done"]


@pytest.mark.parametrize(
    ("turn", "message"),
    [
        ({"error": {"message": "no", "status": 400}}, "no"),
        ({"text": ["half"], "error": {"message": "crash", "in_stream": True}}, "crash"),
        ({"text": ["half"], "cut": "reset"}, "reset"),
        ({"text": ["half"], "cut": "close"}, "completion marker"),
    ],
)
@pytest.mark.parametrize("revision", [1, 2])
def test_a_failing_model_gives_an_error_and_then_done(
    base: str, revision: int, turn: dict[str, object], message: str
) -> None:
    with chat(base, revision, script(turn)).to_end() as stream:
        assert stream.types[-2:] == ["error", "done"]
        assert message in stream.events[-2]["error"]
        assert stream.types.count("chat_start") == stream.types.count("chat_end")


def test_a_passing_refusal_is_tried_again(base: str) -> None:
    error = {"message": "busy", "status": 429, "times": 2, "retry_after": 0}
    with chat(base, 1, script({"error": error, "text": ["there"]})).to_end() as stream:
        assert stream.types == ["chat", "done"]


def test_an_agent_that_never_stops_by_itself_is_stopped(base: str) -> None:
    turn = {"tools": [{"name": "read_file", "args": {"path": "x"}, "fails": True}]}
    with chat(base, 1, script(turn, repeat=True)).to_end() as stream:
        assert stream.types == ["tool_call"] * 25 + ["error", "done"]


def test_an_answer_with_nothing_in_it_is_done(base: str) -> None:
    with chat(base, 1, script({})).to_end() as stream:
        assert stream.types == ["done"]


def test_head_and_heartbeats_come_before_the_first_chunk(base: str) -> None:
    with chat(base, 1, script({"text": ["late"], "stall_ms": 1500})) as stream:
        assert stream.status == 200
        assert stream.events == []
        stream.until(lambda s: s.body.count(b": ping\n\n") >= 2)
        assert stream.events == []
        stream.to_end()
        assert stream.types == ["chat", "done"]


def test_http_1_0_gets_no_chunks_and_an_end(base: str) -> None:
    url = f"{base}/agentsmithy/1/api/chat"
    with RawStream(url, method="POST", body=chat_body("hello"), version="1.0").to_end() as stream:
        assert "transfer-encoding" not in stream.headers
        assert stream.ended
        assert stream.types == ["chat", "chat", "chat", "done"]


def test_crlf_on_request(start: Any) -> None:
    with chat(start("--line-ending", "crlf"), 2, "hi").to_end() as stream:
        assert stream.types[-1] == "done"
        assert stream.body.count(b"\r\n\r\n") == len(stream.events)
        assert b"\n" not in stream.body.replace(b"\r\n", b"")


def test_without_a_stream_the_answer_is_json(base: str, http: httpx.Client) -> None:
    prompt = script(
        {"text": ["a"], "tools": [{"name": "delete_file", "args": {"path": "f"}}]},
        {"text": ["b"], "cut": "close"},
    )
    answer = http.post(f"{base}/agentsmithy/2/api/chat", content=chat_body(prompt, stream=False))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    got = answer.json()
    assert got["content"] == "ab"
    assert got["tool_calls"] == [{"name": "delete_file", "args": {"path": "f"}}]
    assert got["file_edits"] == [{"file": "/workspace/f"}]
    assert "completion marker" in got["error"]


USER = {"role": "user", "content": "x"}
BAD = [
    b"",
    b"{",
    b"[]",
    b"\xff",
    b"null",
    b"{}",
    b'{"messages": []}',
    b'{"messages": "x"}',
    b'{"messages": [1]}',
    b'{"messages": [{"role": "user"}]}',
    b'{"messages": [{"role": 1, "content": "x"}]}',
    b'{"messages": [{"role": "user", "content": 7}]}',
    b'{"messages": [{"role": "system", "content": "x"}]}',
    b'{"messages": [{"role": "user", "content": "a \\ud800 b"}]}',
    b'{"messages": [{"role": "user", "content": NaN}]}',
    b"[" * 100_000,
    json.dumps({"messages": [USER], "stream": "yes"}).encode(),
    json.dumps({"messages": [USER], "context": 7}).encode(),
    json.dumps({"messages": [USER], "context": {"current_file": {"path": 1}}}).encode(),
    json.dumps({"messages": [USER], "context": {"current_file": "x"}}).encode(),
    json.dumps({"messages": [USER], "dialog_id": 7}).encode(),
    json.dumps({"messages": [USER], "dialog_id": ""}).encode(),
    json.dumps({"messages": [USER], "dialog_id": "../../x"}).encode(),
    json.dumps({"messages": [USER], "dialog_id": "a\nb"}).encode(),
    json.dumps({"messages": [USER], "dialog_id": "a" * 10_000}).encode(),
    chat_body("[[script {]]"),
    chat_body("[[scenario no-such]]"),
]


@pytest.mark.parametrize("body", BAD, ids=range(len(BAD)))
def test_bad_requests_are_refused_in_json(base: str, http: httpx.Client, body: bytes) -> None:
    answer = http.post(f"{base}/agentsmithy/2/api/chat", content=body)
    assert answer.status_code in (400, 422)
    assert answer.json()["detail"]


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
        [{"role": "user", "content": ""}],
        [{"role": "wizard", "content": "x"}, USER],
    ],
)
def test_unusual_requests_are_served(base: str, http: httpx.Client, messages: list[object]) -> None:
    answer = http.post(f"{base}/agentsmithy/2/api/chat", json={"messages": messages})
    assert answer.status_code == 200
    assert '"done": true' in answer.text


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_refused(base: str, http: httpx.Client, method: str) -> None:
    answer = http.request(method, f"{base}/agentsmithy/1/api/chat")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST"


def test_dialogs_keep_what_their_streams_said(base: str, http: httpx.Client) -> None:
    url = f"{base}/agentsmithy/2/api/dialogs"
    dialog = http.post(url, json={"set_current": False}).json()["id"]
    call = {"name": "write_to_file", "args": {"path": "f", "content": "x"}}
    prompts = [
        script({"reasoning": ["r", "s"], "text": ["a", "b"], "tools": [call]}, {"text": [n]}) for n in "12"
    ]
    for prompt in prompts:
        with chat(base, 2, prompt, dialog_id=dialog).to_end() as stream:
            assert {event["dialog_id"] for event in stream.events} == {dialog}
    history = http.get(f"{url}/{dialog}/history").json()
    kinds = ["user", "reasoning", "chat", "tool_call", "file_edit", "chat"]
    assert [event["type"] for event in history["events"]] == kinds * 2
    assert [event["idx"] for event in history["events"]] == list(range(12))
    assert [e["content"] for e in history["events"] if e["type"] == "chat"] == ["ab", "1", "ab", "2"]
    assert history["total_events"] == 12
    assert http.get(f"{base}/agentsmithy/1/api/dialogs/{dialog}/history").status_code == 404
    assert http.delete(f"{url}/{dialog}").status_code == 200
    assert http.get(f"{url}/{dialog}/history").status_code == 404


def test_two_streams_of_one_dialog_do_not_mix(base: str, http: httpx.Client) -> None:
    dialog = http.post(f"{base}/agentsmithy/2/api/dialogs").json()["id"]
    streams = [
        chat(base, 2, script({"text": [f"{name}{i} " for i in range(20)]}, pace_ms=5), dialog_id=dialog)
        for name in "ab"
    ]
    threads = [threading.Thread(target=stream.to_end) for stream in streams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, stream in zip("ab", streams, strict=True):
        assert said(stream) == "".join(f"{name}{i} " for i in range(20))
        assert stream.types[-1] == "done"
        stream.socket.close()
    history = http.get(f"{base}/agentsmithy/2/api/dialogs/{dialog}/history").json()["events"]
    assert [event["type"] for event in history] == ["user", "chat"] * 2


def test_a_client_that_leaves_ends_its_agent(base: str, http: httpx.Client) -> None:
    dialog = http.post(f"{base}/agentsmithy/1/api/dialogs").json()["id"]
    turn = {"text": [{"fill": 20, "times": 100_000}]}
    with chat(base, 1, script(turn, pace_ms=10), dialog_id=dialog) as stream:
        stream.until_event("chat")
    url = f"{base}/agentsmithy/1/api/dialogs/{dialog}/history"
    # what it had said goes into the history when its agent ends, long before the script does
    deadline = time.monotonic() + 10
    while not (events := http.get(url).json()["events"]) and time.monotonic() < deadline:
        pass
    assert [event["type"] for event in events] == ["user", "chat"]


def test_a_reader_that_does_not_read_gets_everything_later(base: str) -> None:
    turn = {"text": [{"fill": 4096, "times": 6000}]}
    url = f"{base}/agentsmithy/1/api/chat"
    with RawStream(url, method="POST", body=chat_body(script(turn)), receive_buffer=4096) as stalled:
        with chat(base, 1, "hi").to_end() as other:
            assert other.types[-1] == "done"
        stalled.to_end(60)
        assert len(said(stalled)) == 4096 * 6000
        assert stalled.types[-1] == "done"


def test_scenarios_are_chosen_in_the_prompt_or_as_default(base: str, start: Any, tmp_path: Path) -> None:
    with chat(base, 1, "play [[scenario tools]]").to_end() as stream:
        assert stream.types == ["chat", "chat", "tool_call", "chat", "chat", "done"]
    own = tmp_path / "own.yaml"
    own.write_text("name: own\nsummary: mine\nscript:\n  turns:\n  - text: [mine]\n")
    with chat(start("--scenario", str(own)), 1, "anything").to_end() as stream:
        assert said(stream) == "mine"


@pytest.mark.parametrize("revision", [1, 2])
def test_what_no_stream_can_carry_does_not_break_it(base: str, revision: int) -> None:
    call = r'{"name": "read_file\udead", "args": {"path": "x\udfff", "n": 1e999}, "result": "\ud800"}'
    last = r'{"error": {"message": "\ud800", "status": 400}}'
    text = r'"text": ["a \ud83d", "\ude00 b"]'
    odd = f'[[script {{"turns": [{{{text}, "tools": [{call}]}}, {last}]}}]]'
    with chat(base, revision, odd).to_end() as stream:
        assert said(stream) == "a ?? b"
        seen = next(event for event in stream.events if event["type"] == "tool_call")
        assert (seen["name"], seen["args"]) == ("read_file?", {"path": "x?", "n": None})
        assert stream.types[-2:] == ["error", "done"]
