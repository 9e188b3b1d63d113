"""Targets that cannot be judged: each run ends soon, with one clear line, the right exit code and no stack trace."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from conformance import exits
from tests.support.commands import Ran, conformance
from tests.support.odd_server import (
    SSE_HEAD,
    Behaviour,
    drips,
    endless_events,
    endless_line,
    headers_only,
    odd_server,
    redirects,
    resets,
    says,
    silent,
)

PROTOCOLS = ("penguin/2", "agentsmithy/2")
CLOSING = b"Connection: close\r\n\r\n"
HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n" + CLOSING + b"<html></html>"
NOT_FOUND = (
    b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n" + CLOSING + b"{}"
)


def judge(url: str, protocol: str, tmp_path: Path, *more: str) -> Ran:
    """A run with short deadlines."""
    ran = conformance(
        "test", url, "--sse-protocol", protocol, "--sse-timeout-scale", "0.1", "-q", *more, cwd=tmp_path
    )
    assert "Traceback" not in ran.all
    assert "INTERNALERROR" not in ran.all
    return ran


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_listens(tmp_path: Path, protocol: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    ran = judge(f"http://127.0.0.1:{port}", protocol, tmp_path)
    assert ran.code == exits.UNREACHABLE
    assert f"127.0.0.1:{port}" in ran.all
    assert "target unreachable" in ran.all


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (silent, "no response came within"),
        (resets, "ended before any response (reset"),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "does not speak HTTP"),
        (says(b""), "ended before any response"),
    ],
    ids=["silent", "reset", "ssh", "closes"],
)
def test_no_http_answer(tmp_path: Path, protocol: str, behaviour: Behaviour, words: str) -> None:
    with odd_server(behaviour) as url:
        ran = judge(url, protocol, tmp_path)
    assert ran.code == exits.UNREACHABLE, ran.all
    assert words in ran.all


def test_tls_where_none_is(tmp_path: Path) -> None:
    with odd_server(says(HTML)) as url:
        ran = judge(url.replace("http://", "https://"), "penguin/2", tmp_path)
    assert ran.code == exits.UNREACHABLE, ran.all
    assert "TLS" in ran.all


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("answer", [HTML, NOT_FOUND], ids=["html", "404"])
def test_wrong_path(tmp_path: Path, protocol: str, answer: bytes) -> None:
    with odd_server(says(answer)) as url:
        ran = judge(url, protocol, tmp_path)
    assert ran.code == exits.USAGE, ran.all
    assert "wrong target" in ran.all


def test_endless_redirects(tmp_path: Path) -> None:
    with odd_server(redirects) as url:
        ran = judge(url, "penguin/2", tmp_path)
    assert ran.code == exits.USAGE, ran.all
    assert "redirects" in ran.all


def test_wrong_protocol_names_what_answers(tmp_path: Path) -> None:
    def only_penguin(connection: socket.socket, stop: object) -> None:
        head = connection.recv(65536)
        there = head.startswith(b"GET /api/v1/events/sse")
        connection.sendall(SSE_HEAD if there else NOT_FOUND)

    with odd_server(only_penguin) as url:
        ran = judge(url, "agentsmithy/1", tmp_path)
        assert ran.code == exits.USAGE, ran.all
        assert "penguin (GET /api/v1/events/sse)" in ran.all
        unnamed = conformance("test", url, cwd=tmp_path)
    assert unnamed.code == exits.USAGE, unnamed.all
    assert "which protocol?" in unnamed.all
    assert "penguin (GET /api/v1/events/sse)" in unnamed.all


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "behaviour", [headers_only, drips, endless_line, endless_events], ids=lambda behaviour: behaviour.__name__
)
def test_streams_that_lead_nowhere(tmp_path: Path, protocol: str, behaviour: Behaviour) -> None:
    with odd_server(behaviour) as url:
        ran = judge(url, protocol, tmp_path, "--sse-max-seconds", "60", "--tb=no")
    assert ran.code == exits.FAILED, ran.all
    assert " 0 pass" not in ran.last_line or "fail" in ran.last_line
    assert protocol in ran.last_line
