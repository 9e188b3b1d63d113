"""The schemas of our own documents hold for what the code really writes and reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conformance import transcript
from conformance.catalogue import catalogue, own_validator
from conformance.findings import Finding, Level, Verdict
from conformance.judge import Evidence, Result
from conformance.profile_file import default_profile
from conformance.report.exhibits import Exhibit, exhibited
from conformance.report.files import dumps, loads
from conformance.report.model import ResultRow, RunResult
from conformance.schema_store import problems, read_schema, schema_root
from conformance.script import Failure, Fill, ModelTurn, Script, ToolCall
from conformance.transcript import (
    Action,
    Chunk,
    Ended,
    Framing,
    Head,
    Observation,
    ObservationError,
    Request,
    Transcript,
)
from conformance.turns import TURNS
from reference_server.script import ScriptError, parse_script

SCRIPT = Script(
    (
        ModelTurn(
            reasoning=("hm",), text=("a", Fill(10, 3)), tools=(ToolCall("t", {"x": 1}, "r", True, "/w/a"),)
        ),
        ModelTurn(text=("b",), error=Failure("no", status=429, retry_after=1, times=2), stall_ms=5),
        ModelTurn(text=("c",), cut="reset"),
    ),
    pace_ms=10,
    repeat=True,
)


def own(name: str) -> dict[str, Any]:
    return read_schema(schema_root() / "own" / f"{name}.schema.json")


def observation(ended: Ended = Ended.COMPLETE, body: bytes = b"data: 1\n\n") -> Observation:
    exchange = Transcript(
        Request("POST", "http://h/x", (("A", "b"),), b'{"a": 1}'),
        0.0,
        Head(0.1, 200, "OK", "1.1", (("content-type", "text/event-stream"),)),
        (Chunk(0.2, body[:3]), Chunk(0.3, body[3:])),
        ended,
        0.4,
        framing=Framing("chunked", True, ("odd",), 2),
        wire_bytes=9,
    )
    silent = Transcript(Request("GET", "http://h/x"), 0.0, None, (), Ended.NO_RESPONSE, 0.1, from_start=False)
    actions = (
        Action(0.1, "prompt", "s", "a", "stream", SCRIPT, "text", 200, {"ok": True}, 0.5, "n"),
        Action(0.2, "abort"),
    )
    return Observation(
        "text",
        default_profile("penguin/2", "http://h"),
        (("stream", exchange), ("silent", silent)),
        actions,
        (("n", 3), ("words", ["a"])),
        "why",
        "2026-01-01T00:00:00+00:00",
        "0.1.0",
    )


@pytest.mark.parametrize("ended", list(Ended))
@pytest.mark.parametrize("body", [b"data: 1\n\n", b"\xff\x00", b""])
def test_what_is_saved_of_an_observation_is_valid(ended: Ended, body: bytes) -> None:
    saved = transcript.to_json(observation(ended, body))
    assert problems(own_validator("observation"), json.loads(saved)) == ()
    assert transcript.from_json(saved) == observation(ended, body)


def test_what_the_observation_schema_refuses_cannot_be_read() -> None:
    saved = json.loads(transcript.to_json(observation()))
    for damage in ("format", "transcripts", "profile", "actions"):
        broken = {key: value for key, value in saved.items() if key != damage}
        assert not own_validator("observation").is_valid(broken)
        with pytest.raises(ObservationError):
            transcript.from_json(json.dumps(broken))


def test_what_the_harness_tells_agents_is_a_valid_script() -> None:
    assert problems(own_validator("script"), SCRIPT.to_data()) == ()
    profile = default_profile("agentsmithy/2", "http://h")
    scripts = [script for turn in TURNS if (script := turn.script(profile)) is not None]
    assert len(scripts) > 10
    for script in scripts:
        assert problems(own_validator("script"), script.to_data()) == ()


@pytest.mark.parametrize("script", own("script")["examples"], ids=json.dumps)
def test_the_servers_own_reader_takes_the_valid_scripts(script: Any) -> None:
    assert parse_script(script)


@pytest.mark.parametrize("entry", own("script")["x-invalid-examples"], ids=lambda entry: entry["why"])
def test_the_servers_own_reader_refuses_the_invalid_scripts(entry: dict[str, Any]) -> None:
    with pytest.raises(ScriptError):
        parse_script(entry["value"])


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_result_as_it_is_written_is_valid(verdict: Verdict) -> None:
    requirement = catalogue("penguin/2").get("PG-CON-01")
    assert requirement is not None
    guilty = verdict in (Verdict.FAIL, Verdict.WARN, Verdict.NOTE, Verdict.EXPECTED)
    evidence = (Evidence("text", Finding("t", "e", "o", "stream", 3, (1, 2))),) if guilty else ()
    reason = "why" if verdict in (Verdict.NOT_APPLICABLE, Verdict.INCONCLUSIVE) else ""
    result = Result(requirement, Level.MUST, verdict, evidence, reason, ("n",), 4, ("text",), 0.5)
    exhibit = Exhibit(observation(), "o/a.json")
    findings = exhibited(evidence, lambda probe: exhibit, lambda text: text)
    run = RunResult("http://h", "penguin/2", (ResultRow.of(result, findings),), "n", "2026-01-01", 1.0)
    assert problems(own_validator("result"), json.loads(dumps(run))) == ()
    assert loads(dumps(run)) == run
    assert not guilty or (findings[0].excerpt is not None and findings[0].timeline is not None)
