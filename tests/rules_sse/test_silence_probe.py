"""The probe `silence` against the reference server: heartbeats that come, that are late, and that never come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from conformance.findings import Verdict
from conformance.judge import Result
from conformance.lab import Lab
from conformance.profile_file import default_profile
from tests.support.reference import reference_server

PROTOCOLS = ("agentsmithy/2", "penguin/2")


@pytest.fixture(scope="module")
def beating() -> Iterator[str]:
    """A server that sends a comment every 200 ms of silence."""
    with reference_server("--heartbeat", "0.2") as url:
        yield url


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """A server that is silent for longer than anyone waits here."""
    with reference_server("--heartbeat", "60") as url:
        yield url


def _result(url: str, protocol: str, period: float) -> Result:
    profile = default_profile(protocol, f"{url}/{protocol}")
    lab = Lab(replace(profile, capabilities=replace(profile.capabilities, heartbeat=period)))
    requirement = lab.catalogue.get("SSE-CON-03")
    assert requirement is not None
    return lab.result(requirement)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_heartbeats_in_time_pass(beating: str, protocol: str) -> None:
    result = _result(beating, protocol, 0.2)
    assert result.verdict is Verdict.PASS
    assert "1 × comment" in result.notes[0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_silence_is_warned_of(silent: str, protocol: str) -> None:
    result = _result(silent, protocol, 0.2)
    assert result.verdict is Verdict.WARN
    assert "no byte from" in result.evidence[0].finding.observed
