"""OpenCode's routes: `GET /event`, and prompts that are answered at once while their turn goes on."""

from __future__ import annotations

import posixpath
from collections.abc import Awaitable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from reference_server.bus import Filter, Labels, Published
from reference_server.frames import Encoder
from reference_server.ids import Ids
from reference_server.requests import member, read_object
from reference_server.running import Running
from reference_server.session import Event, Json, Prompt, Session
from reference_server.sessions import Sessions
from reference_server.shape_opencode import VERSION, Turn, info
from reference_server.stream import Beat, Headers
from reference_server.voice import Change, Voice

HEARTBEAT = 10.0  # seconds
AGENT = "build"
HEADERS: Headers = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


class OpenCode(Voice):
    """OpenCode at one base URL. Nothing is replayed: who comes late sees what follows."""

    def __init__(self, running: Running, sessions: Sessions, ids: Ids) -> None:
        super().__init__(running, replay_events=0)
        self._sessions = sessions
        self._ids = ids
        self._encoder = Encoder(self._settings.line_ending, compact=self._settings.compact)
        self._beat = Beat(lambda: self._own("server.heartbeat"), self._settings.heartbeat or HEARTBEAT)
        sessions.add(self)

    def events(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """`GET /event` (ASGI): one directory, the workspace if none is named."""
        directory = Request(scope).query_params.get("directory") or self._settings.workspace
        return self.listen(
            scope,
            receive,
            send,
            wanted=Filter(directory=posixpath.normpath(directory)),
            first=lambda wanted: [self._own("server.connected")],
            beat=self._beat,
            headers=HEADERS,
        )

    async def prompt(self, request: Request) -> Response:
        """`POST /session/{id}/prompt_async`: 204 at once."""
        live = self._sessions.find(request.path_params["id"])
        body = await read_object(request.scope, request.receive, self._settings.max_body)
        prompt = read_prompt(body)
        script = self._running.scenarios.script_for("\n".join(prompt.texts))
        self._sessions.start(live, prompt, script)
        return Response(status_code=204)

    async def health(self, request: Request) -> JSONResponse:
        """`GET /global/health`."""
        return JSONResponse({"healthy": True, "version": VERSION})

    def info(self, session: Session) -> Json:
        """A session as `POST /session` answers it."""
        return info(session)

    def turn(self, session: Session, prompt: Prompt) -> Turn:
        """The events of a prompt."""
        return Turn(session, prompt, self._ids)

    def change(self, session: Session, change: Change) -> Event:
        """`session.created`, `session.updated` or `session.deleted`."""
        return Event(f"session.{change}", {"sessionID": session.id, "info": info(session)})

    def write(self, session: Session, event: Event, labels: Labels) -> None:
        """Each event has an id in its JSON, and none of SSE: no cursor reaches back."""
        self.bus.publish(Published(None, labels, self._frame(event)))

    def _own(self, kind: str) -> bytes:
        """A frame for one connection alone."""
        return self._frame(Event(kind, {}))

    def _frame(self, event: Event) -> bytes:
        data = {"id": self._ids.make("evt"), "type": event.type, "properties": event.properties}
        return self._encoder.frame(data)


def read_prompt(body: Json) -> Prompt:
    """A prompt from a request's body. Raises `HTTPException` 422. Parts that are not text are not looked at."""
    parts = body.get("parts")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise HTTPException(422, "`parts` must be a list of objects")
    texts = [member(part, "text", str, "a string", "") for part in parts if part.get("type") == "text"]
    agent = member(body, "agent", str, "a string") or AGENT
    return Prompt(tuple(texts), agent, member(body, "messageID", str, "a string"))
