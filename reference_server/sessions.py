"""The sessions of one base URL: made, renamed, deleted, and prompted for one turn at a time.

Where several protocols share a base URL they share its sessions: each tells of them in its own words, whichever
was asked.
"""

from __future__ import annotations

import asyncio
import posixpath
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from reference_server.agent import play
from reference_server.bus import Labels
from reference_server.requests import member, read_object
from reference_server.running import Running
from reference_server.script import Script
from reference_server.seam import current
from reference_server.session import Prompt, Session, Turn, now
from reference_server.voice import Change, Voice
from reference_server.workspace import Workspace


@dataclass(eq=False, slots=True)
class Live:
    """A session and its turns: one at a time, in the order in which they were asked for."""

    session: Session
    turns: asyncio.Lock = field(default_factory=asyncio.Lock)
    agent: asyncio.Task[None] | None = None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Playing:
    """A turn that was asked for: its task, and how each voice tells it."""

    task: asyncio.Task[None]
    turns: tuple[tuple[Voice, Turn], ...]

    def told_by(self, voice: Voice) -> Turn:
        """The turn in the words of one voice."""
        return dict(self.turns)[voice]


class Sessions:
    """Sessions, and the routes below `/session` that all their protocols have. The first voice words the answers."""

    def __init__(self, running: Running, new_id: Callable[[], str]) -> None:
        self._running = running
        self._settings = running.settings
        self._workspace = Workspace(running.settings.workspace)
        self._new_id = new_id
        self._sessions: dict[str, Live] = {}
        self._voices: list[Voice] = []

    def add(self, voice: Voice) -> None:
        """Let a protocol tell of these sessions."""
        self._voices.append(voice)

    def find(self, session_id: str) -> Live:
        """A session. Raises `HTTPException` 404."""
        if session_id not in self._sessions:
            raise HTTPException(404, f"Session {session_id} not found")
        return self._sessions[session_id]

    def make(self, title: str, directory: str, parent: str | None = None) -> Live:
        """A new session in an absolute directory."""
        created = now()
        session = Session(self._new_id(), title, posixpath.normpath(directory), created, created, parent)
        live = self._sessions[session.id] = Live(session)
        self._tell(live, "created")
        return live

    def start(self, live: Live, prompt: Prompt, script: Script) -> Playing:
        """Let an agent answer a prompt, once the turns before it have ended."""
        turns = tuple((voice, voice.turn(live.session, prompt)) for voice in self._voices)
        return Playing(self._running.start(self._play(live, turns, script, prompt.agent)), turns)

    async def create(self, request: Request) -> JSONResponse:
        """`POST /session`."""
        body = await read_object(request.scope, request.receive, self._settings.max_body, empty=True)
        title = member(body, "title", str, "a string", "New session")
        parent = member(body, "parentID", str, "a string")
        directory = member(body, "directory", str, "a string") or request.query_params.get("directory")
        live = self.make(title, directory or self._settings.workspace, parent)
        return self._answer(live)

    async def list_all(self, request: Request) -> JSONResponse:
        """`GET /session`."""
        return JSONResponse([self._voices[0].info(live.session) for live in self._sessions.values()])

    async def get(self, request: Request) -> JSONResponse:
        """`GET /session/{id}`."""
        return self._answer(self._asked(request))

    async def update(self, request: Request) -> JSONResponse:
        """`PATCH /session/{id}`."""
        live = self._asked(request)
        body = await read_object(request.scope, request.receive, self._settings.max_body, empty=True)
        live.session.title = member(body, "title", str, "a string", live.session.title)
        live.session.updated = max(now(), live.session.updated)
        self._tell(live, "updated")
        return self._answer(live)

    async def delete(self, request: Request) -> JSONResponse:
        """`DELETE /session/{id}`: its turn is aborted first."""
        live = self._asked(request)
        del self._sessions[live.session.id]
        live.deleted = True
        await _abort(live)
        self._tell(live, "deleted")
        return JSONResponse(True)

    async def abort(self, request: Request) -> JSONResponse:
        """`POST /session/{id}/abort`: answers true if a turn was under way, once its idle is out."""
        return JSONResponse(await _abort(self._asked(request)))

    def _asked(self, request: Request) -> Live:
        return self.find(request.path_params["id"])

    def _answer(self, live: Live) -> JSONResponse:
        return JSONResponse(self._voices[0].info(live.session))

    def _tell(self, live: Live, change: Change) -> None:
        for voice in self._voices:
            voice.tell(live.session, change)

    async def _play(
        self, live: Live, turns: tuple[tuple[Voice, Turn], ...], script: Script, agent: str
    ) -> None:
        """One turn: busy, what the agent does, idle. Cancelling it is an abort: idle still comes."""
        async with live.turns:
            if live.deleted:
                for _, turn in turns:
                    turn.error = "the session was deleted"
                return
            live.agent = asyncio.current_task()
            session = live.session
            labels = Labels(session.id, agent, session.directory)
            count, breath = 0, self._settings.breath
            try:
                for voice, turn in turns:
                    voice.publish(session, turn.begin(), labels)
                async with aclosing(current().acts(play(script, self._workspace))) as acts:
                    async for act in acts:
                        for voice, turn in turns:
                            voice.publish(session, turn.show(act), labels)
                            if voice.bus.lags:
                                await voice.bus.relax()
                        count += 1
                        if count % breath == 0:
                            await asyncio.sleep(0)
            except asyncio.CancelledError:
                why = "the server is shutting down" if self._running.stopping else "the turn was aborted"
                for voice, turn in turns:
                    voice.publish(session, turn.fail("MessageAbortedError", {"message": why}), labels)
            finally:
                live.agent = None
                session.updated = max(now(), session.updated)
                for voice, turn in turns:
                    voice.publish(session, turn.end(), labels)


async def _abort(live: Live) -> bool:
    task = live.agent
    if task is None:
        return False
    task.cancel()
    await asyncio.wait([task])
    return True
