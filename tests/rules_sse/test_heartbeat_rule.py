"""SSE-CON-03: silence, and what breaks it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conformance.findings import Judgement
from conformance.heartbeat import allowed_silence
from conformance.profile_file import default_profile
from conformance.transcript import Ended
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
