"""Penguin's routes: `GET /api/v1/events/sse`, sessions, and prompts that block until their turn ends."""

from __future__ import annotations

import asyncio
import posixpath
import secrets
import time
from collections.abc import Iterable
from contextlib import aclosing
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from reference_server.agent import play
from reference_server.bus import Bus, Filter, Gap, Labels, Published
from reference_server.frames import Encoder
from reference_server.requests import member, read_object
from reference_server.running import Running
from reference_server.script import Script
from reference_server.seam import current
from reference_server.shape_penguin import Event, Json, Session, Turn, now
from reference_server.stream import Beat, stream
from reference_server.workspace import Workspace

# What the document of revision 1 lists. It tells of no session events, so this server sends none there.
DOCUMENTED = {"server.connected", "message.updated", "message.part.updated"}


class _Live:
    """A session and its turns: one at a time, in the order in which they were asked for."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.order = 0  # of its newest event
        self.newest = 0  # its time, in milliseconds: the clock may go back, the stream's time may not
        self.turns = asyncio.Lock()
        self.agent: asyncio.Task[None] | None = None
        self.deleted = False


class Penguin:
    """One revision under one prefix: its sessions and its bus."""

    def __init__(self, revision: int, running: Running) -> None:
        self.revision = revision
        self._running = running
        self._settings = settings = running.settings
        self._workspace = Workspace(settings.workspace)
        self._encoder = Encoder(settings.line_ending, ascii=True)
        self._beat = Beat(self._encoder.comment("keepalive"), settings.heartbeat)
        self._sessions: dict[str, _Live] = {}
        self._bus = Bus(
            queue_bytes=settings.queue_bytes,
            queue_events=settings.queue_events,
            replay_events=settings.replay_events,
            replay_bytes=settings.replay_bytes,
        )
        running.at_end(self._bus.close)

    async def events(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`GET /api/v1/events/sse` (ASGI)."""
        request = Request(scope)
        query = request.query_params
        session = query.get("session_id") or None
        if self.revision >= 2:
            session = session or query.get("conversation_id") or None
        agent, directory = query.get("agent_id") or None, query.get("directory") or None
        wanted = current().wanted(
            Filter(session, agent, None if directory is None else posixpath.normpath(directory))
        )
        # From here on nothing is missed: there is no await between the listener, the replay and the greeting.
        subscriber = self._bus.subscribe(wanted)
        current().subscribed(subscriber)
        echo = {"sessionID": session, "agentID": agent, "directory": directory}
        first = [self._synthetic("server.connected", echo)]
        if self.revision >= 2 and (
            cursor := query.get("last_event_id") or request.headers.get("last-event-id")
        ):
            first += self._replay(cursor, wanted)
        for frame in first:
            subscriber.mailbox.owe(frame)
        try:
            await stream(scope, receive, send, subscriber.mailbox, self._beat, self._settings.stall_timeout)
        finally:
            self._bus.unsubscribe(subscriber)

    async def create(self, request: Request) -> JSONResponse:
        """`POST /session`."""
        body = await read_object(request.scope, request.receive, self._settings.max_body, empty=True)
        title = member(body, "title", str, "a string", "New session")
        directory = member(body, "directory", str, "a string") or request.query_params.get("directory")
        live = self._create(title, directory or self._settings.workspace)
        return JSONResponse(live.session.info())

    async def list_all(self, request: Request) -> JSONResponse:
        """`GET /session`."""
        return JSONResponse([live.session.info() for live in self._sessions.values()])

    async def get(self, request: Request) -> JSONResponse:
        """`GET /session/{id}`."""
        return JSONResponse(self._live(request).session.info())

    async def update(self, request: Request) -> JSONResponse:
        """`PATCH /session/{id}`."""
        live = self._live(request)
        body = await read_object(request.scope, request.receive, self._settings.max_body, empty=True)
        live.session.title = member(body, "title", str, "a string", live.session.title)
        live.session.updated = max(now(), live.session.updated)
        self._publish_session(live, "session.updated")
        return JSONResponse(live.session.info())

    async def delete(self, request: Request) -> JSONResponse:
        """`DELETE /session/{id}`: its turn is aborted first."""
        live = self._live(request)
        del self._sessions[live.session.id]
        live.deleted = True
        await self._abort(live)
        self._publish_session(live, "session.deleted")
        return JSONResponse(True)

    async def abort(self, request: Request) -> JSONResponse:
        """`POST /session/{id}/abort`: answers true if a turn was under way, once its idle is out."""
        return JSONResponse(await self._abort(self._live(request)))

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
        if not session_id:
            live = self._create("New session", directory or self._settings.workspace)
        elif session_id in self._sessions:
            live = self._sessions[session_id]
        else:
            raise HTTPException(404, f"Session {session_id} not found")
        turn = Turn(live.session, agent, text)
        task = self._running.start(self._play(live, turn, script, agent))
        await asyncio.wait([task])
        if not task.cancelled() and (broken := task.exception()) is not None:
            raise broken
        answer: Json = {
            "response": "".join(turn.text),
            "action_results": turn.results,
            "session_id": live.session.id,
            "status": "completed" if turn.error is None else "error",
        }
        if turn.error is not None:
            answer["error"] = turn.error
        return JSONResponse(answer)

    async def _play(self, live: _Live, turn: Turn, script: Script, agent: str) -> None:
        """One turn: busy, what the agent does, idle. Cancelling it is an abort: idle still comes."""
        async with live.turns:
            if live.deleted:
                turn.error = "the session was deleted"
                return
            live.agent = asyncio.current_task()
            labels = Labels(live.session.id, agent, live.session.directory)
            try:
                self._publish_all(live, turn.begin(), labels)
                async with aclosing(current().acts(play(script, self._workspace))) as acts:
                    async for act in acts:
                        self._publish_all(live, turn.show(act), labels)
                        await self._bus.relax()
            except asyncio.CancelledError:
                why = "the server is shutting down" if self._running.stopping else "the turn was aborted"
                self._publish_all(live, turn.fail("MessageAbortedError", {"message": why}), labels)
            finally:
                live.agent = None
                live.session.updated = max(now(), live.session.updated)
                self._publish_all(live, turn.end(), labels)

    async def _abort(self, live: _Live) -> bool:
        task = live.agent
        if task is None:
            return False
        task.cancel()
        await asyncio.wait([task])
        return True

    def _create(self, title: str, directory: str) -> _Live:
        # the random part keeps ids apart across restarts too: no event id may ever name two events
        stamp = time.strftime("%Y%m%d_%H%M%S", time.gmtime())
        created = now()
        session_id = f"session_{stamp}_{secrets.token_hex(4)}"
        session = Session(session_id, title, posixpath.normpath(directory), created, created)
        live = self._sessions[session_id] = _Live(session)
        self._publish_session(live, "session.created")
        return live

    def _live(self, request: Request) -> _Live:
        session_id = request.path_params["id"]
        if session_id not in self._sessions:
            raise HTTPException(404, f"Session {session_id} not found")
        return self._sessions[session_id]

    def _publish_session(self, live: _Live, kind: str) -> None:
        session = live.session
        properties: Json = {"info": session.info(), "sessionID": session.id, "directory": session.directory}
        self._publish_all(live, [Event(kind, properties)], Labels(session.id, None, session.directory))

    def _publish_all(self, live: _Live, events: Iterable[Event], labels: Labels) -> None:
        for event in current().events(live.session, events):
            if self.revision >= 2:
                live.order += 1
                live.newest = max(now(), live.newest)
                event_id = f"evt:session:{live.session.id}:{live.order:08d}"
                head: Json = {"id": event_id, "order": live.order, "time": live.newest}
                data = head | {"type": event.type, "properties": event.properties}
                self._bus.publish(Published(event_id, labels, self._encoder.frame(data, event_id)))
            elif event.type in DOCUMENTED:
                data = {"type": event.type, "properties": event.properties}
                self._bus.publish(Published(None, labels, self._encoder.frame(data)))

    def _synthetic(self, kind: str, properties: dict[str, Any]) -> bytes:
        """A frame for one connection alone. It has no id: a cursor must never point at it."""
        return self._encoder.frame({"type": kind, "properties": properties})

    def _replay(self, cursor: str, wanted: Filter) -> list[bytes]:
        missed = current().missed(cursor, wanted, self._bus.missed)
        if not isinstance(missed, Gap):
            return [event.frame for event in missed]
        gap = {
            "lastEventID": missed.cursor,
            "oldestEventID": missed.oldest,
            "newestEventID": missed.newest,
            "reason": "last_event_id_not_available",
        }
        return [self._synthetic("server.replay_gap", gap)]
