"""A small Penguin server in raw ASGI, right by the documents and unusual wherever they leave a choice.

It exists to be judged: a verdict against it is a fault of the judge. It shares no code with the reference
server, with the harness, or with the other server of this folder, so that a misreading cannot hide.

Choices: one log that readers pull from (who falls behind the retention is told of a gap), busy said again and
again, text in two parts, drafts that are removed, empty increments, increments of several chunks, messages
announced twice, tools that overlap, events of other types in mid-turn, comments and `retry` between events.
Revision 1 shows what the first document shows, and nothing more: no ids, no sessions, no snapshots. With `--resume`
its blocks have ids, which are cursors, and with `--json-ids` so has the JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import socket
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

import uvicorn

OPTIONS = argparse.Namespace()
HOME = "/home/penguin"


def now() -> int:
    return int(time.time() * 1000)


@dataclass(frozen=True)
class Logged:
    place: int  # in the log
    id: str
    session: str
    agent: str
    directory: str
    frame: bytes
    last: bool  # of a stream that shows it: there the server ends it


@dataclass
class Session:
    id: str
    title: str
    directory: str
    orders: Any = field(default_factory=lambda: itertools.count(7))
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    playing: asyncio.Task[None] | None = None
    created: int = field(default_factory=now)

    def info(self) -> dict[str, Any]:
        at = {"created": self.created, "updated": self.created, "accessed": time.time_ns()}
        return {
            "time": at,
            "subscribers": time.time_ns() % 97,
            "directory": self.directory,
            "title": self.title,
            "id": self.id,
        }


class Log:
    """Every event of every session, in the one order in which all readers see them."""

    def __init__(self) -> None:
        self.kept: deque[Logged] = deque(maxlen=OPTIONS.retention)
        self.places: dict[str, int] = {}
        self.next = 0
        self.more = asyncio.Event()
        self.all_orders = itertools.count(1)

    def add(
        self, kind: str, session: Session, properties: dict[str, Any], agent: str = "", *, last: bool = False
    ) -> None:
        event: dict[str, Any] = {"properties": properties, "type": kind}
        name, lines = "", []
        if OPTIONS.revision >= 2 or OPTIONS.resume:
            order = next(self.all_orders if OPTIONS.one_stream else session.orders)
            name = f"evt:{'all' if OPTIONS.one_stream else session.id}:{order:08d}"
            lines = [f"id:{name}"]
            if OPTIONS.revision >= 2:
                event = {"time": now(), **event, "order": order, "id": name}
            elif OPTIONS.json_ids:
                event["id"] = name
        text = json.dumps(event, ensure_ascii=False, indent=self.next % 3 or None)
        lines = [*(f"data: {line}" for line in text.split("\n")), *lines]  # the id last: the order is free
        frame = "\n".join((*lines, "", "")).encode()
        if len(self.kept) == self.kept.maxlen:
            self.places.pop(self.kept[0].id, None)
        self.kept.append(Logged(self.next, name, session.id, agent, session.directory, frame, last))
        self.places[name] = self.next
        self.next += 1
        self.more.set()
        self.more = asyncio.Event()

    @property
    def oldest(self) -> int:
        return self.next - len(self.kept)

    def since(self, place: int) -> Iterable[Logged]:
        return itertools.islice(self.kept, place - self.oldest, None)


class Agent:
    """One turn: plays the script into the log."""

    def __init__(self, log: Log, session: Session, prompt: str, agent: str) -> None:
        self.log, self.session, self.agent, self.prompt = log, session, agent, prompt
        self.ids = (f"{session.id}-{now()}-{number}" for number in itertools.count())
        self.script: dict[str, Any] = {"turns": [{"text": ["A plain ", "answer."]}]}
        start = prompt.find("[[script ")
        if start >= 0:
            self.script, end = json.JSONDecoder().raw_decode(prompt, start + 9)
            assert prompt.startswith("]]", end)
        self.pace = self.script.get("pace_ms", 0) / 1000
        self.open: dict[str, Any] | None = None
        self.failed = False
        self.user = ""

    def say(self, kind: str, **properties: Any) -> None:
        two = {"sessionID": self.session.id} if OPTIONS.revision >= 2 else {}
        own = {"agentID": self.agent} if OPTIONS.revision >= 2 and kind.startswith("message") else {}
        self.log.add(kind, self.session, {**properties, **two, **own}, self.agent if own or not two else "")

    def status(self, kind: str, **more: Any) -> None:
        if OPTIONS.revision >= 2:
            self.log.add(
                "session.status",
                self.session,
                {"status": {"type": kind, **more}, "sessionID": self.session.id},
            )

    def message(self, **change: Any) -> None:
        assert self.open is not None
        self.open.update(change)
        shown = dict(self.open)
        if OPTIONS.revision < 2:  # "created, completed, model, tokens"
            shown = {
                "id": shown["id"],
                **shown["time"],
                "model": "m",
                "tokens": 1,
                "error": shown.get("error"),
            }
        self.say("message.updated", **shown)
        self.say("message.updated", **shown)  # twice: nothing new, nothing wrong

    def part(self, part: dict[str, Any], delta: str | None = None) -> None:
        if OPTIONS.revision < 2:
            part = {key: value for key, value in part.items() if key in ("id", "type", "tool", "state")}
        else:
            assert self.open is not None
            part = {**part, "messageID": self.open["id"], "sessionID": self.session.id}
        self.say("message.part.updated", part=part, **({} if delta is None else {"delta": delta}))

    async def run(self) -> None:
        try:
            await self.turn()
        except asyncio.CancelledError:
            self.status("idle")
            if self.open is not None:  # as real servers do: after idle
                self.message(time={**self.open["time"], "completed": now()}, finish="aborted")
        finally:
            self.status("idle")
            about = {"info": self.session.info(), "sessionID": self.session.id}
            end = OPTIONS.end_after_error and self.failed
            self.log.add("session.updated", self.session, about, last=end)

    async def turn(self) -> None:
        self.status("busy")
        if OPTIONS.revision >= 2:
            self.user = f"user-{next(self.ids)}"
            self.open = {"time": {"created": now()}, "role": "user", "id": self.user}
            self.message()
            self.part({"type": "text", "id": f"u-{self.user}", "text": self.prompt})
            self.open = None
        turns = list(self.script["turns"])
        if self.script.get("repeat"):
            turns = turns * 20  # this agent gives up
        elif turns[-1].get("tools"):
            turns.append({})
        for turn in turns:
            if not await self.model_call(turn):
                return

    async def model_call(self, turn: dict[str, Any]) -> bool:
        """Whether the turn goes on."""
        self.status("busy")
        error = turn.get("error", {})
        await asyncio.sleep(turn.get("stall_ms", 0) / 1000)
        refused = "status" in error and "times" not in error  # one that fails a few times is asked again
        extra: dict[str, Any] = {
            "mode": "build",
            "modelID": None,
            "providerID": None,
            "path": {},
            "tokens": None,
            "cost": 0,
        }
        self.open = {
            "id": next(self.ids),
            "role": "assistant",
            "parentID": self.user,
            "agent": self.agent,
            **extra,
        }
        self.message(time={"completed": None, "created": now()})
        self.part({"type": "reasoning", "id": next(self.ids), "text": ""})
        if not refused:
            draft = {"type": "text", "id": next(self.ids), "text": "I am thinking of"}
            if OPTIONS.revision >= 2:
                self.part(draft, draft["text"])
                self.say("message.part.removed", messageID=self.open["id"], partID=draft["id"])
                self.log.add("todo.updated", self.session, {"todos": [], "sessionID": self.session.id})
                self.log.add("lsp.updated", self.session, {"sessionID": self.session.id, "files": None})
            await self.text("reasoning", turn.get("reasoning", []))
            text = turn.get("text", [])
            await self.text("text", text[:1])  # one text may be several parts
            await self.text("text", text[1:])
            await self.tools(turn.get("tools", []))
        failed = self.failed = refused or "in_stream" in error or "cut" in turn
        if "cut" in turn:
            self.status("retry", attempt=1, message="it broke off", next=now())
            self.status("busy")
        elif "in_stream" in error and OPTIONS.revision >= 2:
            toast = {"variant": "error", "message": error["message"], "sessionID": self.session.id}
            self.log.add("tui.toast.show", self.session, toast)
        elif failed:
            self.open["error"] = {"name": "ModelError", "data": {"message": error["message"]}}
        self.message(time={**self.open["time"], "completed": now()}, finish="error" if failed else "stop")
        self.open = None
        return not failed

    async def text(self, kind: str, raw: list[Any]) -> None:
        """A part of text; increments hold up to three chunks, unless the model pauses between them."""
        part: dict[str, Any] = {"type": kind, "id": next(self.ids), "text": "", "time": {"start": now()}}
        chunks: list[str] = []
        for chunk in raw:
            if isinstance(chunk, str):
                chunks.append(chunk)
            else:
                letters = "abcdefghijklmnopqrstuvwxyz" * (chunk["fill"] // 26 + 1)
                chunks += [f"{number:08d} {letters}"[: chunk["fill"]] for number in range(chunk["times"])]
        if not chunks:
            return
        size = 1 if self.pace or OPTIONS.every_chunk else 3
        for at in range(0, len(chunks), size):
            await asyncio.sleep(self.pace)
            delta = "".join(chunks[at : at + size])
            part["text"] += delta
            self.part(part, delta)
            if at % 7 == 0:
                self.part(part, "")
                self.status("busy")
        self.part({**part, "time": {**part["time"], "end": now()}})

    async def tools(self, calls: list[dict[str, Any]]) -> None:
        """All at once: pending, running, running again, and the last one is the first to end."""
        parts = []
        if calls and OPTIONS.revision >= 2:  # a first try that is taken back before it runs
            draft = {"type": "tool", "id": next(self.ids), "callID": "call-0", "tool": calls[0]["name"]}
            self.part({**draft, "state": {"status": "pending", "input": dict(calls[0]["args"])}})
            assert self.open is not None
            self.say("message.part.removed", messageID=self.open["id"], partID=draft["id"])
        for number, call in enumerate(calls):
            state: dict[str, Any] = {"status": "pending", "input": {}, "raw": ""}
            part = {"type": "tool", "id": next(self.ids), "callID": f"call-{number}", "tool": call["name"]}
            parts.append((call, {**part, "state": state}))
            self.part(parts[-1][1])
        for again in (0, 1):
            for call, part in parts:
                given = {**call["args"], "timeout": 30}
                part["state"] = {
                    "status": "running",
                    "input": given,
                    "time": {"start": now()},
                    "metadata": {"n": again},
                }
                self.part(part)
                await asyncio.sleep(0)
        for call, part in reversed(parts):
            state = dict(part["state"], time={**part["state"]["time"], "end": now()}, status="completed")
            if call.get("fails") or call["name"] not in ("read_file", "write_to_file"):
                state.update(status="error", error="it failed")
            else:
                state["output"] = {"text": str(call.get("result", "fine"))}
            self.part({**part, "state": state})


class Server:
    def __init__(self) -> None:
        self.log = Log()
        self.sessions: dict[str, Session] = {}
        self.agents = {"default"}
        self.second, self.asked = 0, 0

    def has_room(self) -> bool:
        """Whether one request more is within the limit, which is counted by the second of the clock."""
        if self.second != (second := int(time.time())):
            self.second, self.asked = second, 0
        self.asked += 1
        return self.asked <= int(OPTIONS.limit)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await asyncio.sleep(OPTIONS.late / 1000)
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        query = {key: values[-1] for key, values in parse_qs(scope["query_string"].decode()).items()}
        path, method, origin = scope["path"], scope["method"], headers.get("origin")
        shared: list[tuple[str, str]] = []
        if OPTIONS.cors and origin is not None:
            shared = [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]
        if OPTIONS.cors and method == "OPTIONS":
            shared += [("Access-Control-Allow-Methods", "*"), ("Access-Control-Allow-Headers", "*")]
            await answer(send, 204, None, shared)
            return
        if OPTIONS.key and headers.get("x-api-key") != OPTIONS.key:
            await answer(send, 403, {"error": "no"}, shared)
            return
        if OPTIONS.limit and not self.has_room():
            await answer(send, 429, {"error": "too many"}, [("Retry-After", "1"), *shared])
            return
        if path == "/api/v1/events/sse":
            if method not in ("GET", "HEAD"):
                await answer(send, 405, None, [("Allow", "HEAD, GET"), *shared])
                return
            unknown = query.get("session_id", "") not in {"", *self.sessions}
            if OPTIONS.unknown_is_404 and (unknown or query.get("agent_id", "") not in {"", *self.agents}):
                await answer(send, 404, {"error": "not here"}, shared)
                return
            await self.events(method, query, headers, shared, receive, send)
            return
        body = b""
        while (event := await receive())["type"] == "http.request":
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        try:
            asked = json.loads(body or b"{}")
        except ValueError:
            await answer(send, 400, {"error": "no JSON"}, shared)
            return
        status, value = await self.plain(method, path, query, asked)
        await answer(send, status, value, shared)

    async def plain(self, method: str, path: str, query: dict[str, str], asked: Any) -> tuple[int, Any]:
        if path == "/session" and method == "GET" and not OPTIONS.shy:
            return 200, [session.info() for session in self.sessions.values()]
        if path == "/session" and method == "POST":
            where = query.get("directory") or asked.get("directory") or HOME
            session = Session(f"ses{len(self.sessions) + 1}x{now()}", asked.get("title", ""), where)
            self.sessions[session.id] = session
            self.log.add("session.created", session, {"sessionID": session.id, "info": session.info()})
            return 201, {"id": session.id} if OPTIONS.shy else session.info()
        if path == "/api/v1/chat/message" and method == "POST":
            found, agent = self.sessions.get(asked.get("session_id", "")), asked.get("agent_id") or "default"
            if found is None or (OPTIONS.unknown_is_404 and agent not in self.agents):
                return 404, {"error": "no such session, no such agent"}
            self.agents.add(agent)
            async with found.lock:
                found.playing = asyncio.create_task(Agent(self.log, found, asked["text"], agent).run())
                await asyncio.wait({found.playing})
            return 200, {"response": "see the stream"}
        session_id, _, verb = unquote(path.removeprefix("/session/")).partition("/")
        found = self.sessions.get(session_id)
        if not path.startswith("/session/") or found is None:
            return 404, {"error": "nothing here"}
        if verb == "abort":
            return 200, found.playing is not None and found.playing.cancel()
        if method == "PATCH":
            found.title = asked["title"]
            self.log.add("session.updated", found, {"sessionID": found.id, "info": found.info()})
        elif method == "DELETE":
            del self.sessions[found.id]
            self.log.add("session.deleted", found, {"sessionID": found.id, "info": found.info()})
            return 200, None
        return 200, found.info()

    async def events(
        self,
        method: str,
        query: dict[str, str],
        headers: dict[str, str],
        shared: Any,
        receive: Any,
        send: Any,
    ) -> None:
        own = [
            (b"content-type", b'text/event-stream; charset="UTF-8"; v=1'),
            (b"cache-control", b"private, no-cache"),
        ]
        own += [(name.encode(), value.encode()) for name, value in shared]
        await send({"type": "http.response.start", "status": 200, "headers": own})
        if method == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        wanted_session = query.get("session_id") or query.get("conversation_id", "")
        agent, directory = query.get("agent_id", ""), query.get("directory", "")

        def passes(event: Logged) -> bool:
            return (
                wanted_session in ("", event.session)
                and agent in ("", event.agent)
                and (OPTIONS.revision < 2 or directory in ("", event.directory))
            )

        asked = query.get("last_event_id") if OPTIONS.revision >= 2 else None
        cursor = (asked or headers.get("last-event-id", "")) if OPTIONS.resume else ""
        place = self.log.places.get(cursor)
        if place is None and cursor.startswith("point:") and cursor[6:].isdigit():
            place = int(cursor[6:]) - 1  # the id of a handshake: a place in the log, and nobody's event
            place = place if self.log.oldest - 1 <= place < self.log.next else None
        at = self.log.next if place is None else place + 1

        def handshake(kind: str, **properties: Any) -> bytes:
            point = f"point:{at}"
            with_id = OPTIONS.connected_id and OPTIONS.revision >= 2
            event = {"type": kind, "properties": properties, **({"id": point} if with_id else {})}
            return (f"id: {point}\n" if with_id else "").encode() + f"data: {json.dumps(event)}\n\n".encode()

        def gap(why: str) -> bytes:
            ids = [event.id for event in self.log.kept if passes(event)]
            ends = {"oldestEventID": ids[0] if ids else None, "newestEventID": ids[-1] if ids else None}
            return handshake("server.replay_gap", lastEventID=cursor, reason=why, **ends)

        out = (
            b":"
            + b" " * 2048
            + b"\n\nretry: 1000\n\n"
            + handshake("server.connected", sessionID=wanted_session)
        )
        if cursor and place is None:
            out += gap("unknown")
        gone = asyncio.create_task(until_gone(receive))
        with contextlib.suppress(OSError):
            while not gone.done():
                await send({"type": "http.response.body", "body": out, "more_body": True})
                out, more = b"", self.log.more
                if at < self.log.oldest:
                    at = self.log.next
                    out = gap("too slow")
                for event in itertools.islice(self.log.since(at), 200):
                    at, cursor = event.place + 1, event.id
                    out += event.frame if passes(event) else b""
                    if event.last and passes(event):
                        await send({"type": "http.response.body", "body": out})
                        return
                if not out and at == self.log.next:
                    waiting = asyncio.create_task(more.wait())
                    await asyncio.wait(
                        {gone, waiting}, timeout=OPTIONS.keepalive, return_when=asyncio.FIRST_COMPLETED
                    )
                    out = b"" if waiting.done() else b": keepalive\n\n"
                    waiting.cancel()


async def until_gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def answer(send: Any, status: int, value: Any, more: list[tuple[str, str]]) -> None:
    body = b"" if value is None else json.dumps(value).encode()
    headers = [(b"content-type", b"application/json")] if body else []
    headers += [(name.encode(), text.encode()) for name, text in more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--revision", type=int, choices=(1, 2), default=2)
    parser.add_argument("--retention", type=int, default=100_000)
    parser.add_argument("--keepalive", type=float, default=0.2)
    parser.add_argument("--late", type=float, default=0, help="ms before every answer")
    parser.add_argument("--key", default="")
    parser.add_argument("--limit", type=int, default=0, help="requests in a second")
    for switch in ("one-stream", "connected-id", "unknown-is-404", "every-chunk", "cors", "resume", "shy"):
        parser.add_argument(f"--{switch}", action="store_true")
    for switch in ("json-ids", "end-after-error"):
        parser.add_argument(f"--{switch}", action="store_true")
    parser.parse_args(namespace=OPTIONS)
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"listening on http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        Server(), http="h11", lifespan="off", log_level="error", timeout_graceful_shutdown=1
    )
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
