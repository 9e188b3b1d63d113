"""A small AgentSmithy server on raw sockets, right by the documents and unusual wherever they leave a choice.

It exists to be judged: a verdict against it is a fault of the judge. It shares no code with the reference
server, with the harness, or with the other server of this folder, so that a misreading cannot hide.

Choices (options): line ends LF, CRLF or CR; bodies that end with the connection, chunks, or chunks of one
byte, with extensions and trailers; JSON over several `data:` lines; ids, a BOM, `retry`, comments everywhere;
text cut anew, so that an event is no model chunk; gzip for those who accept it; refusals before the stream; pages of
any origin, without credentials; so many requests in two seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import difflib
import itertools
import json
import posixpath
import re
import time
import zlib
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

WORKSPACE = "/srv/smithy"
LINE_ENDS = {"lf": "\n", "crlf": "\r\n", "cr": "\r"}
MOST_MODEL_CALLS = 25
FILES: dict[str, str] = {}  # the workspace, which all dialogs share
Answer = tuple[int, Any, tuple[tuple[str, str], ...]]


@dataclass
class Dialog:
    id: str
    history: list[dict[str, Any]] = field(default_factory=list)
    running: int = 0


class Refused(Exception):
    def __init__(self, status: int, why: str, *headers: tuple[str, str]) -> None:
        self.answer: Answer = (status, {"detail": why}, headers)


class ModelError(Exception):
    pass


# ---------------------------------------------------------------- scripts


def script_in(prompt: str) -> dict[str, Any]:
    """The script that the prompt holds, or one sentence."""
    start = prompt.find("[[script ")
    if start < 0:
        return {"turns": [{"text": ["Nothing ", "was ", "scripted."]}]}
    value, end = json.JSONDecoder().raw_decode(prompt, start + len("[[script "))
    if prompt[end : end + 2] != "]]" or not isinstance(value, dict):
        raise Refused(400, "the script is no script")
    return value


def chunks_of(raw: list[Any]) -> Iterator[str]:
    for chunk in raw:
        if isinstance(chunk, str):
            yield chunk
            continue
        letters = "abcdefghijklmnopqrstuvwxyz" * (chunk["fill"] // 26 + 1)
        for number in range(chunk["times"]):
            yield f"{number:08d} {letters}"[: chunk["fill"]]


def model_turns(script: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from script["turns"]
    if script.get("repeat"):
        yield from itertools.repeat(script["turns"][-1])
    elif script["turns"][-1].get("tools"):
        yield {}


# ---------------------------------------------------------------- the agent


class Agent:
    """Plays a script: yields AgentSmithy events without their dialog_id."""

    def __init__(self, options: argparse.Namespace, dialog: Dialog, prompt: str) -> None:
        self.options, self.dialog, self.prompt = options, dialog, prompt
        self.script = script_in(prompt)
        self.segments = options.revision >= 2

    def refused_at_once(self) -> str:
        error = self.script["turns"][0].get("error", {})
        return str(error["message"]) if "status" in error and "times" not in error else ""

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        if self.segments:
            yield {"content": self.prompt, "checkpoint": "c0ffee", "type": "user"}
            yield {"type": "summary_start"}
            yield {"type": "summary_end"}
        try:
            for number, turn in enumerate(model_turns(self.script)):
                if number >= MOST_MODEL_CALLS:
                    raise ModelError("the agent goes round in circles")
                async for event in self.model_call(turn):
                    yield event
                for call in turn.get("tools", ()):
                    for event in self.tool(call):
                        yield event
        except ModelError as error:
            yield {"error": f"The model failed: {error}", "type": "error"}
        yield {"done": True, "type": "done"}

    async def model_call(self, turn: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        error = turn.get("error", {})
        if "status" in error and "times" not in error:
            raise ModelError(error["message"])
        await asyncio.sleep(turn.get("stall_ms", 0) / 1000)
        for kind, name in (("reasoning", "reasoning"), ("chat", "text")):
            if kind in turn or turn.get(name) or (kind == "chat" and self.options.empty_segments):
                if self.segments:
                    yield {"type": f"{kind}_start"}
                async for piece in self.pieces(turn.get(name, [])):
                    self.remember(kind, piece)
                    yield {"content": piece, "type": kind}
                if self.segments:
                    yield {"type": f"{kind}_end"}
        if error.get("in_stream"):
            raise ModelError(error["message"])
        if "cut" in turn:
            raise ModelError("it broke off")

    async def pieces(self, raw: list[Any]) -> AsyncIterator[str]:
        """The text, cut without regard to the model's chunks; nothing is held back while the model pauses."""
        pace, held, size = self.script.get("pace_ms", 0) / 1000, "", 1
        for chunk in chunks_of(raw):
            if pace:
                if held:
                    yield held
                held = ""
                await asyncio.sleep(pace)
            held += chunk
            while len(held) > size:
                yield held[:size]
                held, size = held[size:], min(2 * size, 20_000)
        if held or self.options.empty_segments:
            yield held  # the last piece may be empty: nothing forbids it

    def remember(self, kind: str, text: str) -> None:
        last = self.dialog.history[-1] if self.dialog.history else {}
        if last.get("type") == kind:
            last["content"] += text
        else:
            self.dialog.history.append({"type": kind, "content": text})

    def tool(self, call: dict[str, Any]) -> Iterator[dict[str, Any]]:
        args = {"encoding": "utf-8", **call["args"]}  # defaults filled in
        event = {"args": args, "name": call["name"], "type": "tool_call"}
        self.dialog.history.append({"id": "call", **event})
        yield event
        path = call["args"].get("path")
        if call["name"] not in ("write_to_file", "delete_file") or call.get("fails") or not path:
            return
        file = posixpath.normpath(posixpath.join(WORKSPACE, call.get("edits", path)))
        if not file.startswith(WORKSPACE + "/"):
            return  # refused; the model is told, the client sees the call alone
        old, new = FILES.get(file), None
        if call["name"] == "delete_file":
            FILES.pop(file, None)
        else:
            new = FILES[file] = str(call["args"].get("content", ""))
        if old == new:
            return  # nothing was edited, so nothing is told
        # The same file, written in an unusual way that is absolute all the same.
        edit = {"file": f"{WORKSPACE}/./folder/../{file[len(WORKSPACE) + 1 :]}", "type": "file_edit"}
        if self.segments:
            edit["diff"] = diff_of(file[len(WORKSPACE) + 1 :], old, new)
        yield edit


def diff_of(name: str, old: str | None, new: str | None) -> str:
    """As git writes it."""
    names = ("/dev/null" if old is None else f"a/{name}", "/dev/null" if new is None else f"b/{name}")
    lines = difflib.unified_diff((old or "").splitlines(True), (new or "").splitlines(True), *names)
    return f"diff --git a/{name} b/{name}\n" + "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


# ---------------------------------------------------------------- blocks


class Blocks:
    """Events as SSE blocks, each written in another way."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.eol, self.count = options, LINE_ENDS[options.eol], 0

    def preamble(self) -> str:
        if not self.options.odd_fields:
            return ""
        return f"\ufeff: hello{self.eol}{self.eol}{self.eol}retry: 2500{self.eol}{self.eol}"

    def comment(self) -> str:
        return (":" if self.count % 2 else ": still here, data: x") + self.eol + self.eol

    def block(self, event: dict[str, Any]) -> str:
        self.count += 1
        text = json.dumps(
            event,
            ensure_ascii=self.options.escape,
            indent=1 if self.options.pretty else None,
            separators=(",", ":") if self.count % 2 else None,
        )
        if not self.options.escape:
            # An unpaired surrogate has no UTF-8: it is written as JSON escapes it.
            text = re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", text)
        space = "" if self.count % 3 == 0 else " "
        lines = [f"data:{space}{line}" for line in text.split("\n")]
        if self.options.odd_fields:
            lines.insert(self.count % 2, ": a comment within")
            lines.append(f"id: {self.count}")
            lines.insert(0, "event: message" if self.count % 4 else "event:")
            lines.append("")  # one blank line more than needed
        return self.eol.join((*lines, "", ""))


# ---------------------------------------------------------------- HTTP


class Connection:
    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.options, self.reader, self.writer = server, server.options, reader, writer
        self.headers: dict[str, str] = {}
        self.method = self.target = self.version = ""
        self.body = b""

    async def serve(self) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            while await self.read_request():
                try:
                    self.guard()
                    if self.target == "/api/chat":
                        if not await self.chat():
                            break
                        continue
                    answer = self.server.other(self.method, self.target)
                except Refused as refused:
                    answer = refused.answer
                await self.plain(*answer)
                asked = self.headers.get("connection", "").lower()
                if asked == "close" or (self.version == "HTTP/1.0" and asked != "keep-alive"):
                    break
        self.writer.close()

    async def read_request(self) -> bool:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.method, target, self.version = head[0].split(" ", 2)
        self.target = target.partition("?")[0]
        pairs = (line.partition(":") for line in head[1:] if line)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self.body = await self.reader.readexactly(int(self.headers.get("content-length", "0")))
        return True

    def guard(self) -> None:
        token = self.options.token
        if self.options.any_origin and self.method == "OPTIONS":
            allowed = "authorization, content-type, cache-control"
            raise Refused(
                200,
                "ask",
                ("access-control-allow-methods", "POST"),
                ("access-control-allow-headers", allowed),
            )
        if token and self.headers.get("authorization") != f"Bearer {token}":
            raise Refused(401, "who are you?", ("www-authenticate", 'Bearer realm="smithy"'))
        if self.options.max_body and len(self.body) > self.options.max_body:
            raise Refused(413, "too much")
        if self.options.limit and not self.server.has_room():
            raise Refused(503, "too often", ("retry-after", "2"))

    def shared(self) -> list[str]:
        """What lets pages of other origins read the answer."""
        return ["access-control-allow-origin: *"] if self.options.any_origin else []

    async def plain(self, status: int, value: Any, headers: tuple[tuple[str, str], ...] = ()) -> None:
        """An ordinary answer; HEAD has its length and no body."""
        body = b"" if value is None else json.dumps(value).encode()
        lines = [f"HTTP/1.1 {status} ", *(f"{name}: {text}" for name, text in headers), *self.shared()]
        if status != 204:
            lines.append(f"content-length: {len(body)}")
        if value is not None:
            lines.append(
                "content-type: application/problem+json"
                if status >= 400
                else "content-type: application/json"
            )
        self.writer.write("\r\n".join((*lines, "", "")).encode() + (b"" if self.method == "HEAD" else body))
        await self.writer.drain()

    async def chat(self) -> bool:
        """Answer a prompt; whether the connection can be used again."""
        if self.method != "POST":
            raise Refused(405, "POST only", ("allow", "POST"))
        dialog, agent, streamed = self.server.begin(self.body)
        if (why := agent.refused_at_once()) and self.options.refuse_early:
            raise Refused(502, f"the model refused: {why}")
        dialog.history.append({"type": "user", "content": agent.prompt})
        dialog.running += 1
        try:
            if streamed:
                return await self.stream(agent, dialog)
            said = [e["content"] async for e in agent.events() if e["type"] == "chat"]
            await self.plain(200, {"message": "".join(said), "dialog_id": dialog.id})
            return True
        finally:
            dialog.running -= 1

    async def stream(self, agent: Agent, dialog: Dialog) -> bool:
        chunked = self.options.framing != "close" and self.version == "HTTP/1.1"
        packed = self.options.gzip and "gzip" in self.headers.get("accept-encoding", "")
        head = [
            "HTTP/1.1 200 ",
            "content-type: Text/Event-Stream" + self.options.charset,
            "Cache-Control: no-store",
            *self.shared(),
        ]
        head.append("Transfer-Encoding: Chunked" if chunked else "Connection: close")
        if packed:
            head.append("Content-Encoding: gzip")
        if self.options.odd_fields and self.version == "HTTP/1.1":
            head.insert(0, "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n")
        self.writer.write("\r\n".join((*head, "", "")).encode())
        packer = zlib.compressobj(wbits=31) if packed else None
        blocks, lock = Blocks(self.options), asyncio.Lock()

        async def send(text: str) -> None:
            data = text.encode()
            if packer is not None:
                data = packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)
            async with lock:
                self.writer.write(self.framed(data) if chunked else data)
                await self.writer.drain()

        async def beat() -> None:
            while True:
                await asyncio.sleep(self.options.heartbeat)
                await send(blocks.comment())

        beating = asyncio.create_task(beat())
        try:
            await send(blocks.preamble())
            async for event in agent.events():
                if event["type"] not in ("chat", "reasoning"):
                    await send(blocks.comment())
                await send(blocks.block({**event, "dialog_id": dialog.id, "x": {"more": None}}))
            await send(blocks.comment())  # a comment may come after `done`
        finally:
            beating.cancel()
        rest = packer.flush() if packer is not None else b""
        if chunked:
            self.writer.write((self.framed(rest) if rest else b"") + b"000\r\nserver-timing: all\r\n\r\n")
        else:
            self.writer.write(rest)
        await self.writer.drain()
        return chunked

    def framed(self, data: bytes) -> bytes:
        size = 1 if self.options.framing == "bytes" and len(data) < 2000 else 5000
        cut = (data[i : i + size] for i in range(0, len(data), size))
        return b"".join(b'%X;why="not"\r\n%b\r\n' % (len(piece), piece) for piece in cut)


# ---------------------------------------------------------------- routes


class Server:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.dialogs: dict[str, Dialog] = {}
        self.numbers = itertools.count(1)
        self.asked: deque[float] = deque()

    def has_room(self) -> bool:
        """Whether one request more is within the limit."""
        now = time.monotonic()
        while self.asked and now - self.asked[0] > 2:
            self.asked.popleft()
        if len(self.asked) >= self.options.limit:
            return False
        self.asked.append(now)
        return True

    def new_dialog(self) -> Dialog:
        dialog = Dialog(f"dlg-{next(self.numbers)}")
        self.dialogs[dialog.id] = dialog
        return dialog

    def begin(self, body: bytes) -> tuple[Dialog, Agent, bool]:
        try:
            asked = json.loads(body.decode())
        except ValueError as error:
            raise Refused(400, f"no JSON: {type(error).__name__}") from None
        if not isinstance(asked, dict) or not isinstance(asked.get("stream", True), bool):
            raise Refused(422, "not like this")
        messages, context, wanted = asked.get("messages"), asked.get("context"), asked.get("dialog_id")
        if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
            raise Refused(422, "messages: a list of objects")
        if not all(
            isinstance(m.get("role"), str) and isinstance(m.get("content"), str | list) for m in messages
        ):
            raise Refused(422, "messages: role and content")
        file = context.get("current_file") if isinstance(context, dict) else None
        if not isinstance(context, dict | None) or not isinstance(file, dict | None):
            raise Refused(422, "context: an object")
        if not all(isinstance(value, str | None) for value in (file or {}).values()) or not isinstance(
            wanted, str | None
        ):
            raise Refused(422, "text is wanted")
        users = [m["content"] for m in messages if m["role"] == "user"]
        if not users:
            raise Refused(400, "nobody asks anything")
        prompt = (
            users[-1] if isinstance(users[-1], str) else "".join(str(p.get("text", "")) for p in users[-1])
        )
        # A dialog that is not known is a new one, with an id of our own.
        dialog = self.dialogs.get(wanted or "") or self.new_dialog()
        if dialog.running and self.options.one_stream_per_dialog:
            raise Refused(409, "busy")
        return dialog, Agent(self.options, dialog, prompt), asked.get("stream", True)

    def other(self, method: str, target: str) -> Answer:
        parts = target.strip("/").split("/")
        if self.options.no_dialogs or parts[:2] != ["api", "dialogs"]:
            return 404, {"detail": "no such route"}, ()
        if len(parts) == 2:
            if method != "POST":
                return 405, None, (("Allow", "POST"),)
            return 201, {"title": None, "id": self.new_dialog().id}, ()
        dialog = self.dialogs.get(parts[2])
        if dialog is None:
            return 404, {"detail": "no such dialog"}, ()
        if method == "DELETE":
            del self.dialogs[dialog.id]
            return 204, None, ()
        events = [{"idx": n, **event} for n, event in enumerate(dialog.history)]
        return (
            200,
            {"dialog_id": dialog.id, "events": events, "total_events": len(events), "has_more": False},
            (),
        )


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--revision", type=int, choices=(1, 2), default=2)
    parser.add_argument("--eol", choices=LINE_ENDS, default="crlf")
    parser.add_argument("--framing", choices=("close", "chunked", "bytes"), default="chunked")
    parser.add_argument("--charset", default="")
    parser.add_argument("--heartbeat", type=float, default=1.0)
    parser.add_argument("--token", default="")
    parser.add_argument("--max-body", type=int, default=0)
    parser.add_argument("--limit", type=int, default=0, help="requests in two seconds")
    parser.add_argument("--any-origin", action="store_true")
    for switch in ("escape", "pretty", "odd-fields", "empty-segments", "gzip", "refuse-early", "no-dialogs"):
        parser.add_argument(f"--{switch}", action="store_true")
    parser.add_argument("--one-stream-per-dialog", action="store_true")
    app = Server(parser.parse_args())

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Connection(app, reader, writer).serve()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=1_048_576)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
