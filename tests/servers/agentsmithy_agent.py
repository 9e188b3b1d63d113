"""An AgentSmithy server with a real model behind it, as `agentsmithy` 1.13 documents and sends it.

It stands for that server where it cannot be had: a real agent loop over a real model, real tools in a real folder,
dialogs, histories, and settings that can be changed while it runs. What it says comes from its model alone: it
knows nothing of scripts, and shares no code with the reference server, the scripted model or the harness.

As the server of today does: CRLF and pings by sse-starlette; a prompt without a `dialog_id` goes into the current
dialog; embeddings are asked for on every prompt; models whose names it knows are asked by the Responses API, others
by Chat Completions; `reasoning` ends after the `chat` that follows it has begun; a failing model is an `error` in the
stream; histories come in pages of 20.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import difflib
import json
import os
import socket
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import openai
import uvicorn
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Event = dict[str, Any]
KNOWN_MODELS = ("gpt-5", "gpt-5-mini")  # asked by the Responses API
EMBEDDINGS = "text-embedding-3-small"
SYSTEM = "You are a coding agent. Use the tools."
MOST_STEPS = 25  # model calls in one answer
PAGE = 20  # events of a history
TOOLS = {"read_file": ("path",), "write_to_file": ("path", "content"), "delete_file": ("path",)}


# ---------------------------------------------------------------- settings


class Settings:
    """`GET` and `PUT /api/config`: what is put is merged; null takes a member away. `replacing`: each member at the
    top is replaced as a whole, as older servers do."""

    def __init__(self, base_url: str | None, api_key: str | None, model: str, *, replacing: bool) -> None:
        openai_provider = {"type": "openai", "api_key": api_key, "base_url": base_url, "options": {}}
        anthropic = {"type": "anthropic", "api_key": None, "base_url": None, "options": {}}
        self.values: Event = {
            "providers": {"openai": openai_provider, "anthropic": anthropic},
            "workloads": {"universal": {"provider": "openai", "model": model}},
            "log_level": "INFO",
        }
        self._replacing = replacing
        self.changed = False

    def put(self, changes: Event) -> None:
        self.changed = True
        self.values = {**self.values, **changes} if self._replacing else merged(self.values, changes)

    def model(self) -> tuple[str, str, str]:
        """The model's name, base URL and key."""
        workload = self.values["workloads"]["universal"]
        provider = self.values["providers"][workload["provider"]]
        if not provider.get("api_key"):
            raise RuntimeError("API key not configured")
        return workload["model"], provider.get("base_url") or "https://api.openai.com/v1", provider["api_key"]


def merged(base: Any, changes: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return changes
    whole = {key: merged(base.get(key), value) for key, value in changes.items() if value is not None}
    return {**{key: value for key, value in base.items() if key not in changes}, **whole}


# ---------------------------------------------------------------- the model


@dataclass
class Said:
    """One answer of the model, as it is kept in the conversation."""

    text: str = ""
    calls: list[tuple[str, str, str]] = field(default_factory=list)  # id, name, arguments


@cache
def client(base_url: str, api_key: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=base_url, api_key=api_key, max_retries=1, timeout=60)


async def ask(settings: Settings, conversation: list[Any], said: Said) -> AsyncIterator[tuple[str, str]]:
    """One model call: pairs of channel ("reasoning", "chat") and piece; what is said is kept in `said`."""
    name, base_url, api_key = settings.model()
    by = by_responses if name in KNOWN_MODELS else by_chat
    async with contextlib.aclosing(by(client(base_url, api_key), name, conversation, said)) as pieces:
        async for channel, piece in pieces:
            said.text += piece if channel == "chat" else ""
            yield channel, piece


async def by_responses(
    model: openai.AsyncOpenAI, name: str, conversation: list[Any], said: Said
) -> AsyncIterator[tuple[str, str]]:
    tools: Any = [{"type": "function", "name": tool, "parameters": schema(tool)} for tool in TOOLS]
    stream = await model.responses.create(
        model=name,
        instructions=SYSTEM,
        input=responses_input(conversation),
        tools=tools,
        reasoning={"effort": "low", "summary": "auto"},
        stream=True,
    )
    whole = False
    async with stream:
        async for event in stream:
            if event.type == "response.reasoning_summary_text.delta":
                yield "reasoning", event.delta
            elif event.type == "response.output_text.delta":
                yield "chat", event.delta
            elif event.type == "response.output_item.done" and event.item.type == "function_call":
                said.calls.append((event.item.call_id, event.item.name, event.item.arguments))
            elif event.type in ("error", "response.failed"):
                raise RuntimeError(getattr(event, "message", None) or "the response failed")
            whole = whole or event.type == "response.completed"
    if not whole:
        raise RuntimeError("the model's answer broke off")


def responses_input(conversation: list[Any]) -> Any:
    items: list[Event] = []
    for entry in conversation:
        if isinstance(entry, Said):
            if entry.text:
                items.append({"role": "assistant", "content": entry.text})
            items += [
                {"type": "function_call", "call_id": key, "name": name, "arguments": arguments}
                for key, name, arguments in entry.calls
            ]
        elif entry[0] == "user":
            items.append({"role": "user", "content": entry[1]})
        else:
            items.append({"type": "function_call_output", "call_id": entry[0], "output": entry[1]})
    return items


async def by_chat(
    model: openai.AsyncOpenAI, name: str, conversation: list[Any], said: Said
) -> AsyncIterator[tuple[str, str]]:
    tools: Any = [{"type": "function", "function": {"name": t, "parameters": schema(t)}} for t in TOOLS]
    stream = await model.chat.completions.create(
        model=name, messages=chat_messages(conversation), tools=tools, stream=True
    )
    calls: dict[int, list[str]] = {}
    reason = None
    async with stream:
        async for chunk in stream:
            for choice in chunk.choices:
                reason = choice.finish_reason or reason
                if choice.delta.content:
                    yield "chat", choice.delta.content
                for call in choice.delta.tool_calls or ():
                    known = calls.setdefault(call.index, [call.id or "", "", ""])
                    assert call.function is not None
                    known[1] += call.function.name or ""
                    known[2] += call.function.arguments or ""
    if reason is None:
        raise RuntimeError("the model's answer broke off")
    said.calls += [(key, tool, arguments) for key, tool, arguments in calls.values()]


def chat_messages(conversation: list[Any]) -> Any:
    messages: list[Event] = [{"role": "system", "content": SYSTEM}]
    for entry in conversation:
        if isinstance(entry, Said):
            calls = [
                {"id": key, "type": "function", "function": {"name": name, "arguments": arguments}}
                for key, name, arguments in entry.calls
            ]
            said: Event = {"role": "assistant", "content": entry.text}
            messages.append(said | ({"tool_calls": calls} if calls else {}))
        elif entry[0] == "user":
            messages.append({"role": "user", "content": entry[1]})
        else:
            messages.append({"role": "tool", "tool_call_id": entry[0], "content": entry[1]})
    return messages


def schema(tool: str) -> Event:
    names = TOOLS[tool]
    return {
        "type": "object",
        "properties": {name: {"type": "string"} for name in names},
        "required": [*names],
        "additionalProperties": False,
    }


# ---------------------------------------------------------------- tools on real files


class Workspace:
    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def use(self, name: str, args: Event) -> tuple[str, Event | None]:
        """What the tool answers its model, and the edit that it made. Raises what goes wrong."""
        path = (self.folder / args["path"]).resolve()
        if not path.is_relative_to(self.folder):
            raise PermissionError(f"{args['path']} is outside the workspace")
        if name == "read_file":
            return path.read_text(encoding="utf-8"), None
        before = path.read_text(encoding="utf-8") if path.exists() else None
        edit: Event = {"type": "file_edit", "file": str(path)}
        if name == "delete_file":
            path.unlink()
            return "deleted", edit
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(args["content"], encoding="utf-8")
        # There is a diff where there was a file.
        return "written", edit if before is None else edit | {"diff": unified(path, before, args["content"])}


def unified(path: Path, before: str, after: str) -> str:
    lines = (before.splitlines(), after.splitlines())
    return "\n".join(difflib.unified_diff(*lines, f"a/{path}", f"b/{path}", lineterm=""))


# ---------------------------------------------------------------- dialogs and their turns


@dataclass
class Dialog:
    id: str
    history: list[Event] = field(default_factory=list)
    conversation: list[Any] = field(default_factory=list)


class Agent:
    def __init__(self, settings: Settings, workspace: Workspace) -> None:
        self.settings, self.workspace = settings, workspace
        self.dialogs: dict[str, Dialog] = {}
        self.current = self.create().id

    def create(self) -> Dialog:
        dialog = Dialog(uuid.uuid4().hex)
        self.dialogs[dialog.id] = dialog
        return dialog

    def dialog(self, name: str) -> Dialog:
        if name not in self.dialogs:
            raise HTTPException(404, "Dialog not found")
        return self.dialogs[name]

    def told(self, dialog: Dialog) -> list[Event]:
        """The dialog's history."""
        return dialog.history

    async def turn(self, dialog: Dialog, prompt: str) -> AsyncIterator[Event]:
        """The events of one answer, from `user` to `done`."""
        user = {"type": "user", "content": prompt}
        dialog.history.append(user)
        dialog.conversation.append(("user", prompt))
        yield {**user, "checkpoint": uuid.uuid4().hex, "session": "session_1"}
        try:
            # What a project knows of the prompt's subject is looked up first, as vectors.
            _, base_url, api_key = self.settings.model()
            await client(base_url, api_key).embeddings.create(model=EMBEDDINGS, input=prompt)
            for _ in range(MOST_STEPS):
                said = Said()
                async with contextlib.aclosing(self.listen(dialog, said)) as events:
                    async for event in events:
                        yield event
                dialog.conversation.append(said)
                for call in said.calls:
                    async for event in self.use(dialog, *call):
                        yield event
                if not said.calls:
                    break
            else:
                raise RuntimeError(f"no answer after {MOST_STEPS} steps")
        except Exception as error:
            yield {"type": "error", "error": f"LLM error: {error}"}
        yield {"type": "done", "done": True}

    async def listen(self, dialog: Dialog, said: Said) -> AsyncIterator[Event]:
        """One model call. What began ends after it, also where the model fails."""
        runs: dict[str, Event] = {}
        try:
            async with contextlib.aclosing(ask(self.settings, dialog.conversation, said)) as pieces:
                async for channel, piece in pieces:
                    if not piece:
                        continue
                    if channel not in runs:
                        runs[channel] = {"type": channel, "content": ""}
                        dialog.history.append(runs[channel])
                        yield {"type": f"{channel}_start"}
                    runs[channel]["content"] += piece
                    yield {"type": channel, "content": piece}
        except Exception:
            for channel in runs:
                yield {"type": f"{channel}_end"}
            raise
        for channel in runs:
            yield {"type": f"{channel}_end"}

    async def use(self, dialog: Dialog, key: str, name: str, arguments: str) -> AsyncIterator[Event]:
        args = json.loads(arguments)
        call = {"type": "tool_call", "name": name, "args": args}
        dialog.history.append({**call, "id": key})
        yield call
        try:
            answer, edit = await asyncio.to_thread(self.workspace.use, name, args)
        except (OSError, KeyError, TypeError, ValueError) as error:
            answer, edit = f"{type(error).__name__}: {error}", None
        dialog.conversation.append((key, answer))
        if edit is not None:
            dialog.history.append(edit)
            yield edit


# ---------------------------------------------------------------- routes


def asked(body: Any) -> Event:
    """The body of a chat request: `prompt`, `dialog_id`, `stream`. Raises an HTTP error where it is none."""
    match body:
        case {"messages": [*messages]} if all(is_message(each) for each in messages):
            pass
        case _:
            raise HTTPException(422, "messages: a list of {role, content}")
    context = body.get("context") or {}
    file = (context.get("current_file") or {}) if isinstance(context, dict) else None
    if not isinstance(file, dict) or not all(isinstance(text, str) for text in file.values()):
        raise HTTPException(422, "context: an object, and texts in its current_file")
    dialog, stream = body.get("dialog_id"), body.get("stream", True)
    if not isinstance(dialog, str | None) or not isinstance(stream, bool):
        raise HTTPException(422, "dialog_id: text; stream: true or false")
    prompts = [each["content"] for each in messages if each["role"] == "user"]
    if not prompts:
        raise HTTPException(400, "No user message found")
    if any("\ud800" <= letter <= "\udfff" for letter in prompts[-1]):
        raise HTTPException(422, "content: no valid text")
    return {"prompt": prompts[-1], "dialog_id": dialog, "stream": stream}


def is_message(value: Any) -> bool:
    match value:
        case {"role": str(), "content": str()}:
            return True
    return False


def application(agent: Agent, options: argparse.Namespace) -> Starlette:
    async def json_of(request: Request) -> Any:
        try:
            return json.loads(await request.body())
        except ValueError as error:
            raise HTTPException(422, f"JSON decode error: {error}") from error

    async def chat(request: Request) -> Response:
        question = asked(await json_of(request))
        if options.dies_at and options.dies_at in question["prompt"]:
            os._exit(70)
        dialog = agent.dialog(question["dialog_id"] or agent.current)
        events = agent.turn(dialog, question["prompt"])
        if options.first:
            events = as_at_first(events)
        if options.keeps_calls:
            events = apart(events)

        async def blocks() -> AsyncIterator[ServerSentEvent]:
            async with contextlib.aclosing(events):
                async for event in events:
                    data = {"dialog_id": dialog.id, **event}
                    yield ServerSentEvent(json.dumps(data, ensure_ascii=False))

        if question["stream"]:
            return EventSourceResponse(blocks(), ping=options.ping, headers={"x-request-id": "agentsmithy"})
        said = [event["content"] async for event in events if event["type"] == "chat"]
        return JSONResponse({"dialog_id": dialog.id, "content": "".join(said), "done": True})

    async def create(request: Request) -> Response:
        body = await json_of(request)
        dialog = agent.create()
        if not isinstance(body, dict) or body.get("set_current", True):
            agent.current = dialog.id
        return JSONResponse({"id": dialog.id})

    async def remove(request: Request) -> Response:
        del agent.dialogs[agent.dialog(request.path_params["dialog"]).id]
        return JSONResponse({"ok": True})

    async def history(request: Request) -> Response:
        dialog = agent.dialog(request.path_params["dialog"])
        entries = [{**entry, "idx": index} for index, entry in enumerate(agent.told(dialog))]
        before = int(request.query_params.get("before", len(entries)))
        page = entries[max(0, before - int(request.query_params.get("limit", PAGE))) : before]
        edges = {"first_idx": page[0]["idx"], "last_idx": page[-1]["idx"]} if page else {}
        more = bool(page) and page[0]["idx"] > 0
        whole = {"dialog_id": dialog.id, "events": page, "total_events": len(entries), "has_more": more}
        return JSONResponse(whole | edges)

    async def config(request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse({"config": agent.settings.values})
        body = await json_of(request)
        if not isinstance(body, dict) or not isinstance(body.get("config"), dict):
            raise HTTPException(422, "config: an object")
        if options.puts_once and agent.settings.changed:
            raise HTTPException(500, "Failed to update configuration")
        agent.settings.put(body["config"])
        return JSONResponse({"success": True, "config": agent.settings.values})

    async def health(request: Request) -> Response:
        return JSONResponse({"server_status": "ready", "config_valid": True})

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return JSONResponse({"detail": error.detail}, error.status_code, dict(error.headers or {}))

    return Starlette(
        routes=[
            Route("/api/chat", chat, methods=["POST"]),
            Route("/api/dialogs", create, methods=["POST"]),
            Route("/api/dialogs/{dialog}", remove, methods=["DELETE"]),
            Route("/api/dialogs/{dialog}/history", history),
            Route("/api/config", config, methods=["PUT"] if options.hides_config else ["GET", "PUT"]),
            Route("/health", health),
        ],
        exception_handlers={HTTPException: refused},
    )


async def apart(events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    """The same events from a task of its own, which goes on to its end whoever leaves."""
    queue: asyncio.Queue[Event | None] = asyncio.Queue()

    async def work() -> None:
        async for event in events:
            queue.put_nowait(event)
        queue.put_nowait(None)

    running.add(task := asyncio.create_task(work()))
    task.add_done_callback(running.discard)
    while (event := await queue.get()) is not None:
        yield event


async def as_at_first(events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    """What revision 1 has of these events."""
    async with contextlib.aclosing(events):
        async for event in events:
            if event["type"] != "user" and not event["type"].endswith(("_start", "_end")):
                yield {name: value for name, value in event.items() if name != "diff"}


running: set[asyncio.Task[None]] = set()


def main(make: type[Agent] = Agent) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--base-url", help="of the model (default: OpenAI's own)")
    parser.add_argument("--api-key", default="sk-of-the-user", help='"" is none')
    parser.add_argument("--model", default="gpt-5")
    parser.add_argument("--ping", type=int, default=15)
    parser.add_argument(
        "--first", action="store_true", help="as the first document has it: no user, no segments"
    )
    parser.add_argument("--keeps-calls", action="store_true", help="answers go on when their client has gone")
    parser.add_argument(
        "--replaces-config", action="store_true", help="what is put replaces, nothing is merged"
    )
    parser.add_argument("--hides-config", action="store_true", help="settings can be put and not be read")
    parser.add_argument("--puts-once", action="store_true", help="settings cannot be put a second time")
    parser.add_argument("--dies-at", help="a word in a prompt at which the server ends without a word")
    options = parser.parse_args()
    settings = Settings(
        options.base_url, options.api_key or None, options.model, replacing=options.replaces_config
    )
    app = application(make(settings, Workspace(options.workspace)), options)
    listening = socket.create_server(("127.0.0.1", options.port))
    print(f"listening on http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app, http="h11", log_level="error", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run([listening])


if __name__ == "__main__":
    main()
