"""AgentSmithy's routes: `POST /api/chat`, whose answer is the stream, and dialogs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from reference_server.agent import CallEnded, Failed, play
from reference_server.dialogs import Dialog, Dialogs, Recorder, legal_id
from reference_server.frames import Encoder
from reference_server.mailbox import Mailbox
from reference_server.requests import member, read_object
from reference_server.running import Running
from reference_server.script import Script
from reference_server.seam import current
from reference_server.shape_agentsmithy import Event, Shape
from reference_server.stream import HEARTBEAT, Beat, stream
from reference_server.workspace import Workspace

STOPPING = Failed("the server is shutting down")


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request to `/api/chat` whose types are right."""

    prompt: str
    stream: bool
    dialog_id: str | None


class AgentSmithy:
    """One revision under one prefix: its dialogs and its running streams."""

    def __init__(self, revision: int, running: Running) -> None:
        self.revision = revision
        self._running = running
        self._settings = running.settings
        self._dialogs = Dialogs()
        self._workspace = Workspace(running.settings.workspace)
        self._encoder = Encoder(running.settings.line_ending, compact=running.settings.compact)
        ping = self._encoder.comment("ping")
        self._beat = Beat(lambda: ping, running.settings.heartbeat or HEARTBEAT)

    async def chat(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`POST /api/chat` (ASGI)."""
        request = read_chat(await read_object(scope, receive, self._settings.max_body))
        script = self._running.scenarios.script_for(request.prompt)
        dialog = self._dialog(request.dialog_id)
        if not request.stream:
            events: list[Event] = []
            await self._running.run(self._say(request.prompt, script, dialog, _Collector(events)))
            await _answer(dialog, events)(scope, receive, send)
            return
        box = Mailbox(self._settings.queue_bytes, self._settings.queue_events)
        said = self._running.start(self._say(request.prompt, script, dialog, _Framer(box, self._encoder)))
        try:
            sender, stall = self._running.sender, self._settings.stall_timeout
            await stream(scope, receive, send, box, sender, self._beat, stall)
        finally:
            # the client has gone, or all has been sent: nobody wants more of this agent
            said.cancel()

    async def create_dialog(self, request: Request) -> JSONResponse:
        """`POST /api/dialogs`."""
        body = await read_object(request.scope, request.receive, self._settings.max_body, empty=True)
        member(body, "set_current", bool, "true or false")
        return JSONResponse({"id": self._dialogs.create().id})

    async def delete_dialog(self, request: Request) -> JSONResponse:
        """`DELETE /api/dialogs/{id}`."""
        if not self._dialogs.delete(request.path_params["id"]):
            raise HTTPException(404, "no such dialog")
        return JSONResponse({"ok": True})

    async def history(self, request: Request) -> JSONResponse:
        """`GET /api/dialogs/{id}/history`."""
        dialog = self._dialogs.get(request.path_params["id"])
        if dialog is None:
            raise HTTPException(404, "no such dialog")
        return JSONResponse(dialog.history())

    def _dialog(self, dialog_id: str | None) -> Dialog:
        if dialog_id is None:
            return self._dialogs.create()
        return self._dialogs.get(dialog_id) or self._dialogs.create(dialog_id)

    async def _say(self, prompt: str, script: Script, dialog: Dialog, sink: Sink) -> None:
        """The whole stream, first event to `done`, into a sink. How far it came goes into the history."""
        shape = Shape(self.revision, dialog.id)
        recorder = Recorder(dialog, prompt)
        whole = True  # no event is half on its way
        over = False  # the agent has said its last word
        count, breath = 0, self._settings.breath
        try:
            try:
                for event in shape.begin(prompt):
                    await _put(sink, event)
                async with aclosing(current().acts(play(script, self._workspace))) as acts:
                    async for act in acts:
                        for event in shape.show(act):
                            if (room := sink.put(event)) is not None:
                                whole = False
                                await room
                                whole = True
                            recorder.see(event)
                        over = isinstance(act, Failed) or (isinstance(act, CallEnded) and not act.tools)
                        count += 1
                        if count % breath == 0:
                            await asyncio.sleep(0)
            except asyncio.CancelledError:
                if not (self._running.stopping and whole):
                    raise
                for event in () if over else shape.show(STOPPING):
                    await _put(sink, event)
            last = [*shape.end()]
            # `done` says that all is over: the history can be read as soon as it arrives
            recorder.finish()
            for event in last:
                await _put(sink, event)
        finally:
            recorder.finish()
            sink.end()


async def _put(sink: Sink, event: Event) -> None:
    if (room := sink.put(event)) is not None:
        await room


class Sink(Protocol):
    """Where the events of one stream go."""

    def put(self, event: Event) -> Awaitable[object] | None:
        """Take one event. Where there is no room: what to wait for until it is taken."""

    def end(self) -> None:
        """No more events."""


class _Framer:
    """Events into a mailbox. It waits for a slow reader, which so holds up its own agent only."""

    def __init__(self, box: Mailbox, encoder: Encoder) -> None:
        self._box = box
        self._encoder = encoder

    def put(self, event: Event) -> Awaitable[object] | None:
        frame = self._encoder.frame(event)
        return None if self._box.put_at_once(frame) else self._box.put(frame)

    def end(self) -> None:
        self._box.end()


class _Collector:
    """Events into a list."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def put(self, event: Event) -> None:
        self._events.append(event)

    def end(self) -> None:
        pass


def read_chat(body: dict[str, Any]) -> ChatRequest:
    """A chat request from its JSON. Raises `HTTPException`: 422 for wrong types, 400 for what cannot be had.

    Content may be a list of parts, roles may be unknown and texts blank: that is for the model to judge.
    """
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise HTTPException(422, "`messages` must be a list")
    prompt = None
    for message in messages:
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise HTTPException(422, "each message must be an object with a string `role`")
        text = _text(message.get("content"))
        if message["role"] == "user":
            prompt = text
    _check_context(body)
    streamed = member(body, "stream", bool, "true or false", True)
    dialog_id = member(body, "dialog_id", str, "a string")
    if dialog_id is not None and not legal_id(dialog_id):
        raise HTTPException(400, "`dialog_id` must be 1 to 128 letters, digits, or any of _.:-")
    if prompt is None:
        raise HTTPException(400, "No user message found")
    return ChatRequest(prompt, streamed, dialog_id)


def _text(content: Any) -> str:
    """The text of a message: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if content is None:
        raise HTTPException(422, "a message has no `content`")
    if not isinstance(content, list):
        raise HTTPException(422, "a message's `content` must be a string or a list of parts")
    texts = []
    for part in content:
        text = part.get("text", "") if isinstance(part, dict) else part
        if not isinstance(text, str):
            raise HTTPException(422, "a part of a message's `content` must be text or an object")
        texts.append(text)
    return "".join(texts)


def _check_context(body: dict[str, Any]) -> None:
    context = member(body, "context", dict, "an object", {})
    current = member(context, "current_file", dict, "an object", {})
    for name in ("path", "language", "content", "selection"):
        member(current, name, str, "a string")
    for opened in member(context, "open_files", list, "a list", []):
        if not isinstance(opened, dict):
            raise HTTPException(422, "`open_files` must be a list of objects")
        for name in ("path", "language", "content"):
            member(opened, name, str, "a string")


def _answer(dialog: Dialog, events: list[Event]) -> JSONResponse:
    """The answer without a stream: what the events said, in one object."""
    answer: dict[str, Any] = {
        "content": "".join(event["content"] for event in events if event["type"] == "chat"),
        "done": True,
        "dialog_id": dialog.id,
    }
    if reasoning := "".join(event["content"] for event in events if event["type"] == "reasoning"):
        answer["reasoning"] = reasoning
    for kind, name in (("tool_call", "tool_calls"), ("file_edit", "file_edits")):
        if found := [_bare(event) for event in events if event["type"] == kind]:
            answer[name] = found
    for event in events:
        if event["type"] == "error":
            answer["error"] = event["error"]
    return JSONResponse(answer)


def _bare(event: Event) -> Event:
    return {key: value for key, value in event.items() if key not in ("type", "dialog_id")}
