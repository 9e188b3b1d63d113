"""Random scripts, played by the reference server over real sockets and judged as a run does: never accused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given

from conformance.observe.drivers import driver_for
from conformance.observe.recording import Recording
from conformance.profile import Profile
from conformance.script import Script
from conformance.transcript import Observation
from reference_server.settings import Settings
from tests.support.generated_judging import (
    PROTOCOLS,
    Scene,
    accused,
    named_probes,
    profile_of,
    told,
    verdicts,
)
from tests.support.generated_profile import examples
from tests.support.generated_scripts import WORKSPACE, scripts
from tests.support.reference_in_process import reference_in_process


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with reference_in_process(Settings(workspace=WORKSPACE)) as url:
        yield url


async def _observe(profile: Profile, script: Script) -> Observation:
    """What the turn's probes record, by the same driver."""
    driver, recording = driver_for(profile), Recording(named_probes(profile.family, script)[0], profile)
    try:
        await driver.turn(recording, script)
        return await recording.finish()
    finally:
        await driver.cleanup()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_reference_server_is_never_accused(server: str, protocol: str) -> None:
    profile = replace(profile_of(protocol), url=f"{server}/{protocol}")

    @examples(20)
    @given(scripts())
    def run(script: Script) -> None:
        made = Scene(script, asyncio.run(_observe(profile, script)))
        found = accused(made, verdicts(made.observation, named_probes(profile.family, script)))
        assert not found, told(made, "\n".join(["the reference server is accused:", *found]))

    run()
