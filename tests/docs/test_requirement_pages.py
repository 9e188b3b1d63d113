"""The pages under docs/requirements are what the catalogues, examples and faults say, and their commands work."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from conformance.catalogue import catalogue, protocols
from conformance.cli import main
from conformance.examples import examples
from conformance.faults import commands, faults, faults_of
from conformance.findings import Level
from conformance.report.example_text import bad_text, body_text, good_text
from conformance.report.requirement_pages import entries, render
from reference_server.faults.catalogue import entries as reference_faults
from tests.support.commands import ROOT, conformance
from tests.support.reference import reference_server

# What a client's going does to the model call can be seen only where the server calls a model.
NO_FAULT = ("AS-CONC-05",)

VERDICTS = {Level.MUST: "fail", Level.SHOULD: "warn", Level.INFO: "note"}
PAGES = ROOT / "docs" / "requirements"


@pytest.mark.parametrize("protocol", protocols())
def test_the_page_is_current(protocol: str) -> None:
    file = PAGES / f"{protocol.replace('/', '-')}.md"
    current = file.is_file() and file.read_text(encoding="utf-8") == render(protocol)
    assert current, f"{file.relative_to(ROOT)} is not current: run `make docs`"


def test_there_is_no_page_of_a_revision_that_is_gone() -> None:
    assert {file.stem for file in PAGES.glob("*.md")} == {p.replace("/", "-") for p in protocols()}


@pytest.mark.parametrize("protocol", protocols())
def test_each_requirement_has_its_section(protocol: str) -> None:
    page = render(protocol)
    headings = re.findall(r"^### (\S+)$", page, re.MULTILINE)
    # By groups, and each once: the anchors are the ids.
    assert sorted(headings) == sorted(row.id for row in catalogue(protocol).requirements)
    links = re.findall(r"\(#([a-z0-9-]+)\)", page)
    assert links == [name.lower() for name in headings]
    assert page.count("```") % 2 == 0
    assert "None" not in re.sub(r"```.*?```", "", page, flags=re.DOTALL)


@pytest.mark.parametrize("protocol", protocols())
def test_each_testable_requirement_says_how_it_fails(protocol: str) -> None:
    for entry in entries(protocol):
        if entry.row.excluded:
            assert not entry.good
            continue
        assert entry.example is not None
        assert entry.good != entry.bad
        if entry.row.id in NO_FAULT:
            assert not entry.faults, "leave it out of NO_FAULT"
            continue
        assert entry.faults, f"no fault shows that {entry.row.id} can fail"
        assert f"--fault {entry.faults[0].name}" in entry.shown


def test_faults_are_read_as_the_reference_server_reads_them() -> None:
    read = {fault.name: fault for row in faults().values() for fault in row}
    theirs = {name: entry for name, entry in reference_faults().items() if entry.kind == "fault"}
    assert read.keys() == theirs.keys()
    for name, fault in read.items():
        entry = theirs[name]
        assert (fault.breaks, fault.summary, fault.protocols) == (
            entry.breaks,
            entry.summary,
            entry.revisions,
        )
        assert (fault.serve, fault.declare) == (entry.serve, entry.declare)


def test_text_shows_every_line_end() -> None:
    assert body_text(b"data: 1\n\n") == "data: 1␊\n␊"
    assert body_text(b"id: 7") == "id: 7"
    assert body_text(b"a\r\n\r\n") == "a␍␊\n␍␊"


def test_a_bad_example_does_not_repeat_what_is_good() -> None:
    example = examples("penguin/2")["PG-REC-02"]
    assert "* full:" in good_text(example)
    assert "* as in the good example: what was measured, full" in bad_text(example)
    assert "* full:" not in bad_text(example)


def test_explain_shows_bytes_and_faults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "SSE-FMT-01", "--protocol", "penguin/2"]) == 0
    out = capsys.readouterr().out
    assert "Caf⟨E9⟩" in out
    assert "serve --port 8000 --fault" in out
    assert main(["explain", "AS-2-01", "--protocol", "penguin/2"]) == 4
    assert "is one of agentsmithy/2" in capsys.readouterr().err


def test_explain_says_what_a_row_says_in_each_revision(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "pg-err-02"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("PG-ERR-02\n")
    assert "must in penguin/2\n" in out
    assert "must in opencode/1\n" in out
    assert main(["explain", "PG-ERR-02", "--protocol", "opencode/1"]) == 0
    out = capsys.readouterr().out
    assert "OpenCode server API, SessionStatus" in out
    assert "Penguin" not in out.partition("good, in")[0]
    assert "good, in opencode/1" in out
    assert main(["explain", "SSE-EVT-02a"]) == 0
    assert capsys.readouterr().out.count("requires") == 1  # what differs in its level alone is said once


def test_explain_says_why_a_row_is_not_tested(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "PG-2-03"]) == 0
    out = capsys.readouterr().out
    assert "not tested" in out
    assert "good, in" not in out


def test_pages_are_written_into_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["requirements", "penguin/1", "--format", "markdown", "-o", str(tmp_path / "new")]) == 0
    assert (tmp_path / "new" / "penguin-1.md").read_text(encoding="utf-8") == render("penguin/1")
    (tmp_path / "file").write_text("")
    assert main(["requirements", "penguin/1", "-o", str(tmp_path / "file")]) == 4
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("protocol", "name"),
    [("penguin/2", "PG-2-02"), ("agentsmithy/1", "SSE-HTTP-09a")],
)
def test_the_commands_of_a_page_show_the_fault(protocol: str, name: str, tmp_path: Path) -> None:
    row = catalogue(protocol).get(name)
    assert row is not None
    shown = commands(faults_of(name, protocol)[0], row, protocol)
    serve, *written, test = shown.splitlines()
    if written:
        assert (written[0], written[-1]) == ("cat > target.toml <<'END'", "END")
        (tmp_path / "target.toml").write_text("\n".join(written[1:-1]), encoding="utf-8")
    arguments = serve.removesuffix(" &").split()[2:]
    place = arguments.index("--port")
    with reference_server(*arguments[:place], *arguments[place + 2 :]) as url:
        asked = [word.replace("http://127.0.0.1:8000", url) for word in test.split()[1:]]
        ran = conformance(*asked, "-q", "--sse-report", "report", cwd=tmp_path)
    assert ran.code == (1 if row.level is Level.MUST else 0), ran.all
    result = json.loads(
        (tmp_path / "report" / f"{protocol.replace('/', '-')}.json").read_text(encoding="utf-8")
    )
    assert {row["requirement"]: row["verdict"] for row in result["results"]} == {name: VERDICTS[row.level]}
