"""`GET /event`: turns as OpenCode tells them, directories, fan-out, aborts, heartbeats, and the root's sessions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.support.raw_sse import RawStream, script

Json = dict[str, Any]


class Server:
    """The routes below one base URL."""

    def __init__(self, base: str, http: httpx.Client) -> None:
        self.base = base
        self.http = http

    def session(self, directory: str = "/here", **members: str) -> str:
        answer = self.http.post(f"{self.base}/session", params={"directory": directory}, json=members)
        assert answer.status_code == 200
        return str(answer.json()["id"])

    def listen(self, directory: str = "/here", **headers: str) -> RawStream:
        query = urlencode({"directory": directory} if directory else {})
        stream = RawStream(f"{self.base}/event?{query}", headers=headers)
        stream.until_event("server.connected")
        return stream

    def prompt(self, session: str, *texts: str, **members: Any) -> None:
        parts = [{"type": "text", "text": text} for text in texts]
        url = f"{self.base}/session/{session}/prompt_async"
        answer = self.http.post(url, json={"parts": parts, **members})
        assert (answer.status_code, answer.content) == (204, b""), answer.text

    def abort(self, session: str) -> bool:
        return bool(self.http.post(f"{self.base}/session/{session}/abort").json())


@pytest.fixture
def opencode(base: str, http: httpx.Client) -> Server:
    return Server(f"{base}/opencode/1", http)


def of_session(stream: RawStream, session: str) -> list[Json]:
    return [event for event in stream.events if event["properties"].get("sessionID") == session]


def over(session: str, times: int = 1) -> Callable[[RawStream], bool]:
    """The session's turn is over, with what follows its idle."""

    def found(stream: RawStream) -> bool:
        types = [event["type"] for event in of_session(stream, session)]
        return types.count("session.idle") >= times and types[-1:] == ["session.diff"]

    return found


def shape(events: list[Json]) -> list[str]:
    """One word or two for each event of a session."""
    seen = []
    for event in events:
        properties, kind = event["properties"], event["type"]
        if kind == "message.updated":
            info = properties["info"]
            seen.append(f"{info['role']}{' end' if 'completed' in info['time'] else ''}")
        elif kind == "message.part.updated":
            part = properties["part"]
            ended = " end" if "end" in part.get("time", {}) else ""
            seen.append(part["type"] + (f" {part['state']['status']}" if part["type"] == "tool" else ended))
        elif kind == "message.part.delta":
            seen.append("+")
        elif kind == "session.status":
            seen.append(properties["status"]["type"])
        else:
            seen.append(kind)
    return seen


def said(events: list[Json], kind: str = "text") -> str:
    """The final texts of assistants' parts, checked against their increments."""
    messages = [e["properties"]["info"] for e in events if e["type"] == "message.updated"]
    users = {message["id"] for message in messages if message["role"] == "user"}
    deltas: dict[str, str] = {}
    texts: dict[str, str] = {}
    for event in events:
        properties = event["properties"]
        if event["type"] == "message.part.delta":
            assert properties["partID"] in deltas
            deltas[properties["partID"]] += properties["delta"]
        elif event["type"] == "message.part.updated" and properties["part"]["type"] == kind:
            part = properties["part"]
            if part["messageID"] in users:
                continue
            assert part["sessionID"] == properties["sessionID"]
            if part["id"] not in deltas:
                assert part["text"] == ""
                assert "end" not in part["time"]
                deltas[part["id"]] = ""
            else:
                assert part["text"] == deltas[part["id"]]
                texts[part["id"]] = part["text"]
        elif event["type"] == "message.part.updated" and properties["part"]["type"] in ("text", "reasoning"):
            deltas.setdefault(properties["part"]["id"], "")
    return "".join(texts.values())


def test_a_turn_has_its_shape(opencode: Server) -> None:
    session = opencode.session(title="t")
    with opencode.listen() as stream:
        turn = {"reasoning": ["hm"], "text": ["a ", "b"], "tools": [
            {"name": "read_file", "args": {"path": "x"}, "result": "content"},
            {"name": "read_file", "args": {"path": "y"}, "fails": True},
        ]}  # fmt: skip
        opencode.prompt(session, script(turn, {"text": ["end"]}))
        events = of_session(stream.until(over(session)), session)
    assert shape(events) == [
        "user", "text", "session.updated", "busy",
        "assistant", "step-start", "reasoning", "+", "reasoning end", "text", "+", "+", "text end",
        "tool pending", "tool running", "tool pending", "tool running", "tool completed", "tool error",
        "step-finish", "assistant end",
        "assistant", "step-start", "text", "+", "text end", "step-finish", "assistant end",
        "idle", "session.idle", "session.updated", "session.diff",
    ]  # fmt: skip
    assert said(events) == "a bend"
    assert said(events, "reasoning") == "hm"
    tools = [e["properties"]["part"] for e in events if e["properties"].get("part", {}).get("callID")]
    assert len({tool["callID"] for tool in tools}) == len({tool["id"] for tool in tools}) == 2
    states = [tool["state"] for tool in tools]
    assert [state["input"].get("path") for state in states] == [None, "x", None, "y", "x", "y"]
    assert states[4]["output"] == "content"
    assert states[5]["error"]
    infos = [e["properties"]["info"] for e in events if e["type"] == "message.updated"]
    assert {info["parentID"] for info in infos[1:]} == {infos[0]["id"]}
    assert [info.get("finish") for info in infos[1:]] == [None, "tool-calls", None, "stop"]


def test_every_event_has_an_id_of_its_own_and_no_line_but_data(opencode: Server) -> None:
    session = opencode.session()
    with opencode.listen() as stream:
        opencode.prompt(session, "hi")
        stream.until(over(session))
        stream.until_event("server.heartbeat")
        ids = [event["id"] for event in stream.events]
        assert all(re.fullmatch(r"evt_[0-9a-f]{12}[0-9A-Za-z]{14}", name) for name in ids)
        assert ids == sorted(set(ids))
        assert {tuple(sorted(event)) for event in stream.events} == {("id", "properties", "type")}
        lines = bytes(stream.body).split(b"\n")
        assert all(line == b"" or line.startswith(b"data: ") for line in lines)
        assert stream.events[0]["properties"] == {}
        assert stream.headers["content-type"] == "text/event-stream"
        assert stream.headers["cache-control"] == "no-cache, no-transform"
        assert stream.headers["x-accel-buffering"] == "no"


def test_a_directory_is_told_of_itself_alone(opencode: Server) -> None:
    here, below, default = (opencode.session(d) for d in ("/here", "/here/below", "/workspace"))
    streams = {d: opencode.listen(d) for d in ("/here", "/here/", "/here/below", "/her", "")}
    for session in (here, below, default):
        opencode.prompt(session, script({"text": [f"of {session}"]}))
    owners = {"/here": here, "/here/": here, "/here/below": below, "": default}
    for directory, session in owners.items():
        events = streams[directory].until(over(session)).events
        assert {e["properties"].get("sessionID", session) for e in events} == {session}
        assert said(of_session(streams[directory], session)) == f"of {session}"
    # filled in the same step as the other queues: a heartbeat comes after all that is in them
    strange = streams["/her"]
    strange.until(lambda s: s.types.count("server.heartbeat") >= 2)
    assert set(strange.types) == {"server.connected", "server.heartbeat"}
    for stream in streams.values():
        stream.socket.close()


def test_all_subscribers_see_the_same_events_with_the_same_ids(opencode: Server) -> None:
    session = opencode.session()
    streams = [opencode.listen() for _ in range(5)]
    opencode.prompt(session, script({"text": [f"{i} " for i in range(50)]}))
    seen = [of_session(stream.until(over(session)), session) for stream in streams]
    assert all(events == seen[0] for events in seen)
    for stream in streams:
        stream.socket.close()


def test_who_comes_late_sees_what_follows(opencode: Server) -> None:
    session = opencode.session()
    with opencode.listen() as whole:
        opencode.prompt(session, script({"text": [{"fill": 12, "times": 40}]}, pace_ms=5))
        whole.until(lambda s: s.types.count("message.part.delta") > 3)
        with opencode.listen(**{"Last-Event-ID": whole.events[0]["id"]}) as late:
            late.until(over(session))
            whole.until(over(session))
            mine, all_of_it = of_session(late, session), of_session(whole, session)
            assert 0 < len(mine) < len(all_of_it)
            assert mine == all_of_it[-len(mine) :]


def test_prompts_in_two_sessions_do_not_mix(opencode: Server) -> None:
    sessions = [opencode.session() for _ in range(2)]
    with opencode.listen() as stream:
        for name, session in zip("ab", sessions, strict=True):
            opencode.prompt(session, script({"text": [f"{name}{i} " for i in range(20)]}, pace_ms=5))
        for name, session in zip("ab", sessions, strict=True):
            stream.until(over(session))
            assert said(of_session(stream, session)) == "".join(f"{name}{i} " for i in range(20))


def test_a_session_takes_one_prompt_after_the_other(opencode: Server) -> None:
    session = opencode.session()
    with opencode.listen() as stream:
        opencode.prompt(session, script({"text": ["one ", "two "]}, pace_ms=20))
        opencode.prompt(session, script({"text": ["three"]}), messageID="msg_mine", agent="plan")
        events = of_session(stream.until(over(session, times=2)), session)
    statuses = [word for word in shape(events) if word in ("busy", "idle")]
    assert statuses == ["busy", "idle", "busy", "idle"]
    assert said(events) == "one two three"
    infos = [e["properties"]["info"] for e in events if e["type"] == "message.updated"]
    assert {info["agent"] for info in infos if "msg_mine" in (info["id"], info.get("parentID"))} == {"plan"}


@pytest.mark.parametrize(("turn", "words"), [
    ({"error": {"message": "no", "status": 400}}, ""),
    ({"text": ["half"], "error": {"message": "no", "in_stream": True}}, "half"),
    ({"text": ["half"], "cut": "reset"}, "half"),
    ({"reasoning": ["half"], "cut": "close"}, ""),
])  # fmt: skip
def test_a_failing_model_is_an_error_and_then_idle(opencode: Server, turn: Json, words: str) -> None:
    session = opencode.session()
    with opencode.listen() as stream:
        opencode.prompt(session, script(turn))
        events = of_session(stream.until(over(session)), session)
    assert shape(events)[-6:] == [
        "assistant end", "session.error", "idle", "session.idle", "session.updated", "session.diff",
    ]  # fmt: skip
    message, error = events[-6]["properties"]["info"], events[-5]["properties"]["error"]
    assert message["error"] == error
    assert error["name"] == "APIError"
    assert error["data"]["message"]
    assert error["data"].get("statusCode") == turn.get("error", {}).get("status")
    assert said(events) == words


def test_a_retry_is_told_and_then_the_text_comes_in_the_same_message(opencode: Server) -> None:
    session = opencode.session()
    with opencode.listen() as stream:
        error = {"message": "slow down", "status": 429, "times": 2, "retry_after": 0}
        opencode.prompt(session, script({"error": error, "text": ["there"]}))
        events = of_session(stream.until(over(session)), session)
    assert shape(events)[3:12] == [
        "busy", "assistant", "retry", "busy", "retry", "busy", "step-start", "text", "+",
    ]  # fmt: skip
    retries = [e["properties"]["status"] for e in events if e["properties"].get("status", {}).get("attempt")]
    assert [(retry["attempt"], retry["message"]) for retry in retries] == [(1, "slow down"), (2, "slow down")]
    assert said(events) == "there"


def test_an_abort_ends_what_is_open_and_then_idle_comes(opencode: Server) -> None:
    session = opencode.session()
    with opencode.listen() as stream:
        opencode.prompt(session, script({"text": [{"fill": 12, "times": 10_000}]}, pace_ms=10))
        stream.until(lambda s: s.types.count("message.part.delta") > 2)
        assert opencode.abort(session) is True
        assert opencode.abort(session) is False
        opencode.prompt(session, script({"text": ["next"]}))
        events = of_session(stream.until(over(session, times=2)), session)
    errors = [e["properties"]["error"]["name"] for e in events if e["type"] == "session.error"]
    assert errors == ["MessageAbortedError"]
    assert [word for word in shape(events) if word in ("busy", "idle")] == ["busy", "idle", "busy", "idle"]
    assert said(events).endswith("abcnext")


def test_an_edit_names_the_file(opencode: Server) -> None:
    session = opencode.session()
    with opencode.listen() as stream:
        tool = {"name": "write_to_file", "args": {"path": "a.py", "content": "x"}}
        opencode.prompt(session, script({"tools": [tool]}, {"text": ["done"]}))
        stream.until(over(session))
        assert stream.until_event("file.edited")["properties"] == {"file": "/workspace/a.py"}


def test_awkward_text_is_told_as_it_was_said(opencode: Server) -> None:
    session, text = opencode.session(), ["a\r\nb\n\ndata: x\n\n", "\u2028\u0085\ufeff", "\0😀e\u0301"]
    with opencode.listen() as stream:
        opencode.prompt(session, script({"text": text}))
        assert said(of_session(stream.until(over(session)), session)) == "".join(text)


def test_a_session_is_told_of_and_deleted_with_its_turn(opencode: Server) -> None:
    with opencode.listen() as stream:
        session = opencode.session(title="mine")
        child = opencode.session(parentID=session)
        opencode.http.patch(f"{opencode.base}/session/{session}", json={"title": "yours"})
        opencode.prompt(session, script({"text": [{"fill": 12, "times": 10_000}]}, pace_ms=10))
        stream.until(lambda s: s.types.count("message.part.delta") > 2)
        assert opencode.http.delete(f"{opencode.base}/session/{session}").json() is True
        assert opencode.http.get(f"{opencode.base}/session/{session}").status_code == 404
        stream.until_event("session.deleted")
        events = of_session(stream, session)
        assert shape(events)[-5:] == [
            "idle", "session.idle", "session.updated", "session.diff", "session.deleted",
        ]  # fmt: skip
        titles = [e["properties"]["info"]["title"] for e in events if e["type"].startswith("session.u")]
        assert titles[0] == "yours"
        created = of_session(stream, child)[0]
        assert (created["type"], created["properties"]["info"]["parentID"]) == ("session.created", session)
        assert re.fullmatch(r"ses_[0-9a-f]{12}[0-9A-Za-z]{14}", session)
        assert child < session  # the newest sorts first


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
def test_other_methods_are_refused(opencode: Server, method: str) -> None:
    answer = opencode.http.request(method, f"{opencode.base}/event")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/session", b'{"parentID": 7}', 422),
        ("/session/none/prompt_async", b'{"parts": []}', 404),
        ("/session/SESSION/prompt_async", b"{", 422),
        ("/session/SESSION/prompt_async", b"{}", 422),
        ("/session/SESSION/prompt_async", b'{"parts": ["x"]}', 422),
        ("/session/SESSION/prompt_async", b'{"parts": [{"type": "text", "text": 7}]}', 422),
        ("/session/SESSION/prompt_async", b'{"parts": [{"type": "text", "text": "[[script 1]]"}]}', 400),
    ],
)
def test_bad_requests_are_refused_in_json(opencode: Server, path: str, body: bytes, status: int) -> None:
    session = opencode.session()
    answer = opencode.http.post(opencode.base + path.replace("SESSION", session), content=body)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_health_needs_no_credentials(start: Any, http: httpx.Client) -> None:
    base = start("--auth", "basic:opencode:s3cret")
    for prefix in ("", "/opencode/1"):
        assert http.get(f"{base}{prefix}/global/health").json()["healthy"] is True
        refused = http.get(f"{base}{prefix}/event")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Basic realm="agent"')
    with RawStream(
        f"{base}/opencode/1/event", headers={"Authorization": "Basic b3BlbmNvZGU6czNjcmV0"}
    ) as stream:
        stream.until_event("server.connected")


def test_at_the_root_penguin_and_opencode_tell_of_the_same_sessions(base: str, http: httpx.Client) -> None:
    root = Server(base, http)
    session = root.session(title="both")
    with (
        root.listen() as opencode,
        RawStream(f"{base}/api/v1/events/sse?session_id={session}") as penguin,
    ):
        penguin.until_event("server.connected")
        root.prompt(session, script({"text": ["by the one, "]}))
        opencode.until(over(session))
        body = {"session_id": session, "text": script({"text": ["by the other"]})}
        assert http.post(f"{base}/api/v1/chat/message", json=body).json()["response"] == "by the other"
        assert said(of_session(opencode.until(over(session, times=2)), session)) == "by the one, by the other"
        penguin.until(lambda s: s.events[-1]["properties"].get("status") == {"type": "idle"})
        deltas = [e["properties"].get("delta", "") for e in penguin.events]
        assert "".join(deltas) == "by the one, by the other"
        http.delete(f"{base}/session/{session}")
        opencode.until_event("session.deleted")
        penguin.until_event("session.deleted")
