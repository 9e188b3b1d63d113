"""SSE-HTTP-02, 03 and SSE-LIVE-01 to 03 on observations made by hand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance import exchanges
from conformance.profile import Profile
from conformance.script import Fill, say
from conformance.transcript import Ended, Transcript
from tests.support.http_cases import DONE, event, exchange, profile, verdict

PACE = 1.0
SCRIPT = exchanges.paced(1000)
FIRST, LAST = exchanges.FIRST_MARK * 300, exchanges.LAST_MARK * 40


def chat(text: str) -> bytes:
    return event({"type": "chat", "content": text, "dialog_id": "d"})


def part(text: str, delta: str, *, session: str = "s", message: str = "m", name: str = "p") -> bytes:
    shown = {"id": name, "messageID": message, "sessionID": session, "type": "text", "text": text}
    return event(
        {"type": "message.part.updated", "properties": {"part": shown, "delta": delta, "sessionID": session}}
    )


def paced_stream(first: float, last: float, *, head: float = 0.0, penguin: bool = False) -> Transcript:
    if penguin:
        echoed = part(f"[[script {SCRIPT.directive()}", "", message="user", name="u")
        pieces = [(0.0, echoed), (first, part(FIRST, FIRST)), (last, part(FIRST + LAST, LAST))]
        return exchange(*pieces, method="GET", head_at=head)
    asked = event({"type": "user", "content": SCRIPT.directive(), "dialog_id": "d"})
    return exchange((head, asked), (first, chat(FIRST)), (last, chat(LAST)), (last, DONE), head_at=head)


def judge_streaming(clause: str, streams: dict[str, Transcript], on: str | Profile = "agentsmithy/2") -> Any:
    scripts = dict.fromkeys(streams, SCRIPT)
    return verdict(f"SSE-HTTP-{clause}", exchanges.STREAMING, streams, on=on, scripts=scripts)


GOOD, HELD = paced_stream(1.0, 2.0), paced_stream(2.0, 2.01)


@pytest.mark.parametrize("on", ["agentsmithy/1", "agentsmithy/2", "penguin/1", "penguin/2"])
def test_streaming_is_real_or_not(on: str) -> None:
    penguin = on.startswith("penguin")
    good, held = paced_stream(1.0, 2.0, penguin=penguin), paced_stream(2.0, 2.0, penguin=penguin)
    said = judge_streaming("03", {"plain-1": good, "gzip-1": good}, on)
    assert (said.findings, said.judged) == ((), 2)
    said = judge_streaming("03", {"plain-1": good, "gzip-1": held, "gzip-2": held}, on)
    (found,) = said.findings
    assert found.role == "gzip-2"
    assert found.event is not None


def test_one_lame_attempt_is_forgiven() -> None:
    said = judge_streaming("03", {"plain-1": HELD, "plain-2": GOOD, "gzip-1": GOOD})
    assert (said.findings, said.judged) == ((), 2)
    assert judge_streaming("03", {"plain-1": HELD}).inconclusive
    for lost in (chat(FIRST), chat(LAST)):  # the other one never came
        assert judge_streaming("03", {"plain-1": exchange(lost, DONE), "plain-2": GOOD}).judged == 1


def test_late_but_streaming_is_fine() -> None:
    # A slow start, a machine under load: what counts is what lies between the two.
    assert judge_streaming("03", {"plain-1": paced_stream(30.0, 30.7)}).findings == ()


def test_one_chunk_behind_is_held_back() -> None:
    behind = paced_stream(2.0, 2.05)
    assert judge_streaming("03", {"plain-1": behind, "plain-2": behind}).findings


def test_an_answer_that_never_shows_to_a_client_that_accepts_gzip() -> None:
    def judge(*roles: str, answered_at: float | None = 3.0) -> Any:
        silent = exchange(method="GET", ended=Ended.CLOSED_BY_US, ended_at=9.0)
        shown = paced_stream(1.0, 2.0, penguin=True)
        streams = {role: shown if role == "plain-1" else silent for role in roles}
        scripts = dict.fromkeys(streams, SCRIPT)
        probe = exchanges.STREAMING
        return verdict(
            "SSE-HTTP-03", probe, streams, on="penguin/2", scripts=scripts, answered_at=answered_at
        )

    (found,) = judge("plain-1", "gzip-1", "gzip-2").findings
    assert "nothing of an answer that is over" in found.observed
    assert judge("plain-1", "gzip-1").inconclusive
    # Without a stream that shows it, or an answer to the prompt, nothing is known.
    assert judge("gzip-1", "gzip-2").findings == ()
    assert judge("plain-1", "gzip-1", "gzip-2", answered_at=None).findings == ()


def test_what_a_heartbeat_pushes_out_was_held_back() -> None:
    # Due at 1 s, pushed by the heartbeat of 1.6 s; the second chunk is pushed by the end.
    pushed, right = paced_stream(1.6, 2.0), paced_stream(1.0, 2.0)
    beats, slow = profile("agentsmithy/2", heartbeat=0.6), profile("agentsmithy/2", heartbeat=15.0)
    thrice = {"plain-1": pushed, "plain-2": pushed, "plain-3": pushed}
    (found,) = judge_streaming("03", thrice, beats).findings
    assert "0.40 s before the second, withheld for 1 s" in found.observed
    assert judge_streaming("03", {**thrice, "plain-3": right}, beats).findings == ()
    # Half a period late in one try, or with heartbeats that do not fit in: the machine may have stood still.
    assert judge_streaming("03", {"plain-1": paced_stream(1.2, 2.0)}, beats).findings == ()
    assert judge_streaming("03", {"plain-1": paced_stream(1.4, 2.0)}, slow).findings == ()


def test_a_head_that_comes_with_a_heartbeat_has_waited_for_it() -> None:
    def stream(head: float, comment: float) -> Transcript:
        pieces = [(comment, b": beat\n\n"), (1.0, chat(FIRST)), (2.0, chat(LAST)), (2.0, DONE)]
        return exchange(*pieces, head_at=head)

    beats = profile("agentsmithy/1", heartbeat=0.4)
    waited, greeted, before = stream(0.4, 0.4), stream(0.01, 0.01), stream(0.01, 0.4)
    assert judge_streaming("02", {"plain-1": waited, "plain-2": waited}, beats).findings
    assert judge_streaming("02", {"plain-1": waited, "plain-2": waited}, "agentsmithy/1").findings == ()
    assert judge_streaming("02", {"plain-1": greeted}, beats).findings == ()
    assert judge_streaming("02", {"plain-1": before}, beats).findings == ()


def test_the_head_before_the_first_chunk() -> None:
    early, late = paced_stream(1.0, 2.0, head=0.2), paced_stream(1.0, 2.0, head=0.99)
    assert judge_streaming("02", {"plain-1": early}).judged == 1
    assert judge_streaming("02", {"plain-1": early}).findings == ()
    assert judge_streaming("02", {"plain-1": late, "plain-2": early}).findings == ()
    assert len(judge_streaming("02", {"plain-1": late, "plain-2": late}).findings) == 1


def test_the_head_of_an_idle_stream() -> None:
    def judge(seen: Transcript, *, before: bool) -> Any:
        facts = {"head_before_cause": before}
        return verdict("SSE-HTTP-02", exchanges.IDLE, {"idle": seen}, on="penguin/2", facts=facts)

    idle = exchange(method="GET", ended=Ended.CLOSED_BY_US)
    assert judge(idle, before=True).judged == 1
    assert judge(idle, before=False).findings
    assert judge(exchange(method="GET", status=None, ended=Ended.DEADLINE), before=False).inconclusive


def test_a_head_that_waits_is_one_thing_judged() -> None:
    idle = exchange(method="GET", ended=Ended.CLOSED_BY_US)
    said = verdict("SSE-HTTP-02", exchanges.IDLE, {"idle": idle}, on="penguin/2")
    assert (said.judged, [found.role for found in said.findings]) == (1, ["idle"])


def test_attempts_are_known_by_their_roles_and_scripts() -> None:
    for role in ("plain", "plain-x", "other-1", "plain-1-x"):
        assert judge_streaming("03", {role: HELD, "gzip-1": GOOD}).judged == 1
    scripts = {"plain-1": SCRIPT}
    unscripted = verdict(
        "SSE-HTTP-03", exchanges.STREAMING, {"plain-1": GOOD, "gzip-1": HELD}, scripts=scripts
    )
    assert (unscripted.judged, unscripted.findings) == (1, ())


def test_held_back_is_shown_by_the_last_attempt() -> None:
    said = judge_streaming("03", {"plain-1": HELD, "plain-2": HELD, "plain-3": HELD, "gzip-1": GOOD})
    (found,) = said.findings
    assert (found.role, found.event, said.judged) == ("plain-3", 1, 2)
    # One kind of attempt that was made once only leaves the whole open, and what was found before is found.
    said = judge_streaming("03", {"plain-1": HELD, "plain-2": HELD, "gzip-1": HELD})
    assert (len(said.findings), said.judged, bool(said.inconclusive)) == (1, 1, True)


@pytest.mark.parametrize(
    ("answered", "status", "changes", "accused"),
    [
        (3.0, 200, {}, True),
        (9.0, 200, {}, True),
        (9.1, 200, {}, False),
        (None, 200, {}, False),
        (3.0, 500, {}, False),
        (3.0, 200, {"ended": Ended.DEADLINE}, False),
        (3.0, 200, {"status": 500}, False),
    ],
)
def test_nothing_of_an_answer_that_is_over(
    answered: float | None, status: int, changes: dict[str, Any], accused: bool
) -> None:
    silent = exchange(method="GET", **{"ended": Ended.CLOSED_BY_US, "ended_at": 9.0, **changes})
    shown = paced_stream(1.0, 2.0, penguin=True)
    streams = {"plain-1": shown, "gzip-1": silent, "gzip-2": silent}
    said = verdict(
        "SSE-HTTP-03",
        exchanges.STREAMING,
        streams,
        on="penguin/2",
        scripts=dict.fromkeys(streams, SCRIPT),
        answered_at=answered,
        answered_with=status,
    )
    assert bool(said.findings) is accused


SERVED: dict[str, Any] = {"served_before": True, "turn_before": True, "vanished": 50, "refused": 0}
VANISHED = [
    ("as before", {"served_after": True, "turn_after": True}, "pass"),
    ("no stream", {"served_after": False, "turn_after": False}, "fail"),
    ("no turn", {"served_after": True, "turn_after": False}, "fail"),
    ("no connection", {"trouble": "connection refused"}, "fail"),
    ("no session", {"served_after": True, "trouble": "no session could be made: answered 500"}, "fail"),
    ("never served", {"served_before": False}, "inconclusive"),
    ("nobody let in", {"vanished": 0, "served_after": True, "turn_after": True}, "inconclusive"),
]


@pytest.mark.parametrize(("facts", "outcome"), [c[1:] for c in VANISHED], ids=[c[0] for c in VANISHED])
def test_vanishing_clients(facts: dict[str, Any], outcome: str) -> None:
    said = verdict(
        "SSE-LIVE-01", exchanges.VANISH, {"after": exchange()}, on="penguin/2", facts=SERVED | facts
    )
    assert (bool(said.findings), bool(said.inconclusive)) == (outcome == "fail", outcome == "inconclusive")
    assert (said.judged > 0) is (outcome != "inconclusive")


def test_vanishing_clients_under_a_declared_limit() -> None:
    limited = profile("penguin/2", rate_limit=10)

    def judge(last: Transcript, *, served: bool) -> Any:
        seen = {"after": exchange(status=429), "after-2": last}
        facts = SERVED | {"served_after": served}
        return verdict("SSE-LIVE-01", exchanges.VANISH, seen, on=limited, facts=facts)

    assert judge(exchange(), served=True).judged == 50
    assert judge(exchange(status=503), served=False).not_applicable
    assert judge(exchange(status=500), served=False).findings


HELD_UP = [
    ("nobody waits", {"beside_final": True, "backlog_final": True}, "pass"),
    ("the other waits", {"beside_final": False, "backlog_final": True}, "fail"),
    ("the same session waits", {"beside_final": True, "backlog_final": False, "held": True}, "fail"),
    ("a slow target", {"beside_final": True, "backlog_final": False, "held": False}, "inconclusive"),
    ("never worked", {"before_final": False, "beside_final": False}, "inconclusive"),
    ("not tried", {}, "inconclusive"),
]


@pytest.mark.parametrize(("facts", "outcome"), [c[1:] for c in HELD_UP], ids=[c[0] for c in HELD_UP])
def test_a_stalled_reader_holds_up_nobody(facts: dict[str, Any], outcome: str) -> None:
    said = verdict("SSE-LIVE-02", exchanges.STALL, {}, on="penguin/2", facts={"before_final": True} | facts)
    assert (bool(said.findings), bool(said.inconclusive)) == (outcome == "fail", outcome == "inconclusive")


# ---- the backlog of a subscriber

BIG = {"backlog_bytes": 20_000_000, "backlog_events": 4_100, "session": "s", "read_on": "done"}
CONNECTED = event({"type": "server.connected", "properties": {}})
BUSY = event({"type": "session.status", "properties": {"sessionID": "s", "status": {"type": "busy"}}})
IDLE = event({"type": "session.status", "properties": {"sessionID": "s", "status": {"type": "idle"}}})
ELSEWHERE = part("other", "other", session="t", name="q")
GAP = event({"type": "server.replay_gap", "properties": {"reason": "overflow"}})
FENCE = part(f"{exchanges.FENCE_MARK} the end.", exchanges.FENCE_MARK, name="f")
DELTAS = [part("".join("abcdef"[: n + 1]), "abcdef"[n]) for n in range(6)]
TURN = [BUSY, *DELTAS, IDLE]
ALL = [CONNECTED, *TURN, BUSY, FENCE, IDLE]


def judge_backlog(
    stalled: list[bytes], witness: list[bytes] = ALL, *, ended: Ended = Ended.CLOSED_BY_US, **facts: Any
) -> Any:
    streams = {
        "stalled": exchange(*stalled, method="GET", ended=ended),
        "witness": exchange(*witness, method="GET", ended=Ended.CLOSED_BY_US),
    }
    return verdict("SSE-LIVE-03", exchanges.STALL, streams, on="penguin/2", facts=BIG | facts)


JOINED = [CONNECTED, BUSY, DELTAS[0], part("abcd", "bcd"), *DELTAS[4:], IDLE, BUSY, FENCE, IDLE]


def with_ids(name: bytes, events: list[bytes]) -> list[bytes]:
    return [b'data: {"id": "%b:%d", "order": %d, ' % (name, n, n) + raw[7:] for n, raw in enumerate(events)]


HOLES_RIGHT = {
    "everything": ALL,
    "frames of its own": [CONNECTED, b": ping\n\n", *ALL[1:]],
    "cursors of its own": with_ids(b"c", ALL),
    "another session in between": [CONNECTED, ELSEWHERE, *ALL[1:]],
    "increments joined": JOINED,
    "told of a gap": [CONNECTED, BUSY, GAP, FENCE],
}
HOLES_WRONG = {
    "one delta lost": [raw for raw in ALL if raw != DELTAS[3]],
    "the first event lost": [CONNECTED, *ALL[2:]],
    "the newest lost before the fence": [CONNECTED, *TURN[:-1], BUSY, FENCE, IDLE],
    "one of equal events lost": [CONNECTED, *TURN, FENCE, IDLE],
    "all lost": [CONNECTED, FENCE],
    "another order": [CONNECTED, BUSY, DELTAS[1], DELTAS[0], *DELTAS[2:], IDLE, BUSY, FENCE, IDLE],
    "joined wrongly": [CONNECTED, BUSY, DELTAS[0], part("abcd", "cd"), *DELTAS[4:], IDLE, BUSY, FENCE, IDLE],
    "joined with another text": [
        CONNECTED,
        BUSY,
        DELTAS[0],
        part("aXcdef", "bcdef"),
        IDLE,
        BUSY,
        FENCE,
        IDLE,
    ],
}


@pytest.mark.parametrize("name", HOLES_RIGHT)
def test_a_backlog_without_a_silent_hole(name: str) -> None:
    said = judge_backlog(HOLES_RIGHT[name])
    assert said.findings == ()
    assert said.judged > 0


@pytest.mark.parametrize("name", HOLES_WRONG)
def test_a_silent_hole(name: str) -> None:
    assert len(judge_backlog(HOLES_WRONG[name]).findings) == 1


def test_what_one_subscriber_alone_may_show() -> None:
    # Another session's events, and ids that each connection counts for itself.
    assert judge_backlog(ALL, [CONNECTED, ELSEWHERE, *ALL[1:]]).findings == ()
    assert judge_backlog(with_ids(b"c", ALL), with_ids(b"w", ALL)).findings == ()
    lost = [raw for raw in ALL if raw != DELTAS[3]]
    assert judge_backlog(with_ids(b"c", lost), with_ids(b"w", ALL)).findings
    assert judge_backlog(with_ids(b"c", ALL), with_ids(b"c", ALL)).findings == ()


@pytest.mark.parametrize("ended", [Ended.COMPLETE, Ended.TRUNCATED, Ended.RESET])
def test_a_subscriber_that_is_disconnected(ended: Ended) -> None:
    assert judge_backlog(ALL[:4], ended=ended, read_on="ended").findings == ()
    assert judge_backlog([CONNECTED], ended=ended, read_on="ended").findings == ()
    # The oldest thrown away, then disconnected: its cursor is behind the hole.
    assert judge_backlog([CONNECTED, BUSY, *DELTAS[3:5]], ended=ended, read_on="ended").findings


def test_a_stream_that_is_dead_but_open() -> None:
    assert judge_backlog([CONNECTED, BUSY], read_on="silent").findings


def test_a_small_backlog_proves_nothing_but_a_hole() -> None:
    small: dict[str, Any] = {"backlog_bytes": 1_000_000}
    assert judge_backlog(ALL, **small).inconclusive
    assert judge_backlog(ALL, backlog_events=4_000).inconclusive
    assert judge_backlog(HOLES_WRONG["one delta lost"], **small).findings
    assert judge_backlog([CONNECTED, BUSY], read_on="deadline").inconclusive


# ---- a stalled answer

ANSWER = say("begin ", Fill(20, 5), "end")
WORDS = ["begin ", *Fill(20, 5).chunks(), "end"]


def judge_answer(*pieces: bytes, ended: Ended = Ended.COMPLETE, **facts: Any) -> Any:
    seen = {"stalled": exchange(*pieces, ended=ended)}
    return verdict("SSE-LIVE-03", exchanges.STALL, seen, facts=BIG | facts, scripts={"stalled": ANSWER})


def test_a_stalled_answer() -> None:
    whole = [chat(word) for word in WORDS]
    error = event({"type": "error", "error": "too slow", "dialog_id": "d"})
    assert judge_answer(*whole, DONE).judged == 1
    assert judge_answer(chat("".join(WORDS)), DONE).findings == ()
    assert judge_answer(*whole[:3], ended=Ended.RESET).findings == ()
    assert judge_answer(*whole[:3], error, DONE).findings == ()
    assert judge_answer(*whole[:3], *whole[4:], DONE).findings
    assert judge_answer(*whole[:3], DONE).findings
    assert judge_answer(*whole[:2], *whole[3:], ended=Ended.TRUNCATED).findings
    assert judge_answer(*whole[:3], ended=Ended.DEADLINE, read_on="silent").findings
    assert judge_answer(*whole[:3], ended=Ended.DEADLINE, read_on="deadline").inconclusive
    assert judge_answer(*whole, DONE, backlog_bytes=5).inconclusive


MANY_CHUNKS = say("begin ", Fill(20, 4_200), "end")


def test_a_server_that_joins_chunks_is_asked_for_the_bytes_of_as_many() -> None:
    seen = {"stalled": exchange(chat(MANY_CHUNKS.said), DONE, ended=Ended.COMPLETE)}
    facts = BIG | {"backlog_events": 900}
    said = verdict("SSE-LIVE-03", exchanges.STALL, seen, facts=facts, scripts={"stalled": MANY_CHUNKS})
    assert (said.judged, said.inconclusive) == (1, "")
    assert "900 events" in said.notes[0]
    few = verdict("SSE-LIVE-03", exchanges.STALL, seen, facts=facts, scripts={"stalled": ANSWER})
    assert few.findings  # other words than the script's
    small = facts | {"backlog_bytes": 9_000_000}
    assert verdict(
        "SSE-LIVE-03", exchanges.STALL, seen, facts=small, scripts={"stalled": MANY_CHUNKS}
    ).inconclusive


def test_the_backlog_grows_by_small_steps() -> None:
    assert exchanges.next_size(10, 3_500_000) == 10
    assert exchanges.next_size(10, 1_000_000) == 40
    assert exchanges.next_size(40, 1_700_000) == 120
    assert exchanges.next_size(4_000, 20) == 4_096


def test_a_backlog_of_events_without_sessions() -> None:
    bare = [
        event(
            {"type": "message.part.updated", "properties": {"part": {"type": "text", "id": "p"}, "delta": d}}
        )
        for d in ("a", "b", "c", exchanges.FENCE_MARK)
    ]
    for lost, accused in ((None, False), (1, True)):
        streams = {
            "stalled": exchange(
                CONNECTED, *bare[:lost], *bare[2 if lost else 4 :], method="GET", ended=Ended.CLOSED_BY_US
            ),
            "witness": exchange(CONNECTED, *bare, method="GET", ended=Ended.CLOSED_BY_US),
        }
        said = verdict("SSE-LIVE-03", exchanges.STALL, streams, on="penguin/1", facts=BIG)
        assert (bool(said.findings), said.inconclusive) == (accused, "")


# ---- exactly


def test_the_last_client_after_them_is_the_one_that_counts() -> None:
    seen = {"after": exchange(), "after-2": exchange(status=500), "afterwards": exchange()}
    facts = SERVED | {"served_after": False}
    said = verdict("SSE-LIVE-01", exchanges.VANISH, seen, on="penguin/2", facts=facts)
    assert ([found.role for found in said.findings], said.judged) == (["after-2"], 50)
    none = verdict("SSE-LIVE-01", exchanges.VANISH, {}, on="penguin/2", facts=facts)
    assert ([found.role for found in none.findings], none.judged) == ([""], 50)
    for missing in ("served_before", "turn_before"):
        facts = SERVED | {"served_after": True, "turn_after": True, missing: False}
        assert verdict("SSE-LIVE-01", exchanges.VANISH, seen, on="penguin/2", facts=facts).inconclusive


@pytest.mark.parametrize(
    ("status", "served", "turn", "outcome"),
    [
        (429, False, False, "open"),
        (503, False, False, "open"),
        (428, False, False, "bad"),
        (430, False, False, "bad"),
        (502, False, False, "bad"),
        (504, False, False, "bad"),
        (200, True, False, "good"),  # how long a limited turn takes says nothing
        (200, True, True, "good"),
        (200, False, True, "bad"),
    ],
)
def test_a_target_that_limits(status: int, served: bool, turn: bool, outcome: str) -> None:
    facts = SERVED | {"served_after": served, "turn_after": turn}
    seen = {"after": exchange(status=status)}
    said = verdict("SSE-LIVE-01", exchanges.VANISH, seen, on=profile("penguin/2", rate_limit=9), facts=facts)
    found = "bad" if said.findings else "open" if said.not_applicable else "good"
    assert found == outcome
    if not served and status in (429, 503):  # without a declared limit it is harm
        assert verdict("SSE-LIVE-01", exchanges.VANISH, seen, on="penguin/2", facts=facts).findings


@pytest.mark.parametrize(
    ("facts", "roles", "judged"),
    [
        ({"beside_final": True, "backlog_final": True}, [], 1),
        ({"beside_final": True}, [], 1),
        ({"beside_final": False, "backlog_final": True}, ["beside"], 1),
        ({"beside_final": False, "backlog_final": False}, ["beside"], 1),
        ({"beside_final": True, "backlog_final": False, "held": True}, ["backlog"], 1),
        ({"beside_final": None, "backlog_final": False, "held": True}, ["backlog"], 1),
        ({"beside_final": True, "backlog_final": False}, [], 0),
        ({"backlog_final": False}, [], 0),
    ],
)
def test_who_is_held_up(facts: dict[str, Any], roles: list[str], judged: int) -> None:
    facts = {"before_final": True} | facts
    said = verdict("SSE-LIVE-02", exchanges.STALL, {}, on="penguin/2", facts=facts)
    assert ([found.role for found in said.findings], said.judged) == (roles, judged)


@pytest.mark.parametrize(
    ("pieces", "ended", "facts", "said"),
    [
        (len(WORDS), Ended.COMPLETE, {}, "good"),
        (len(WORDS), Ended.COMPLETE, {"read_on": "silent"}, "bad"),
        (3, Ended.COMPLETE, {}, "good"),  # without `done` it does not pretend to be whole
        (3, Ended.TRUNCATED, {}, "good"),
        (3, Ended.CLOSED_BY_US, {}, "open"),
        (0, Ended.RESET, {}, "good"),
    ],
)
def test_how_a_stalled_answer_ends(pieces: int, ended: Ended, facts: dict[str, Any], said: str) -> None:
    judgement = judge_answer(*(chat(word) for word in WORDS[:pieces]), ended=ended, **facts)
    assert judgement.judged == (0 if said == "open" else 1)
    assert (bool(judgement.findings), bool(judgement.inconclusive)) == (said == "bad", said == "open")


def test_a_stalled_answer_whose_words_are_not_known() -> None:
    whole = exchange(*(chat(word) for word in WORDS), DONE)
    for scripts in ({}, {"another": ANSWER}):
        said = verdict("SSE-LIVE-03", exchanges.STALL, {"stalled": whole}, facts=BIG, scripts=scripts)
        assert (said.judged, bool(said.inconclusive)) == (0, True)
    for on in ("agentsmithy/2", "penguin/2"):
        streams = {"stalled": exchange(b"{}", status=503), "witness": exchange(*ALL, method="GET")}
        said = verdict("SSE-LIVE-03", exchanges.STALL, streams, on=on, facts=BIG, scripts={"stalled": ANSWER})
        assert (said.judged, said.findings, bool(said.inconclusive)) == (0, (), True)
    alone = verdict("SSE-LIVE-03", exchanges.STALL, {"stalled": exchange(*ALL)}, on="penguin/2", facts=BIG)
    assert (alone.judged, alone.findings, alone.inconclusive) == (0, (), "")
    error = event({"type": "error", "error": "x", "dialog_id": "d"})
    assert judge_answer(chat(WORDS[0]), chat("other"), error, DONE).judged == 1  # it is said that it failed


@pytest.mark.parametrize(
    ("size", "events", "chunks", "enough", "joined"),
    [
        (exchanges.BACKLOG_BYTES, exchanges.BACKLOG_EVENTS + 1, 0, True, False),
        (exchanges.BACKLOG_BYTES - 1, exchanges.BACKLOG_EVENTS + 1, 0, False, False),
        (exchanges.BACKLOG_BYTES, exchanges.BACKLOG_EVENTS, 0, False, False),
        (exchanges.BACKLOG_BYTES, exchanges.BACKLOG_EVENTS, exchanges.BACKLOG_EVENTS + 1, True, True),
        (exchanges.BACKLOG_BYTES, exchanges.BACKLOG_EVENTS, exchanges.BACKLOG_EVENTS, False, False),
    ],
)
def test_what_passes_the_buffers(size: int, events: int, chunks: int, enough: bool, joined: bool) -> None:
    facts = BIG | {"backlog_bytes": size, "backlog_events": events}
    streams = {
        "stalled": exchange(*ALL, method="GET", ended=Ended.CLOSED_BY_US),
        "witness": exchange(*ALL, method="GET", ended=Ended.CLOSED_BY_US),
    }
    scripts = (
        {"backlog-1": say(Fill(1, chunks)), "beside": say(Fill(1, 9_999))} if chunks else {"backlog-1": None}
    )
    said = verdict("SSE-LIVE-03", exchanges.STALL, streams, on="penguin/2", facts=facts, scripts=scripts)  # type: ignore[arg-type]
    assert (bool(said.inconclusive), len(said.notes)) == (not enough, joined)
    assert said.judged == (len(TURN) + 1 if enough else 0)


def test_where_a_hole_or_another_order_is_shown() -> None:
    (hole,) = judge_backlog(HOLES_WRONG["one delta lost"]).findings
    assert (hole.role, hole.event) == ("stalled", None)
    said = judge_backlog(HOLES_WRONG["another order"])
    assert [(found.role, found.event) for found in said.findings] == [("stalled", 2)]
    assert said.judged == len(TURN) + 1
    (mute,) = judge_backlog([CONNECTED, BUSY], read_on="silent").findings
    assert mute.role == "stalled"
    assert judge_backlog([CONNECTED, BUSY], read_on="silent").judged == 1


def test_the_order_of_members_is_no_hole() -> None:
    turned = [event(dict(reversed(json.loads(raw[6:]).items()))) for raw in ALL]
    assert turned != ALL
    assert judge_backlog(turned).findings == ()


@pytest.mark.parametrize("word", ["gap", "overflow", "lagged", "dropped", "resync", "too_slow"])
def test_words_that_tell_of_a_gap(word: str) -> None:
    told = event({"type": f"server.{word.upper()}", "properties": {"sessionID": "t"}})
    said = judge_backlog([CONNECTED, BUSY, told, FENCE])
    assert (said.findings, said.judged, len(said.notes)) == ((), len(TURN) + 1, 1)
    # Told after the fence it is told, too.
    assert judge_backlog([CONNECTED, BUSY, FENCE, told]).findings == ()


def test_what_a_disconnected_subscriber_need_not_have() -> None:
    for count in range(len(TURN) + 1):
        said = judge_backlog([CONNECTED, *TURN[:count]], ended=Ended.COMPLETE, read_on="ended")
        assert (said.findings, said.judged, len(said.notes)) == ((), max(1, count), 1)
    lost = judge_backlog([CONNECTED, *TURN[:2], *TURN[3:5]], ended=Ended.COMPLETE, read_on="ended")
    assert (len(lost.findings), lost.judged) == (1, 5)
    joined = [CONNECTED, BUSY, DELTAS[0], part("abc", "bc")]
    assert judge_backlog(joined, ended=Ended.RESET, read_on="ended").findings == ()
    wrong = [CONNECTED, BUSY, DELTAS[0], part("acb", "cb"), DELTAS[3]]
    assert judge_backlog(wrong, ended=Ended.RESET, read_on="ended").findings
    altered = [CONNECTED, BUSY, DELTAS[0], part("aXcdef", "bcdef"), IDLE]
    assert judge_backlog(altered, ended=Ended.RESET, read_on="ended").findings


def test_both_fences_must_have_come() -> None:
    assert judge_backlog([CONNECTED, *TURN]).inconclusive
    streams = {
        "stalled": exchange(*ALL, method="GET", ended=Ended.CLOSED_BY_US),
        "witness": exchange(*ALL[:-2], method="GET", ended=Ended.CLOSED_BY_US),
    }
    assert verdict("SSE-LIVE-03", exchanges.STALL, streams, on="penguin/2", facts=BIG).inconclusive
