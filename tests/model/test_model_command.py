"""`python -m reference_server.model` as a process."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys

import pytest

from tests.support.commands import ROOT, run
from tests.support.scripted_model import DEADLINE, Model, chat_body, prompt, request

COMMAND = [sys.executable, "-m", "reference_server.model"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_says_where_it_listens_and_stops_in_order(number: signal.Signals) -> None:
    with subprocess.Popen([*COMMAND, "--port", "0"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        match = re.fullmatch(r"listening on http://127\.0\.0\.1:(\d+)\n", process.stdout.readline())
        assert match
        model = Model(int(match[1]))
        assert model.play([{"text": ["here"]}]).said() == ["here"]
        with model.connect() as stalled:  # a stop does not wait for a call that never ends
            body = chat_body(prompt([{"stall_ms": 600_000}]))
            stalled.sendall(request("POST", "/v1/chat/completions", body))
            assert b"200 OK" in stalled.recv(1000)
            process.send_signal(number)
            assert process.wait(DEADLINE) == 0


def test_taken_port_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = run(*COMMAND, "--port", str(port), cwd=ROOT, timeout=DEADLINE)
    assert ran.code == 1
    assert re.fullmatch(rf"sse-conformance model: cannot listen on 127.0.0.1:{port}: .*\n", ran.err)


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_bad_port_is_a_usage_error(port: str) -> None:
    ran = run(*COMMAND, f"--port={port}", cwd=ROOT, timeout=DEADLINE)
    assert ran.code == 2
    assert "is not a port" in ran.err
