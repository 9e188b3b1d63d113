"""Driver and probes against the reference server as a process: every row holds, in both revisions."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from conformance.findings import Verdict
from conformance.lab import Lab
from conformance.observe.drivers.penguin import PenguinDriver
from conformance.observe.probe import Unavailable
from conformance.observe.recording import Recording
from conformance.penguin import words
from conformance.profile import Profile, Template
from conformance.profile_file import default_profile
from conformance.rules.base import checks
from conformance.transcript import from_json, to_json
from tests.support.reference import reference_server

KEPT = 1_000


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with reference_server("--heartbeat", "1", "--replay-buffer", str(KEPT)) as url:
        yield url


def _profile(server: str, protocol: str, **changes: Any) -> Profile:
    base = default_profile(protocol, f"{server}/{protocol}")
    kept = KEPT if base.capabilities.resume else None
    return replace(base, capabilities=replace(base.capabilities, retention=kept), **changes)


@pytest.fixture(scope="module")
def labs(server: str) -> dict[str, Lab]:
    return {protocol: Lab(_profile(server, protocol)) for protocol in ("penguin/1", "penguin/2")}


ROWS = [
    (protocol, row.id)
    for protocol in ("penguin/1", "penguin/2")
    for row in Lab(default_profile(protocol, "http://127.0.0.1:1")).catalogue.requirements
    if row.id.startswith("PG-") and not row.excluded
]


@pytest.mark.parametrize(("protocol", "row"), ROWS)
def test_the_reference_server_fulfils(labs: dict[str, Lab], protocol: str, row: str) -> None:
    lab = labs[protocol]
    requirement = lab.catalogue.get(row)
    assert requirement is not None
    result = lab.result(requirement)
    assert [evidence.finding for evidence in result.evidence] == []
    if protocol == "penguin/2" and row != "PG-REC-06":  # it is for targets without resume
        assert result.verdict in (Verdict.PASS, Verdict.NOTE), result.reason
        assert result.judged > 0
    else:
        assert result.verdict in (Verdict.PASS, Verdict.NOTE, Verdict.NOT_APPLICABLE), result.reason


def test_the_first_revision_with_cursors_fulfils_what_is_asked_of_cursors() -> None:
    with reference_server("--resume", "--replay-buffer", str(KEPT)) as url:
        base = default_profile("penguin/1", f"{url}/penguin/1")
        lab = Lab(replace(base, capabilities=replace(base.capabilities, resume=True, retention=KEPT)))
        for row in ("PG-REC-02", "PG-REC-03", "PG-REC-03b", "PG-REC-04", "PG-REC-05a"):
            requirement = lab.catalogue.get(row)
            assert requirement is not None
            result = lab.result(requirement)
            assert result.verdict is Verdict.PASS, (row, result.reason, result.evidence)
            assert result.judged > 0


def test_every_testable_row_has_a_check() -> None:
    known = {check.requirement for check in checks("penguin")}
    assert {row for _, row in ROWS} <= known


def test_a_saved_observation_is_judged_the_same(labs: dict[str, Lab]) -> None:
    lab = labs["penguin/2"]
    lab.outcome("penguin-filters")
    seen = lab.observation("penguin-filters")
    assert seen is not None
    assert from_json(to_json(seen)) == seen


def test_everything_made_is_removed(server: str, labs: dict[str, Lab]) -> None:
    for protocol in ("penguin/1", "penguin/2"):
        labs[protocol].outcome("penguin-filters")
        with urllib.request.urlopen(f"{server}/{protocol}/session", timeout=10) as answer:
            listed = json.load(answer)
        assert [entry for entry in listed if str(entry["title"]).startswith("sse-conformance")] == []


def test_templates_replace_the_drivers_own_requests(server: str) -> None:
    stimulus = (
        ("create-session", Template("POST", "/session", {"title": "{title} of the profile"})),
        (
            "prompt",
            Template(
                "POST",
                "/api/v1/chat/message",
                {"text": "{prompt}", "session_id": "{session}", "streaming": True},
            ),
        ),
    )
    profile = _profile(server, "penguin/2", stimulus=stimulus)

    async def play() -> None:
        driver, recording = PenguinDriver(profile), Recording("text", profile)
        turn = await driver.turn(recording, words("templated"))
        assert driver.is_final(turn.stream)
        assert driver.progress(turn.stream).says(turn.session, "templated three.")
        observation = await recording.finish()
        made = observation.actions_of("create-session")[0]
        assert made.answer["title"] == "sse-conformance of the profile"
        await driver.cleanup()

    asyncio.run(play())


def test_a_target_that_makes_no_sessions_is_unavailable(server: str) -> None:
    profile = _profile(server, "penguin/2", stimulus=(("create-session", Template("POST", "/nothing", {})),))

    async def play() -> None:
        driver, recording = PenguinDriver(profile), Recording("text", profile)
        with pytest.raises(Unavailable, match="no session could be made"):
            await driver.turn(recording, words("x"))
        await recording.finish()
        await driver.cleanup()

    asyncio.run(play())


def test_a_turn_that_goes_on_is_recorded_when_the_probe_ends(server: str) -> None:
    profile = _profile(server, "penguin/2")

    async def play() -> None:
        driver, recording = PenguinDriver(profile), Recording("text", profile)
        turn = await driver.begin(recording, words("slow", pace_ms=2_000))
        assert not driver.is_final(turn.stream)
        observation = await recording.finish()
        await driver.cleanup()
        prompt = observation.actions_of("prompt", stream="stream")[0]
        assert (prompt.status, prompt.until) == (None, None)
        assert prompt.script == words("slow", pace_ms=2_000)

    asyncio.run(play())


def test_a_fresh_stream_is_alive(server: str) -> None:
    profile = _profile(server, "penguin/1")

    async def play() -> None:
        driver, recording = PenguinDriver(profile), Recording("alive", profile)
        assert await driver.alive(recording, role="alive")
        await recording.finish()

    asyncio.run(play())
