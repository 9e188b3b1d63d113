"""`sse-conformance load`: what is said before any load is made, and what becomes of a Locust that tells nothing."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance import exits
from conformance.cli import main
from conformance.load_result import Generator
from conformance.report import load_files
from reference_server.settings import Settings
from tests.support.commands import ROOT, run
from tests.support.load_cases import small
from tests.support.reference import reference_server
from tests.support.reference_in_process import reference_in_process

LOOPBACK = "http://127.0.0.1:1"
PENGUIN = (LOOPBACK, "--sse-protocol", "penguin/2")
FOUR = (*PENGUIN, "--users", "4")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "which server? sse-conformance load URL --sse-protocol P/R, or --sse-profile with a url"),
        ([LOOPBACK], f"{LOOPBACK}: which protocol? Add --sse-protocol, one of agentsmithy/1, "),
        ([LOOPBACK, "--sse-protocol", "penguin/9"], "unknown protocol 'penguin/9': expected one of"),
        (["ftp://x", "--sse-protocol", "penguin/2"], "ftp://x: not a URL: expected http://HOST"),
        (
            [LOOPBACK, "http://127.0.0.1:2", "--sse-protocol", "penguin/2"],
            "http://127.0.0.1:2: one URL at a time",
        ),
        ([LOOPBACK, "--slo", "ttfe<3"], "--slo: 'ttfe<3': which of the times?"),
        ([LOOPBACK, "--users", "0"], "argument -u/--users: '0' is no number above 0"),
        (
            [LOOPBACK, "--spawn-rate", "-1"],
            "argument -r/--spawn-rate: '-1' is no number of users a second above 0",
        ),
        ([LOOPBACK, "--time", "soon"], "argument -t/--time: 'soon' is no time: expected 30s, 5m, 1h30m"),
        ([LOOPBACK, "--time", "0s"], "argument -t/--time: '0s' is no time"),
        ([LOOPBACK, "--shape", "round"], "argument --shape: invalid choice: 'round'"),
        ([*PENGUIN, "--tolerance", "5%"], "--tolerance needs --compare"),
        ([*PENGUIN, "--compare", "no.json"], "--compare no.json: cannot be read: No such file or directory"),
        (
            [*PENGUIN, "--compare", "old.json"],
            "--compare old.json: another load: 4 users (constant) then, 10 (",
        ),
        ([*FOUR, "--shape", "soak", "--compare", "old.json"], "4 users (constant) then, 4 (soak) now"),
        (
            [*FOUR, "--sse-protocol", "opencode/1", "--compare", "old.json"],
            "--compare old.json: another load: penguin/2 then, penguin/2, opencode/1 now",
        ),
        ([*FOUR, "--compare", "late.json"], "nothing can be compared with this run: its generator was late"),
        ([LOOPBACK, "--worker"], "--master and --worker are Locust's own: locust -f "),
        (
            ["http://192.0.2.1:8000", "--sse-protocol", "penguin/2", "--users", "400"],
            "http://192.0.2.1:8000 is not on this machine: a load run of 400 users needs leave: --sse-allow load, or ",
        ),
        (
            ["http://192.0.2.1", "--sse-protocol", "penguin/2", "--sse-allow", "prompt"],
            "needs leave: --sse-allow load",
        ),
        (["http://192.0.2.1", "--sse-protocol", "penguin/2", "--sse-allow", "all"], "unknown effect class"),
    ],
)
def test_usage_errors_are_one_line_and_make_no_load(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("old.json").write_text(load_files.dumps(small()))
    Path("late.json").write_text(load_files.dumps(small(generator=Generator(late=True))))
    monkeypatch.setattr(subprocess, "Popen", _no_process)
    assert main(["load", *arguments]) == exits.USAGE
    assert said in capsys.readouterr().err.splitlines()[-1]


def _no_process(*_: Any, **__: Any) -> None:
    raise AssertionError("load was made")


def test_secrets_of_a_url_are_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", "http://me:secret@192.0.2.1", "--sse-protocol", "penguin/2"]) == exits.USAGE
    assert "secret" not in capsys.readouterr().err


def test_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", LOOPBACK, "--sse-protocol", "mixed"]) == exits.UNREACHABLE
    assert capsys.readouterr().err == f"target unreachable: {LOOPBACK}: connection refused\n"


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "gevent" else find(name))
    assert main(["load", LOOPBACK, "--sse-protocol", "penguin/2"]) == exits.USAGE
    said = "the extra `load` is not installed (gevent missing): pip install 'sse-conformance[load]'\n"
    assert capsys.readouterr().err == said


def test_the_harness_itself_needs_neither_locust_nor_gevent(tmp_path: Path) -> None:
    code = (
        "import sys; from conformance.cli import main; main(['load', '--print-locustfile']); "
        "bad = {'locust', 'gevent', 'loadtests'} & set(sys.modules); assert not bad, bad"
    )
    ran = run(sys.executable, "-c", code, cwd=tmp_path)
    assert ran.code == 0, ran.all
    assert Path(ran.out.strip()) == ROOT / "loadtests/locustfile.py"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with reference_in_process(Settings()) as found:
        yield found


def fake(folder: Path, text: str) -> dict[str, str]:
    """A locustfile in our place that does something else."""
    package = folder / "loadtests"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "locustfile.py").write_text(text)
    return {"PYTHONPATH": str(folder)}


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("1 / 0", exits.HARNESS, "harness error: Locust ended with 1, and wrote no result"),
        ("raise SystemExit(4)", exits.USAGE, ""),
    ],
)
def test_a_locust_without_a_result_is_no_verdict(
    url: str, tmp_path: Path, text: str, code: int, said: str
) -> None:
    command = (sys.executable, "-m", "conformance.cli", "load", url, "--sse-protocol", "penguin/2")
    ran = run(*command, cwd=tmp_path, env=fake(tmp_path, text))
    assert ran.code == code, ran.all
    assert said in ran.err


@pytest.mark.parametrize("background", [False, True])
def test_an_interrupt_reaches_locust_and_is_no_verdict_either(
    url: str, tmp_path: Path, background: bool
) -> None:
    # As in a run of Locust, the loop turns all the time: gevent may sleep over a signal where nothing else wakes it.
    waits = "import time, pathlib\ntry:\n    pathlib.Path('begun').touch()\n"
    waits += "    for _ in range(1200):\n        time.sleep(0.05)\n"
    waits += "except KeyboardInterrupt:\n    pathlib.Path('heard').touch()\n    raise SystemExit(1)\n"
    command = (sys.executable, "-m", "conformance.cli", "load", url, "--sse-protocol", "penguin/2")
    before = signal.getsignal(signal.SIGINT)
    if background:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell has it for what it starts with `&`
    process = subprocess.Popen(command, cwd=tmp_path, env=os.environ | fake(tmp_path, waits))
    signal.signal(signal.SIGINT, before)
    try:
        while not (tmp_path / "begun").exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == exits.INTERRUPTED
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert (tmp_path / "heard").exists()


def test_a_run_that_loses_events_fails_says_so_and_writes_its_documents(tmp_path: Path) -> None:
    options = ("--users", "3", "--spawn-rate", "3", "--time", "2s", "--seed", "1", "--sse-pace-ms", "5")
    with reference_server("--fault", "loses-under-load:over=1,every=25") as server:
        command = (sys.executable, "-m", "conformance.cli", "load", server, "--sse-protocol", "agentsmithy/2")
        step = {"GITHUB_STEP_SUMMARY": str(tmp_path / "step.md")}
        ran = run(*command, *options, "--report", "out", cwd=tmp_path, env=step)
    assert ran.code == exits.FAILED, ran.all
    result = load_files.read(tmp_path / "out/load.json")
    assert result.integrity.lost > 0
    assert f"lost==0 does not hold: {result.integrity.lost}" in ran.out
    assert result.summary_line() in ran.out
    assert ran.last_line == "report: out/index.html"
    assert result.command.startswith("sse-conformance load http://127.0.0.1:")
    assert result.shape == "constant"
    assert result.seed == 1
    assert (tmp_path / "step.md").read_text() == (tmp_path / "out/summary.md").read_text()
    assert "lost" in (tmp_path / "out/index.html").read_text()
