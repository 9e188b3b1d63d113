"""Penguin's routes: `GET /api/v1/events/sse`, and prompts that block until their turn ends."""

from __future__ import annotations

import asyncio
import posixpath
import secrets
import time
from collections.abc import Awaitable
from functools import partial
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from reference_server.bus import Filter, Gap, Labels, Published
from reference_server.frames import Encoder
from reference_server.requests import member, read_object
from reference_server.running import Running
from reference_server.seam import current
from reference_server.session import Event, Json, Prompt, Session, now
from reference_server.sessions import Sessions
from reference_server.shape_penguin import Turn, info
from reference_server.stream import HEADERS, HEARTBEAT, Beat
from reference_server.voice import Change, Voice

# What the document of revision 1 lists. It tells of no session events, so this server sends none there.
DOCUMENTED = {"server.connected", "message.updated", "message.part.updated"}


class Penguin(Voice):
    """One revision at one base URL."""

    def __init__(self, revision: int, running: Running, sessions: Sessions) -> None:
        super().__init__(running, replay_events=running.settings.replay_events)
        self.revision = revision
        self._sessions = sessions
        self._resumes = revision >= 2 or self._settings.resume
        self._encoder = Encoder(self._settings.line_ending, ascii=True)
        comment = self._encoder.comment("keepalive")
        self._beat = Beat(lambda: comment, self._settings.heartbeat or HEARTBEAT)
        sessions.add(self)

    def events(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """`GET /api/v1/events/sse` (ASGI)."""
        request = Request(scope)
        query = request.query_params
        session = query.get("session_id") or None
        if self.revision >= 2:
            session = session or query.get("conversation_id") or None
        agent, directory = query.get("agent_id") or None, query.get("directory") or None
        echo = {"sessionID": session, "agentID": agent, "directory": directory}
        cursor = request.headers.get("last-event-id")
        if self.revision >= 2:
            cursor = query.get("last_event_id") or cursor
        return self.listen(
            scope,
            receive,
            send,
            wanted=Filter(session, agent, None if directory is None else posixpath.normpath(directory)),
            first=partial(self._first, echo, cursor if self._resumes else None),
            beat=self._beat,
            headers=HEADERS,
        )

    async def message(self, request: Request) -> JSONResponse:
        """`POST /api/v1/chat/message`: blocks until the turn has ended. It goes on if the client leaves."""
        body = await read_object(request.scope, request.receive, self._settings.max_body)
        if not isinstance(body.get("text"), str):
            raise HTTPException(422, "`text` must be a string")
        text: str = body["text"]
        session_id = member(body, "session_id", str, "a string") or member(
            body, "conversation_id", str, "a string"
        )
        agent = member(body, "agent_id", str, "a string") or "default"
        directory = member(body, "directory", str, "a string")
        member(body, "streaming", bool, "true or false")
        script = self._running.scenarios.script_for(text)
        if session_id:
            live = self._sessions.find(session_id)
        else:
            live = self._sessions.make("New session", directory or self._settings.workspace)
        playing = self._sessions.start(live, Prompt((text,), agent), script)
        task = playing.task
        await asyncio.wait([task])
        if not task.cancelled() and (broken := task.exception()) is not None:
            raise broken
        turn = cast(Turn, playing.told_by(self))
        answer: Json = {
            "response": "".join(turn.text),
            "action_results": turn.results,
            "session_id": live.session.id,
            "status": "completed" if turn.error is None else "error",
        }
        if turn.error is not None:
            answer["error"] = turn.error
        return JSONResponse(answer)

    def info(self, session: Session) -> Json:
        """A session as `POST /session` answers it."""
        return info(session)

    def turn(self, session: Session, prompt: Prompt) -> Turn:
        """The events of a prompt."""
        return Turn(session, prompt.agent, "\n".join(prompt.texts))

    def change(self, session: Session, change: Change) -> Event:
        """`session.created`, `session.updated` or `session.deleted`."""
        properties = {"info": info(session), "sessionID": session.id, "directory": session.directory}
        return Event(f"session.{change}", properties)

    def write(self, session: Session, event: Event, labels: Labels) -> None:
        """Revision 2 numbers the events of a session; revision 1 has what its document shows."""
        if self.revision < 2 and event.type not in DOCUMENTED:
            return
        head: Json = {}
        event_id = None
        if self._resumes:
            session.order += 1
            event_id = f"evt:session:{session.id}:{session.order:08d}"
        if self.revision >= 2:
            session.newest = max(now(), session.newest)  # the clock may go back, the stream's time may not
            head = {"id": event_id, "order": session.order, "time": session.newest}
        data = head | {"type": event.type, "properties": event.properties}
        self.bus.publish(Published(event_id, labels, self._encoder.frame(data, event_id)))

    def _first(self, echo: Json, cursor: str | None, wanted: Filter) -> list[bytes]:
        """The handshake, and what the cursor missed."""
        connected = self._synthetic("server.connected", echo)
        return [connected, *self._replay(cursor, wanted)] if cursor else [connected]

    def _synthetic(self, kind: str, properties: dict[str, Any]) -> bytes:
        """A frame for one connection alone. It has no id: a cursor must never point at it."""
        return self._encoder.frame({"type": kind, "properties": properties})

    def _replay(self, cursor: str, wanted: Filter) -> list[bytes]:
        missed = current().missed(cursor, wanted, self.bus.missed)
        if not isinstance(missed, Gap):
            return [event.frame for event in missed]
        gap = {
            "lastEventID": missed.cursor,
            "oldestEventID": missed.oldest,
            "newestEventID": missed.newest,
            "reason": "last_event_id_not_available",
        }
        return [self._synthetic("server.replay_gap", gap)]


def new_session_id() -> str:
    """An id that tells when it was made."""
    # the random part keeps ids apart across restarts too: no event id may ever name two events
    return f"session_{time.strftime('%Y%m%d_%H%M%S', time.gmtime())}_{secrets.token_hex(4)}"
