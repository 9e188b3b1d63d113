"""How fast a recording is judged, with every rule and schema on, and in how much memory.

    python tests/benchmarks/bench_check.py [EVENTS]

Prints events per second of CPU time for each protocol family, next to what reading the same file with httpx-sse
and `json` alone takes, and the peak memory: with orjson, where it is installed, and without.
Each is the median of five runs, which take turns.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DIALOG = "6a650a2581b944b2950a9409e252d422"
LETTERS = "abcdefghijklmnopqrstuvwxyz" * 3


def agentsmithy(count: int) -> Iterator[bytes]:
    """One long answer in pieces of about 100 characters, CRLF as the real server sends."""
    head: list[dict[str, Any]] = [{"type": "user", "content": "go"}, {"type": "chat_start"}]
    tail: list[dict[str, Any]] = [{"type": "chat_end"}, {"type": "done", "done": True}]
    chats = ({"type": "chat", "content": f"{n:08d} {LETTERS}"} for n in range(count - 4))
    for part in (head, chats, tail):
        for event in part:
            yield b"data: %s\r\n\r\n" % json.dumps({"dialog_id": DIALOG, **event}).encode()


def penguin(count: int) -> Iterator[bytes]:
    """Many short turns of one session, each with a text part that grows by three deltas."""
    order = 0

    def frame(kind: str, properties: dict[str, Any]) -> bytes:
        nonlocal order
        order += 1
        name = f"evt:session:session_1:{order:08d}"
        event = {
            "id": name,
            "order": order,
            "time": 1795210984319 + order,
            "type": kind,
            "properties": properties,
        }
        return f"id: {name}\ndata: {json.dumps(event)}\n\n".encode()

    yield frame("server.connected", {"sessionID": "session_1", "agentID": None, "directory": None})
    for turn in range((count - 1) // 8):
        message, part = f"msg_{turn}", f"part_{turn}"
        about = {
            "id": message,
            "sessionID": "session_1",
            "role": "assistant",
            "parentID": "msg_user",
            "modelID": "model",
            "providerID": "openrouter",
            "mode": "build",
            "agent": "default",
            "path": {"cwd": "/srv/project", "root": "/srv/project"},
            "cost": 0.0,
            "tokens": {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}},
        }
        yield frame("session.status", {"sessionID": "session_1", "status": {"type": "busy"}})
        yield frame(
            "message.updated", about | {"time": {"created": 1795210984319 + order, "completed": None}}
        )
        text = ""
        for delta in ("Hello, ", "this is ", "a scripted ", "answer."):
            text += delta
            body = {"id": part, "messageID": message, "sessionID": "session_1", "type": "text", "text": text}
            yield frame("message.part.updated", {"part": body, "delta": delta, "sessionID": "session_1"})
        created = 1795210984319 + order
        yield frame("message.updated", about | {"time": {"created": created, "completed": created + 9}})
        yield frame("session.status", {"sessionID": "session_1", "status": {"type": "idle"}})


STREAMS = {"agentsmithy/2": agentsmithy, "penguin/2": penguin}


ROUNDS = 5


def judge(path: str, protocol: str, quick: bool) -> None:
    """In a process of its own: judge a file, print seconds and peak memory as JSON."""
    if not quick:
        sys.modules["orjson"] = None  # type: ignore[assignment]  # importing it fails
    from conformance.cli import main as command

    began = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()) as said:
        command(["check", path, "--protocol", protocol, "--json"])
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    rows = json.loads(said.getvalue())["results"]
    red = [f"{row['requirement']} {row['findings']}" for row in rows if row["verdict"] == "fail"]
    judged = sum(row["verdict"] != "not-applicable" for row in rows)
    print(json.dumps({"seconds": seconds, "peak": peak, "rules": judged, "red": red}))


def baseline(path: str) -> float:
    """Seconds that httpx-sse and `json` take to read the same file, judging nothing."""
    from httpx_sse._decoders import SSEDecoder, SSELineDecoder

    text = Path(path).read_bytes().decode()
    began = time.process_time()
    lines, decoder = SSELineDecoder(), SSEDecoder()
    for at in range(0, len(text), 65_536):
        for line in lines.decode(text[at : at + 65_536]):
            if (event := decoder.decode(line)) is not None:
                json.loads(event.data)
    return time.process_time() - began


def run(path: str, protocol: str, quick: bool) -> dict[str, Any]:
    """What `judge` prints."""
    command = [sys.executable, __file__, "--one", path, protocol, "quick" if quick else "plain"]
    took: dict[str, Any] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    if took["red"]:
        sys.exit(f"{protocol}: the stream of this benchmark is accused: {took['red'][0]}")
    return took


def main(count: int) -> None:
    """Judge each family's stream."""
    ways = (True, False) if importlib.util.find_spec("orjson") else (False,)
    mib = 2**20
    for protocol, events in STREAMS.items():
        took: dict[bool, list[dict[str, Any]]] = {quick: [] for quick in ways}
        plain = []
        with tempfile.NamedTemporaryFile(suffix=".sse") as file:
            file.writelines(events(count))
            file.flush()
            size = Path(file.name).stat().st_size
            for _ in range(ROUNDS):
                plain.append(baseline(file.name))
                for quick in ways:
                    took[quick].append(run(file.name, protocol, quick))
        alone = statistics.median(plain)
        print(
            f"{protocol}: {count} events of {size / count:.0f} bytes, {took[ways[0]][0]['rules']} requirements judged "
            f"(httpx-sse and json alone: {count / alone:,.0f} events/s)"
        )
        for quick in ways:
            seconds = sorted(one["seconds"] for one in took[quick])
            middle = statistics.median(seconds)
            print(
                f"  {'with' if quick else 'without'} orjson: {count / middle:,.0f} events/s "
                f"({count / seconds[-1]:,.0f} to {count / seconds[0]:,.0f}), {alone / middle:.2f} × reading alone, "
                f"peak {max(one['peak'] for one in took[quick]) / mib:.0f} MiB for a body of {size / mib:.0f} MiB"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        judge(sys.argv[2], sys.argv[3], sys.argv[4] == "quick")
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
