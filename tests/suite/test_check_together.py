"""`check --together`: several recordings of one program become one result, in which each finding names its file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance import cli, exits
from conformance.findings import Verdict
from conformance.offline import judge_observation, judge_together
from conformance.recorded import read_recording
from conformance.report import files
from conformance.report.matrix import families
from conformance.transcript import to_json
from tests.support.commands import ROOT

RECORDINGS = ROOT / "tests/recordings/agentsmithy-1.13.0"
NAMES = ("text.sse", "edit.sse", "multi.sse")
PATHS = [str(RECORDINGS / name) for name in NAMES]
ASKED = ("--protocol", "agentsmithy/2", "--together", "AgentSmithy 1.13.0, recorded")


def test_each_requirement_is_judged_by_every_recording_that_can_answer() -> None:
    observations = {path: read_recording(path, "agentsmithy/2") for path in PATHS}
    together = {result.requirement.id: result for result in judge_together(observations)}
    for observation in observations.values():
        for alone in judge_observation(observation):
            both = together[alone.requirement.id]
            assert both.judged >= alone.judged
            if alone.verdict in (Verdict.FAIL, Verdict.WARN):
                assert both.verdict is alone.verdict
    assert together["SSE-FMT-01"].probes == tuple(sorted(PATHS))
    assert sum(result.judged for result in together.values()) == sum(
        result.judged for seen in observations.values() for result in judge_observation(seen)
    )


def test_the_result_says_which_program_it_is_of_and_of_how_much(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", *PATHS, *ASKED, "--json"]) == exits.OK
    run = files.loads(capsys.readouterr().out)
    assert (run.label, run.target) == ("AgentSmithy 1.13.0, recorded", "3 recordings")
    assert run.coverage[1] > len(run.rows) >= 40
    warned = {row.requirement: row for row in run.rows if row.verdict is Verdict.WARN}
    assert {name: row.findings[0].probe for name, row in warned.items()} == {
        "AS-2-02b": str(RECORDINGS / "multi.sse"),
        "AS-2-04": str(RECORDINGS / "edit.sse"),
    }
    (family,) = families([run])
    assert [column.label for column in family.columns] == ["AgentSmithy 1.13.0, recorded"]


def test_the_text_shows_the_bytes_of_the_recording_in_which_it_was_found(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["check", *PATHS, *ASKED]) == exits.OK
    out = capsys.readouterr().out
    assert f"probe:    {RECORDINGS / 'edit.sse'}" in out
    assert "⟦data: " in out
    assert out.rstrip().endswith("agentsmithy/2 · 3 recordings")


def test_recordings_of_two_protocols_are_not_one_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, protocol in (("a", "penguin/2"), ("b", "penguin/1")):
        (tmp_path / f"{name}.json").write_text(to_json(read_recording(PATHS[0], protocol)), encoding="utf-8")
    assert json.loads((tmp_path / "a.json").read_text())["profile"]["protocol"] == "penguin/2"
    code = cli.main(["check", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--together", "x"])
    assert code == exits.USAGE
    assert capsys.readouterr().err == f"{tmp_path / 'b.json'}: of penguin/1, not of penguin/2\n"
