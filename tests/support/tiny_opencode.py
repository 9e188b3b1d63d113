"""A small OpenCode server whose turns are what a test says: for how the driver knows that a turn is over."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.support.wire_server import HEAD, Connection

SESSION = "ses_main"
Step = tuple[str, dict[str, Any]] | float | str  # an event, seconds of silence, or "abort": wait for it


@dataclass
class TinyOpenCode:
    """Serves `/event`, and plays `turn` at every prompt; after "abort" only once that has come.

    Every subscriber but the first gets each event `lag` seconds late. `lines` are the request lines that it got.
    """

    turn: Sequence[Step] = ()
    lag: float = 0.0
    lines: list[str] = field(default_factory=list)
    aborted: asyncio.Event = field(default_factory=asyncio.Event)
    _subscribers: list[Connection] = field(default_factory=list)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))
    _turns: list[asyncio.Task[None]] = field(default_factory=list)
    _late: list[asyncio.Task[None]] = field(default_factory=list)

    async def __call__(self, connection: Connection) -> None:
        """Answer one request."""
        line = connection.request.partition(b"\r\n")[0].decode()
        self.lines.append(line)
        method, target, _ = line.split(" ")
        path = target.partition("?")[0]
        if path == "/event":
            await connection.send(HEAD + b"\r\n")
            await self._tell(connection, "server.connected", {})
            self._subscribers.append(connection)
            await connection.left()
            self._subscribers.remove(connection)
            return
        if path.endswith("/prompt_async"):
            self._turns.append(asyncio.create_task(self._play()))
            await connection.send(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            return
        if path.endswith("/abort"):
            self.aborted.set()
        elif method == "PATCH":
            title = json.loads(connection.request.partition(b"\r\n\r\n")[2])["title"]
            await self._publish("session.updated", {"sessionID": SESSION, "info": {"title": title}})
        answer = json.dumps({"id": SESSION}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(answer)}\r\n"
        await connection.send(head.encode() + b"Connection: close\r\n\r\n" + answer)

    async def _play(self) -> None:
        for step in self.turn:
            if step == "abort":
                await self.aborted.wait()
            elif isinstance(step, float):
                await asyncio.sleep(step)
            else:
                assert isinstance(step, tuple)
                await self._publish(*step)

    async def _publish(self, kind: str, properties: dict[str, Any]) -> None:
        for number, connection in enumerate(self._subscribers):
            tell = partial(self._tell, connection, kind, properties)
            if number and self.lag:
                self._late.append(asyncio.create_task(self._later(tell)))
            else:
                await tell()

    async def _later(self, tell: Callable[[], Coroutine[Any, Any, None]]) -> None:
        await asyncio.sleep(self.lag)
        await tell()

    async def _tell(self, connection: Connection, kind: str, properties: dict[str, Any]) -> None:
        event = {"id": f"evt_{next(self._numbers)}", "type": kind, "properties": properties}
        await connection.send(b"data: " + json.dumps(event).encode() + b"\n\n")


def status(kind: str, session: str = SESSION) -> Step:
    """The session is at work, idle, or tries again."""
    return "session.status", {"sessionID": session, "status": {"type": kind}}


def user(name: str = "msg_user") -> Step:
    """The user's message."""
    info = {"id": name, "sessionID": SESSION, "role": "user", "time": {"created": 1}}
    return "message.updated", {"sessionID": SESSION, "info": info}


def assistant(*, completed: bool, session: str = SESSION, error: bool = False) -> Step:
    """The agent's message."""
    times = {"created": 1, "completed": 2} if completed else {"created": 1}
    info: dict[str, Any] = {
        "id": f"msg_of_{session}",
        "sessionID": session,
        "role": "assistant",
        "time": times,
    }
    if error:
        info["error"] = {"name": "APIError", "data": {"message": "refused"}}
    return "message.updated", {"sessionID": session, "info": info}


def text(words: str, session: str = SESSION) -> Step:
    """A text part as it is when it has ended."""
    part = {
        "id": f"prt_of_{session}",
        "messageID": f"msg_of_{session}",
        "sessionID": session,
        "type": "text",
        "text": words,
        "time": {"start": 1, "end": 2},
    }
    return "message.part.updated", {"sessionID": session, "part": part, "time": 1}
