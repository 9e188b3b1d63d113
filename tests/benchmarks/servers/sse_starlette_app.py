"""Event streams by sse-starlette, which the reference server is measured against: `python sse_starlette_app.py PORT`.

`GET /answer?times=&size=&wait=`: that many events with texts of that size, after that many milliseconds. `GET
/subscribe`: a queue for each subscriber. `POST /publish?times=&size=&pace=`: that many events into each queue, that
many milliseconds apart.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator

import uvicorn
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

QUEUE = 4096
HOUR = 3600
LETTERS = "abcdefghijklmnopqrstuvwxyz"
DIALOG = "0123456789abcdef0123456789abcdef"
queues: set[asyncio.Queue[str]] = set()


def numbers(request: Request, *names: str) -> list[int]:
    return [int(request.query_params.get(name, 0)) for name in names]


def event(number: int, size: int) -> str:
    text = f"{number:08d} {LETTERS * (size // 26 + 1)}"[:size]
    # milliseconds since the epoch: when it was sent
    return json.dumps(
        {"at": time.time_ns() // 1_000_000, "type": "chat", "content": text, "dialog_id": DIALOG}
    )


async def said(times: int, size: int, wait: int) -> AsyncIterator[dict[str, str]]:
    await asyncio.sleep(wait / 1000)
    for number in range(times):
        yield {"data": event(number, size)}
        await asyncio.sleep(0)  # as an agent does: others have their turn


async def answer(request: Request) -> Response:
    return EventSourceResponse(said(*numbers(request, "times", "size", "wait")), sep="\n", ping=HOUR)


async def heard() -> AsyncIterator[dict[str, str]]:
    queue: asyncio.Queue[str] = asyncio.Queue(QUEUE)
    queues.add(queue)
    try:
        yield {"data": '{"type": "server.connected"}'}
        while True:
            yield {"data": await queue.get()}
    finally:
        queues.discard(queue)


async def subscribe(request: Request) -> Response:
    return EventSourceResponse(heard(), sep="\n", ping=HOUR)


async def publish(request: Request) -> Response:
    times, size, pace = numbers(request, "times", "size", "pace")
    for number in range(times):
        data = event(number, size)
        for queue in tuple(queues):
            if pace:
                queue.put_nowait(data)  # nobody is waited for; the queue is larger than all that comes
            else:
                await queue.put(data)
        await asyncio.sleep(pace / 1000)
    return Response(status_code=204)


app = Starlette(
    routes=[
        Route("/answer", answer),
        Route("/subscribe", subscribe),
        Route("/publish", publish, methods=["POST"]),
    ]
)

if __name__ == "__main__":
    uvicorn.run(
        app, port=int(sys.argv[1]), log_level="critical", loop="uvloop", http="httptools", backlog=2048
    )
