"""`GET /api/v1/events/sse`: turns, filters, fan-out, replay, and readers that do not read."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from tests.support.raw_sse import RawStream, script

Json = dict[str, Any]


class Server:
    """One revision's routes."""

    def __init__(self, base: str, revision: int, http: httpx.Client) -> None:
        self.base = f"{base}/penguin/{revision}"
        self.http = http

    def session(self, **members: str) -> str:
        answer = self.http.post(f"{self.base}/session", json=members)
        assert answer.status_code == 200
        return str(answer.json()["id"])

    def listen(self, cursor: str | None = None, **query: str) -> RawStream:
        headers = {} if cursor is None else {"Last-Event-ID": cursor}
        url = f"{self.base}/api/v1/events/sse" + (f"?{urlencode(query)}" if query else "")
        stream = RawStream(url, headers=headers)
        stream.until_event("server.connected")
        return stream

    def prompt(self, session: str, text: str, **members: Any) -> Json:
        body = {"text": text, "session_id": session, "streaming": True, **members}
        answer = self.http.post(f"{self.base}/api/v1/chat/message", json=body)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def fence(self, session: str) -> None:
        """Cause one event of this session."""
        assert self.http.patch(f"{self.base}/session/{session}", json={"title": "fence"}).status_code == 200


@pytest.fixture
def two(base: str, http: httpx.Client) -> Server:
    return Server(base, 2, http)


def of_session(stream: RawStream, session: str) -> list[Json]:
    return [
        event for event in stream.events if event["properties"].get("sessionID") == session and "id" in event
    ]


def idle(session: str) -> Callable[[RawStream], bool]:
    status = {"sessionID": session, "status": {"type": "idle"}}
    return lambda s: any(e["type"] == "session.status" and e["properties"] == status for e in s.events)


def statuses(stream: RawStream) -> list[str]:
    return [e["properties"]["status"]["type"] for e in stream.events if e["type"] == "session.status"]


def final_text(stream: RawStream, kind: str = "text") -> str:
    """The texts of assistants' parts, checked against their deltas."""
    users = {e["properties"]["id"] for e in stream.events if e["properties"].get("role") == "user"}
    texts: dict[str, str] = {}
    deltas: dict[str, str] = {}
    for event in stream.events:
        part = event["properties"].get("part")
        if part is not None and part["type"] == kind and part["messageID"] not in users:
            texts[part["id"]] = part["text"]
            deltas[part["id"]] = deltas.get(part["id"], "") + event["properties"]["delta"]
            assert deltas[part["id"]] == part["text"]
    return "".join(texts.values())


def test_a_turn_has_its_shape(two: Server) -> None:
    session = two.session(title="t")
    with two.listen(session_id=session) as stream:
        turn = {"reasoning": ["hm"], "text": ["a ", "b"], "tools": [
            {"name": "read_file", "args": {"path": "x"}, "result": "content"},
            {"name": "read_file", "args": {"path": "y"}, "fails": True},
        ]}  # fmt: skip
        answer = two.prompt(session, script(turn, {"text": ["end"]}))
        stream.until(idle(session))
        assert answer["response"] == "a bend"
        assert answer["session_id"] == session
        seen = []
        for event in stream.events:
            properties = event["properties"]
            if event["type"] == "message.updated":
                seen.append(f"{properties['role']} {'end' if properties['time']['completed'] else 'begin'}")
            elif event["type"] == "message.part.updated":
                part = properties["part"]
                seen.append(part["type"] + (f" {part['state']['status']}" if part["type"] == "tool" else ""))
            elif event["type"] == "session.status":
                seen.append(properties["status"]["type"])
        assert seen == [
            "busy", "user begin", "text", "user end",
            "assistant begin", "reasoning", "text", "text", "tool running", "tool running",
            "tool completed", "tool error", "assistant end",
            "assistant begin", "text", "assistant end", "idle",
        ]  # fmt: skip
        assert final_text(stream) == "a bend"
        tools = [
            e["properties"]["part"] for e in stream.events if e["properties"].get("part", {}).get("callID")
        ]
        assert [tool["state"]["input"]["path"] for tool in tools] == ["x", "y", "x", "y"]
        assert tools[2]["state"]["output"] == "content"


def test_ids_orders_and_times(two: Server) -> None:
    session = two.session()
    with two.listen() as stream:
        two.prompt(session, "hi")
        stream.until(idle(session))
        mine = [(e, i) for e, i in zip(stream.events, stream.ids, strict=True) if "id" in e]
        assert stream.ids[0] is None
        assert "id" not in stream.events[0]
        assert all(e["id"] == i and re.fullmatch(rf"evt:session:{session}:\d{{8}}", i) for e, i in mine)
        orders = [e["order"] for e, _ in mine]
        assert orders == list(range(orders[0], orders[0] + len(orders)))
        times = [e["time"] for e, _ in mine]
        assert times == sorted(times)


def test_revision_1_has_no_ids_and_the_documents_events_only(base: str, http: httpx.Client) -> None:
    one = Server(base, 1, http)
    session = one.session()
    with one.listen("evt:1", session_id=session) as stream:
        one.fence(session)
        one.prompt(session, script({"reasoning": ["r"], "text": ["x ", "y"]}))
        one.prompt(session, "again")
        done = "This is a constant answer."
        stream.until(
            lambda s: final_text(s).endswith(done) and s.events[-1]["properties"].get("finish") == "stop"
        )
        assert set(stream.types) == {"server.connected", "message.updated", "message.part.updated"}
        assert final_text(stream) == "x y" + done
        assert b"id: " not in stream.body.replace(b"agent_id: ", b"")
        assert {tuple(sorted(event)) for event in stream.events} == {("properties", "type")}


def test_revision_1_with_cursors(start: Any, http: httpx.Client) -> None:
    one = Server(start("--resume", "--replay-buffer", "50"), 1, http)
    session = one.session()

    def whole(stream: RawStream) -> bool:
        return stream.events[-1]["properties"].get("finish") == "stop"

    with one.listen(session_id=session) as stream:
        one.prompt(session, script({"text": ["x ", "y"]}))
        stream.until(whole)
        assert {tuple(sorted(event)) for event in stream.events} == {("properties", "type")}
        ids = [i for i in stream.ids if i is not None]
        assert len(set(ids)) == len(ids) == len(stream.events) - 1
        missed = stream.events[3:]
    with one.listen(ids[1], session_id=session) as again:
        again.until(whole)
        assert again.events[1:] == missed
    with one.listen("evt:1", session_id=session) as unknown:
        unknown.until_event("server.replay_gap")
    with one.listen(session_id=session, last_event_id="evt:1") as fresh:  # the query is revision 2's
        one.prompt(session, "again")
        fresh.until(whole)
        assert "server.replay_gap" not in fresh.types


def test_the_greeting_echoes_the_query(two: Server) -> None:
    with two.listen(session_id="s", agent_id="a", directory="/d") as stream:
        assert stream.events[0]["properties"] == {"sessionID": "s", "agentID": "a", "directory": "/d"}
    with two.listen(conversation_id="s", agent_id="", unknown="x") as stream:
        assert stream.events[0]["properties"] == {"sessionID": "s", "agentID": None, "directory": None}


def test_filters_combine_by_and(two: Server) -> None:
    here, there = two.session(directory="/here"), two.session(directory="/there")
    queries: dict[str, dict[str, str]] = {
        "all": {"session_id": "", "nonsense": "1"},
        "here": {"session_id": here},
        "alias": {"conversation_id": here},
        "dir": {"directory": "/here/"},
        "agent": {"agent_id": "blue"},
        "both": {"session_id": here, "agent_id": "blue"},
        "neither": {"session_id": here, "directory": "/there"},
        "unknown": {"session_id": "no-such"},
        "unknown-agent": {"agent_id": "no-such"},
    }
    streams = {name: two.listen(**query) for name, query in queries.items()}
    turns = [(here, "red"), (there, "blue"), (here, "blue"), (there, "red")]
    for number, (session, agent) in enumerate(turns):
        two.prompt(session, script({"text": [f"turn {number};"]}), agent_id=agent)
        two.fence(session)
    two.http.delete(f"{two.base}/session/{here}")
    deleted = two.session(title="last")
    streams["all"].until(lambda s: any(e["properties"].get("sessionID") == deleted for e in s.events))
    expected = {
        "all": "turn 0;turn 1;turn 2;turn 3;",
        "here": "turn 0;turn 2;",
        "alias": "turn 0;turn 2;",
        "dir": "turn 0;turn 2;",
        "agent": "turn 1;turn 2;",
        "both": "turn 2;",
        "neither": "",
        "unknown": "",
        "unknown-agent": "",
    }
    last = {
        "all": "session.created", "here": "session.deleted", "alias": "session.deleted",
        "dir": "session.deleted",
        "agent": "session.status", "both": "session.status",
    }  # fmt: skip
    for name, stream in streams.items():
        if expected[name]:
            want = expected[name]
            stream.until(lambda s, want=want, name=name: final_text(s) == want and s.types[-1] == last[name])  # type: ignore[misc]
        else:
            # filled in the same step as the other queues: a heartbeat comes after all that is in them
            stream.until(lambda s: s.body.count(b": keepalive") >= 2)
            assert stream.types == ["server.connected"]
        assert final_text(stream) == expected[name]
    assert of_session(streams["all"], here) == of_session(streams["here"], here)
    assert of_session(streams["here"], here) == of_session(streams["alias"], here)
    for stream in streams.values():
        stream.socket.close()


def test_all_subscribers_get_the_same_bytes(two: Server) -> None:
    session = two.session()
    streams = [two.listen(session_id=session) for _ in range(5)]
    two.prompt(session, script({"text": [f"{i} " for i in range(50)]}))
    bodies = {bytes(stream.until(idle(session)).body) for stream in streams}
    assert len(bodies) == 1
    for stream in streams:
        stream.socket.close()


def test_prompts_in_two_sessions_do_not_mix(two: Server) -> None:
    sessions = [two.session() for _ in range(2)]
    with two.listen() as stream:
        threads = [
            threading.Thread(
                target=httpx.post,
                args=(f"{two.base}/api/v1/chat/message",),
                kwargs={
                    "json": {
                        "text": script({"text": [f"{n}{i} " for i in range(20)]}, pace_ms=5),
                        "session_id": s,
                    },
                    "trust_env": False,
                },
            )
            for n, s in zip("ab", sessions, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for name, session in zip("ab", sessions, strict=True):
            stream.until(idle(session))
            own = RawStreamView(of_session(stream, session))
            assert final_text(own) == "".join(f"{name}{i} " for i in range(20))  # type: ignore[arg-type]
            orders = [event["order"] for event in own.events]
            assert orders == list(range(orders[0], orders[0] + len(orders)))


class RawStreamView:
    """Some of a stream's events."""

    def __init__(self, events: list[Json]) -> None:
        self.events = events


@pytest.mark.parametrize("turn", [
    {"error": {"message": "no", "status": 400}},
    {"text": ["half"], "error": {"message": "no", "in_stream": True}},
    {"text": ["half"], "cut": "close"},
])  # fmt: skip
def test_a_failing_model_shows_on_its_message_and_ends_idle(two: Server, turn: Json) -> None:
    session = two.session()
    with two.listen(session_id=session) as stream:
        answer = two.prompt(session, script(turn))
        stream.until(idle(session))
        assert statuses(stream) == ["busy", "idle"]
        message = [e["properties"] for e in stream.events if e["type"] == "message.updated"][-1]
        assert message["error"]["data"]["message"] == answer["error"]
        assert message["time"]["completed"] >= message["time"]["created"]
        assert stream.types[-2:] == ["message.updated", "session.status"]


def test_a_retry_is_visible_and_then_the_text_comes(two: Server) -> None:
    session = two.session()
    with two.listen(session_id=session) as stream:
        error = {"message": "busy", "status": 429, "times": 2, "retry_after": 0}
        two.prompt(session, script({"error": error, "text": ["there"]}))
        stream.until(idle(session))
        assert statuses(stream) == ["busy", "retry", "busy", "retry", "busy", "idle"]
        assert final_text(stream) == "there"


def test_an_abort_ends_what_is_open_and_then_idle_comes(two: Server) -> None:
    session = two.session()
    with two.listen(session_id=session) as stream:
        prompt = script({"text": [{"fill": 12, "times": 10_000}]}, pace_ms=10)
        thread = threading.Thread(target=two.prompt, args=(session, prompt))
        thread.start()
        stream.until(lambda s: len(final_text(s)) > 20)
        with httpx.Client(trust_env=False) as http:
            assert http.post(f"{two.base}/session/{session}/abort").json() is True
            assert http.post(f"{two.base}/session/{session}/abort").json() is False
        thread.join()
        stream.until(idle(session))
        two.prompt(session, script({"text": ["next"]}))
        stream.until(lambda s: final_text(s).endswith("next") and statuses(s)[-1] == "idle")
        assert statuses(stream) == ["busy", "idle", "busy", "idle"]
        errors = [e["properties"]["error"]["name"] for e in stream.events if "error" in e["properties"]]
        assert errors == ["MessageAbortedError"]


def test_deleting_a_session_ends_its_turns(two: Server) -> None:
    session = two.session()
    with two.listen(session_id=session) as stream:
        prompt = script({"text": [{"fill": 12, "times": 10_000}]}, pace_ms=10)
        answers: list[Json] = []
        threads = [
            threading.Thread(target=lambda: answers.append(two.prompt(session, prompt))) for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        stream.until(lambda s: len(final_text(s)) > 20)
        with httpx.Client(trust_env=False) as http:
            assert http.delete(f"{two.base}/session/{session}").json() is True
            assert http.get(f"{two.base}/session/{session}").status_code == 404
        for thread in threads:
            thread.join()
        stream.until_event("session.deleted")
        assert statuses(stream) == ["busy", "idle"]
        assert stream.types[-1] == "session.deleted"
        assert {answer["status"] for answer in answers} == {"error"}


def test_every_cursor_replays_exactly_what_was_missed(two: Server) -> None:
    session, other = two.session(), two.session()
    with two.listen() as everything, two.listen(session_id=session) as whole:
        for number in range(2):
            two.prompt(session, script({"text": [f"{number}"]}))
            two.prompt(other, script({"text": ["other"]}))
        two.fence(session)
        whole.until(lambda s: s.types[-1] == "session.updated")
        everything.until(lambda s: s.types[-1] == "session.updated")
        for query, full in (({"session_id": session}, whole), ({}, everything)):
            events = full.events[1:]
            for cut, event in enumerate(events):
                for how in ({"last_event_id": event["id"]}, {}):
                    header = event["id"] if not how else "nonsense"
                    with two.listen(header, **query, **how) as again:
                        rest = events[cut + 1 :]
                        again.until(lambda s, rest=rest: len(s.events) > len(rest))  # type: ignore[misc]
                        assert again.events[1:] == rest
                        assert again.ids[1:] == [e["id"] for e in rest]


def test_a_cursor_works_while_events_arrive(two: Server) -> None:
    session = two.session()
    with two.listen(session_id=session) as whole:
        prompt = script({"text": [f"{i} " for i in range(150)]}, pace_ms=3)
        thread = threading.Thread(target=two.prompt, args=(session, prompt))
        got: list[Json] = []
        stream = two.listen(session_id=session)
        thread.start()
        while not (got and got[-1]["properties"].get("status") == {"type": "idle"}):
            stream.until(lambda s: len(s.events) >= 12 or statuses(s)[-1:] == ["idle"])
            got += stream.events[1:]
            stream.socket.close()
            if got[-1]["properties"].get("status") != {"type": "idle"}:
                stream = two.listen(got[-1]["id"], session_id=session)
        thread.join()
        whole.until(idle(session))
        assert got == whole.events[1:]


def test_a_cursor_of_another_session_leaks_nothing(two: Server) -> None:
    session, other = two.session(), two.session()
    with two.listen(session_id=other) as stream:
        two.prompt(other, "secret")
        cursor = stream.until(idle(other)).events[-3]["id"]
    with two.listen(cursor, session_id=session) as stream:
        two.fence(session)
        stream.until_event("session.updated")
        assert other.encode() not in stream.body


@pytest.mark.parametrize("cursor", ["nope", "evt:session:x:00000001", "ü" * 500, "x" * 1024, " "])
def test_an_unknown_cursor_gives_a_gap_that_names_nobody_elses_events(two: Server, cursor: str) -> None:
    other, session = two.session(), two.session()
    two.fence(session)
    two.prompt(other, "secret")
    with two.listen(cursor, session_id=session) as stream:
        if cursor.strip():
            gap = stream.until_event("server.replay_gap")
            assert set(gap) == {"type", "properties"}
            ends = {"oldestEventID": f"evt:session:{session}:00000001"}
            ends |= {"newestEventID": f"evt:session:{session}:00000002"}
            assert gap["properties"] | ends == gap["properties"]
            assert gap["properties"]["reason"]
        two.fence(session)
        stream.until_event("session.updated")
        assert stream.types[-1] == "session.updated"
        assert other.encode() not in stream.body


def test_a_cursor_older_than_the_buffer_gives_a_gap(start: Any, http: httpx.Client) -> None:
    two = Server(start("--replay-buffer", "5"), 2, http)
    session = two.session()
    for _ in range(10):
        two.fence(session)
    old, known = (f"evt:session:{session}:{order:08d}" for order in (6, 7))
    with two.listen(old) as stream:
        gap = stream.until_event("server.replay_gap")["properties"]
        assert gap["lastEventID"] == old
        assert gap["oldestEventID"] == known
        assert gap["newestEventID"] == f"evt:session:{session}:00000011"
    with two.listen(known) as stream:
        stream.until(lambda s: len(s.events) == 5)
        assert "server.replay_gap" not in stream.types


def test_a_reader_that_stops_holds_up_nobody_and_sees_no_hole(start: Any, http: httpx.Client) -> None:
    two = Server(start("--queue", "200"), 2, http)
    session = two.session()
    url = f"{two.base}/api/v1/events/sse?session_id={session}"
    with RawStream(url, receive_buffer=4096) as stalled, two.listen(session_id=session) as reading:
        # more than socket buffers and the queue hold: 40 turns of 1 MB each
        prompt = script({"text": [{"fill": 500, "times": 60}]})

        def send() -> None:
            for _ in range(40):
                two.prompt(session, prompt)

        sender = threading.Thread(target=send)
        sender.start()
        reading.until(lambda s: statuses(s).count("idle") == 40, 60)
        sender.join()
        stalled.to_end(60)
        assert stalled.terminated
        assert 0 < len(stalled.events) < len(reading.events)
        assert stalled.events == reading.events[: len(stalled.events)]
        with two.listen(stalled.events[-1]["id"], session_id=session) as again:
            again.until(lambda s: s.events[-1] == reading.events[-1], 60)
            assert stalled.events + again.events[1:] == reading.events


def test_silence_is_broken_by_comments(two: Server) -> None:
    with two.listen() as stream:
        stream.until(lambda s: s.body.count(b": keepalive\n\n") >= 3)
        assert stream.types == ["server.connected"]


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "OPTIONS"])
def test_other_methods_are_refused(two: Server, method: str) -> None:
    answer = two.http.request(method, f"{two.base}/api/v1/events/sse")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/session", b"{", 422),
        ("POST", "/session", b'{"title": 7}', 422),
        ("POST", "/session", b"[]", 422),
        ("GET", "/session/none", b"", 404),
        ("PATCH", "/session/none", b"{}", 404),
        ("DELETE", "/session/none", b"", 404),
        ("POST", "/session/none/abort", b"", 404),
        ("POST", "/api/v1/chat/message", b"{}", 422),
        ("POST", "/api/v1/chat/message", b'{"text": 1}', 422),
        ("POST", "/api/v1/chat/message", b'{"text": "\\udfff"}', 422),
        ("POST", "/api/v1/chat/message", b'{"text": "x", "session_id": "none"}', 404),
        ("POST", "/api/v1/chat/message", b'{"text": "[[script 1]]"}', 400),
        ("GET", "/nowhere", b"", 404),
    ],
)
def test_bad_requests_are_refused_in_json(
    two: Server, method: str, path: str, body: bytes, status: int
) -> None:
    answer = two.http.request(method, two.base + path, content=body)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_sessions_are_listed_and_separate_by_prefix(two: Server, base: str, http: httpx.Client) -> None:
    session = two.session(title="mine", directory="/d")
    info = http.get(f"{two.base}/session/{session}").json()
    assert (info["title"], info["directory"]) == ("mine", "/d")
    assert info in http.get(f"{two.base}/session").json()
    for other in (f"{base}/penguin/1", base):
        assert http.get(f"{other}/session/{session}").status_code == 404
