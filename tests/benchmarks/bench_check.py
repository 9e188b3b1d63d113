"""How fast a recording is judged, with every rule and schema on, and in how much memory.

    python tests/benchmarks/bench_check.py [--events N] [--quick]

Prints events per second of CPU time for each protocol family, with orjson, where it is installed, and without; beside
them what reading the same file with httpx-sse and `json` alone comes to, what that and jsonschema over a `oneOf` of the
event schemas comes to (on a part of the stream: it is linear), and the peak memory. Medians of five runs, in turns.
"""

from __future__ import annotations

import argparse
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

from httpx_sse._decoders import SSEDecoder, SSELineDecoder
from jsonschema import Draft202012Validator

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
SAMPLE = 2_000  # events that are held against a `oneOf`
MIB = 2**20


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


def reading(path: str) -> float:
    """Seconds that httpx-sse and `json` take to read the same file, judging nothing."""
    began = time.process_time()
    for _ in values(Path(path).read_bytes().decode()):
        pass
    return time.process_time() - began


def by_one_of(text: str, protocol: str) -> float:
    """Seconds that httpx-sse, `json` and jsonschema take, with the event schemas of the revision in one `oneOf`."""
    from conformance.event_schemas import event_schemas  # not before `judge` has hidden orjson
    from conformance.schema_store import inlined, read_schema

    every = [inlined(read_schema(schema.path)) for schema in event_schemas(protocol).types.values()]
    validator = Draft202012Validator({"oneOf": every})
    began = time.process_time()
    for value in values(text):
        if not validator.is_valid(value):
            sys.exit(f"{protocol}: the stream of this benchmark has an event that no schema takes: {value}")
    return time.process_time() - began


def values(text: str) -> Iterator[Any]:
    """The JSON of each event, as httpx-sse decodes them."""
    lines, decoder = SSELineDecoder(), SSEDecoder()
    for at in range(0, len(text), 65_536):
        for line in lines.decode(text[at : at + 65_536]):
            if (event := decoder.decode(line)) is not None:
                yield json.loads(event.data)


def run(path: str, protocol: str, quick: bool) -> dict[str, Any]:
    """What `judge` prints."""
    command = [sys.executable, __file__, "--one", path, protocol, "quick" if quick else "plain"]
    took: dict[str, Any] = json.loads(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
    )
    if took["red"]:
        sys.exit(f"{protocol}: the stream of this benchmark is accused: {took['red'][0]}")
    return took


def main(count: int, rounds: int) -> None:
    """Judge each family's stream."""
    ways = (True, False) if importlib.util.find_spec("orjson") else (False,)
    print(
        "| stream | JSON by | events per CPU-second (slowest, fastest) | reading alone | judging by `oneOf` "
        "| ratio to that | goal | met | peak memory |\n|" + " --- |" * 9
    )
    for protocol, events in STREAMS.items():
        took: dict[bool, list[dict[str, Any]]] = {quick: [] for quick in ways}
        plain, one_of = [], []
        sample = b"".join(events(SAMPLE)).decode()
        with tempfile.NamedTemporaryFile(suffix=".sse") as file:
            file.writelines(events(count))
            file.flush()
            size = Path(file.name).stat().st_size
            for _ in range(rounds):
                plain.append(count / reading(file.name))
                one_of.append(sample.count("data: ") / by_one_of(sample, protocol))
                for quick in ways:
                    took[quick].append(run(file.name, protocol, quick))
        for quick in ways:
            rates = [count / one["seconds"] for one in took[quick]]
            times = statistics.median(a / b for a, b in zip(rates, one_of, strict=True))
            goal = 100 if quick else 15
            peak = max(one["peak"] for one in took[quick]) / MIB
            print(
                f"| {protocol}, {size / count:.0f} bytes an event, {took[quick][0]['rules']} requirements judged "
                f"| {'orjson' if quick else 'json'} "
                f"| {statistics.median(rates):,.0f} ({min(rates):,.0f}, {max(rates):,.0f}) "
                f"| {statistics.median(plain):,.0f} | {statistics.median(one_of):,.0f} | {times:,.0f} × "
                f"| ≥ {goal} × | {'yes' if times >= goal else '**no**'} "
                f"| {peak:.0f} MiB for a body of {size / MIB:.0f} MiB |"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        judge(sys.argv[2], sys.argv[3], sys.argv[4] == "quick")
    else:
        parser = argparse.ArgumentParser(description="How fast a recording is judged, in one run.")
        parser.add_argument("--events", type=int, default=100_000, help="of each stream (%(default)s)")
        parser.add_argument("--quick", action="store_true", help="one round of few events: whether it works")
        given = parser.parse_args()
        main(*((200, 1) if given.quick else (given.events, ROUNDS)))
