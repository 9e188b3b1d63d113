"""An OpenCode server as one writes it with aiohttp, right by what is known of `GET /event`.

It exists to be judged: a verdict against it is a fault of the judge. It shares no code with the reference
server, with the harness, or with the other servers of this folder, so that a misreading cannot hide.

Subscribers are remembered by directory, and kept everything that they have not read. Heartbeats come by the clock and
overtake what still waits. Ids are UUIDs, a shell starts at running, tools of one answer run side by side.

    --original   errors and aborts as OpenCode tells them: idle, the message's last word, idle again; every message
                 completed twice, busy again and again, a title from a second model, plugins at the first prompt, a
                 page for every address that it does not know
    --bare       a turn in as few events as there can be: no steps, no reasoning, nothing of the session itself
    --stubborn   a model that breaks off is asked once more before the turn fails
    --delegate   the read tool is an agent of its own: a whole turn of a session below, inside the turn
    --fields     ids, `retry` and comments, which nobody needs
    --ends       after an error each stream of the directory ends, to be asked for again
    --origin     whose pages may read everything, with credentials
    --limit      requests within three seconds, health checks apart
    --secret     what must follow `Basic` in Authorization, or stand in `?auth_token=`
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import socket
import time
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

from aiohttp import web

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
HERE = "/srv/project"
MODEL = {"providerID": "here", "modelID": "script-1"}
MOST_CALLS = 12  # of the model in one turn
PAGE = "<!doctype html><html><head><title>OpenCode</title></head><body></body></html>"


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


def fresh(kind: str) -> str:
    return f"{kind}_{uuid.uuid4()}"


def no_tokens() -> Json:
    return {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}


@dataclass(frozen=True)
class Habits:
    """In which of the legal ways this server behaves."""

    original: bool = False
    bare: bool = False
    stubborn: bool = False
    delegate: bool = False
    fields: bool = False
    ends: bool = False


@dataclass(eq=False)
class Session:
    id: str
    directory: str
    title: str
    parent: str = ""
    born: int = field(default_factory=milliseconds)
    waiting: asyncio.Queue[Turn] = field(default_factory=asyncio.Queue)
    worker: asyncio.Task[None] | None = None
    running: asyncio.Task[None] | None = None
    old: bool = False  # has been prompted

    def info(self) -> Json:
        about = {
            "id": self.id,
            "slug": "good-session",
            "version": "0",
            "projectID": "global",
            "directory": self.directory,
            "path": "",
            "title": self.title,
            "cost": 0,
            "tokens": no_tokens(),
            "time": {"created": self.born, "updated": milliseconds()},
        }
        return {**about, "parentID": self.parent} if self.parent else about


class OpenCode:
    """Sessions and files, and what happens told to whoever listens to a directory."""

    def __init__(self, habits: Habits) -> None:
        self.habits = habits
        self.sessions: dict[str, Session] = {}
        self.files: dict[str, str] = {}
        self.listeners: dict[str, list[asyncio.Queue[bytes]]] = defaultdict(list)
        self.warm: set[str] = set()

    def tell(self, directory: str, kind: str, **properties: Any) -> None:
        block = frame(kind, properties)
        for queue in self.listeners[directory]:
            queue.put_nowait(block)

    def end(self, directory: str) -> None:
        """Streams end when they have shown what was told."""
        for queue in self.listeners[directory]:
            queue.put_nowait(b"")

    def tell_of(self, session: Session, what: str) -> None:
        self.tell(session.directory, f"session.{what}", sessionID=session.id, info=session.info())

    def make(self, directory: str, title: str, parent: str = "") -> Session:
        session = Session(fresh("ses"), directory, title, parent)
        self.sessions[session.id] = session
        self.tell_of(session, "created")
        return session

    def prompt(self, session: Session, turn: Turn) -> None:
        session.waiting.put_nowait(turn)
        if session.worker is None:
            session.worker = asyncio.create_task(self.work(session))

    async def work(self, session: Session) -> None:
        """One turn after the other."""
        while True:
            turn = await session.waiting.get()
            session.running = asyncio.create_task(turn.play())
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(session.running)
            session.running = None


def frame(kind: str, properties: Json) -> bytes:
    event = {"id": fresh("evt"), "type": kind, "properties": properties}
    return b"data: " + json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def with_fields(block: bytes, number: int) -> bytes:
    """The block with fields of which the protocol knows nothing."""
    return b"retry: 1500\n: %d\nid: %d\n" % (number, number) + block


class ModelError(Exception):
    """The model does not answer, or not to the end."""

    def __init__(self, message: str, status: int | None = None, broken: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.broken = broken


class Turn:
    """Plays the script of one prompt in a session."""

    def __init__(self, server: OpenCode, session: Session, body: Json) -> None:
        self.server, self.session = server, session
        self.habits = server.habits
        self.texts = [part["text"] for part in body["parts"] if part.get("type") == "text"]
        self.agent = str(body.get("agent") or "build")
        self.asked = str(body.get("messageID") or fresh("msg"))
        self.message: Json = {}
        self.open: list[Json] = []  # parts that have begun
        self.script: Json = {"turns": [{"text": ["Hello ", "from ", "aiohttp."]}]}
        prompt = "\n".join(self.texts)
        at = prompt.find("[[script ")
        if at >= 0:
            self.script, _ = json.JSONDecoder().raw_decode(prompt, at + len("[[script "))

    # --- telling

    def tell(self, kind: str, **properties: Any) -> None:
        self.server.tell(self.session.directory, kind, sessionID=self.session.id, **properties)

    def tell_part(self, part: Json) -> None:
        shown = json.loads(json.dumps(part))
        self.tell("message.part.updated", part=shown, time=milliseconds())

    def tell_status(self, kind: str, **more: Any) -> None:
        self.tell("session.status", status={"type": kind, **more})

    def tell_idle(self) -> None:
        self.tell_status("idle")
        self.tell("session.idle")

    def part(self, kind: str, **members: Any) -> Json:
        owner = {"id": fresh("prt"), "messageID": self.message["id"], "sessionID": self.session.id}
        return {**owner, "type": kind, **members}

    # --- the turn

    async def play(self) -> None:
        error: Json | None = None
        self.say_prompt()
        try:
            await self.answer()
        except ModelError as why:
            data: Json = {"message": str(why), "isRetryable": False}
            error = {
                "name": "APIError",
                "data": data if why.status is None else {**data, "statusCode": why.status},
            }
        except asyncio.CancelledError:
            error = {"name": "MessageAbortedError", "data": {"message": "Aborted"}}
        if error is not None:
            self.fail(error)
        self.tell_idle()
        if not self.habits.bare:
            self.server.tell_of(self.session, "updated")
            self.tell("session.diff", diff=[])
        if error is not None and self.habits.ends:
            self.server.end(self.session.directory)

    def say_prompt(self) -> None:
        about = {"id": self.asked, "sessionID": self.session.id, "role": "user"}
        user = {**about, "time": {"created": milliseconds()}, "agent": self.agent, "model": MODEL}
        self.tell("message.updated", info=user)
        for text in self.texts:
            part = {"id": fresh("prt"), "messageID": self.asked, "sessionID": self.session.id}
            self.tell_part({**part, "type": "text", "text": text})
        if self.habits.original and self.session.directory not in self.server.warm:
            self.server.warm.add(self.session.directory)
            for number in range(30):
                self.server.tell(self.session.directory, "plugin.added", id=f"plugin-{number}")
            self.server.tell(self.session.directory, "catalog.updated")
        self.tell_status("busy")

    async def answer(self) -> None:
        steps = list(self.script["turns"])
        for number in range(MOST_CALLS):
            again = steps[-1] if self.script.get("repeat") else {}
            step = steps[number] if number < len(steps) else again
            self.begin_message()
            await self.call_model(step)
            self.close_parts()
            tools = step.get("tools", [])
            if self.habits.original and not self.session.old:
                self.session.old = True
                self.session.title = "A title from another model"
                self.server.tell_of(self.session, "updated")
            await asyncio.gather(*(self.run_tool(call) for call in tools))
            self.end_message(finish="tool-calls" if tools else "stop")
            if not tools:
                return
        raise ModelError("the agent was stopped")

    def begin_message(self) -> None:
        where = {"cwd": self.session.directory, "root": "/"}
        self.message = {
            "id": fresh("msg"),
            "sessionID": self.session.id,
            "role": "assistant",
            "parentID": self.asked,
            "mode": self.agent,
            "agent": self.agent,
            "path": where,
            "cost": 0,
            "tokens": no_tokens(),
            **MODEL,
            "time": {"created": milliseconds()},
        }
        self.tell("message.updated", info=self.message)
        if self.habits.original:
            self.tell_status("busy")

    def end_message(self, **more: Any) -> None:
        if not self.message:
            return
        if "finish" in more and not self.habits.bare:
            self.tell_part(self.part("step-finish", reason=more["finish"], cost=0, tokens=no_tokens()))
        done = {**self.message, "time": {**self.message["time"], "completed": milliseconds()}, **more}
        for _ in range(2 if self.habits.original else 1):
            self.tell("message.updated", info=done)
        self.message = {}

    def fail(self, error: Json) -> None:
        """What is open ends; the original is idle before it says the rest."""
        if self.habits.original:
            self.tell("session.error", error=error)
            self.tell_idle()
        self.close_parts()
        self.end_message(error=error)
        if not self.habits.original:
            self.tell("session.error", error=error)

    # --- the model

    async def call_model(self, step: Json) -> None:
        """Ask until it answers or there is no hope; each attempt speaks in parts of its own."""
        error = step.get("error", {})
        attempts = 0
        while "status" in error:
            attempts += 1
            if "times" not in error:
                raise ModelError(error["message"], error["status"])
            if attempts > error["times"]:
                break
            after = min(float(error.get("retry_after", 0)), 2.0)
            ready = milliseconds() + int(after * 1000)
            self.tell_status("retry", attempt=attempts, message=error["message"], next=ready)
            await asyncio.sleep(after)
            self.tell_status("busy")
        try:
            await self.listen(step)
        except ModelError as why:
            if not (self.habits.stubborn and why.broken):
                raise
            self.open.clear()  # what was said stays as it is
            self.tell_status("retry", attempt=1, message=str(why), next=milliseconds())
            self.tell_status("busy")
            await self.listen(step)

    async def listen(self, step: Json) -> None:
        await asyncio.sleep(step.get("stall_ms", 0) / 1000)
        if not self.habits.bare:
            self.tell_part(self.part("step-start"))
        for kind in ("reasoning", "text"):
            if kind == "reasoning" and self.habits.bare:
                continue
            await self.speak(kind, step.get(kind, []))
        if "cut" in step:
            raise ModelError("the model hung up", broken=True)
        if error := step.get("error", {}).get("in_stream"):
            raise ModelError(step["error"]["message"], broken=bool(error))

    async def speak(self, kind: str, chunks: list[Any]) -> None:
        if not chunks:
            return
        part = self.part(kind, text="", time={"start": milliseconds()})
        self.tell_part(part)
        self.open.append(part)
        told: list[str] = []
        name = {"messageID": self.message["id"], "partID": part["id"], "field": "text"}
        try:
            for chunk in chunks:
                for delta in [chunk] if isinstance(chunk, str) else blocks_of(chunk):
                    await asyncio.sleep(self.script.get("pace_ms", 0) / 1000)
                    self.tell("message.part.delta", **name, delta=delta)
                    told.append(delta)
        finally:
            part["text"] = "".join(told)
        self.close_parts()

    def close_parts(self) -> None:
        for part in self.open:
            if part["type"] == "tool":
                start = part["state"].get("time", {}).get("start", milliseconds())
                state = {
                    "status": "error",
                    "input": part["state"]["input"],
                    "error": "Tool execution aborted",
                }
                part["state"] = {**state, "time": {"start": start, "end": milliseconds()}}
            else:
                part["time"]["end"] = milliseconds()
            self.tell_part(part)
        self.open.clear()

    # --- tools

    async def run_tool(self, call: Json) -> None:
        start, args = milliseconds(), call["args"]
        part = self.part("tool", callID=fresh("call"), tool=call["name"])
        self.open.append(part)
        if call["name"] != "bash":
            part["state"] = {"status": "pending", "input": {}, "raw": ""}
            self.tell_part(part)
            await asyncio.sleep(0)
        part["state"] = {"status": "running", "input": args, "time": {"start": start}}
        self.tell_part(part)
        if self.habits.delegate and call["name"] == "read":
            await self.delegated(args)
        await asyncio.sleep(0.002)
        try:
            output = self.use(call["name"], args)
            state: Json = {"status": "completed", "output": output, "title": call["name"], "metadata": {}}
        except (LookupError, ValueError) as why:
            state = {"status": "error", "error": f"{type(why).__name__}: {why}"}
        part["state"] = {**state, "input": args, "time": {"start": start, "end": milliseconds()}}
        self.open.remove(part)
        self.tell_part(part)

    async def delegated(self, args: Json) -> None:
        below = self.server.make(self.session.directory, "below", self.session.id)
        script = {"turns": [{"text": ["Looking ", "for it."]}]}
        text = f"look for {args.get('filePath')} [[script {json.dumps(script)}]]"
        await Turn(self.server, below, {"parts": [{"type": "text", "text": text}]}).play()

    def use(self, name: str, args: Json) -> str:
        """The tools, on files that are in this process alone."""
        if name == "read":
            return self.server.files[args["filePath"]]
        if name == "write":
            path = args["filePath"]
            if not path.startswith("/"):
                path = f"{self.session.directory}/{path}"
            self.server.files[path] = args["content"]
            self.server.tell(self.session.directory, "file.edited", file=path)
            return "written"
        raise ValueError(f"there is no tool {name}")


def blocks_of(fill: Mapping[str, int]) -> Iterator[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    size = fill["fill"]
    for number in range(fill["times"]):
        text = str(number).zfill(8) + " "
        while len(text) < size:
            text += letters
        yield text[:size]


class Routes:
    def __init__(self, server: OpenCode, beat: float) -> None:
        self.server, self.beat = server, beat

    async def events(self, request: web.Request) -> web.StreamResponse:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        listeners = self.server.listeners[directory_of(request)]
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-cache, no-transform",
                "X-Accel-Buffering": "no",
            }
        )
        listeners.append(queue)
        try:
            await response.prepare(request)
            await response.write(frame("server.connected", {}))
            due, number = time.monotonic() + self.beat, 0
            while True:
                try:
                    async with asyncio.timeout(max(0.0, due - time.monotonic())):
                        block = await queue.get()
                except TimeoutError:
                    block, due = frame("server.heartbeat", {}), time.monotonic() + self.beat
                if not block:
                    await response.write_eof()
                    return response
                number += 1
                await response.write(with_fields(block, number) if self.server.habits.fields else block)
        except ConnectionError:
            return response  # nobody is there any more
        finally:
            listeners.remove(queue)

    async def create(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        title = str(body.get("title") or "New session")
        session = self.server.make(directory_of(request), title, str(body.get("parentID") or ""))
        return web.json_response(session.info())

    async def every(self, request: web.Request) -> web.Response:
        here = [each for each in self.server.sessions.values() if each.directory == directory_of(request)]
        return web.json_response([session.info() for session in here])

    def named(self, request: web.Request) -> Session:
        session = self.server.sessions.get(request.match_info["session"])
        if session is None:
            error = {"name": "NotFoundError", "data": {"message": "Session not found"}}
            raise web.HTTPNotFound(text=json.dumps(error), content_type="application/json")
        return session

    async def get(self, request: web.Request) -> web.Response:
        return web.json_response(self.named(request).info())

    async def rename(self, request: web.Request) -> web.Response:
        session = self.named(request)
        session.title = str((await body_of(request)).get("title", session.title))
        self.server.tell_of(session, "updated")
        return web.json_response(session.info())

    async def delete(self, request: web.Request) -> web.Response:
        session = self.named(request)
        await stopped(session)
        if session.worker is not None:
            session.worker.cancel()
        del self.server.sessions[session.id]
        self.server.tell_of(session, "deleted")
        return web.json_response(True)

    async def abort(self, request: web.Request) -> web.Response:
        session = self.named(request)
        if not await stopped(session):
            # as the original: idle, though it was not busy
            place = session.directory
            self.server.tell(place, "session.status", sessionID=session.id, status={"type": "idle"})
            self.server.tell(place, "session.idle", sessionID=session.id)
        return web.json_response(True)

    async def prompt(self, request: web.Request) -> web.Response:
        session, body = self.named(request), await body_of(request)
        if not isinstance(body.get("parts"), list):
            raise web.HTTPBadRequest(text="parts?")
        self.server.prompt(session, Turn(self.server, session, body))
        return web.Response(status=204)

    async def health(self, request: web.Request) -> web.Response:
        return web.json_response({"healthy": True, "version": "0"})

    async def page(self, request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")


async def stopped(session: Session) -> bool:
    """Stop what the session is doing; whether there was anything."""
    running = session.running
    if running is None or running.done():
        return False
    running.cancel()
    await asyncio.wait([running])
    return True


def directory_of(request: web.Request) -> str:
    return request.query.get("directory") or HERE


async def body_of(request: web.Request) -> Json:
    try:
        body = await request.json() if request.can_read_body else {}
    except ValueError as why:
        raise web.HTTPBadRequest(text=str(why)) from why
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="an object is wanted")
    return body


def guard(secret: str) -> Callable[..., Awaitable[web.StreamResponse]]:
    @web.middleware
    async def authorised(request: web.Request, handler: Handler) -> web.StreamResponse:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if not given or scheme.lower() != "basic":
            given = request.query.get("auth_token", "")
        if given != secret:
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Basic realm="Secure Area"'}, text="")
        return await handler(request)

    return authorised


def preflight() -> Callable[..., Awaitable[web.StreamResponse]]:
    """Answer a browser that asks beforehand."""
    asked = {"Access-Control-Allow-Methods": "*, GET, POST", "Access-Control-Allow-Headers": "Content-Type"}

    @web.middleware
    async def shared(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=asked)
        return await handler(request)

    return shared


def slow_down(limit: int) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Refuse what comes too often; the time at which to come again is told as a date."""
    times: list[float] = []

    @web.middleware
    async def limited(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path != "/global/health":
            now = time.time()
            times[:] = [at for at in times if at > now - 3]
            if len(times) >= limit:
                again = formatdate(math.ceil(times[0] + 3), usegmt=True)
                raise web.HTTPTooManyRequests(headers={"Retry-After": again})
            times.append(now)
        return await handler(request)

    return limited


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("original", "bare", "stubborn", "delegate", "fields", "ends"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--beat", type=float, default=1.0)
    parser.add_argument("--secret", default="")
    parser.add_argument("--origin", default="")
    parser.add_argument("--limit", type=int, default=0)
    options = parser.parse_args()
    habits = Habits(
        options.original, options.bare, options.stubborn, options.delegate, options.fields, options.ends
    )
    routes = Routes(OpenCode(habits), options.beat)
    layers = [preflight()] if options.origin else []
    layers += [slow_down(options.limit)] if options.limit else []
    layers += [guard(options.secret)] if options.secret else []
    app = web.Application(middlewares=layers, client_max_size=2**22)
    if options.origin:

        async def readable(request: web.Request, response: web.StreamResponse) -> None:
            response.headers["Access-Control-Allow-Origin"] = options.origin
            response.headers["Access-Control-Allow-Credentials"] = "true"
            response.headers["Vary"] = "Origin"

        app.on_response_prepare.append(readable)
    # Without `allow_head` HEAD runs the handler as well, which would never return.
    app.router.add_get("/event", routes.events, allow_head=False)
    app.router.add_get("/session", routes.every)
    app.router.add_post("/session", routes.create)
    app.router.add_get("/session/{session}", routes.get)
    app.router.add_patch("/session/{session}", routes.rename)
    app.router.add_delete("/session/{session}", routes.delete)
    app.router.add_post("/session/{session}/prompt_async", routes.prompt)
    app.router.add_post("/session/{session}/abort", routes.abort)
    app.router.add_get("/global/health", routes.health)
    if habits.original:
        app.router.add_route("*", "/{any:.*}", routes.page)
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"listening on http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    web.run_app(app, sock=listening, print=None, access_log=None, shutdown_timeout=1)


if __name__ == "__main__":
    main()
