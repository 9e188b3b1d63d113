"""The scripted model on a free loopback port, and a client that reads its answers byte for byte."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn

from reference_server.model.app import create_model_app
from reference_server.model.chat import Reasoning

DEADLINE = 10.0  # seconds for anything that ought to come at once


@dataclass(frozen=True)
class Answer:
    """A whole answer: its head, its raw body as far as it came, and how the connection ended."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool  # the framing says that the body is whole
    reset: bool  # the connection was reset

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def data(self) -> list[str]:
        """The data of the events in the body; each must be one `data:` line and a blank one."""
        blocks = self.body.decode().split("\n\n")
        assert blocks.pop() == "", "the stream ends within an event"
        assert all(block.startswith("data: ") and "\n" not in block for block in blocks)
        return [block.removeprefix("data: ") for block in blocks]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        """The JSON events."""
        return [json.loads(data) for data in self.data if data != "[DONE]"]

    @property
    def deltas(self) -> list[dict[str, Any]]:
        """What each chunk adds, without the empty ones."""
        choices = [choice for chunk in self.chunks for choice in chunk.get("choices", [])]
        return [choice["delta"] for choice in choices if choice["delta"]]

    def said(self, member: str = "content") -> list[str]:
        """The pieces of text (or reasoning), in order."""
        return [delta[member] for delta in self.deltas if delta.get(member)]


@dataclass(frozen=True)
class Model:
    """A running scripted model."""

    port: int

    def post(self, path: str, body: object, headers: dict[str, str] | None = None) -> Answer:
        """Send one request on a connection of its own and read the answer to its end."""
        with self.connect() as connection:
            connection.sendall(request("POST", path, body, headers))
            return read_answer(connection)

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        """Likewise, with GET."""
        with self.connect() as connection:
            connection.sendall(request("GET", path, None, headers))
            return read_answer(connection)

    def chat(self, *messages: dict[str, Any] | str, stream: bool = True, **members: Any) -> Answer:
        """A chat completion; a string is a user message."""
        return self.post("/v1/chat/completions", chat_body(*messages, stream=stream, **members))

    def play(self, turns: list[dict[str, Any]], **members: Any) -> Answer:
        """A streamed chat completion of a prompt with this script."""
        return self.chat(prompt(turns, **members))

    def connect(self) -> socket.socket:
        """A connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)

    def calls(self) -> list[dict[str, Any]]:
        """The journal."""
        calls = self.get("/__model/calls").json
        assert isinstance(calls, list)
        return calls


def prompt(turns: list[dict[str, Any]], **members: Any) -> str:
    """A prompt with a script in its middle."""
    return f"Please [[script {json.dumps({'turns': turns, **members})}]] now."


def chat_body(*messages: dict[str, Any] | str, stream: bool = True, **members: Any) -> dict[str, Any]:
    """The body of a chat completion request; a string is a user message."""
    whole = [{"role": "user", "content": m} if isinstance(m, str) else m for m in messages]
    return {"model": "any", "stream": stream, "messages": whole, **members}


def request(method: str, path: str, body: object, headers: dict[str, str] | None = None) -> bytes:
    """One HTTP/1.1 request."""
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: model", f"Content-Length: {len(content)}"]
    lines += ["Connection: close", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def read_answer(connection: socket.socket) -> Answer:
    """Everything that comes until the connection ends."""
    raw, reset = b"", False
    try:
        while piece := connection.recv(1 << 20):
            raw += piece
    except ConnectionResetError:
        reset = True
    head, _, rest = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body, complete = unchunked(rest)
    else:
        body, complete = rest, len(rest) == int(headers.get("content-length", len(rest)))
    return Answer(int(first.split()[1]), headers, body, complete, reset)


def unchunked(raw: bytes) -> tuple[bytes, bool]:
    """The body in chunks, and whether its last chunk is there."""
    body = b""
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return body, raw == b"\r\n"
        body, raw = body + raw[:length], raw[length + 2 :]
    return body, False


def eventually(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; fail after the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


@contextlib.contextmanager
def serving(
    *, token: str | None = None, reasoning: Reasoning = "both", http: str = "auto"
) -> Iterator[Model]:
    """A scripted model in a thread of its own."""
    app = create_model_app(token=token, reasoning=reasoning)
    config = uvicorn.Config(
        app, http=http, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        try:
            eventually(lambda: server.started)
            yield Model(sock.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(DEADLINE)
