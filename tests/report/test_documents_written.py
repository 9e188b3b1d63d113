"""What a run leaves behind: one result for each target, every document of all of them, and CI's summary."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conformance.findings import Verdict
from conformance.report import documents, files
from conformance.report.inputs import read_results
from tests.support.result_cases import every_verdict, row, run

RUNS = (
    every_verdict(),
    run(row("AS-END-01", Verdict.PASS), protocol="agentsmithy/2"),
    run(row("PG-CON-01", Verdict.PASS), target="http://127.0.0.1:10"),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the documents are written; nothing in the environment asks for more."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return tmp_path / "deep" / "out"


def test_every_document_is_there_and_speaks_of_every_target(folder: Path) -> None:
    documents.write(folder, RUNS, step_summary=True)
    assert {path.name for path in folder.iterdir()} == {
        "penguin-2.json",
        "agentsmithy-2.json",
        "penguin-2-2.json",
        "summary.md",
        "index.html",
        "ctrf.json",
        "badge.json",
    }
    assert [
        files.read(folder / name) for name in ("penguin-2.json", "agentsmithy-2.json", "penguin-2-2.json")
    ] == [*RUNS]
    # The folder itself can be given to `report`: the documents in it are not taken for results.
    assert sorted(found.id for _, found in read_results([folder])) == sorted(made.id for made in RUNS)
    page = (folder / "index.html").read_text(encoding="utf-8")
    for made in RUNS:
        assert made.summary_line().replace("://", "\\://") in (folder / "summary.md").read_text(
            encoding="utf-8"
        )
        assert made.target in page
    assert json.loads((folder / "ctrf.json").read_text())["results"]["summary"]["tests"] == 9
    assert json.loads((folder / "badge.json").read_text())["message"] == "1 fail"


def test_the_summary_is_appended_where_ci_asks_for_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = folder.parent / "step.md"
    step.parent.mkdir()
    step.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    documents.write(folder, RUNS)
    assert step.read_text() == "before\n"  # only where the caller is a CI step itself
    documents.write(folder, RUNS, step_summary=True)
    summary = (folder / "summary.md").read_text(encoding="utf-8")
    assert step.read_text(encoding="utf-8") == f"before\n{summary}"


def test_writing_again_replaces_what_was_there(folder: Path) -> None:
    documents.write(folder, RUNS)
    documents.write(folder, RUNS[1:2])
    assert "PG-CON-01" not in (folder / "summary.md").read_text(encoding="utf-8")
    assert json.loads((folder / "badge.json").read_text())["message"] == "1 pass"
