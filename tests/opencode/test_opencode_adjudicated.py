"""What the real OpenCode does that careless rules would accuse, and what it does that is a defect indeed."""

from __future__ import annotations

from typing import Any

from conformance import exchanges
from conformance.penguin import FAN_OUT, ODD_TOOLS
from conformance.script import ModelTurn, Script, ToolCall
from conformance.transcript import Ended, Framing, Transcript
from tests.support.http_cases import event, exchange, verdict

SESSION = "ses_1"
BIG = {"backlog_bytes": 20_000_000, "backlog_events": 4_100, "session": SESSION, "read_on": "done"}
PAGE = (("Content-Type", "text/html"), ("Content-Length", "0"))


def happening(number: int, kind: str, **properties: Any) -> bytes:
    """An event with an id of its own."""
    return event({"id": f"evt_{number}", "type": kind, "properties": {"sessionID": SESSION, **properties}})


def message(number: int, **info: Any) -> bytes:
    """An event about the agent's message."""
    shown = {"id": "msg_1", "sessionID": SESSION, "role": "assistant", **info}
    return happening(number, "message.updated", info=shown)


def delta(number: int, words: str) -> bytes:
    """An increment."""
    return happening(
        number, "message.part.delta", messageID="msg_1", partID="prt_1", field="text", delta=words
    )


def tool(number: int, name: str, status: str) -> bytes:
    """An event about the one tool part."""
    part = {"id": "prt_t", "messageID": "msg_1", "sessionID": SESSION, "type": "tool"}
    state = {"status": status, "input": {"path": "x"}}
    return happening(
        number, "message.part.updated", part=part | {"callID": "call_1", "tool": name, "state": state}
    )


CONNECTED = happening(0, "server.connected")
EARLY = message(1, time={"created": 1}, tokens={"input": 0})
LATE = message(1, time={"created": 1, "completed": 9}, tokens={"input": 77})
FENCE = delta(9, f"{exchanges.FENCE_MARK} the end.")


def stall(requirement: str, stalled: list[bytes], witness: list[bytes]) -> Any:
    """What is said of a subscriber that stalled, beside one that read."""
    streams = {
        "stalled": exchange(*stalled, method="GET", ended=Ended.CLOSED_BY_US),
        "witness": exchange(*witness, method="GET", ended=Ended.CLOSED_BY_US),
    }
    return verdict(requirement, exchanges.STALL, streams, on="opencode/1", facts=BIG)


def fan_out(stalled: list[bytes], witness: list[bytes]) -> Any:
    return stall("PG-FAN-01a", stalled, witness)


def test_an_event_that_came_late_with_another_content_is_no_hole() -> None:
    last = message(3, time={"created": 1, "completed": 9}, tokens={"input": 77})
    read = [CONNECTED, EARLY, delta(2, "a"), last, FENCE]
    said = stall("SSE-LIVE-03", [CONNECTED, LATE, delta(2, "a"), last, FENCE], read)
    assert said.findings == ()
    assert said.judged > 0
    assert "hole" in stall("SSE-LIVE-03", [CONNECTED, delta(2, "a"), last, FENCE], read).findings[0].title
    other = [CONNECTED, delta(2, "a"), EARLY, last, FENCE]
    assert "order" in stall("SSE-LIVE-03", other, read).findings[0].title


def test_it_is_one_event_with_two_contents() -> None:
    read = [CONNECTED, EARLY, delta(2, "a"), FENCE]
    assert fan_out(read, read).findings == ()
    assert fan_out(read, read).judged == 1
    assert fan_out([CONNECTED], read).judged == 0
    for odd in (message(1, time=5, tokens={"input": 0}), message(1, tokens={"input": 0})):
        for pair in ((odd, EARLY), (EARLY, odd)):
            (found,) = fan_out([CONNECTED, pair[0]], [CONNECTED, pair[1]]).findings
            assert "time" in found.expected
    (found,) = fan_out([CONNECTED, LATE, delta(2, "a"), FENCE], read).findings
    assert "properties.info.time.completed null" in found.expected
    assert "properties.info.time.completed 9" in found.observed
    assert found.event is not None


def test_one_subscriber_alone_or_without_ids_shows_no_two_contents() -> None:
    streams = {"stalled": exchange(LATE, method="GET"), "witness": exchange(EARLY, method="GET")}
    for role, seen in streams.items():
        said = verdict("PG-FAN-01a", exchanges.STALL, {role: seen}, on="opencode/1", facts=BIG)
        assert (said.judged, said.findings) == (0, ())
    first = verdict("PG-FAN-01a", exchanges.STALL, streams, on="penguin/1", facts=BIG)
    assert (first.judged, first.findings) == (0, ())  # its ids may be counted for each connection


def test_increments_that_are_joined_for_a_late_reader_are_one_content() -> None:
    read = [CONNECTED, EARLY, delta(2, "a"), delta(3, "b"), FENCE]
    assert fan_out([CONNECTED, EARLY, delta(3, "ab"), FENCE], read).findings == ()


def test_heartbeats_are_each_connection_s_own() -> None:
    beats = [happening(5, "server.heartbeat", beat=number) for number in (1, 2)]
    said = fan_out([CONNECTED, EARLY, beats[0]], [CONNECTED, EARLY, beats[1]])
    assert said.findings == ()


def test_the_order_across_sessions_is_judged_also_where_contents_differ() -> None:
    other = event({"id": "evt_7", "type": "session.idle", "properties": {"sessionID": "ses_2"}})

    def order(*read: bytes) -> Any:
        streams = {
            role: exchange(CONNECTED, *pieces, method="GET", ended=Ended.CLOSED_BY_US)
            for role, pieces in (("all-0", (EARLY, other)), ("all-1", read))
        }
        return verdict("PG-FAN-01b", FAN_OUT, streams, on="opencode/1", made=(SESSION, "ses_2"))

    assert order(LATE, other).findings == ()
    assert order(LATE, other).judged == 2
    assert order(other, LATE).findings


def head(headers: tuple[tuple[str, str], ...]) -> Transcript:
    return exchange(method="HEAD", headers=headers, framing=Framing("none", True))


def test_a_page_for_head_is_over_with_its_head() -> None:
    for headers, accused in ((PAGE, False), ((("Content-Type", "text/event-stream"),), True)):
        said = verdict(
            "SSE-HTTP-06",
            exchanges.HEAD_METHOD,
            {"head": head(headers)},
            on="opencode/1",
            facts={"peer_closed": False},
        )
        assert bool(said.findings) is accused
        assert said.judged == 1


def names(probe: str, call: ToolCall, *shown: str) -> Any:
    """What PG-TOOL-02b says of a call that is shown under these names, one after the other."""
    statuses = ("pending", *("running",) * (len(shown) - 2), "error")
    events = [tool(n, name, status) for n, (name, status) in enumerate(zip(shown, statuses, strict=True), 3)]
    idle = happening(8, "session.status", status={"type": "idle"})
    stream = exchange(CONNECTED, EARLY, *events, idle, method="GET", ended=Ended.CLOSED_BY_US)
    script = Script((ModelTurn(("So. ",), tools=(call,)), ModelTurn(("Enough.",))))
    return verdict(
        "PG-TOOL-02b",
        probe,
        {"stream": stream},
        on="opencode/1",
        scripts={"stream": script},
        answered_at=5.0,
        session=SESSION,
    )


def test_a_call_that_cannot_be_carried_out_may_end_under_the_name_of_the_tool_that_takes_such_calls() -> None:
    unknown = ToolCall("sse_conformance_no_such_tool", {"path": "x"})
    known = ToolCall("read", {"filePath": "x"}, fails=True)
    assert names(ODD_TOOLS, unknown, unknown.name, "invalid").findings == ()
    assert "name changes" in names("tools", known, "read", "invalid").findings[0].title
