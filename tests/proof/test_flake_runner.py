"""The tool that repeats runs: what it counts as a difference, what it keeps, and that its proxy changes no byte."""

from __future__ import annotations

import contextlib
import http.server
import socket
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from reference_server.settings import Settings
from tests.proof import flake, flake_tally
from tests.proof.flake_tally import Run, Verdict
from tests.support.delaying_proxy import delaying_proxy
from tests.support.reference_in_process import reference_in_process

BODY = bytes(range(256)) * 2_000


def _run(mode: str, number: int, *verdicts: tuple[str, str], trouble: str = "") -> Run:
    made = tuple(Verdict("penguin/2", name, verdict) for name, verdict in verdicts)
    return Run(mode, number, number, 1.0, "c0de", verdicts=made, trouble=trouble)


def test_verdicts_that_are_the_same_every_time_are_clean() -> None:
    runs = [_run(mode, n, ("A", "pass"), ("B", "note")) for mode in ("plain", "busy") for n in (1, 2)]
    assert flake_tally.differences(runs) == []
    assert flake_tally.is_clean(runs)


def test_a_verdict_that_differs_once_is_told_with_its_tally_and_what_was_said() -> None:
    runs = [_run("plain", n, ("A", "pass")) for n in (1, 2, 3)] + [_run("proxy", 1, ("A", "pass"))]
    odd = Verdict("penguin/2", "A", "fail", "a hole: two events", "proxy-2/observations/x.json")
    runs.append(replace(_run("proxy", 2), verdicts=(odd,)))
    (found,) = flake_tally.differences(runs)
    assert found.tallies == (("plain", (("pass", 3),)), ("proxy", (("fail", 1), ("pass", 1))))
    assert found.rare == (("proxy", 2, odd),)
    text = flake_tally.markdown(runs)
    assert "penguin/2 A" in text
    assert "fail 1 of 2, pass 1 of 2" in text
    assert "proxy run 2: fail: a hole: two events (proxy-2/observations/x.json)" in text
    assert not flake_tally.is_clean(runs)


def test_a_row_that_is_missing_in_one_run_differs() -> None:
    runs = [_run("plain", 1, ("A", "pass"), ("B", "pass")), _run("plain", 2, ("A", "pass"))]
    assert [each.requirement for each in flake_tally.differences(runs)] == ["B"]


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_a_steady_red_is_no_difference_and_not_clean(verdict: str) -> None:
    runs = [_run("plain", n, ("A", verdict)) for n in (1, 2)]
    assert flake_tally.differences(runs) == []
    assert not flake_tally.is_clean(runs)
    assert f"penguin/2 A: {verdict}" in flake_tally.markdown(runs)


def test_runs_without_verdicts_and_no_runs_at_all_are_not_clean() -> None:
    assert not flake_tally.is_clean([])
    assert not flake_tally.is_clean(
        [_run("plain", 1, ("A", "pass")), _run("plain", 2, trouble="it did not end")]
    )


def test_runs_of_this_code_are_gone_on_with_and_others_are_not(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    here, other = _run("plain", 1, ("A", "pass")), replace(_run("plain", 2, ("A", "fail")), code="other")
    for run in (here, other):
        flake_tally.append(path, run)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"mode": "pla')  # an interrupted line
    assert flake_tally.read(path, "c0de", "") == [here]
    assert flake_tally.read(path, "c0de", "penguin/2=http://elsewhere") == []


def test_a_real_server_is_judged_as_it_is_and_through_the_proxy(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with reference_in_process(Settings()) as url:
        target = f"penguin/2={url}/penguin/2"
        arguments = [
            "--runs",
            "1",
            "--mode",
            "plain",
            "--mode",
            "proxy",
            "--target",
            target,
            "--report",
            str(kept),
        ]
        arguments += ["--", "--sse-only", "PG-FLT-08", "-p", "no:hypothesispytest"]
        assert flake.main(arguments) == 0
        runs = flake_tally.read(kept / "runs.jsonl", flake.fingerprint(), target)
        assert [run.mode for run in runs] == ["plain", "proxy"]
        for run in runs:
            assert [(v.revision, v.requirement, v.verdict) for v in run.verdicts] == [
                ("penguin/2", "PG-FLT-08", "pass")
            ]
        assert [path.name for path in kept.iterdir() if path.is_dir()] == []  # what shows nothing is not kept
        assert flake.main(arguments) == 0  # nothing is left to do
        assert flake_tally.read(kept / "runs.jsonl", flake.fingerprint(), target) == runs


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def upstream() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/base"
        server.shutdown()
        thread.join(5)


def _connected(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=20)


def test_the_proxy_delays_and_cuts_and_changes_nothing(upstream: str) -> None:
    with delaying_proxy(upstream, seed=7) as url:
        assert url.endswith("/base")
        began = time.monotonic()
        with _connected(url) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            pieces = list(iter(lambda: client.recv(1 << 20), b""))
        assert b"".join(pieces).partition(b"\r\n\r\n")[2] == BODY
        assert len(pieces) > 4
        assert time.monotonic() - began > 0.02


def _until_it_breaks(server: socket.socket) -> None:
    """Read to the end, then write: a reset shows in one of the two."""
    while server.recv(100):
        pass
    while True:
        server.sendall(b"x" * 100_000)


def test_the_proxy_passes_a_reset_on() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        here = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = _connected(stack.enter_context(delaying_proxy(here, seed=1)))
        client.sendall(b"hello")
        server = stack.enter_context(listener.accept()[0])
        server.settimeout(20)
        assert server.recv(100)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        with pytest.raises(ConnectionError):
            _until_it_breaks(server)


def test_what_an_interruption_cuts_off_is_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, cut = threading.Event(), threading.Event()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            cut.set()
            super().shutdown(wait, cancel_futures=cancel_futures)

    def one(order: flake.Order, mode: str, number: int) -> Run:
        if mode == "proxy":
            begun.set()
            assert cut.wait(20)
            return _run(mode, number, trouble="the suite ended with 2")
        if number == 1:
            return _run(mode, number, ("A", "pass"))
        assert begun.wait(20)
        raise KeyboardInterrupt

    monkeypatch.setattr(flake, "one", one)
    monkeypatch.setattr(flake, "ThreadPoolExecutor", Pool)
    with pytest.raises(KeyboardInterrupt):
        flake.repeat(flake.Order((), tmp_path, "c0de", 0, 0, ()), ("plain", "proxy"), 2, 60.0, jobs=2)
    kept = flake_tally.read(tmp_path / "runs.jsonl", "c0de", "")
    assert [(run.mode, run.number) for run in kept] == [("plain", 1)]
