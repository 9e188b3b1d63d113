"""`sse-conformance report`: every format from files and folders, and one line for whatever is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conformance import cli, exits
from conformance.findings import Verdict
from conformance.report import files, markdown
from conformance.report.formats import FORMATS
from tests.support.result_cases import every_verdict, row, run

RUN = every_verdict()
GREEN = run(row("PG-CON-01", Verdict.PASS), row("PG-CON-02", Verdict.PASS))
RED = run(row("PG-CON-01", Verdict.PASS), row("PG-CON-02", Verdict.FAIL))


@dataclass(frozen=True)
class Ran:
    """What a command said."""

    code: int
    out: str
    err: str


Command = Callable[..., Ran]


@pytest.fixture
def report(here: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """`sse-conformance report …` in that folder."""

    def run_it(*arguments: str) -> Ran:
        capsys.readouterr()
        code = cli.main(["report", *arguments])
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return run_it


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a run leaves it, and older and newer results; the command runs there."""
    monkeypatch.chdir(tmp_path)
    for name, made in {"out/penguin-2": RUN, "old/penguin-2": GREEN, "new/penguin-2": RED}.items():
        path = tmp_path / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(files.dumps(made), encoding="utf-8")
    (tmp_path / "out/badge.json").write_text('{"schemaVersion": 1}')
    (tmp_path / "out/observations").mkdir()
    (tmp_path / "out/observations/penguin-2.text.json").write_text("{")
    return tmp_path


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_is_rendered_from_a_file_and_from_its_folder(
    here: Path, report: Command, name: str
) -> None:
    from_file = report(name, "out/penguin-2.json")
    assert from_file.code == exits.OK, from_file.err
    assert from_file.out.endswith("\n")
    assert from_file.err == ""
    written = report(name, "out", "-o", "document")
    assert written.code == exits.OK, written.err
    assert written.out == ""
    assert (here / "document").read_text(encoding="utf-8") == from_file.out


def test_the_documents_say_what_the_run_said(here: Path, report: Command) -> None:
    said = {name: report(name, "out").out for name in FORMATS}
    assert said["text"].splitlines()[-1] == RUN.summary_line()
    assert (
        said["markdown"].strip()
        == markdown.render([files.read(here / "out/penguin-2.json")])
        .replace("observations/", "out/observations/")
        .strip()
    )
    assert json.loads(said["badge"])["message"] == "1 fail"
    assert ElementTree.fromstring(said["badge-svg"]).attrib["aria-label"] == "penguin/2: 1 fail"
    assert json.loads(said["ctrf"])["results"]["summary"]["failed"] == 2
    assert "PG-CON-01" in said["html"]
    (again,) = files.loads_all(said["json"])
    assert again.rows[1] == RUN.rows[1]


def test_links_to_exchanges_are_relative_to_the_document(here: Path, report: Command) -> None:
    for output, expected in {
        "out/a.json": "observations/",
        "deep/er/a.json": "../../out/observations/",
    }.items():
        (here / output).parent.mkdir(parents=True, exist_ok=True)
        ran = report("json", "out/penguin-2.json", "-o", output)
        assert ran.code == exits.OK, ran.err
        (made,) = files.read_all(here / output)
        assert made.rows[0].findings[0].saved == f"{expected}penguin-2.text.json"


def test_the_same_run_twice_counts_once_and_that_is_said(here: Path, report: Command) -> None:
    ran = report("text", "new/penguin-2.json", "new")
    assert ran.err == "new/penguin-2.json: the same run as in new/penguin-2.json: it counts once\n"
    assert ran.out.splitlines()[-1] == RED.summary_line()


def test_runs_that_differ_are_flaky(here: Path, report: Command) -> None:
    ran = report("text", "old", "new")
    assert "PG-CON-02 [M] fail 1 of 2: " in ran.out
    assert " · 1 flaky · 2 runs · " in ran.out.splitlines()[-1]


@pytest.mark.parametrize("name", [name for name, entry in FORMATS.items() if entry.compares])
def test_a_comparison_says_what_broke(here: Path, report: Command, name: str) -> None:
    ran = report(name, "new", "--compare", "old", "--fail-on", "broken")
    assert ran.code == exits.FAILED, ran.err
    assert "broken" in ran.out
    assert "PG-CON-02" in ran.out
    back = report(name, "old", "--compare", "new", "--fail-on", "broken,flaky")
    assert back.code == exits.OK, back.err
    assert "fixed" in back.out


def test_a_gate_does_not_pass_for_want_of_something_to_compare_with(here: Path, report: Command) -> None:
    (here / "other.json").write_text(
        files.dumps(run(row("AS-END-01", Verdict.PASS), protocol="agentsmithy/2"))
    )
    ran = report("text", "new", "--compare", "other.json", "--fail-on", "broken")
    assert ran.code == exits.FAILED
    assert "only in the old results: " in ran.out
    assert "nothing to compare with: " in ran.out


def test_other_json_in_a_folder_is_passed_over_but_no_result_of_another_version(
    here: Path, report: Command
) -> None:
    data = json.loads(files.dumps(GREEN))
    data["header"]["format"] = "sse-conformance/result/2"
    (here / "out/later.json").write_text(json.dumps(data))
    ran = report("text", "out")
    assert ran.code == exits.USAGE
    assert ran.err.startswith("out/later.json: not a result: expected ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pdf", "out"], "invalid choice: 'pdf'"),
        (["text", "gone.json"], "gone.json: cannot be read: No such file or directory"),
        (["text", "out/badge.json"], "out/badge.json: not a result: expected a header with format "),
        (["text", "out/observations"], "out/observations/penguin-2.text.json: not a whole JSON document"),
        (["text", "empty"], "empty: there is no result in this folder: expected the JSON files of a run"),
        (["text", "out", "-o", "empty"], "empty: cannot be written: Is a directory"),
        (["text", "out", "--fail-on", "broken"], "--fail-on needs --compare: "),
        (["text", "out", "--compare", "old", "--fail-on", "sad"], "--fail-on sad: expected some of broken, "),
        (["badge", "out", "--compare", "old"], "--compare: badge cannot show changes, these can: html, "),
        (["text", "out", "--compare", "gone"], "gone: cannot be read: "),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    here: Path, report: Command, arguments: list[str], words: str
) -> None:
    (here / "empty").mkdir()
    ran = report(*arguments)
    assert ran.code == exits.USAGE
    assert ran.out == ""
    assert words in ran.err.splitlines()[-1]
    assert "Traceback" not in ran.err
