"""Plays one turn of a script as the answer to a model call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from reference_server.model.answer import Answer, error_body
from reference_server.model.connection import Client, ClientGoneError
from reference_server.model.conversation import Due, ModelRequest
from reference_server.model.journal import Call, Journal
from reference_server.script import ModelTurn

_STREAM_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
_JSON_HEADERS = [(b"content-type", b"application/json")]
_BREATH = 16  # chunks after which other connections get their turn


async def send_json(client: Client, status: int, data: object, headers: dict[str, str] | None = None) -> None:
    """Send one JSON answer."""
    body = json.dumps(data).encode()
    extra = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    length = [(b"content-length", str(len(body)).encode())]
    await client.start(status, _JSON_HEADERS + length + extra)
    await client.write(body, more=False)


async def play(
    client: Client, request: ModelRequest, due: Due, answer: Answer, call: Call, journal: Journal
) -> None:
    """Answer with the turn that is due, as a stream or as one object, and note how it ended."""
    try:
        if request.stream:
            state = await _stream(client, request, due, answer, call)
        else:
            state = await _whole(client, due, answer, call)
        journal.close(call, state, 500 if state == "failed" and not request.stream else 200)
    except ClientGoneError:
        pass
    finally:
        journal.close(call, "cancelled")  # unless it is closed: the client is gone, or the server stops


async def refuse(client: Client, due: Due, call: Call, journal: Journal) -> None:
    """Answer with the turn's error status."""
    error = due.turn.error
    assert error is not None
    assert error.status is not None
    headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
    try:
        await client.pause(due.turn.stall_ms / 1000)
        await send_json(client, error.status, error_body(error.message, error.status), headers)
    except ClientGoneError:
        journal.close(call, "cancelled", error.status)
    journal.close(call, "refused", error.status)


async def _stream(client: Client, request: ModelRequest, due: Due, answer: Answer, call: Call) -> str:
    turn = due.turn
    await client.start(200, _STREAM_HEADERS)
    # The head and the opening frame come at once: `stall_ms` is silence before the first chunk.
    await client.write(answer.opening())
    async for kind, text in _chunks(client, turn, due.script.pace_ms):
        answer.completion_tokens += 1
        await client.write(answer.piece(kind, text))
        call.chunks += 1
    if turn.cut == "reset":
        await client.reset()
        return "cut"
    if turn.error is not None and turn.error.in_stream:
        await client.write(answer.failed(turn.error.message))
        await client.write(b"", more=False)
        return "failed"
    if turn.cut == "close":
        await client.write(b"", more=False)
        return "cut"
    for piece in answer.end(turn.tools, usage=request.include_usage):
        await client.write(piece)
    await client.write(b"", more=False)
    return "finished"


async def _whole(client: Client, due: Due, answer: Answer, call: Call) -> str:
    turn = due.turn
    said: dict[str, list[str]] = {"reasoning": [], "text": []}
    async for kind, text in _chunks(client, turn, due.script.pace_ms):
        said[kind].append(text)
        answer.completion_tokens += 1
        call.chunks += 1
    if turn.error is not None and turn.error.in_stream:
        await send_json(client, 500, error_body(turn.error.message, 500))
        return "failed"
    # Cut cleanly, an answer in one piece lacks its completion marker.
    said_all = ("".join(said["text"]), "".join(said["reasoning"]))
    data = answer.whole(*said_all, turn.tools, complete=turn.cut is None)
    if turn.cut == "reset":
        body = json.dumps(data).encode()
        await client.start(200, [*_JSON_HEADERS, (b"content-length", str(len(body)).encode())])
        await client.write(body[: len(body) // 2])
        await client.reset()
        return "cut"
    await send_json(client, 200, data)
    return "cut" if turn.cut else "finished"


async def _chunks(client: Client, turn: ModelTurn, pace_ms: int) -> AsyncIterator[tuple[str, str]]:
    """The turn's chunks with their kinds, each when it is due."""
    await client.pause(turn.stall_ms / 1000)
    number = 0
    for kind, chunks in (("reasoning", turn.reasoning_chunks()), ("text", turn.text_chunks())):
        for chunk in chunks:
            number += 1
            await client.pause(pace_ms / 1000)
            if number % _BREATH == 0:
                await asyncio.sleep(0)
            yield kind, chunk
