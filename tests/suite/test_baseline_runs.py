"""A gate that a failing server can adopt today: whole runs with a baseline, against servers that are wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance import exits
from conformance.baseline import Baseline, load
from conformance.findings import Verdict
from conformance.report import files
from conformance.report.model import RunResult
from tests.support.commands import Ran, conformance
from tests.support.proxy import rewriting_proxy
from tests.support.reference import reference_server

ROWS = "AS-2-01,AS-EVT-03,SSE-HTTP-05c"
NO_USER = {b'"type": "user"': b'"type": "usex"'}  # breaks AS-2-01
NO_DIALOG = {b'"dialog_id"': b'"dialog_ix"'}  # breaks AS-EVT-03


@pytest.fixture(scope="module")
def good() -> Iterator[str]:
    """A correct AgentSmithy server."""
    with reference_server() as url:
        yield f"{url}/agentsmithy/2"


@pytest.fixture(scope="module")
def wrong(good: str) -> Iterator[str]:
    """The same server, whose first event is not `user`."""
    with rewriting_proxy(good, NO_USER) as url:
        yield url


def judge(cwd: Path, *targets: str, options: tuple[str, ...] = (), only: str = ROWS) -> Ran:
    """A run of these targets."""
    named = [f"agentsmithy/2={url}" for url in targets]
    ran = conformance("test", *named, "--sse-only", only, "--sse-report", "out", "-q", *options, cwd=cwd)
    assert "Traceback" not in ran.all, ran.all
    assert "INTERNALERROR" not in ran.all, ran.all
    return ran


def result(cwd: Path) -> RunResult:
    """What the run wrote."""
    return files.read(cwd / "out" / "agentsmithy-2.json")


def standing(cwd: Path) -> dict[str, tuple[Verdict, str, bool]]:
    """Verdict, standing in the baseline and redness by requirement."""
    return {row.requirement: (row.verdict, row.baseline, row.red) for row in result(cwd).rows}


def baseline(cwd: Path, requirement: str = "AS-2-01", more: str = "") -> tuple[str, str]:
    """A baseline that names that requirement, as options."""
    text = f'# known\n[[expected]]\nrequirement = "{requirement}"\nreason = "ticket 7"\n{more}'
    (cwd / "known.toml").write_text(text)
    return ("--sse-baseline", "known.toml")


def test_the_first_baseline_makes_the_next_run_green(wrong: str, tmp_path: Path) -> None:
    first = judge(tmp_path, wrong, options=("--sse-write-baseline", "known.toml"))
    assert first.code == exits.FAILED, first.all
    assert f"baseline: {tmp_path / 'known.toml'}: 1 expected failure\n" in first.out
    assert [entry.requirement for entry in load(tmp_path / "known.toml").entries] == ["AS-2-01"]

    second = judge(tmp_path, wrong, options=("--sse-baseline", "known.toml"))
    assert second.code == exits.OK, second.all
    assert " · 0 fail · " in second.last_line
    assert " · 1 expected · " in second.last_line
    assert standing(tmp_path)["AS-2-01"] == (Verdict.EXPECTED, "expected", False)
    assert result(tmp_path).hidden == 1
    assert result(tmp_path).exit_status == exits.OK
    assert (
        json.loads((tmp_path / "out/badge.json").read_text())["message"]
        == "2 pass, 1 expected to fail, partial"
    )


def test_an_unexpected_failure_is_red_beside_a_hidden_one(good: str, tmp_path: Path) -> None:
    with rewriting_proxy(good, NO_USER | NO_DIALOG) as worse:
        ran = judge(tmp_path, worse, options=baseline(tmp_path))
    assert ran.code == exits.FAILED, ran.all
    assert " · 1 fail · " in ran.last_line
    assert " · 1 expected · " in ran.last_line
    said = standing(tmp_path)
    assert said["AS-2-01"] == (Verdict.EXPECTED, "expected", False)
    assert said["AS-EVT-03"] == (Verdict.FAIL, "", True)


def test_a_stale_entry_is_red(good: str, tmp_path: Path) -> None:
    ran = judge(tmp_path, good, options=baseline(tmp_path))
    assert ran.code == exits.FAILED, ran.all
    assert "expects a failure (ticket 7), but the verdict is pass: remove the stale entry" in ran.out
    assert " · 0 fail · " in ran.last_line
    assert " · 1 stale in the baseline · " in ran.last_line
    assert standing(tmp_path)["AS-2-01"] == (Verdict.PASS, "stale", True)
    assert result(tmp_path).exit_status == exits.FAILED
    assert "1 entry to remove" in (tmp_path / "out/summary.md").read_text()


@pytest.mark.parametrize("server", ["good", "wrong"])
def test_an_expired_entry_is_red_whatever_the_verdict(
    server: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = request.getfixturevalue(server)
    ran = judge(tmp_path, url, options=baseline(tmp_path, more="expires = 2020-01-31\n"))
    assert ran.code == exits.FAILED, ran.all
    assert "the baseline's entry expired on 2020-01-31 (ticket 7): remove it" in ran.out
    verdict = Verdict.PASS if server == "good" else Verdict.FAIL
    assert standing(tmp_path)["AS-2-01"] == (verdict, "expired", True)


def test_an_entry_for_what_is_not_judged_is_neither_hidden_nor_stale(good: str, tmp_path: Path) -> None:
    ran = judge(tmp_path, good, options=baseline(tmp_path), only="SSE-HTTP-05c")
    assert ran.code == exits.OK, ran.all
    assert "expected" not in ran.last_line


def test_with_two_targets_the_written_entry_is_for_the_one_that_fails(
    good: str, wrong: str, tmp_path: Path
) -> None:
    first = judge(tmp_path, good, wrong, options=("--sse-write-baseline", "known.toml"), only="AS-2-01")
    assert first.code == exits.FAILED, first.all
    (entry,) = load(tmp_path / "known.toml").entries
    assert (entry.requirement, entry.target) == ("AS-2-01", "agentsmithy/2#2")
    second = judge(tmp_path, good, wrong, options=("--sse-baseline", "known.toml"), only="AS-2-01")
    assert second.code == exits.OK, second.all
    assert " expected " not in second.out.splitlines()[-2]
    assert " · 1 expected · " in second.last_line


def test_workers_see_the_baseline_too(wrong: str, tmp_path: Path) -> None:
    ran = judge(tmp_path, wrong, options=(*baseline(tmp_path), "-n", "2"))
    assert ran.code == exits.OK, ran.all
    assert " · 1 expected · " in ran.last_line
    assert result(tmp_path).declared.capabilities  # what only a worker knew has arrived


def test_what_is_open_cannot_be_expected_and_that_is_said(good: str, tmp_path: Path) -> None:
    options = ("--sse-write-baseline", "known.toml", "--sse-max-seconds", "0.000001")
    ran = judge(tmp_path, good, options=options, only="AS-2-01")
    assert ran.code == exits.FAILED, ran.all
    assert "0 expected failures; still red: AS-2-01 (inconclusive: see allow_inconclusive)" in ran.out
    assert load(tmp_path / "known.toml") == Baseline()
    assert "ceiling" in result(tmp_path).gave_up


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--sse-baseline", "gone.toml"), "gone.toml: cannot be read: No such file or directory"),
        (
            ("--sse-write-baseline", "gone/known.toml"),
            "--sse-write-baseline gone/known.toml: there is no folder ",
        ),
        (("--sse-report", "file/out"), "cannot be made: Not a directory"),
    ],
)
def test_what_cannot_be_read_or_written_is_said_before_anything_is_judged(
    good: str, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    (tmp_path / "file").touch()
    ran = judge(tmp_path, good, options=options, only="AS-2-01")
    assert ran.code == exits.USAGE, ran.all
    assert words in ran.all
    assert "suite 0.1.0 · " not in ran.all


def test_a_recording_is_checked_with_the_same_baseline(tmp_path: Path) -> None:
    (tmp_path / "r.sse").write_bytes(b'data: {"type": "user"\n\n')  # no JSON
    red = conformance("check", "r.sse", "--protocol", "agentsmithy/2", cwd=tmp_path)
    assert red.code == exits.FAILED, red.all
    failing = [line.split()[0] for line in red.out.splitlines() if "] fail: " in line]
    tables = "".join(f'[[expected]]\nrequirement = "{name}"\nreason = "ticket 7"\n' for name in failing)
    # An entry for what passes is not stale here: one recording proves nothing about the server.
    (tmp_path / "known.toml").write_text(f'{tables}[[expected]]\nrequirement = "SSE-FMT-01"\nreason = "x"\n')
    arguments = ("check", "r.sse", "--protocol", "agentsmithy/2", "--baseline")
    hidden = conformance(*arguments, "known.toml", cwd=tmp_path)
    assert hidden.code == exits.OK, hidden.all
    assert " · 0 fail · " in hidden.last_line
    assert f" · {len(failing)} expected · " in hidden.last_line
    (tmp_path / "old.toml").write_text(f"{tables}expires = 2020-01-31\n")
    assert conformance(*arguments, "old.toml", cwd=tmp_path).code == exits.FAILED
    broken = conformance(*arguments, "gone.toml", cwd=tmp_path)
    assert (broken.code, broken.err) == (
        exits.USAGE,
        "gone.toml: cannot be read: No such file or directory\n",
    )
