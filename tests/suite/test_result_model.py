"""The result documents: they survive the way to disk and back, and a truncated one is recognised."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance import exits
from conformance.catalogue import own_validator
from conformance.findings import Level, Verdict
from conformance.report import markdown, model
from conformance.report.model import FoundFinding, ResultRow, RunResult
from tests.support.commands import conformance

FINDING = FoundFinding(
    "text", "a line | with <b>", "x", "y", "stream", 3, (10, 20), "observations/a.json", "curl …"
)
RUN = RunResult(
    "http://127.0.0.1:9",
    "penguin/2",
    (
        ResultRow(
            "PG-CON-01",
            Level.MUST,
            Verdict.FAIL,
            "first",
            "doc",
            findings=(FINDING,),
            judged=2,
            probes=("text",),
        ),
        ResultRow("SSE-FMT-03", Level.INFO, Verdict.NOTE, "endings", "WHATWG", notes=("LF",), judged=1),
        ResultRow("SSE-HTTP-09a", Level.MUST, Verdict.NOT_APPLICABLE, "cors", "Fetch", reason="no cors"),
    ),
    started="2026-01-01T00:00:00+00:00",
    seconds=1.5,
)


def test_a_result_survives_the_way_to_disk_and_back(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(model.dumps(RUN), encoding="utf-8")
    assert model.read(path) == RUN


def test_a_result_obeys_its_schema() -> None:
    problems = [error.message for error in own_validator("result").iter_errors(json.loads(model.dumps(RUN)))]
    assert problems == []


def test_the_last_line_counts_every_verdict() -> None:
    assert RUN.summary_line() == (
        f"0 pass · 1 fail · 0 warn · 1 note · 1 n/a · 0 inconclusive · suite {RUN.suite} · penguin/2 · "
        "http://127.0.0.1:9"
    )


@pytest.mark.parametrize("keep", [0, 10, 200, -3])
def test_a_truncated_result_is_recognised(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "r.json"
    path.write_text(model.dumps(RUN)[:keep], encoding="utf-8")
    ran = conformance("report", "summary", "r.json", cwd=tmp_path)
    assert ran.code == exits.USAGE
    assert ran.err.startswith("r.json: ")
    assert "Traceback" not in ran.err


def test_a_result_with_a_missing_row_is_recognised(tmp_path: Path) -> None:
    data = json.loads(model.dumps(RUN))
    del data["results"][0]
    with pytest.raises(model.ResultError, match="truncated: the footer counts 3"):
        model.loads(json.dumps(data))


def test_documents_are_made_again_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(model.dumps(RUN), encoding="utf-8")
    ran = conformance("report", "markdown", "r.json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    assert ran.out.strip() == markdown.render([RUN]).strip()
    assert "PG-CON-01" in ran.out
    assert "a line | with &lt;b>" in ran.out
