"""SSE-CON-03: silence, and what breaks it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conformance.findings import Judgement
from conformance.heartbeat import allowed_silence, quiet
from conformance.profile_file import default_profile
from conformance.rules.base import Stream
from conformance.rules.heartbeat import Silence, heartbeats, longest_silence
from conformance.transcript import Ended, Transcript
from tests.support.sse_cases import case, judged, transcript

CHAT = b'data: {"type": "chat", "content": "x", "dialog_id": "d"}\n\n'
PROFILE = default_profile("agentsmithy/2", "http://localhost")
ONE_SECOND = replace(PROFILE, capabilities=replace(PROFILE.capabilities, heartbeat=1.0))


def _judge(*timed: tuple[float, bytes], ended_at: float | None = None, probe: str = "silence") -> Judgement:
    made = transcript(
        *(data for _, data in timed),
        times=[at for at, _ in timed],
        ended_at=ended_at,
        ended=Ended.CLOSED_BY_US,
    )
    return judged("SSE-CON-03", case(made, probe=probe, profile=ONE_SECOND))


def test_the_slack_is_a_fifth_and_a_second() -> None:
    assert allowed_silence(ONE_SECOND) == pytest.approx(2.2)
    assert allowed_silence(PROFILE) == pytest.approx(19.0)
    assert allowed_silence(replace(PROFILE, timeout_scale=2.0)) == pytest.approx(38.0)


@pytest.mark.parametrize(
    ("beat", "kind"),
    [
        (b": ping\n\n", "1 × comment"),
        (b":\n\n", "1 × comment"),
        (b": no blank line\n", "1 × comment"),
        (b'data: {"type": "server.heartbeat", "properties": {}}\n\n', "1 × data server.heartbeat"),
    ],
)
def test_heartbeats_are_told_apart(beat: bytes, kind: str) -> None:
    judgement = _judge((0.0, CHAT), (2.0, beat))
    assert judgement.findings == ()
    assert judgement.judged == 1
    assert kind in judgement.notes[0]


def test_silence_is_found_where_it_lies() -> None:
    judgement = _judge((0.0, CHAT), (1.0, CHAT), (4.0, CHAT))
    assert [finding.span for finding in judgement.findings] == [(2 * len(CHAT), 2 * len(CHAT))]


def test_silence_until_we_left_is_found() -> None:
    assert _judge((0.0, CHAT), ended_at=2.5).findings
    assert _judge(ended_at=2.5).findings  # not even a first byte after the head


def test_a_greeting_is_no_heartbeat() -> None:
    judgement = _judge((0.01, b": welcome\n\n" + CHAT), ended_at=1.0)
    assert judgement.judged == 0
    assert judgement.inconclusive


def test_a_busy_stream_proves_nothing() -> None:
    judgement = _judge(*((n / 10, CHAT) for n in range(30)))
    assert judgement.judged == 0
    assert judgement.inconclusive
    offline = _judge((0.0, CHAT), (0.5, CHAT), probe="recorded")
    assert offline.not_applicable
    assert not offline.inconclusive


def test_a_body_without_times_is_not_judged() -> None:
    of = case(CHAT + b": c\n\n", facts=(("head", "assumed"),))
    assert judged("SSE-CON-03", of).not_applicable


def test_each_stream_is_judged_for_itself() -> None:
    def made(*timed: tuple[float, bytes], until: float, head: bool = True) -> Transcript:
        seen = transcript(
            *(data for _, data in timed),
            times=[at for at, _ in timed],
            ended_at=until,
            ended=Ended.CLOSED_BY_US,
        )
        return seen if head else replace(seen, head=None)

    quick = made((0.0, CHAT), until=1.0)  # nothing to say of it
    silent = made((0.0, CHAT), until=5.0)
    beating = made((0.0, CHAT), (1.0, b": ping\n\n"), (2.0, b": ping\n\n"), until=3.0)
    of = case(quick, silent, beating, silent, probe="silence", profile=ONE_SECOND)
    found = judged("SSE-CON-03", of)
    assert [each.role for each in found.findings] == ["stream-1", "stream-3"]
    assert found.judged == 3
    assert len([note for note in found.notes if "2 × comment" in note]) == 1


def test_an_empty_chunk_is_no_sign_of_life() -> None:
    silence = longest_silence(stream_of((0.0, CHAT), (1.0, b""), (3.0, CHAT), (3.5, b""), (3.7, CHAT)))
    assert silence == Silence(0.0, 3.0, len(CHAT))
    assert longest_silence(stream_of((0.0, CHAT), (1.0, CHAT), (2.0, CHAT))) == Silence(0.0, 1.0, len(CHAT))
    assert longest_silence(stream_of((2.0, CHAT))) == Silence(0.0, 2.0, 0)
    assert longest_silence(stream_of(until=3.0)) == Silence(0.0, 3.0, 0)
    assert longest_silence(stream_of((0.0, CHAT), until=3.0)) == Silence(0.0, 3.0, len(CHAT))


def stream_of(*timed: tuple[float, bytes], until: float | None = None) -> Stream:
    made = transcript(*(data for _, data in timed), times=[at for at, _ in timed], ended_at=until)
    return Stream("stream", made, ONE_SECOND)


def test_what_greets_right_after_the_head_is_no_heartbeat() -> None:
    ping, line = b": ping\n\n", b": ping\n"
    for at, count in ((0.0, 0), (quiet(ONE_SECOND), 0), (quiet(ONE_SECOND) + 0.01, 1)):
        assert sum(heartbeats(stream_of((at, ping))).values()) == count
        assert sum(heartbeats(stream_of((at, line))).values()) == count
    late = stream_of((5.01, ping), (9.0, CHAT)).transcript
    late = replace(late, head=replace(late.head, at=5.0))  # the head counts, not the request
    assert heartbeats(Stream("stream", late, ONE_SECOND)) == {}
    assert heartbeats(stream_of((1.0, ping), (2.0, b'data: {"type": "ping"}\n\n'), (3.0, line))) == {
        "comment": 2,
        "data ping": 1,
    }
    assert heartbeats(stream_of((0.0, line), (1.0, b"\n"))) == {"comment": 1}
    assert heartbeats(stream_of((1.0, CHAT + b"data: x"))) == {}
