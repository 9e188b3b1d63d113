"""Reading recordings: what is known, what is assumed, and what cannot be read."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conformance import recorded
from conformance.findings import Verdict
from conformance.offline import judge_observation
from conformance.recorded import RecordingError, read_recording
from conformance.transcript import Ended, Observation, Transcript, to_json

CHAT = b'data: {"type": "chat", "content": "x", "dialog_id": "d"}\n\n'
DONE = b'data: {"type": "done", "done": true, "dialog_id": "d"}\n\n'
BODY = CHAT + DONE


def _head(**changes: Any) -> dict[str, Any]:
    return {
        "request": {
            "method": "GET",
            "path": "/api/v1/events/sse",
            "headers": [["Host", "127.0.0.1:9"]],
            "body": None,
        },
        "status": 200,
        "http": "HTTP/1.1",
        "headers": [["Content-Type", "text/event-stream"]],
        "chunks": [[0.5, len(CHAT)], [1.5, len(DONE)]],
        "ended": "complete",
    } | changes


def _write(folder: Path, body: bytes = BODY, **changes: Any) -> str:
    (folder / "a.b.sse").write_bytes(body)
    (folder / "a.b.json").write_text(json.dumps(_head(**changes)))
    return str(folder / "a.b.sse")


def _transcript(observation: Observation) -> Transcript:
    assert [role for role, _ in observation.transcripts] == ["recorded"]
    return observation.transcripts[0][1]


def test_a_body_with_its_head(tmp_path: Path) -> None:
    observation = read_recording(_write(tmp_path), "penguin/2")
    made = _transcript(observation)
    assert made.body == BODY
    assert [(chunk.at, len(chunk.data)) for chunk in made.chunks] == [(0.5, len(CHAT)), (1.5, len(DONE))]
    assert made.ended is Ended.COMPLETE
    assert made.is_event_stream
    assert made.from_start
    assert made.request.url == "http://127.0.0.1:9/api/v1/events/sse"
    assert observation.profile.protocol == "penguin/2"
    assert observation.fact("head") is None


def test_a_recorder_that_joined_a_turn_says_so(tmp_path: Path) -> None:
    part = (
        b'data: {"type":"message.part.updated","properties":{"part":{"id":"p","messageID":"m","sessionID":"s",'
        b'"type":"text","text":""}}}\n\n'
    )
    verdicts = []
    for changes in ({}, {"from_start": False}):
        path = _write(tmp_path, part, chunks=[[0.5, len(part)]], ended="client-closed", **changes)
        judged = judge_observation(read_recording(path, "penguin/2"))
        verdicts.append({each.requirement.id: each.verdict for each in judged}["PG-MSG-01"])
    assert verdicts == [Verdict.FAIL, Verdict.NOT_APPLICABLE]


@pytest.mark.parametrize(
    ("said", "ended"),
    [
        ("complete", Ended.COMPLETE),
        ("server-complete", Ended.COMPLETE),
        ("client-closed", Ended.CLOSED_BY_US),
        ("client-closed (duration)", Ended.CLOSED_BY_US),
        ("client cut", Ended.CLOSED_BY_US),
        ("server-closed", Ended.TRUNCATED),
        ("reset", Ended.RESET),
        ("truncated", Ended.TRUNCATED),
        ("who knows", Ended.CLOSED_BY_US),
        ("", Ended.CLOSED_BY_US),
    ],
)
def test_how_it_ended(tmp_path: Path, said: str, ended: Ended) -> None:
    assert _transcript(read_recording(_write(tmp_path, ended=said), "penguin/2")).ended is ended


@pytest.mark.parametrize(
    "request_",
    [
        {"method": "GET", "path": "/e", "headers": [["last-event-id", "7"]], "body": None},
        {"method": "GET", "path": "/e?last_event_id=7", "headers": [], "body": None},
    ],
)
def test_a_resumed_stream_is_not_seen_from_its_start(tmp_path: Path, request_: dict[str, Any]) -> None:
    assert not _transcript(read_recording(_write(tmp_path, request=request_), "penguin/2")).from_start


def test_an_agentsmithy_request_says_the_prompt(tmp_path: Path) -> None:
    script = {"turns": [{"text": ["x"]}]}
    messages = [
        {"role": "user", "content": "old"},
        {"role": "user", "content": f"[[script {json.dumps(script)}]]"},
    ]
    body = json.dumps({"messages": messages, "dialog_id": "d"})
    request = {"method": "POST", "path": "/api/chat", "headers": [], "body": body}
    (prompt,) = read_recording(_write(tmp_path, request=request), "agentsmithy/2").actions
    assert (prompt.session, prompt.stream) == ("d", "recorded")
    assert prompt.script is not None
    assert prompt.script.said == "x"


def test_a_body_alone_is_taken_for_a_stream_that_the_recorder_cut(tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(BODY + CHAT[:9])
    observation = read_recording(str(file), "agentsmithy/1")
    made = _transcript(observation)
    assert (made.ended, made.is_event_stream, made.body) == (Ended.CLOSED_BY_US, True, BODY + CHAT[:9])
    assert observation.fact("head") == "assumed"
    assert "without its head" in observation.fact("recording")
    verdicts = {result.requirement.id: result.verdict.value for result in judge_observation(observation)}
    assert verdicts.get("SSE-CON-01", "not-applicable") == "not-applicable"
    assert verdicts["SSE-FMT-05"] == "not-applicable"
    assert verdicts["SSE-FMT-06a"] == "pass"


def test_a_body_behind_its_head_as_curl_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "curl.txt"
    file.write_bytes(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX: y: z\r\n\r\n" + BODY)
    made = _transcript(read_recording(str(file), "agentsmithy/2"))
    assert made.body == BODY
    assert made.head is not None
    assert (made.head.status, made.head.get("x")) == (200, "y: z")
    file.write_bytes(b"HTTP/2 404 \r\ncontent-type: text/html\r\n\r\n<html>")
    assert not _transcript(read_recording(str(file), "agentsmithy/2")).is_event_stream


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(BODY)))
    assert _transcript(read_recording("-", "agentsmithy/2")).body == BODY
    monkeypatch.setattr(
        sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b'{"type": "chat"}\n{"type": "done"}\n'))
    )
    assert _transcript(read_recording("-", "agentsmithy/2")).body.startswith(b"{")


def test_a_saved_observation_comes_back(tmp_path: Path) -> None:
    observation = read_recording(_write(tmp_path), "penguin/2")
    file = tmp_path / "saved.json"
    file.write_text(to_json(observation))
    assert read_recording(str(file)) == observation
    assert read_recording(str(file), "penguin/2") == observation
    with pytest.raises(RecordingError, match="of penguin/2, not of penguin/1"):
        read_recording(str(file), "penguin/1")


def test_the_head_alone_finds_its_body(tmp_path: Path) -> None:
    path = _write(tmp_path)
    assert _transcript(read_recording(path.replace(".sse", ".json"), "penguin/2")).body == BODY


def test_a_body_shorter_than_its_chunks_was_cut_by_the_recorder(tmp_path: Path) -> None:
    for size in (len(BODY) - 1, len(CHAT), len(CHAT) - 1, 1, 0):
        made = _transcript(read_recording(_write(tmp_path, BODY[:size]), "penguin/2"))
        assert (made.body, made.ended) == (BODY[:size], Ended.CLOSED_BY_US)
    assert "shorter" in made.detail


def test_what_is_beyond_the_cap_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "long.sse"
    file.write_bytes(BODY * 10_000)
    profile = recorded.default_profile("agentsmithy/2", recorded.NOWHERE)
    small = type(profile.limits)(stream_bytes=100_000)
    monkeypatch.setattr(
        recorded, "default_profile", lambda *_: type(profile)(**_fields(profile) | {"limits": small})
    )
    made = _transcript(read_recording(str(file), "agentsmithy/2"))
    assert (len(made.body), made.ended) == (100_000, Ended.CAPPED)


def _fields(profile: Any) -> dict[str, Any]:
    return {name: getattr(profile, name) for name in profile.__dataclass_fields__}


BINARY = bytes(range(256)) * 4000


@pytest.mark.parametrize(
    "body", [BINARY, b"\0" * 100_000, b"\x1f\x8b\x08" + BINARY, b"{" * 100_000, b"\n" * 100_000]
)
def test_binary_files_get_a_verdict(tmp_path: Path, body: bytes) -> None:
    file = tmp_path / "x.sse"
    file.write_bytes(body)
    assert judge_observation(read_recording(str(file), "agentsmithy/2"))


def _expect(match: str, path: Path | str, protocol: str | None = "penguin/2") -> None:
    with pytest.raises(RecordingError, match=match) as caught:
        read_recording(str(path), protocol)
    assert "\n" not in str(caught.value)


def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    _expect("No such file", tmp_path / "none.sse")
    _expect("directory", tmp_path)
    (tmp_path / "empty.sse").write_bytes(b"")
    _expect("empty", tmp_path / "empty.sse")
    (tmp_path / "lone.json").write_text("{}")
    _expect("neither", tmp_path / "lone.json")
    (tmp_path / "broken.json").write_text('{"format": ')
    _expect("not JSON", tmp_path / "broken.json")
    (tmp_path / "deep.json").write_text('{"a":' * 100_000)
    _expect("not JSON", tmp_path / "deep.json")
    (tmp_path / "damaged.json").write_text('{"format": "sse-conformance/observation/1"}')
    _expect("damaged", tmp_path / "damaged.json")
    (tmp_path / "without.json").write_text(json.dumps(_head()))
    _expect("missing beside it", tmp_path / "without.json")
    (tmp_path / "plain.sse").write_bytes(BODY)
    _expect("--protocol", tmp_path / "plain.sse", None)
    _expect("chopin/9", tmp_path / "plain.sse", "chopin/9")


@pytest.mark.parametrize(
    "changes",
    [
        {"chunks": None},
        {"chunks": [[1]]},
        {"chunks": [["x", "y"]]},
        {"chunks": [[0.1, 3]]},
        {"chunks": [[0.1, -3]]},
        {"status": "fine"},
        {"headers": 5},
        {"headers": [["a"]]},
        {"request": None},
        {"request": "GET /"},
        {"request": {}},
    ],
)
def test_a_damaged_head_is_said_in_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    _expect("a.b.json", _write(tmp_path, **changes))


@pytest.mark.parametrize("text", ["", "[]", "null", "\0", '{"request"', "\ufeff{}"])
def test_a_head_that_is_no_object(tmp_path: Path, text: str) -> None:
    path = _write(tmp_path)
    (tmp_path / "a.b.json").write_text(text, encoding="utf-8")
    _expect("a.b.json", path)
