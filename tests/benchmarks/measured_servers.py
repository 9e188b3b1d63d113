"""The servers that are measured, each started as one process: the reference server, and what it is held against."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

HERE = Path(__file__).parent
SIZE = 110  # characters of each text: events of about 200 bytes
NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
HOUR = "3600"
OURS, COALESCED, SSE_STARLETTE, NODE, NGINX, BARE, LOOPED = (
    "reference server",
    "reference server, coalesced",
    "sse-starlette",
    "Node http",
    "nginx nchan",
    "ASGI's `send`, the same frame each time",
    "the same through our mailboxes and send loop",
)
_opener = build_opener(ProxyHandler({}))


@dataclass(frozen=True)
class Server:
    """A server that runs. `stamp`, `base`: how its events tell when they were sent (see counting_reader.py)."""

    name: str
    port: int
    pid: int
    stamp: str = '"at": '
    base: int = 10

    def answer(self, times: int, wait: int) -> str:
        """The request whose answer has so many events, after so many milliseconds."""
        if self.base == 10:
            return _get(f"/answer?times={times}&size={SIZE}&wait={wait}")
        return _with_body(
            "POST", "/agentsmithy/1/api/chat", {"messages": [_user(_script(times, stall_ms=wait))]}
        )

    def subscribe(self) -> str:
        """The request of a subscriber."""
        return _get("/subscribe" if self.base == 10 else "/opencode/1/event")

    def publish(self, times: int) -> None:
        """Let every subscriber have so many events, as fast as they are taken. Returns before or after."""
        if self.base == 10:
            self._ask("POST", f"/publish?times={times}&size={SIZE}")
        else:
            part = {"type": "text", "text": _script(times)}
            self._ask("POST", f"/opencode/1/session/{self.session()}/prompt_async", {"parts": [part]})

    def session(self) -> str:
        """A new session of the reference server."""
        return str(json.loads(self._ask("POST", "/opencode/1/session", {}))["id"])

    def cause(self, session: str) -> str:
        """The request that causes one event: a new title of a session, where there are sessions."""
        if self.base == 16:
            return _with_body("PATCH", f"/opencode/1/session/{session}", {"title": "x" * SIZE})
        if self.name == SSE_STARLETTE:
            return _with_body("POST", f"/publish?times=1&size={SIZE}", {})
        event = {"at": time.time_ns() // 1_000_000, "type": "chat", "content": "x" * SIZE}
        return _with_body("POST", "/publish", event)

    def _ask(self, method: str, path: str, body: Any = None) -> bytes:
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        with _opener.open(request, timeout=300) as answer:
            return bytes(answer.read())

    def cpu(self) -> float:
        """Seconds of CPU time that it has spent."""
        spent = 0
        for pid in _family(self.pid):
            for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                spent += int(task.read_text().split()[0])
        return spent / 1e9

    def resident(self) -> int:
        """Bytes of memory that it holds."""
        pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in _family(self.pid))
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def _get(path: str) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"


def _with_body(method: str, path: str, body: Any) -> str:
    text = json.dumps(body)
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
    return f"{head}\r\nContent-Length: {len(text)}\r\n\r\n{text}"


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _script(times: int, *, pace_ms: int = 0, stall_ms: int = 0) -> str:
    turn = {"text": [{"fill": SIZE, "times": times}], "stall_ms": stall_ms}
    return f"[[script {json.dumps({'turns': [turn], 'pace_ms': pace_ms})}]]"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def run(name: str, nchan: Path) -> Iterator[Server]:
    """A server of that name, while it runs."""
    port = _free_port()
    reference = [sys.executable, "-m", "reference_server", "--port", str(port), "--fast", "--heartbeat", HOUR]
    with tempfile.TemporaryDirectory() as folder:
        command = {
            OURS: reference,
            COALESCED: [*reference, "--coalesce", "5"],
            SSE_STARLETTE: [sys.executable, str(HERE / "servers" / "sse_starlette_app.py"), str(port)],
            NODE: ["node", str(HERE / "servers" / "node_http.mjs"), str(port)],
            BARE: [sys.executable, str(HERE / "servers" / "bare_app.py"), str(port)],
            LOOPED: [sys.executable, str(HERE / "servers" / "bare_app.py"), str(port), "loop"],
            NGINX: ["nginx", "-p", folder, "-c", "nginx.conf", "-e", "error.log"],
        }[name]
        if name == NGINX:
            command[0] = shutil.which("nginx") or "/usr/sbin/nginx"
            (Path(folder) / "nginx.conf").write_text(_nginx_conf(port, nchan))
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            _wait_for(port, process)
            ours = name in (OURS, COALESCED)
            stamp = "evt_" if ours else '"at":' if name == NODE else '"at": '
            yield Server(name, port, process.pid, stamp, 16 if ours else 10)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _nginx_conf(port: int, nchan: Path) -> str:
    return f"""
load_module {nchan};
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid nginx.pid;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        nchan_channel_id events;
        location /subscribe {{ nchan_subscriber eventsource; nchan_subscriber_first_message -1; }}
        location /publish {{ nchan_publisher; nchan_message_buffer_length 4096; }}
    }}
}}
"""


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{process.args!r} does not listen") from None
            time.sleep(0.05)
