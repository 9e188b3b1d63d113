"""The probes of HTTP and of live behaviour with their rules, against a server that is wrong in one way."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

import conformance.observe.probes
import conformance.rules  # noqa: F401  (both register what is tested here)
from conformance import exchanges
from conformance.findings import Judgement
from conformance.observe.drivers import driver_for
from conformance.observe.probe import probes
from conformance.observe.recording import Recording
from conformance.profile import Limits
from conformance.profile_file import default_profile
from conformance.rules.base import Case, checks
from conformance.transcript import Observation, from_json, to_json
from tests.support.tiny_agentsmithy import TinyAgentSmithy
from tests.support.wire_server import serving

LIMITS = Limits(connect=2, head=1, turn=3, settle=0.5)


async def _observe(server: TinyAgentSmithy, name: str) -> Observation:
    async with serving(server) as url:
        profile = replace(default_profile("agentsmithy/1", url), limits=LIMITS)
        driver, recording = driver_for(profile), Recording(name, profile)
        try:
            await probes("agentsmithy")[name].run(driver, recording)
        finally:
            observation = await recording.finish()
            await driver.cleanup()
        return observation


def judge(server: TinyAgentSmithy, name: str, *requirements: str) -> dict[str, Judgement]:
    """What the rules say of the probe, before and after it was saved: the same."""
    seen = asyncio.run(_observe(server, name))
    said = []
    for observation in (seen, from_json(to_json(seen))):
        case = Case(observation)
        said.append(
            {
                entry.requirement: entry.judge(case)
                for entry in checks("agentsmithy")
                if name in entry.probes and entry.requirement in requirements
            }
        )
    assert said[0] == said[1]
    assert set(said[0]) == set(requirements)
    assert seen.incomplete == ""
    return said[0]


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conformance.observe.probes.http_requests.PACES", (0.3, 0.5))
    monkeypatch.setattr("conformance.observe.probes.http_requests.CLOSING", 0.5)


FRAMING = ("SSE-HTTP-01a", "SSE-HTTP-01b", "SSE-HTTP-01c", "SSE-HTTP-12", "SSE-HTTP-04a")
TIMING = ("SSE-HTTP-02", "SSE-HTTP-03")


@pytest.mark.parametrize("gzip", [False, True])
def test_a_server_that_is_right_streams(gzip: bool) -> None:
    said = judge(TinyAgentSmithy(gzip=gzip), exchanges.STREAMING, *TIMING, *FRAMING)
    for requirement, judgement in said.items():
        assert judgement.findings == (), requirement
        assert judgement.judged == 2, requirement


STREAMING_FAULTS = {
    "buffered": {"SSE-HTTP-02", "SSE-HTTP-03"},
    "late-head": {"SSE-HTTP-02"},
    "gzip-held": {"SSE-HTTP-03"},
    "no-terminator": {"SSE-HTTP-01a"},
    "length-too": {"SSE-HTTP-01b", "SSE-HTTP-01c"},
}


@pytest.mark.parametrize("wrong", STREAMING_FAULTS)
def test_a_fault_of_the_stream_is_caught_by_its_rows_alone(wrong: str) -> None:
    server = TinyAgentSmithy(wrong, gzip=wrong == "gzip-held")
    said = judge(server, exchanges.STREAMING, *TIMING, *FRAMING)
    assert {name for name, judgement in said.items() if judgement.findings} == STREAMING_FAULTS[wrong]


@pytest.mark.parametrize(
    ("wrong", "probe", "requirement"),
    [
        ("head-body", exchanges.HEAD_METHOD, "SSE-HTTP-06"),
        ("chunks-for-1.0", exchanges.HTTP10, "SSE-HTTP-07"),
        ("put-500", exchanges.METHODS, "SSE-HTTP-05a"),
        ("leaks", exchanges.VANISH, "SSE-LIVE-01"),
        ("one-at-a-time", exchanges.STALL, "SSE-LIVE-02"),
        ("drops", exchanges.STALL, "SSE-LIVE-03"),
    ],
)
def test_other_faults(wrong: str, probe: str, requirement: str) -> None:
    right = judge(TinyAgentSmithy(), probe, requirement)[requirement]
    assert right.findings == ()
    assert not right.inconclusive
    assert right.judged or right.not_applicable
    assert judge(TinyAgentSmithy(wrong), probe, requirement)[requirement].findings
