"""A Penguin server as one writes it with aiohttp, right by the documents.

It exists to be judged: a verdict against it is a fault of the judge. It shares no code with the reference
server, with the harness, or with the other servers of this folder, so that a misreading cannot hide.

Each subscriber has a queue with an end: who falls too far behind is hung up on. There is no replay. Revision 1
streams increments without the text so far, and says the whole text when a part is over; it has one message for
all that the model says in a turn, and its heartbeat is an event. Revision 2 says the text so far each time, in a
message for each answer of the model. Tools run one after the other; a model that fails shows on the message.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Json = dict[str, Any]
MOST_WAITING = 3_000  # events that a subscriber may be behind
MOST_CALLS = 10  # of the model in one turn
ROOT = "/workspace"


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


def fresh(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(8)}"


@dataclass(eq=False)
class Subscriber:
    session: str
    agent: str
    directory: str
    waiting: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(MOST_WAITING))

    def wants(self, session: Session, agent: str) -> bool:
        """What belongs to no agent passes a filter by agent."""
        pairs = ((self.session, session.id), (self.agent, agent), (self.directory, session.directory))
        return all(asked in ("", own) or own == "" for asked, own in pairs)


@dataclass(eq=False)
class Session:
    id: str
    title: str
    directory: str
    made: int = field(default_factory=milliseconds)
    numbers: int = 0
    files: dict[str, str] = field(default_factory=dict)
    turn: asyncio.Task[str] | None = None
    free: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def info(self) -> Json:
        return {
            "id": self.id,
            "title": self.title,
            "directory": self.directory,
            "time": {"created": self.made},
        }


class Penguin:
    """Sessions, and what happens in them told to everyone who asked."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.sessions: dict[str, Session] = {}
        self.subscribers: set[Subscriber] = set()

    def tell(self, session: Session, kind: str, properties: Json, agent: str = "") -> None:
        event: Json = {"type": kind, "properties": properties}
        head = ""
        if self.revision > 1:
            session.numbers += 1
            name = f"evt:session:{session.id}:{session.numbers:08d}"
            event = {"id": name, "order": session.numbers, "time": milliseconds(), **event}
            head = f"id: {name}\n"
        block = f"{head}data: {json.dumps(event)}\n\n".encode()
        for each in [each for each in self.subscribers if each.wants(session, agent)]:
            try:
                each.waiting.put_nowait(block)
            except asyncio.QueueFull:
                self.hang_up(each)

    def hang_up(self, subscriber: Subscriber) -> None:
        """What still waits is thrown away, and the connection ends."""
        self.subscribers.discard(subscriber)
        while not subscriber.waiting.empty():
            subscriber.waiting.get_nowait()
        subscriber.waiting.put_nowait(None)

    def tell_session(self, session: Session, what: str) -> None:
        if self.revision > 1:
            self.tell(session, f"session.{what}", {"sessionID": session.id, "info": session.info})

    def tell_status(self, session: Session, status: str) -> None:
        if self.revision > 1:
            self.tell(session, "session.status", {"sessionID": session.id, "status": {"type": status}})


class Broken(Exception):
    """The model does not answer, or not to the end."""


class Turn:
    """Plays the script of one prompt in a session."""

    def __init__(self, penguin: Penguin, session: Session, agent: str, prompt: str) -> None:
        self.penguin, self.session, self.agent, self.prompt = penguin, session, agent, prompt
        at = prompt.find("[[script ")
        self.script: Json = {"turns": [{"text": ["Hello ", "from ", "aiohttp."]}]}
        if at >= 0:
            self.script, _ = json.JSONDecoder().raw_decode(prompt, at + len("[[script "))
        self.message: Json = {}

    async def play(self) -> str:
        """What the agent said, all in all."""
        said: list[str] = []
        self.penguin.tell_status(self.session, "busy")
        try:
            asked = self.say_prompt()
            steps = list(self.script["turns"])
            for number in range(MOST_CALLS):
                again = steps[-1] if self.script.get("repeat") else {}
                step = steps[number] if number < len(steps) else again
                await self.refused(step)
                if not self.message:
                    self.open_message(asked)
                said.append(await self.stream(step))
                for call in step.get("tools", []):
                    await self.run_tool(call)
                if not step.get("tools"):
                    break
                if self.penguin.revision > 1:
                    self.close_message()
            self.close_message()
        except Broken as why:
            if not self.message:
                self.open_message(asked)
            self.close_message(error={"name": "ProviderError", "data": {"message": str(why)}})
        except asyncio.CancelledError:
            self.close_message(error={"name": "MessageAbortedError", "data": {"message": "aborted"}})
        finally:
            self.penguin.tell_status(self.session, "idle")
        return "".join(said)

    def say_prompt(self) -> str:
        """The user's message with its text; its id."""
        message = fresh("msg")
        if self.penguin.revision > 1:
            user = {"id": message, "sessionID": self.session.id, "role": "user"}
            self.tell("message.updated", {**user, "time": {"created": milliseconds()}})
            part = {"id": fresh("part"), "messageID": message, "sessionID": self.session.id}
            self.tell("message.part.updated", {"part": {**part, "type": "text", "text": self.prompt}})
        return message

    def tell(self, kind: str, properties: Json) -> None:
        self.penguin.tell(self.session, kind, properties, self.agent)

    def open_message(self, asked: str) -> None:
        self.message = {
            "id": fresh("msg"),
            "sessionID": self.session.id,
            "role": "assistant",
            "time": {"created": milliseconds()},
            "parentID": asked,
            "modelID": "script",
            "providerID": "here",
            "agent": self.agent,
            "mode": self.agent,
            "path": {"cwd": self.session.directory, "root": ROOT},
            "cost": 0.0,
            "tokens": {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}},
        }
        self.tell("message.updated", self.message)

    def close_message(self, **more: Any) -> None:
        if self.message:
            when = {**self.message["time"], "completed": milliseconds()}
            self.tell("message.updated", {**self.message, "time": when, **more})
        self.message = {}

    async def refused(self, step: Json) -> None:
        """Pass over refusals that are said to end, quickly; any other is the end."""
        error = step.get("error", {})
        if "status" in error:
            if "times" not in error:
                raise Broken(error["message"])
            await asyncio.sleep(0)

    async def stream(self, step: Json) -> str:
        await asyncio.sleep(step.get("stall_ms", 0) / 1000)
        text = ""
        for kind in ("reasoning", "text"):
            text = await self.part_of(kind, step.get(kind, []))
        if "cut" in step:
            raise Broken("the model hung up")
        if step.get("error", {}).get("in_stream"):
            raise Broken(step["error"]["message"])
        return text

    async def part_of(self, kind: str, chunks: list[Any]) -> str:
        if not chunks:
            return ""
        part = {**self.new_part(kind), "text": ""}
        for chunk in chunks:
            for delta in [chunk] if isinstance(chunk, str) else blocks_of(chunk):
                await asyncio.sleep(self.script.get("pace_ms", 0) / 1000)
                part["text"] += delta
                shown = dict(part)
                if self.penguin.revision == 1:
                    del shown["text"]
                self.tell("message.part.updated", {"part": shown, "delta": delta})
        self.tell("message.part.updated", {"part": part})
        return str(part["text"])

    def new_part(self, kind: str) -> Json:
        return {
            "id": fresh("part"),
            "messageID": self.message["id"],
            "sessionID": self.session.id,
            "type": kind,
        }

    async def run_tool(self, call: Json) -> None:
        part = {**self.new_part("tool"), "callID": fresh("call"), "tool": call["name"]}
        start = milliseconds()
        state: Json = {"status": "running", "input": call["args"], "time": {"start": start}}
        self.tell("message.part.updated", {"part": {**part, "state": state}})
        await asyncio.sleep(0)
        try:
            state = {**state, "status": "completed", "output": self.use(call["name"], call["args"])}
        except (LookupError, ValueError) as why:
            state = {**state, "status": "error", "error": f"{type(why).__name__}: {why}"}
        state["time"] = {"start": start, "end": milliseconds()}
        self.tell("message.part.updated", {"part": {**part, "state": state}})

    def use(self, name: str, args: Json) -> str:
        """The tools: files that are in the session alone."""
        if name == "read_file":
            return self.session.files[args["path"]]
        if name == "write_to_file":
            self.session.files[args["path"]] = args["content"]
            return "written"
        raise ValueError(f"there is no tool {name}")


def blocks_of(fill: Mapping[str, int]) -> list[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    size, out = fill["fill"], []
    for number in range(fill["times"]):
        text = str(number).zfill(8) + " "
        while len(text) < size:
            text += letters
        out.append(text[:size])
    return out


class Routes:
    def __init__(self, penguin: Penguin, beat: float) -> None:
        self.penguin, self.beat = penguin, beat

    async def events(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        subscriber = Subscriber(
            query.get("session_id") or query.get("conversation_id", ""),
            query.get("agent_id", ""),
            query.get("directory", "") if self.penguin.revision > 1 else "",
        )
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        response = web.StreamResponse(headers=headers)
        try:
            await response.prepare(request)
            self.penguin.subscribers.add(subscriber)
            hello = {"type": "server.connected", "properties": dict(query)}
            await response.write(f"data: {json.dumps(hello)}\n\n".encode())
            while (block := await self.next_block(subscriber)) is not None:
                await response.write(block)
        except ConnectionError:
            return response  # nobody is there any more
        finally:
            self.penguin.subscribers.discard(subscriber)
        await response.write_eof()
        return response

    async def next_block(self, subscriber: Subscriber) -> bytes | None:
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(subscriber.waiting.get(), self.beat)
        return (
            b'data: {"type": "ping", "properties": {}}\n\n'
            if self.penguin.revision == 1
            else b": keepalive\n\n"
        )

    async def create(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        directory = str(body.get("directory") or ROOT)
        session = Session(fresh("session"), str(body.get("title", "")), directory)
        self.penguin.sessions[session.id] = session
        self.penguin.tell_session(session, "created")
        return web.json_response(session.info)

    async def every(self, request: web.Request) -> web.Response:
        return web.json_response([session.info for session in self.penguin.sessions.values()])

    def named(self, name: Any) -> Session:
        if name not in self.penguin.sessions:
            raise web.HTTPNotFound(
                text=json.dumps({"error": "no such session"}), content_type="application/json"
            )
        return self.penguin.sessions[name]

    async def rename(self, request: web.Request) -> web.Response:
        session = self.named(request.match_info["session"])
        session.title = str((await body_of(request)).get("title", ""))
        self.penguin.tell_session(session, "updated")
        return web.json_response(session.info)

    async def delete(self, request: web.Request) -> web.Response:
        session = self.named(request.match_info["session"])
        if session.turn is not None:
            session.turn.cancel()
        del self.penguin.sessions[session.id]
        self.penguin.tell_session(session, "deleted")
        return web.json_response(True)

    async def abort(self, request: web.Request) -> web.Response:
        turn = self.named(request.match_info["session"]).turn
        return web.json_response(turn is not None and turn.cancel())

    async def message(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        session = self.named(body.get("session_id"))
        if not isinstance(body.get("text"), str):
            raise web.HTTPBadRequest(text="text?")
        async with session.free:
            turn = Turn(self.penguin, session, body.get("agent_id") or "default", body["text"])
            session.turn = asyncio.create_task(turn.play())
            try:
                return web.json_response({"response": await asyncio.shield(session.turn)})
            finally:
                session.turn = None


async def body_of(request: web.Request) -> Json:
    try:
        body = await request.json()
    except ValueError as why:
        raise web.HTTPBadRequest(text=str(why)) from why
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="an object is wanted")
    return body


def guard(token: str) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def authorised(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if not secrets.compare_digest(request.headers.get("Authorization", ""), f"Bearer {token}"):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Bearer realm="penguin"'})
        return await handler(request)

    return authorised


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--revision", type=int, choices=(1, 2), default=2)
    parser.add_argument("--beat", type=float, default=1.0)
    parser.add_argument("--token", default="")
    options = parser.parse_args()
    routes = Routes(Penguin(options.revision), options.beat)
    app = web.Application(middlewares=[guard(options.token)] if options.token else [], client_max_size=2**22)
    # Without `allow_head` HEAD runs the handler as well, which would never return.
    app.router.add_get("/api/v1/events/sse", routes.events, allow_head=False)
    app.router.add_post("/api/v1/chat/message", routes.message)
    app.router.add_get("/session", routes.every)
    app.router.add_post("/session", routes.create)
    app.router.add_patch("/session/{session}", routes.rename)
    app.router.add_delete("/session/{session}", routes.delete)
    app.router.add_post("/session/{session}/abort", routes.abort)
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"listening on http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    web.run_app(app, sock=listening, print=None, access_log=None, shutdown_timeout=1)


if __name__ == "__main__":
    main()
