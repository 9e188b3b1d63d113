"""Faults of who may ask, and how: methods, Accept, origins, credentials, limits, clients that vanish."""

from __future__ import annotations

import asyncio

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_server.connection import transport_of
from reference_server.faults.hooks import (
    Headers,
    Memory,
    asks_for_stream,
    header_of,
    is_stream_path,
    on_answer,
    on_app,
    on_head,
)
from reference_server.faults.http import without
from reference_server.faults.raw import RawStream, chunk, serve_raw

# ---------------------------------------------------------------- methods


EVENT = b'data: {"type": "ping", "properties": {}}\n\n'


@on_app("put-gives-a-stream")
async def put_streams(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if is_stream_path(scope) and scope["method"] == "PUT":
        await Response(EVENT, 200, {"content-type": "text/event-stream"})(scope, receive, send)
        return
    await app(scope, receive, send)


@on_app("delete-gives-500")
async def delete_500(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if is_stream_path(scope) and scope["method"] == "DELETE":
        await JSONResponse({"detail": "Internal Server Error"}, 500)(scope, receive, send)
        return
    await app(scope, receive, send)


@on_app("put-is-never-answered")
async def put_hangs(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if is_stream_path(scope) and scope["method"] == "PUT":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    await app(scope, receive, send)


@on_app("put-gives-200")
async def put_200(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if is_stream_path(scope) and scope["method"] == "PUT":
        await JSONResponse({"status": "ok"})(scope, receive, send)
        return
    await app(scope, receive, send)


@on_head("405-without-allow")
def no_allow(scope: Scope, memory: Memory, status: int, headers: Headers) -> tuple[int, Headers]:
    return status, without(headers, b"allow") if status == 405 else headers


@on_app("head-has-a-body")
async def head_body(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    transport = transport_of(scope)
    if scope["method"] != "HEAD" or transport is None:
        await app(scope, receive, send)
        return
    transport.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" + EVENT
    )
    transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass


@on_app("head-streams-for-ever")
async def head_hangs(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    transport = transport_of(scope)
    if scope["method"] != "HEAD" or transport is None:
        await app(scope, receive, send)
        return
    transport.write(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    gone = asyncio.ensure_future(receive())
    while not gone.done():
        transport.write(chunk(b": ping\n\n", 0))
        await asyncio.sleep(0.3)


@on_app("chunks-for-http-1-0")
async def chunked_10(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["http_version"] != "1.0":
        await app(scope, receive, send)
        return
    await serve_raw(app, scope, receive, RawStream(scope, send, to_all=True))


@on_app("accept-excluded-500")
async def accept_500(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    accept = header_of(scope["headers"], "accept") or "*/*"
    if asks_for_stream(scope) and "event-stream" not in accept and "*/*" not in accept:
        await JSONResponse({"detail": "Internal Server Error"}, 500)(scope, receive, send)
        return
    await app(scope, receive, send)


@on_app("accept-excluded-406")
async def accept_406(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    accept = header_of(scope["headers"], "accept") or "*/*"
    if asks_for_stream(scope) and "event-stream" not in accept and "*/*" not in accept:
        await JSONResponse({"detail": "Not Acceptable"}, 406)(scope, receive, send)
        return
    await app(scope, receive, send)


# ---------------------------------------------------------------- origins and credentials

ORIGIN, CREDENTIALS = b"access-control-allow-origin", b"access-control-allow-credentials"


@on_head("origin-not-echoed")
def origin_missing(scope: Scope, memory: Memory, status: int, headers: Headers) -> tuple[int, Headers]:
    return status, without(headers, ORIGIN) if scope["method"] != "OPTIONS" else headers


@on_head("origin-missing-on-streams")
def origin_missing_once(scope: Scope, memory: Memory, status: int, headers: Headers) -> tuple[int, Headers]:
    streaming = (header_of(headers, "content-type") or "").startswith("text/event-stream")
    return status, without(headers, ORIGIN) if streaming else headers


@on_head("any-origin-with-cookies")
def origin_cookie(scope: Scope, memory: Memory, status: int, headers: Headers) -> tuple[int, Headers]:
    cookie = header_of(scope["headers"], "cookie")
    if not cookie:
        return status, headers
    return status, [*without(headers, ORIGIN, CREDENTIALS), (ORIGIN, b"*"), (CREDENTIALS, b"true")]


@on_head("any-origin-beside-credentials")
def origin_both(scope: Scope, memory: Memory, status: int, headers: Headers) -> tuple[int, Headers]:
    if header_of(scope["headers"], "cookie") or not header_of(scope["headers"], "origin"):
        return status, headers
    return status, [*without(headers, ORIGIN, CREDENTIALS), (ORIGIN, b"*"), (CREDENTIALS, b"true")]


@on_app("preflight-needs-credentials")
async def preflight_401(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["method"] == "OPTIONS":
        await JSONResponse({"detail": "no"}, 401, {"WWW-Authenticate": "Bearer"})(scope, receive, send)
        return
    await app(scope, receive, send)


@on_head("preflight-forbids-headers")
def preflight_headers(scope: Scope, memory: Memory, status: int, headers: Headers) -> tuple[int, Headers]:
    if scope["method"] != "OPTIONS":
        return status, headers
    kept = without(headers, b"access-control-allow-headers")
    return status, [*kept, (b"access-control-allow-headers", b"accept, x-unknown")]


@on_app("wrong-credentials-accepted")
async def any_token(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    given = header_of(scope["headers"], "authorization") or ""
    if given.startswith("Bearer ") and len(given) > 10:
        memory.setdefault("right", given)  # the first one that comes is the run's own
        right = (b"authorization", memory["right"].encode())
        scope = {**scope, "headers": [*without(list(scope["headers"]), b"authorization"), right]}
    await app(scope, receive, send)


@on_head("401-without-challenge")
def no_challenge(scope: Scope, memory: Memory, status: int, headers: Headers) -> tuple[int, Headers]:
    return status, without(headers, b"www-authenticate") if status == 401 else headers


@on_app("event-before-the-refusal")
async def event_401(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if asks_for_stream(scope) and header_of(scope["headers"], "authorization") is None:
        headers = {"content-type": "text/event-stream", "www-authenticate": "Bearer"}
        await Response(EVENT, 401, headers)(scope, receive, send)
        return
    await app(scope, receive, send)


@on_answer("limit-is-a-500")
def limit_500(scope: Scope, memory: Memory, status: int, body: bytes) -> tuple[int, bytes]:
    return (500 if status == 429 else status), body


@on_app("limit-never-lifted")
async def never_lifted(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    async def out(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 429:
            memory["closed"] = True
        await send(message)

    if memory.get("closed"):
        answer = JSONResponse({"detail": "Too many requests"}, 429, {"Retry-After": "1"})
        await answer(scope, receive, send)
        return
    await app(scope, receive, out)


@on_head("limit-without-retry-after")
def no_retry_after(scope: Scope, memory: Memory, status: int, headers: Headers) -> tuple[int, Headers]:
    return status, without(headers, b"retry-after")


# ---------------------------------------------------------------- lives of clients


def _exhausted(memory: Memory, scope: Scope) -> bool:
    """Whether many clients vanished; then it stays so.

    A subscriber always leaves before its stream ends: there it is many that came within seconds. Of OpenCode's, who
    cannot ask for less than a directory, it is many that left within seconds and had heard nothing.
    """
    if memory.get("vanished", 0) > 20:
        return asks_for_stream(scope)
    if (
        scope["method"] == "POST"
        or not asks_for_stream(scope)
        or (scope["query_string"] and not _opencode(scope))
        or header_of(scope["headers"], "last-event-id")
    ):
        return False
    now = asyncio.get_running_loop().time()
    if not _opencode(scope):
        memory.setdefault("starts", []).append(now)
    recent = [at for at in memory.get("starts", []) if at > now - 6.0]
    memory["starts"] = recent
    memory["exhausted"] = memory.get("exhausted") or len(recent) > 40
    return bool(memory["exhausted"])


def _opencode(scope: Scope) -> bool:
    return bool(scope["path"].endswith("/event"))


@on_app("dead-after-abrupt-disconnects")
async def dead_after(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    if _exhausted(memory, scope):
        await JSONResponse({"detail": "no more workers"}, 500)(scope, receive, send)
        return
    await _counting(memory, app, scope, receive, send)


HUNG = 90.0  # seconds that the silence lasts: the rest of a run need not wait for it as well


@on_app("silent-after-abrupt-disconnects")
async def silent_after(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    now = asyncio.get_running_loop().time()
    if not _exhausted(memory, scope) or now > memory.setdefault("until", now + HUNG):
        await _counting(memory, app, scope, receive, send)
        return
    while (await receive())["type"] != "http.disconnect":
        pass


async def _counting(memory: Memory, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve, and count the clients of answers that left before these were whole."""
    over = False
    events = 0

    async def heard() -> Message:
        nonlocal over
        message = await receive()
        if message["type"] == "http.disconnect" and scope["method"] == "POST" and not over:
            over = True
            memory["vanished"] = memory.get("vanished", 0) + 1
        return message

    async def out(message: Message) -> None:
        nonlocal over, events
        over = over or (message["type"] == "http.response.body" and not message.get("more_body"))
        events += message.get("body", b"").count(b"data: ")
        await send(message)

    try:
        await app(scope, heard, out)
    finally:
        if _opencode(scope) and asks_for_stream(scope) and events < 2:
            memory.setdefault("starts", []).append(asyncio.get_running_loop().time())
