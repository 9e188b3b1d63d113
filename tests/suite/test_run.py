"""Whole runs against a correct server and one that is wrong in one thing: outcomes, documents, exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conformance import exits
from conformance.report import files
from tests.support.commands import Ran, conformance
from tests.support.proxy import rewriting_proxy
from tests.support.reference import reference_server

# A few rows that are quickly judged: one that the wrong server breaks, and some that it does not.
ROWS = "AS-2-01,AS-END-01,SSE-HTTP-04b,SSE-HTTP-05c,SSE-HTTP-10"
BREAKS = {b'"type": "user"': b'"type": "usex"'}
SECRET = "s3cret-t0ken"


@pytest.fixture(scope="module")
def good() -> Iterator[str]:
    """A correct AgentSmithy server."""
    with reference_server() as url:
        yield f"{url}/agentsmithy/2"


@pytest.fixture(scope="module")
def wrong(good: str) -> Iterator[str]:
    """The same server, whose first event is not `user`."""
    with rewriting_proxy(good, BREAKS) as url:
        yield url


def judge(url: str, cwd: Path, *more: str, only: str = ROWS) -> Ran:
    arguments = [
        "test",
        url,
        "--sse-protocol",
        "agentsmithy/2",
        "--sse-only",
        only,
        "--sse-report",
        "out",
        "-q",
    ]
    ran = conformance(*arguments, *more, cwd=cwd)
    assert "Traceback" not in ran.all, ran.all
    return ran


def properties(path: Path) -> dict[str, tuple[str, str]]:
    """Requirement → (verdict, outcome) as JUnit tells it."""
    told = {}
    for case in ElementTree.parse(path).iter("testcase"):
        named = {p.get("name"): p.get("value") for p in case.iter("property")}
        kinds = {child.tag for child in case}
        outcome = next((kind for kind in ("failure", "error", "skipped") if kind in kinds), "passed")
        told[str(named["requirement"])] = (str(named["verdict"]), outcome)
    return told


def test_a_correct_server(good: str, tmp_path: Path) -> None:
    ran = judge(good, tmp_path, "--junit-xml", "junit.xml")
    assert ran.code == exits.OK, ran.all
    assert ran.last_line == (
        f"3 pass · 0 fail · 0 warn · 1 note · 1 n/a · 0 inconclusive · suite 0.1.0 · agentsmithy/2 · {good}"
    )
    assert properties(tmp_path / "junit.xml") == {
        "AS-2-01": ("pass", "passed"),
        "AS-END-01": ("pass", "passed"),
        "SSE-HTTP-04b": ("note", "passed"),
        "SSE-HTTP-05c": ("pass", "passed"),
        "SSE-HTTP-10": ("not-applicable", "skipped"),
    }
    result = files.read(tmp_path / "out" / "agentsmithy-2.json")
    assert result.summary_line() == ran.last_line
    assert "slowest requirement: " in ran.out


def test_a_wrong_server(wrong: str, tmp_path: Path) -> None:
    ran = judge(wrong, tmp_path, "--junit-xml", "junit.xml")
    assert ran.code == exits.FAILED, ran.all
    assert properties(tmp_path / "junit.xml")["AS-2-01"] == ("fail", "failure")
    for words in (
        "AS-2-01 [M] fail: ",
        "source: ",
        "expected: ",
        "observed: ",
        "usex",
        "> #0 at ",
        "bytes 0–",
        "exchange: ",
        "again:    curl -N",
        "sse-conformance explain AS-2-01",
    ):
        assert words in ran.out, words
    result = files.read(tmp_path / "out" / "agentsmithy-2.json")
    row = next(row for row in result.rows if row.requirement == "AS-2-01")
    assert row.findings
    summary = (tmp_path / "out" / "summary.md").read_text()
    assert "AS-2-01" in summary

    # A saved exchange is judged the same by `check`.
    for saved in sorted({finding.saved for finding in row.findings})[:2]:
        checked = conformance("check", f"out/{saved}", "--json", cwd=tmp_path)
        assert checked.code == exits.FAILED, checked.all
        again = {entry["requirement"]: entry for entry in json.loads(checked.out)["results"]}["AS-2-01"]
        told = [f for f in row.findings if f.saved == saved]
        assert [f["title"] for f in again["findings"]] == [f.title for f in told]
        assert [f["span"] for f in again["findings"]] == [list(f.span) if f.span else None for f in told]


def test_warnings_are_named_and_strict_makes_them_failures(good: str, tmp_path: Path) -> None:
    """An event of a type that the document does not know is a SHOULD."""
    with rewriting_proxy(good, {b'"type": "chat_start"': b'"type": "chat_begin"'}) as url:
        warned = judge(url, tmp_path, only="AS-EVT-02")
        assert warned.code == exits.OK, warned.all
        assert " · 1 warn · " in warned.last_line
        assert "\nwarn agentsmithy/2 AS-EVT-02: " in warned.out
        strict = judge(url, tmp_path, "--sse-strict", only="AS-EVT-02")
        assert strict.code == exits.FAILED, strict.all
        assert "AS-EVT-02 [S] fail" in strict.out


def test_workers_say_the_same(wrong: str, tmp_path: Path) -> None:
    ran = judge(wrong, tmp_path, "-n", "2", "--junit-xml", "junit.xml")
    assert ran.code == exits.FAILED, ran.all
    assert ran.last_line.startswith("2 pass · 1 fail · 0 warn · 1 note · 1 n/a"), ran.all
    assert files.read(tmp_path / "out" / "agentsmithy-2.json").summary_line() == ran.last_line


def test_several_targets_have_a_line_each(good: str, wrong: str, tmp_path: Path) -> None:
    ran = conformance(
        "test", f"agentsmithy/2={wrong}", f"agentsmithy/2={good}", "--sse-only", "AS-2-01", "-q", cwd=tmp_path
    )
    assert ran.code == exits.FAILED, ran.all
    first, second = ran.out.strip().splitlines()[-2:]
    assert first.startswith("0 pass · 1 fail")
    assert first.endswith(f"agentsmithy/2 · {wrong}")
    assert second.startswith("1 pass · 0 fail")
    assert second.endswith(f"agentsmithy/2 · {good}")
    assert "[agentsmithy/2#2::AS-2-01]" not in ran.out  # the second target's row passed


def test_no_secret_reaches_an_artefact(tmp_path: Path) -> None:
    """A server that echoes credentials in a failing stream, and a profile that carries them."""
    with reference_server("--auth", f"bearer:{SECRET}") as upstream:
        base = f"{upstream}/agentsmithy/2"
        leak = f'"type": "{SECRET}"'.encode()
        known = b'"type": "reasoning_start"'
        with rewriting_proxy(base, {known: leak.ljust(len(known))[: len(known)]}) as url:
            profile = (
                f'protocol = "agentsmithy/2"\nurl = "{url}"\n[headers]\nAuthorization = "Bearer ${{TOKEN}}"\n'
            )
            (tmp_path / "p.toml").write_text(profile)
            arguments = [
                "test",
                "--sse-profile",
                "p.toml",
                "--sse-report",
                "out",
                "--junit-xml",
                "out/junit.xml",
            ]
            ran = conformance(
                *arguments, "--sse-only", "AS-EVT,AS-2-02a", cwd=tmp_path, env={"TOKEN": SECRET}
            )
    assert ran.code == exits.FAILED, ran.all
    assert SECRET not in ran.all
    artefacts = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert any(path.parent.name == "observations" for path in artefacts)
    for path in artefacts:
        assert SECRET not in path.read_text(encoding="utf-8"), path
    assert "$AUTHORIZATION" in ran.out


def test_a_rule_of_ours_that_breaks_is_a_harness_error(good: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import conformance.rules.base as base\n"
        "def broken(case):\n    raise KeyError('x')\n"
        "base.check('AS-2-01', probes=('text',))(broken)\n"
    )
    ran = conformance(
        "test",
        good,
        "--sse-protocol",
        "agentsmithy/2",
        "--sse-only",
        "AS-2-01",
        "-q",
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert ran.code == exits.HARNESS, ran.all
    assert "harness error (not the target's fault)" in ran.all
