"""Whole runs as a user starts them: Locust as a process, alone and with workers, against the reference server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import loadtests
from conformance.load_result import INTEGRITY, LoadResult
from conformance.report.load_files import read
from loadtests.measures import Figures
from tests.support.reference import reference_process, reference_server

LOCUSTFILE = Path(loadtests.__file__).parent / "locustfile.py"
SECONDS = 90  # a bound; no run takes so long by far


def _command(url: str, *arguments: str, locustfile: Path = LOCUSTFILE) -> list[str]:
    return [
        *(
            sys.executable,
            "-m",
            "locust",
            "-f",
            str(locustfile),
            "--host",
            url,
            "--headless",
            "--only-summary",
        ),
        *("--sse-chunks", "10", "--sse-pace-ms", "20", *arguments),
    ]


def _locust(url: str, *arguments: str, locustfile: Path = LOCUSTFILE) -> subprocess.CompletedProcess[str]:
    command = _command(url, *arguments, locustfile=locustfile)
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


def _wrong(result: LoadResult) -> dict[str, int]:
    return {kind: count for kind in INTEGRITY if (count := result.integrity.count(kind))}


# What a user may do too: load our locustfile, and listen in on what this worker reports.
_LISTENING_IN = """
import json, os, pathlib
from locust import events
from loadtests.locustfile import *
from loadtests.measures import Figures

told = Figures()

def tell(client_id, data, **_):
    if "sse" in data:
        told.add(Figures.from_data(data["sse"]["figures"]))

def begin(environment, **_):
    environment.events.report_to_master.add_listener(tell)
    send = environment.runner.send_message
    def spy(kind, data=None, client_id=None):
        if kind == "sse-drained":
            tell("", data)
        send(kind, data, client_id)
    environment.runner.send_message = spy

def keep(environment, **_):
    if told.counts:
        pathlib.Path(f"worker-{os.getpid()}.json").write_text(json.dumps(told.to_data()))

events.init.add_listener(begin)
events.quitting.add_listener(keep)
"""


def test_two_workers_say_together_what_each_has_counted(tmp_path: Path) -> None:
    own = tmp_path / "locustfile.py"
    own.write_text(_LISTENING_IN)
    with reference_server() as url:
        done = subprocess.run(
            _command(
                url,
                *("--sse-protocol", "mixed", "-u", "12", "-r", "12", "-t", "5s", "--processes", "2"),
                *("--sse-load-report", str(tmp_path / "report"), "--csv", str(tmp_path / "stats")),
                locustfile=own,
            ),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(LOCUSTFILE.parents[1])},
            check=False,
        )
    result = read(tmp_path / "report" / "load.json")
    assert not _wrong(result), result.integrity.examples
    assert result.errors == ()
    assert (result.workers, result.users) == (2, 12), done.stderr
    assert result.totals.streams == result.totals.good > 0
    assert set(result.protocols) == {"agentsmithy/2", "penguin/2", "opencode/1"}
    assert done.stdout.splitlines()[-1] == result.summary_line()
    assert done.returncode == (0 if result.passed else 1)  # a busy machine may make the generator late
    assert {gate.held for gate in result.gates} == {True}
    assert "agentsmithy/2 stream" in (tmp_path / "stats_stats.csv").read_text()

    workers = [Figures.from_data(json.loads(path.read_text())) for path in tmp_path.glob("worker-*.json")]
    assert len(workers) == 2
    assert all(worker.counts["events"] for worker in workers)
    for name, told in (
        ("events", result.integrity.events),
        ("streams", result.totals.streams),
        ("size", result.totals.size),
        ("prompts", result.totals.prompts),
    ):
        assert sum(worker.counts[name] for worker in workers) == told
    together = Figures()
    for worker in workers:
        together.add(worker)
    points = {name: one.points for name, one in result.distributions}
    assert points == {
        name: histogram.distribution().points for name, histogram in together.times.items() if histogram.count
    }


def test_a_server_that_dies_is_named_and_nothing_is_called_lost(tmp_path: Path) -> None:
    with reference_process() as (url, pid):
        command = _command(
            f"{url}/opencode/1",
            *("--sse-protocol", "opencode/1", "-u", "4", "-r", "4", "-t", "60s", "--sse-patience", "1"),
            *("--sse-load-report", str(tmp_path), "--sse-chunks", "200", "--target-pid", str(pid)),
        )
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if "All users spawned" in line:
                    break
            gone = subprocess.run([sys.executable, "-c", _WATCH, url], timeout=SECONDS, check=False)
            assert gone.returncode == 0
            os.kill(pid, signal.SIGKILL)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    result = read(tmp_path / "load.json")
    assert not result.passed
    assert dict(result.errors).keys() & {"premature_end", "reset"}, result.errors
    assert _wrong(result).keys() <= {"unfinished"}
    assert result.process
    assert result.process[0].rss > 1_000_000


# Waits until something is said on the bus of the server.
_WATCH = """
import sys, urllib.request
with urllib.request.urlopen(sys.argv[1] + "/opencode/1/event") as stream:
    for line in stream:
        if b"message.part.delta" in line:
            break
"""


def test_steps_end_by_themselves_where_the_server_holds_no_more(tmp_path: Path) -> None:
    with reference_server("--fault", "refuses-under-load:over=5") as url:
        done = _locust(
            f"{url}/agentsmithy/2",
            *("--sse-protocol", "agentsmithy/2", "-u", "40", "-r", "40", "-t", "60s"),
            *("--sse-shape", "step", "--sse-step-users", "4", "--sse-step-seconds", "1.5"),
            *("--sse-load-report", str(tmp_path)),
        )
    result = read(tmp_path / "load.json")
    assert done.returncode == 1, done.stderr
    assert result.ended.startswith("saturated: ")
    assert result.shape == "step"
    assert result.users < 40
    assert result.seconds < 60
    assert [step.users for step in result.steps][:1] == [4]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--sse-protocol", "agentsmithy/2"), 6, "http://127.0.0.1:9"),
        ((), 4, "--sse-protocol"),
        (("--sse-protocol", "agentsmithy/2", "--slo", "ttfe:p99<5"), 4, "ttfe"),
    ],
)
def test_what_cannot_run_says_so_in_one_line(arguments: tuple[str, ...], status: int, words: str) -> None:
    done = _locust("http://127.0.0.1:9", *arguments, "-u", "1", "-t", "1s")
    assert done.returncode == status, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("sse-conformance: ")]
    assert words in line
