"""The least that a server of event streams in Python does: `python bare_app.py PORT [loop]`.

`GET /answer?times=&wait=`: the same frame, encoded beforehand, that many times after that many milliseconds, by ASGI's
`send`; with `loop`, through the reference server's mailboxes and its send loop. What the reference server needs beyond
that is the making of events.
"""

from __future__ import annotations

import asyncio
import json
import sys
from urllib.parse import parse_qsl

import uvicorn
from starlette.types import Receive, Scope, Send

from reference_server.mailbox import Mailbox
from reference_server.sending import Sender
from reference_server.stream import HEADERS, Beat, stream

FRAME = b"data: %b\n\n" % json.dumps({"type": "chat", "content": "x" * 110, "dialog_id": "0" * 32}).encode()
HOUR = 3600.0
sender = Sender()


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    times, wait = _numbers(scope)
    await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
    await asyncio.sleep(wait)
    for _ in range(times):
        await send({"type": "http.response.body", "body": FRAME, "more_body": True})
        await asyncio.sleep(0)  # as an agent does: others have their turn
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def looped(scope: Scope, receive: Receive, send: Send) -> None:
    times, wait = _numbers(scope)
    box = Mailbox(1 << 20, 4096)

    async def say() -> None:
        await asyncio.sleep(wait)
        for _ in range(times):
            if not box.put_at_once(FRAME):
                await box.put(FRAME)
            await asyncio.sleep(0)
        box.end()

    saying = asyncio.create_task(say())
    await stream(scope, receive, send, box, sender, Beat(lambda: FRAME, HOUR), HOUR)
    await saying


def _numbers(scope: Scope) -> tuple[int, float]:
    query = dict(parse_qsl(scope["query_string"].decode()))
    return int(query["times"]), int(query["wait"]) / 1000


if __name__ == "__main__":
    uvicorn.run(
        looped if sys.argv[2:] == ["loop"] else bare,
        port=int(sys.argv[1]),
        log_level="critical",
        lifespan="off",
        loop="uvloop",
        http="httptools",
        backlog=2048,
    )
