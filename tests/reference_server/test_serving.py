"""What stands around the streams: options, credentials, CORS, limits, and the end."""

from __future__ import annotations

import base64
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.raw_sse import RawStream, chat_body, script

ROUTES = [
    ("POST", "/agentsmithy/1/api/chat"),
    ("GET", "/penguin/2/api/v1/events/sse"),
    ("GET", "/penguin/1/session"),
]


@pytest.fixture
def process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of one's own to be ended, and its base URL."""
    running = subprocess.Popen(
        [sys.executable, "-m", "reference_server", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        yield running, running.stdout.readline().removeprefix("listening on ").strip()
    finally:
        running.kill()
        running.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_every_stream_in_order(
    process: tuple[subprocess.Popen[str], str], number: signal.Signals, http: httpx.Client
) -> None:
    server, base = process
    prompt = script({"text": [{"fill": 12, "times": 10_000}]}, pace_ms=10)
    session = http.post(f"{base}/penguin/2/session").json()["id"]
    answers: list[int] = []

    def send() -> None:
        with httpx.Client(trust_env=False, timeout=20) as own:
            body = {"text": prompt, "session_id": session}
            answers.append(own.post(f"{base}/penguin/2/api/v1/chat/message", json=body).status_code)

    bus = RawStream(f"{base}/penguin/2/api/v1/events/sse")
    quiet = RawStream(f"{base}/penguin/1/api/v1/events/sse")
    old = RawStream(f"{base}/penguin/2/api/v1/events/sse", version="1.0")
    chat = RawStream(f"{base}/agentsmithy/2/api/chat", method="POST", body=chat_body(prompt))
    sender = threading.Thread(target=send)
    sender.start()
    bus.until_event("message.part.updated")
    chat.until_event("chat")
    server.send_signal(number)
    for stream in (bus, quiet, chat):
        assert stream.to_end().terminated
    old.until(lambda s: s.ended)
    sender.join()
    assert answers == [200]
    assert chat.types[-3:] == ["chat_end", "error", "done"]
    assert bus.events[-1]["properties"]["status"] == {"type": "idle"}
    assert server.wait(10) == 0
    assert server.stderr is not None
    assert server.stderr.read() == ""
    for stream in (bus, quiet, chat, old):
        stream.socket.close()


def test_a_reader_that_does_not_read_does_not_keep_the_server_alive(
    process: tuple[subprocess.Popen[str], str],
) -> None:
    server, base = process
    body = chat_body(script({"text": [{"fill": 60_000, "times": 1000}]}))
    with RawStream(f"{base}/agentsmithy/1/api/chat", method="POST", body=body, receive_buffer=4096) as stream:
        stream.until_event("chat")
        server.terminate()
        assert server.wait(15) == 0
    assert server.stderr is not None
    assert server.stderr.read() == ""


@pytest.mark.parametrize(
    ("option", "headers", "scheme"),
    [
        ("bearer:s3cret", {"Authorization": "Bearer s3cret"}, "Bearer"),
        ("basic:u:p:w", {"Authorization": "Basic " + base64.b64encode(b"u:p:w").decode()}, "Basic"),
        ("header:X-API-Key:s3cret", {"X-API-Key": "s3cret"}, "ApiKey"),
    ],
)
def test_credentials(
    start: Any, http: httpx.Client, option: str, headers: dict[str, str], scheme: str
) -> None:
    base = start("--auth", option)
    for method, path in ROUTES:
        for wrong in (
            {},
            {name: value + "x" for name, value in headers.items()},
            {"Authorization": "Bearer \xff"},
        ):
            answer = http.request(
                method, base + path, headers=[(k, v.encode("latin-1")) for k, v in wrong.items()]
            )
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith(scheme)
            assert "text/event-stream" not in answer.headers["content-type"]
    assert http.get(f"{base}/health").status_code == 200
    assert http.get(f"{base}/session/health").status_code == 401
    lower = {name: value.replace(scheme, scheme.lower()) for name, value in headers.items()}
    for right in (headers, lower):
        with RawStream(f"{base}/penguin/2/api/v1/events/sse", headers=right) as stream:
            stream.until_event("server.connected")


ORIGIN = "http://localhost:3000"


def test_cors(start: Any, http: httpx.Client) -> None:
    base = start("--cors", ORIGIN, "--cors", "https://b.example", "--auth", "bearer:x")
    asked = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, last-event-id, cache-control, authorization",
    }
    for _, path in ROUTES:
        answer = http.options(base + path, headers=asked)
        assert answer.is_success
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        allowed = answer.headers["access-control-allow-headers"].lower()
        assert all(name in allowed for name in ("content-type", "last-event-id", "authorization"))
        refused = http.options(base + path, headers=asked | {"Origin": "http://evil.example"})
        assert "access-control-allow-origin" not in refused.headers
    headers = {"Origin": ORIGIN, "Cookie": "a=b", "Authorization": "Bearer x"}
    with RawStream(f"{base}/penguin/2/api/v1/events/sse", headers=headers) as stream:
        assert stream.status == 200
        assert stream.headers["access-control-allow-origin"] == ORIGIN
        assert "access-control-allow-credentials" not in stream.headers
        assert "Origin" in stream.headers["vary"]
    # a refusal must be readable by the page that asked
    assert http.get(f"{base}/penguin/1/session", headers={"Origin": ORIGIN}).headers[
        "access-control-allow-origin"
    ] == ORIGIN  # fmt: skip


def test_rate_limit(start: Any, http: httpx.Client) -> None:
    base = start("--rate-limit", "3/1")
    url = f"{base}/penguin/2/session"
    answers = [http.get(url) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].headers["retry-after"] == "1"
    assert http.get(f"{base}/health").status_code == 200
    deadline = time.monotonic() + 10
    while http.get(url).status_code == 429:
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    "path", ["/agentsmithy/2/api/chat", "/penguin/2/api/v1/chat/message", "/penguin/1/session"]
)
def test_a_body_beyond_the_limit_is_413_and_the_server_lives(
    start: Any, http: httpx.Client, path: str
) -> None:
    base = start("--max-body", "1000")
    for body in (b"x" * 1001, b"x" * 20_000_000):
        answer = http.post(base + path, content=body)
        assert answer.status_code == 413
        assert answer.json()["detail"]
    # without a declared length
    answer = http.post(base + path, content=iter([b"x" * 600] * 3))
    assert answer.status_code == 413
    chat = http.post(f"{base}/agentsmithy/2/api/chat", content=chat_body("hi"))
    assert chat.status_code == 200


def test_a_client_that_leaves_in_its_own_request_does_no_harm(base: str, http: httpx.Client) -> None:
    host, port = base.removeprefix("http://").split(":")
    for _ in range(3):
        with socket.create_connection((host, int(port))) as left:
            left.sendall(b"POST /agentsmithy/1/api/chat HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert http.get(f"{base}/health").status_code == 200


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream;q=0", "nonsense", ""])
@pytest.mark.parametrize("path", ["/penguin/1/api/v1/events/sse", "/penguin/2/api/v1/events/sse"])
def test_accept_is_ignored(base: str, path: str, accept: str) -> None:
    with RawStream(base + path, headers={"Accept": accept, "Accept-Encoding": "gzip"}) as stream:
        stream.until_event("server.connected")
        assert "content-encoding" not in stream.headers
        assert "content-length" not in stream.headers


def test_ipv6(start: Any, http: httpx.Client) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    base = start("--host", "::1")
    assert base.startswith("http://[::1]:")
    assert http.get(f"{base}/health").status_code == 200


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "reference_server", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "x"], "--port"),
        (["--port", "70000"], "70000"),
        (["--nonsense"], "--nonsense"),
        (["--heartbeat", "0"], "--heartbeat"),
        (["--heartbeat", "nan"], "--heartbeat"),
        (["--auth", "bearer"], "--auth"),
        (["--auth", "header:X"], "--auth"),
        (["--cors", "localhost"], "--cors"),
        (["--rate-limit", "3"], "--rate-limit"),
        (["--rate-limit", "0/1"], "--rate-limit"),
        (["--max-body", "0"], "--max-body"),
        (["--workspace", "rel"], "--workspace"),
        (["--scenario", "no-such"], "awkward-text"),
        (["--scenario", "/no/such.yaml"], "/no/such.yaml"),
        (["--host", "256.1.1.1"], "256.1.1.1"),
    ],
)
def test_a_bad_argument_is_one_line_and_exit_code_4(arguments: list[str], said: str) -> None:
    ran = run(*arguments)
    assert (ran.returncode, ran.stdout) == (4, "")
    assert len(ran.stderr.splitlines()) == 1
    assert said in ran.stderr


def test_a_port_in_use_is_one_line(base: str) -> None:
    ran = run("--port", base.rpartition(":")[2])
    assert ran.returncode == 4
    assert len(ran.stderr.splitlines()) == 1


def test_help_and_list(tmp_path: Path) -> None:
    assert "--scenario" in run("--help").stdout
    listed = run("--list-scenarios").stdout.splitlines()
    assert len(listed) >= 8
