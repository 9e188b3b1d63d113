"""A declared limit of rate in the way of a probe: it is waited out, and never judged as something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from conformance import exchanges, rate_limit
from conformance.agentsmithy import SAME_DIALOG
from conformance.judge import Outcome
from conformance.lab import Lab
from conformance.observe.probe import Probe
from conformance.profile import Capabilities, Profile
from conformance.rules.base import Case
from conformance.transcript import Action, Ended, Head, Observation, Request, Transcript

URL = "http://127.0.0.1:9"
LIMITED = Profile("agentsmithy/2", URL, capabilities=Capabilities(rate_limit=5))


def saw(
    probe: str, *statuses: int, retry_after: str | None = None, profile: Profile = LIMITED, action: int = 200
) -> Observation:
    """What a probe saw whose streams were answered with these statuses."""
    headers = () if retry_after is None else (("Retry-After", retry_after),)
    request = Request("POST", f"{URL}/api/chat", ())
    transcripts = tuple(
        (f"s{n}", Transcript(request, 0.0, Head(0.1, status, "", "1.1", headers), (), Ended.COMPLETE, 0.2))
        for n, status in enumerate(statuses)
    )
    return Observation(probe, profile, transcripts, (Action(0.0, "prompt", status=action),))


@pytest.mark.parametrize(
    ("observation", "expected"),
    [
        (saw("text", 200), False),
        (saw("text", 200, 429), True),
        (saw("text", 503), True),
        (saw("text", 404, 500), False),
        (saw("text", 200, action=429), True),
        (saw(exchanges.RATE, 429), False),
        (saw("text", 429, profile=replace(LIMITED, capabilities=Capabilities())), False),
        (saw(exchanges.VANISH, 429), True),
        (replace(saw(exchanges.VANISH, 429), facts=(("served_before", True), ("turn_before", True))), False),
    ],
)
def test_whether_the_limit_was_in_the_way(observation: Observation, expected: bool) -> None:
    assert rate_limit.in_the_way(observation) is expected


@pytest.mark.parametrize(
    ("retry_after", "attempt", "seconds"),
    [
        ("3", 0, 4.0),
        ("999", 2, 60.0),
        (None, 0, 2.0),
        (None, 9, 30.0),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 1, 10.0),
    ],
)
def test_how_long_is_waited(retry_after: str | None, attempt: int, seconds: float) -> None:
    assert rate_limit.pause(saw("text", 429, retry_after=retry_after), attempt) == seconds


class Played(Lab):
    """A lab whose probes see what it is told."""

    def __init__(self, *seen: Observation) -> None:
        super().__init__(LIMITED)
        self._seen: Iterator[Observation] = iter(seen)

    def _run(self, probe: Probe) -> Outcome:
        return Outcome(probe.name, Case(next(self._seen)), seconds=1.0)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds: list[float] = []
    monkeypatch.setattr("conformance.lab.time.sleep", seconds.append)
    return seconds


def test_a_limited_probe_is_run_again(slept: list[float]) -> None:
    outcome = Played(saw("text", 429, retry_after="4"), saw("text", 429), saw("text", 200)).outcome("text")
    assert outcome is not None
    assert outcome.case is not None
    assert outcome.case.observation.transcripts[0][1].head.status == 200  # type: ignore[union-attr]
    assert slept == [5.0, 10.0]
    assert outcome.seconds == 18.0


def test_a_probe_that_is_always_limited_stays_open(slept: list[float]) -> None:
    outcome = Played(*[saw("text", 429)] * 4).outcome("text")
    assert outcome is not None
    assert (outcome.case, outcome.inconclusive) == (None, rate_limit.STILL_LIMITED)
    assert len(slept) == 3


def test_a_second_stream_of_a_dialog_may_be_refused_for_good(slept: list[float]) -> None:
    outcome = Played(*[saw(SAME_DIALOG, 200, 429)] * 4).outcome(SAME_DIALOG)
    assert outcome is not None
    assert outcome.case is not None
