"""Faults of how AgentSmithy answers requests: bodies, dialogs, histories, and streams beside each other."""

from __future__ import annotations

import asyncio
import json
import posixpath
from collections.abc import Callable
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_server.connection import abort
from reference_server.faults.hooks import (
    Headers,
    Json,
    Memory,
    Stream,
    event_of,
    on_answer,
    on_app,
    on_blocks,
    on_events,
    on_head,
    with_event,
)

CONTENT_TYPE = b"content-type"


async def body_of(receive: Receive) -> bytes:
    """A request's whole body."""
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] == "http.disconnect" or not message.get("more_body"):
            return body


def giving(body: bytes, receive: Receive) -> Receive:
    """`receive` that gives this body first."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def prompted(scope: Scope) -> bool:
    """Whether the request is a prompt."""
    return bool(scope["path"].endswith("/api/chat") and scope["method"] == "POST")


def parsed(body: bytes) -> Any:
    """The JSON of a body, None if it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


Asked = Callable[[Any, bytes, Memory], "Response | bytes | None"]


def on_prompt(name: str) -> Callable[[Asked], Asked]:
    """A fault of prompts: the function answers one, gives another body for it, or None to leave it."""

    def register(asked: Asked) -> Asked:
        async def serve(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
            if not prompted(scope):
                await app(scope, receive, send)
                return
            body = await body_of(receive)
            made = asked(parsed(body), body, memory)
            if isinstance(made, Response):
                await made(scope, giving(body, receive), send)
                return
            body = body if made is None else made
            length = (b"content-length", str(len(body)).encode())
            headers = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
            await app({**scope, "headers": [*headers, length]}, giving(body, receive), send)

        on_app(name)(serve)
        return asked

    return register


def broken() -> Response:
    """A server error."""
    return JSONResponse({"detail": "Internal Server Error"}, 500)


def streamed(*events: Json) -> Response:
    """A stream of these events."""
    body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    return Response(body, 200, {"content-type": "text/event-stream", "cache-control": "no-cache"})


DONE = {"type": "done", "done": True, "dialog_id": "d"}


@on_prompt("no-json-gives-500")
def no_json(value: Any, body: bytes, memory: Memory) -> Response | None:
    return broken() if value is None and body not in (b"null",) else None


@on_prompt("content-object-gives-500")
def content_object(value: Any, body: bytes, memory: Memory) -> Response | None:
    return broken() if b'"content": {}' in body else None


@on_prompt("null-body-starts-a-stream")
def null_body(value: Any, body: bytes, memory: Memory) -> Response | None:
    return streamed(DONE) if body == b"null" else None


@on_app("array-body-is-never-answered")
async def array_hangs(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if not prompted(scope):
        await app(scope, receive, send)
        return
    body = await body_of(receive)
    if body == b"[]":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    await app(scope, giving(body, receive), send)


@on_prompt("no-messages-is-fine")
def no_messages(value: Any, body: bytes, memory: Memory) -> Response | None:
    empty = isinstance(value, dict) and not value.get("messages")
    return streamed({"type": "error", "error": "no messages", "dialog_id": "d"}, DONE) if empty else None


@on_prompt("stream-object-is-fine")
def stream_object(value: Any, body: bytes, memory: Memory) -> Response | None:
    odd = isinstance(value, dict) and isinstance(value.get("stream"), dict)
    return streamed({"type": "error", "error": "bad stream", "dialog_id": "d"}, DONE) if odd else None


@on_app("refusals-are-text")
async def text_refusal(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if not prompted(scope):
        await app(scope, receive, send)
        return
    refused = False

    async def out(message: Message) -> None:
        nonlocal refused
        if message["type"] == "http.response.start":
            refused = message["status"] in (400, 422)
            if refused:
                headers = [
                    pair for pair in message["headers"] if pair[0] not in (CONTENT_TYPE, b"content-length")
                ]
                message = {
                    **message,
                    "headers": [*headers, (CONTENT_TYPE, b"text/plain"), (b"content-length", b"11")],
                }
        elif refused:
            message = {**message, "body": b"Bad Request"}
        await send(message)

    await app(scope, receive, out)


@on_prompt("no-user-message-is-fine")
def no_user(value: Any, body: bytes, memory: Memory) -> bytes | None:
    return body.replace(b'"role": "assistant"', b'"role": "user"') if b'"role": "assistant"' in body else None


@on_prompt("stream-false-gives-500")
def not_streamed_500(value: Any, body: bytes, memory: Memory) -> Response | None:
    return broken() if isinstance(value, dict) and value.get("stream") is False else None


@on_prompt("stream-false-streams")
def not_streamed(value: Any, body: bytes, memory: Memory) -> bytes | None:
    if isinstance(value, dict) and value.get("stream") is False:
        return json.dumps({**value, "stream": True}).encode()
    return None


@on_prompt("surrogate-breaks-the-stream")
def surrogate_cut(value: Any, body: bytes, memory: Memory) -> Response | None:
    return streamed({"type": "chat", "content": "", "dialog_id": "d"}) if b"\\ud800" in body else None


@on_prompt("surrogate-gives-500")
def surrogate_500(value: Any, body: bytes, memory: Memory) -> Response | None:
    return broken() if b"\\ud800" in body else None


@on_prompt("any-dialog-id-is-taken")
def any_dialog(value: Any, body: bytes, memory: Memory) -> bytes | None:
    name = value.get("dialog_id") if isinstance(value, dict) else None
    if isinstance(name, str) and not name.replace("-", "").isalnum():
        return json.dumps({**value, "dialog_id": f"taken-{len(name)}"}).encode()
    return None


@on_prompt("dialog-id-used-as-a-path")
def dialog_path(value: Any, body: bytes, memory: Memory) -> bytes | None:
    name = value.get("dialog_id") if isinstance(value, dict) else None
    if isinstance(name, str) and "/" in name:
        return json.dumps({**value, "dialog_id": posixpath.normpath(name).strip("./") or "x"}).encode()
    return None


@on_prompt("context-not-looked-at")
def no_context(value: Any, body: bytes, memory: Memory) -> bytes | None:
    if isinstance(value, dict) and "context" in value:
        return json.dumps({**value, "context": {}}).encode()
    return None


@on_prompt("path-of-current-file-not-looked-at")
def no_path(value: Any, body: bytes, memory: Memory) -> bytes | None:
    return body.replace(b'"path": 7', b'"path": "7"') if b'"path": 7' in body else None


@on_prompt("large-body-taken")
def large_taken(value: Any, body: bytes, memory: Memory) -> bytes | None:
    if len(body) > 8 * 1_048_576 and isinstance(value, dict):
        return json.dumps({"messages": [{"role": "user", "content": "hello"}]}).encode()
    return None


@on_prompt("dead-after-a-large-body")
def large_kills(value: Any, body: bytes, memory: Memory) -> Response | None:
    if memory.get("dead", 0) and memory["dead"] < 3:
        memory["dead"] += 1
        return broken()
    if len(body) > 8 * 1_048_576:
        memory["dead"] = 1
    return None


# ---------------------------------------------------------------- histories and dialogs


def _is_history(scope: Scope) -> bool:
    return bool(scope["path"].endswith("/history"))


@on_answer("history-loses-the-end-of-a-text")
def short_history(scope: Scope, memory: Memory, status: int, body: bytes) -> tuple[int, bytes]:
    if not _is_history(scope) or status != 200:
        return status, body
    value = json.loads(body)
    for event in value["events"]:
        if event["type"] == "chat" and len(event["content"]) > 40:
            event["content"] = event["content"][:-3]
    return status, json.dumps(value).encode()


@on_answer("history-loses-tool-calls")
def toolless_history(scope: Scope, memory: Memory, status: int, body: bytes) -> tuple[int, bytes]:
    if not _is_history(scope) or status != 200:
        return status, body
    value = json.loads(body)
    value["events"] = [event for event in value["events"] if event["type"] != "tool_call"]
    return status, json.dumps(value).encode()


@on_answer("history-of-the-other-dialog")
def other_history(scope: Scope, memory: Memory, status: int, body: bytes) -> tuple[int, bytes]:
    """The first history that is read is given out again for the next dialog."""
    if not _is_history(scope) or status != 200:
        return status, body
    value = json.loads(body)
    memory.setdefault("first", value)
    if value["dialog_id"] != memory["first"]["dialog_id"]:
        value["events"] = memory["first"]["events"]
    return status, json.dumps(value).encode()


@on_events("dialog-ids-swapped-when-two-run")
def swapped_ids(stream: Stream, event: Json) -> Json:
    live = stream.memory.setdefault("live", {})
    mine = live.setdefault(stream.number, event["dialog_id"])
    others = [dialog for number, dialog in live.items() if number != stream.number and dialog != mine]
    if event["type"] == "done":
        del live[stream.number]
    elif others and event["type"] == "tool_call":
        event["dialog_id"] = others[-1]
    return event


@on_blocks("second-stream-of-a-dialog-steals")
def steals(stream: Stream, given: bytes) -> bytes:
    """While two streams of one dialog run, some words of the first go to the second."""
    event = event_of(given)
    if event is None:
        return given
    live = stream.memory.setdefault("live", {})
    mine = live.setdefault(stream.number, event["dialog_id"])
    peers = [number for number, dialog in live.items() if dialog == mine and number > stream.number]
    stolen = stream.memory.setdefault("stolen", {})
    if event["type"] == "done":
        del live[stream.number]
    if event["type"] == "chat" and peers:
        stolen.setdefault(peers[0], []).append(event)
        return b""
    words = stolen.pop(stream.number, [])
    return b"".join(with_event(given, each) for each in words if event["type"] == "chat") + given


@on_events("first-stream-of-a-dialog-ends")
def first_ends(stream: Stream, event: Json) -> Json | None:
    """A second stream of a dialog ends the first one, without `done`."""
    newest = stream.memory.setdefault("newest", {})
    dialog = event["dialog_id"]
    if stream.count == 0:
        newest[dialog] = stream.number
    if newest.get(dialog, 0) > stream.number:
        abort(stream.scope)
        return None
    return event


@on_app("slow-prompt-holds-the-route")
async def slow_route(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """While a prompt that stalls is under way, the next prompt is not even read."""
    if not prompted(scope):
        await app(scope, receive, send)
        return
    lock = memory.setdefault("lock", asyncio.Lock())
    body = await body_of(receive)
    if b"stall_ms" in body and b"Slow " in body:
        async with lock:
            await app(scope, giving(body, receive), send)
        return
    async with lock:
        pass
    await app(scope, giving(body, receive), send)


@on_head("refusals-without-media-type")
def no_media(scope: Scope, memory: Memory, status: int, headers: Headers) -> tuple[int, Headers]:
    if prompted(scope) and status in (400, 422):
        return status, [pair for pair in headers if pair[0] != CONTENT_TYPE]
    return status, headers
