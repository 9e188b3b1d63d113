"""An AgentSmithy server as one writes it with Starlette and sse-starlette, right by the documents.

It exists to be judged: a verdict against it is a fault of the judge. It shares no code with the reference
server, with the harness, or with the other servers of this folder, so that a misreading cannot hide.

The stream is sse-starlette's own: CRLF, pings as comments, its way to notice that a client has gone. The tools
work on real files in a real folder, whatever the script says that they would do; a refused model call is tried
again; an id that is not known opens a dialog of that name; a dialog's second prompt waits until its first is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import difflib
import json
import socket
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import uvicorn
from sse_starlette import EventSourceResponse, JSONServerSentEvent
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Event = dict[str, Any]
MOST_STEPS = 12  # model calls in one answer
ATTEMPTS = 3  # of one model call


class ModelFailed(Exception):
    pass


# ---------------------------------------------------------------- the model: what a script says


class ScriptedModel:
    """Answers the n-th call of a turn as the n-th entry of the script says."""

    def __init__(self, prompt: str) -> None:
        _, found, rest = prompt.partition("[[script ")
        script = json.JSONDecoder().raw_decode(rest)[0] if found else {}
        self.entries: list[Event] = script.get("turns") or [{"text": ["I was ", "told ", "nothing."]}]
        self.pause = script.get("pace_ms", 0) / 1000
        self.endless = script.get("repeat", False)
        self.refusals = 0

    def entry(self, number: int) -> Event:
        if number < len(self.entries):
            return self.entries[number]
        return self.entries[-1] if self.endless else {}

    async def answer(self, number: int) -> AsyncIterator[tuple[str, str]]:
        """Pairs of channel ("reasoning", "chat") and piece."""
        entry = self.entry(number)
        error = entry.get("error") or {}
        if error and not error.get("in_stream"):
            self.refusals += 1
            if self.refusals <= error.get("times", self.refusals):
                raise ModelFailed(f"{error['status']}: {error['message']}")
        if wait := entry.get("stall_ms"):
            await asyncio.sleep(wait / 1000)
        for channel, source in (("reasoning", "reasoning"), ("chat", "text")):
            for chunk in entry.get(source, ()):
                for piece in [chunk] if isinstance(chunk, str) else filled(**chunk):
                    await asyncio.sleep(self.pause)
                    yield channel, piece
        if error or "cut" in entry:
            raise ModelFailed(error.get("message") or "the connection to the model was lost")


def filled(fill: int, times: int) -> list[str]:
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    tail = alphabet * (fill // len(alphabet) + 1)
    return [(f"{number:08} " + tail)[:fill] for number in range(times)]


# ---------------------------------------------------------------- tools on real files


class Workspace:
    """Reads, writes and deletes files below one folder. A tool returns the file that it changed and how."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.tools: dict[str, Callable[[Event], tuple[Path, str] | None]] = {
            "read_file": self.read,
            "write_to_file": self.write,
            "delete_file": self.delete,
        }

    def at(self, args: Event) -> Path:
        path = (self.folder / args["path"]).resolve()
        if not path.is_relative_to(self.folder) or path == self.folder:
            raise PermissionError(f"{args['path']} is outside")
        return path

    def read(self, args: Event) -> None:
        self.at(args).read_text()

    def write(self, args: Event) -> tuple[Path, str]:
        path = self.at(args)
        before = path.read_text() if path.exists() else ""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(args["content"])
        return path, unified(path, before, args["content"])

    def delete(self, args: Event) -> tuple[Path, str]:
        path = self.at(args)
        before = path.read_text()
        path.unlink()
        return path, unified(path, before, "")


def unified(path: Path, before: str, after: str) -> str:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), str(path), str(path), lineterm="")
    return "\n".join(lines)


# ---------------------------------------------------------------- the agent


class Dialogs:
    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.histories: dict[str, list[Event]] = {}
        self.busy: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def in_turn(self, dialog: str, prompt: str) -> AsyncIterator[Event]:
        """`turn`, when the dialog's turns before it are over."""
        async with self.busy[dialog], contextlib.aclosing(self.turn(dialog, prompt)) as events:
            async for event in events:
                yield event

    async def turn(self, dialog: str, prompt: str) -> AsyncIterator[Event]:
        """The events of one answer, from `user` to `done`."""
        history = self.histories.setdefault(dialog, [])
        history.append({"type": "user", "content": prompt})
        yield {"type": "user", "content": prompt}
        model = ScriptedModel(prompt)
        try:
            for step in range(MOST_STEPS):
                async for event in self.listen(model, step, history):
                    yield event
                calls = model.entry(step).get("tools", [])
                for call in calls:
                    async for event in self.use(call, history):
                        yield event
                if not calls:
                    break
            else:
                raise ModelFailed(f"no answer after {MOST_STEPS} steps")
        except ModelFailed as failure:
            yield {"type": "error", "error": str(failure)}
        yield {"type": "done", "done": True}

    async def listen(self, model: ScriptedModel, step: int, history: list[Event]) -> AsyncIterator[Event]:
        """One model call, each run of a channel in its brackets; again where it was refused."""
        for attempt in range(1, ATTEMPTS + 1):
            opened, failure = "", None
            try:
                async for channel, piece in model.answer(step):
                    if channel != opened:
                        if opened:
                            yield {"type": f"{opened}_end"}
                        yield {"type": f"{channel}_start"}
                        history.append({"type": channel, "content": (said := [])})
                        opened = channel
                    said.append(piece)
                    yield {"type": channel, "content": piece}
            except ModelFailed as error:
                failure = error
            if opened:
                yield {"type": f"{opened}_end"}
            if failure is None:
                return
            if opened or attempt == ATTEMPTS:  # what was said cannot be taken back
                raise failure

    async def use(self, call: Event, history: list[Event]) -> AsyncIterator[Event]:
        history.append({"type": "tool_call", "id": uuid.uuid4().hex, **pick(call, "name", "args")})
        yield {"type": "tool_call", **pick(call, "name", "args")}
        try:
            changed = self.workspace.tools[call["name"]](call["args"])
        except (KeyError, OSError, TypeError):
            return  # the model is told
        if changed is not None:
            edit = {"type": "file_edit", "file": str(changed[0]), "diff": changed[1]}
            history.append(edit)
            yield edit


def pick(source: Event, *names: str) -> Event:
    return {name: source[name] for name in names}


# ---------------------------------------------------------------- routes


def wrong(status: int, why: str) -> HTTPException:
    return HTTPException(status, why)


async def asked(request: Request) -> Event:
    """The body of a chat request: `prompt`, `dialog`, `stream`. Raises an HTTP error where it is none."""
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise wrong(422, f"not JSON: {error}") from error
    match body:
        case {"messages": [*messages]} if all(is_message(each) for each in messages):
            pass
        case _:
            raise wrong(422, "messages: a list of {role, content}")
    context = body.get("context", {})
    file = context.get("current_file", {}) if isinstance(context, dict) else None
    if not isinstance(file, dict) or not all(isinstance(text, str) for text in file.values()):
        raise wrong(422, "context: an object, and texts in its current_file")
    dialog, stream = body.get("dialog_id"), body.get("stream", True)
    if not isinstance(dialog, str | None) or not isinstance(stream, bool):
        raise wrong(422, "dialog_id: text; stream: true or false")
    if dialog is not None and not (0 < len(dialog) <= 200 and dialog.isprintable()):
        raise wrong(400, "such an id is not taken")
    prompts = [each["content"] for each in messages if each["role"] == "user"]
    if not prompts:
        raise wrong(400, "no message of a user")
    if any("\ud800" <= letter <= "\udfff" for letter in prompts[-1]):
        raise wrong(400, "this is no text")
    return {"prompt": prompts[-1], "dialog": dialog or uuid.uuid4().hex, "stream": stream}


def is_message(value: Any) -> bool:
    match value:
        case {"role": str(), "content": str()}:
            return True
    return False


def application(dialogs: Dialogs, ping: float, origins: list[str]) -> Starlette:
    async def chat(request: Request) -> Response:
        question = await asked(request)
        dialog = question["dialog"]
        events = dialogs.in_turn(dialog, question["prompt"])

        async def blocks() -> AsyncIterator[JSONServerSentEvent]:
            async with contextlib.aclosing(events):
                async for event in events:
                    yield JSONServerSentEvent({"dialog_id": dialog, **event})

        if question["stream"]:
            return EventSourceResponse(blocks(), ping=ping)
        said = [event["content"] async for event in events if event["type"] == "chat"]
        return JSONResponse({"dialog_id": dialog, "text": "".join(said)})

    async def create(request: Request) -> Response:
        dialog = uuid.uuid4().hex
        dialogs.histories[dialog] = []
        return JSONResponse({"id": dialog}, 201)

    async def remove(request: Request) -> Response:
        dialogs.histories.pop(request.path_params["dialog"], None)
        return Response(status_code=204)

    async def history(request: Request) -> Response:
        dialog = request.path_params["dialog"]
        if dialog not in dialogs.histories:
            raise wrong(404, "no such dialog")
        events = [
            {"idx": place, **event, **({"content": "".join(event["content"])} if "content" in event else {})}
            for place, event in enumerate(dialogs.histories[dialog])
        ]
        return JSONResponse({"dialog_id": dialog, "events": events, "total_events": len(events)})

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse({"detail": error.detail}, error.status_code, dict(error.headers or {}))

    sharing = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["POST"],
        allow_headers=["*"],
        allow_credentials=True,
    )
    return Starlette(
        routes=[
            Route("/api/chat", chat, methods=["POST"]),
            Route("/api/dialogs", create, methods=["POST"]),
            Route("/api/dialogs/{dialog}", remove, methods=["DELETE"]),
            Route("/api/dialogs/{dialog}/history", history),
        ],
        middleware=[sharing],
        exception_handlers={HTTPException: refused},
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--ping", type=float, default=1.0)
    parser.add_argument("--origin", action="append", default=[])
    options = parser.parse_args()
    app = application(Dialogs(Workspace(options.workspace)), options.ping, options.origin)
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"listening on http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    # Its other reader of HTTP, httptools, answers HTTP/1.0 in chunks (RFC 9112 §6.1).
    config = uvicorn.Config(app, http="h11", log_level="error", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main()
