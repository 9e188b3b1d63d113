"""`curl -N … | sse-conformance check -`, typed as users type it: live streams, heads, interrupts, limits."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from conformance import exits
from conformance.live_input import LiveInput, leading_heads
from tests.support.commands import Ran, conformance, run
from tests.support.reference import reference_server

PROMPT = '{"messages": [{"role": "user", "content": "hello"}], "stream": true}'


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if shutil.which("curl") is None:
        pytest.skip("curl is missing: install curl")
    with reference_server("--heartbeat", "0.2") as url:
        yield url


def shell(command: str, cwd: Path, **env: str) -> Ran:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return run("bash", "-o", "pipefail", "-c", command, cwd=cwd, env={"PATH": path} | env, timeout=120)


def events(url: str) -> str:
    return f"{url}/penguin/2/api/v1/events/sse"


def test_a_stream_that_ends(url: str, tmp_path: Path) -> None:
    post = f"curl -sN -X POST {url}/agentsmithy/2/api/chat -H 'Content-Type: application/json' -d '{PROMPT}'"
    ran = shell(f"{post} | sse-conformance check - --protocol agentsmithy/2 -v", tmp_path)
    assert ran.code == exits.OK, ran.all
    assert "AS-END-01      pass" in ran.out
    assert ran.err == ""


def test_a_head_in_front_is_judged_too(url: str, tmp_path: Path) -> None:
    ran = shell(
        f"curl -siN {events(url)} | sse-conformance check - --protocol penguin/2 --max-events 1 -v", tmp_path
    )
    assert "SSE-HTTP-04a   pass" in ran.out
    assert ran.err == "standard input: ended at --max-events: 1 event judged\n"
    without = shell(
        f"curl -sN {events(url)} | sse-conformance check - --protocol penguin/2 --max-events 1 -v", tmp_path
    )
    assert "SSE-HTTP-04a" not in without.out or "SSE-HTTP-04a   not-applicable" in without.out


def test_an_endless_stream_is_judged_after_so_many_seconds(url: str, tmp_path: Path) -> None:
    ran = shell(
        f"curl -sN {events(url)} | sse-conformance check - --protocol penguin/2 --max-seconds 1", tmp_path
    )
    assert "0 fail" in ran.out
    assert ran.err.startswith("standard input: ended at --max-seconds: ")


@pytest.mark.parametrize("limit", ["timeout 2 curl -sN", "curl -sN --max-time 2"])
def test_a_producer_that_is_stopped(url: str, tmp_path: Path, limit: str) -> None:
    ran = shell(f"{limit} {events(url)} | sse-conformance check - --protocol penguin/2", tmp_path)
    assert " 0 fail " in ran.out
    assert ran.err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_reading_and_gives_a_verdict(url: str, tmp_path: Path, number: int) -> None:
    """Ctrl-C, or `timeout` around the command; the stream goes on meanwhile."""
    with subprocess.Popen(["curl", "-sN", events(url)], stdout=subprocess.PIPE) as curl:
        try:
            process = start("check", "-", "--protocol", "penguin/2", cwd=tmp_path, stdin=curl.stdout)
            wait_until_it_reads(process)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        finally:
            curl.terminate()
    assert process.returncode == exits.OK, err
    assert " pass · 0 fail" in out
    assert re.fullmatch(r"standard input: interrupted: \d+ events? judged\n", err)


def test_ctrl_c_ends_producer_and_command_together(url: str, tmp_path: Path) -> None:
    """From a terminal the signal goes to the whole group."""
    command = f"exec {sys.executable} -m conformance.cli check - --protocol penguin/2"
    process = subprocess.Popen(
        ["bash", "-c", f"trap : INT; curl -sN {events(url)} | {{ echo $BASHPID > pid; {command}; }}"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    pid = tmp_path / "pid"
    while process.poll() is None and not (pid.exists() and pid.read_text().strip()):
        time.sleep(0.01)
    wait_until_it_reads(process, int(pid.read_text()))
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert " pass · 0 fail" in out, out + err
    assert "Traceback" not in err


def start(*arguments: str, cwd: Path, stdin: IO[bytes] | None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "conformance.cli", *arguments],
        cwd=cwd,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until_it_reads(process: subprocess.Popen[str], pid: int | None = None) -> None:
    """Until it has a handler for SIGTERM, which it has as long as it reads (Linux tells it in /proc)."""
    status = Path(f"/proc/{pid or process.pid}/status")
    while process.poll() is None:
        caught = re.search(r"^SigCgt:\s*(\w+)$", status.read_text(), re.M)
        if caught is not None and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.01)


def test_nothing_came(tmp_path: Path) -> None:
    ran = conformance("check", "-", "--protocol", "penguin/2", cwd=tmp_path, stdin=b"")
    assert ran.code == exits.USAGE
    assert ran.err == "standard input: empty: there is nothing to judge\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-events", "0"], "is no number above 0"),
        (["--max-events", "many"], "is no number above 0"),
        (["--max-seconds", "-1"], "is no number of seconds above 0"),
        (["--max-seconds", "inf"], "is no number of seconds above 0"),
    ],
)
def test_bad_limits(tmp_path: Path, arguments: list[str], words: str) -> None:
    ran = conformance("check", "-", "--protocol", "penguin/2", *arguments, cwd=tmp_path, stdin=b"data: x\n\n")
    assert ran.code == exits.USAGE
    assert words in ran.err


HEAD = b"HTTP/1.1 200 OK\r\nVia: HTTP/2 proxy\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\n\r\n",
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/2 301 \r\nlocation: /y\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_the_head_that_counts_wherever_the_pipe_cuts(before: bytes) -> None:
    stream = before + HEAD + b"data: HTTP/1.1\n\n"
    expected = (len(before), len(before) + len(HEAD))
    assert leading_heads(stream) == expected
    for cut in range(len(before) + len(HEAD)):
        assert leading_heads(stream[:cut], ended=False) is None, cut
    assert leading_heads(before + HEAD, ended=False) == expected
    assert leading_heads(before + HEAD) == expected


def test_what_is_no_head() -> None:
    for body in (b"data: x\n\n", b"HTML/1.0\n\n", b"\nHTTP/1.1 200 OK\n\n"):
        assert leading_heads(body, ended=False) == (0, 0)
    assert leading_heads(b"HTTP/ is what it says, without an end") == (0, 0)


def read_all(data: bytes, **limits: int) -> tuple[bytes, LiveInput]:
    """What is read of a pipe that has these bytes."""
    ours, theirs = os.pipe()
    os.write(theirs, data)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe, LiveInput(pipe.fileno(), **limits) as live:
        return b"".join(iter(live.read, b"")), live


def test_events_are_counted_behind_the_head_and_cut_to_the_byte() -> None:
    three = b": hello\n\ndata: 1\n\ndata: 2\r\n\r\ndata: 3\n\n"
    for head in (b"", HEAD):
        data, live = read_all(head + three, max_events=2)
        assert data == head + three[: -len(b"data: 3\n\n")]
        assert (live.events, live.how) == (2, "ended at --max-events")
        assert read_all(head + three)[0] == head + three
    assert read_all(three, max_events=9)[1].how == ""
