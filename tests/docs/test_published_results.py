"""What is published of servers: readable results, a matrix and an overview made of exactly them, no scratch paths."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from conformance import cli, exits
from conformance.findings import Verdict
from conformance.profile import Implementation
from conformance.report import documents, files
from conformance.report.inputs import read_results
from conformance.report.matrix import families
from conformance.report.merge import merge_implementations
from conformance.report.pages import PAGE
from tests.proof import publish_results
from tests.support.commands import ROOT
from tests.support.page import finding
from tests.support.result_cases import row, run

RESULTS = ROOT / "reports/published/results"


@pytest.mark.parametrize("name", list(publish_results.DOCUMENTS))
def test_the_published_matrix_is_made_of_the_published_results(name: str, tmp_path: Path) -> None:
    written = tmp_path / "document"
    assert cli.main(["report", name, *map(str, publish_results.published()), "-o", str(written)]) == exits.OK
    shown = (ROOT / "reports/published" / publish_results.DOCUMENTS[name]).read_text(encoding="utf-8")
    assert said(written.read_text(encoding="utf-8")) == said(shown), "run `make matrix`"


def said(document: str) -> str:
    """What it says: without style and scripts, and without where its links begin."""
    body = document[document.find("<body>") + 1 :].partition("<script>")[0]
    return re.sub(r'[^"(]*(?=(?:real|ours)/[^"()]*index\.html)', "", body)


def test_the_overview_in_the_readme_is_theirs() -> None:
    runs = merge_implementations(run for _, run in read_results(publish_results.published()))
    assert publish_results.overview(families(runs)) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_real_servers_and_our_own_are_there_and_ours_do_not_fail() -> None:
    real = [run for _, run in read_results([RESULTS / "real"])]
    ours = [run for _, run in read_results([RESULTS / "ours"])]
    assert any(run.label.startswith("penguin-ai ") for run in real)
    assert len(ours) >= 12
    for made in ours:
        assert made.counts[Verdict.FAIL] == made.counts[Verdict.INCONCLUSIVE] == 0, made.label


def test_nothing_of_a_machine_is_published() -> None:
    for path in (*RESULTS.rglob("*.json"), *RESULTS.rglob("*.html")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"/(?:tmp/[\w.-]|root/|home/runner)", text), path
        assert '"saved": "o' not in text, path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to publish into, with a README that has a place for the overview."""
    monkeypatch.setattr(publish_results, "PUBLISHED", tmp_path / "published")
    monkeypatch.setattr(publish_results, "README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text("before\n<!-- matrix: here -->\nold\n<!-- end of matrix -->\nafter\n")
    return tmp_path


def test_a_new_server_joins_by_naming_its_folder(place: Path) -> None:
    program = Implementation("agent", "2.0")
    bytes_ = finding().excerpt
    assert bytes_ is not None
    secret = replace(bytes_, data=b'data: "/tmp/x-12345/w"\n\n', marked=(7, 21))
    told = finding("it wrote /tmp/x-12345/w", excerpt=secret)
    runs = [
        run(row("PG-CON-01", verdict, finding=told), implementation=program, target=f"http://127.0.0.1:{n}")
        for n, verdict in ((1, Verdict.PASS), (2, Verdict.FAIL))
    ]
    for number, made in enumerate(runs):
        documents.write(place / f"run{number}", [made])
    part = replace(run(row("PG-CON-01", Verdict.PASS)), testable=80)
    documents.write(place / "run1/part", [part])
    assert publish_results.main(["--real", str(place / "run0"), str(place / "run1")]) == exits.OK
    kept = sorted(path.name for path in (place / "published/results/real/agent-2.0").iterdir())
    assert kept == [PAGE, "penguin-2-2.json", "penguin-2.json"]
    second = files.read(place / "published/results/real/agent-2.0/penguin-2-2.json")
    (found,) = second.rows[0].findings
    assert found.title == "it wrote /tmp/*******/w"
    assert found.excerpt is not None
    assert found.excerpt.data == b'data: "/tmp/*******/w"\n\n'
    assert found.saved == ""
    page = (place / "published/matrix.html").read_text(encoding="utf-8")
    assert 'href="results/real/agent-2.0/index.html#penguin/2~2/PG-CON-01"' in page
    readme = (place / "README.md").read_text(encoding="utf-8")
    assert "| agent 2.0 | penguin/2 | 1 |" in readme
    assert "old" not in readme
    documents.write(place / "later", [replace(runs[0], id="later")])
    assert publish_results.main(["--real", str(place / "later")]) == exits.OK
    assert (
        len(list((place / "published/results/real/agent-2.0").iterdir())) == 1
    )  # what was there is replaced


def test_what_cannot_be_read_is_said_and_nothing_is_lost(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert publish_results.main(["--real", str(place / "nothing")]) == exits.USAGE
    assert "nothing: cannot be read" in capsys.readouterr().err
