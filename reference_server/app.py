"""The ASGI application: every protocol and revision under its own prefix, the newest of each at the root."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from reference_server.agentsmithy import AgentSmithy
from reference_server.connection import ConnectionMiddleware
from reference_server.faults.choosing import Choosing, Refusing
from reference_server.guards import guards
from reference_server.ids import Ids
from reference_server.opencode import OpenCode
from reference_server.penguin import Penguin, new_session_id
from reference_server.running import Running
from reference_server.scenarios import Scenarios, shipped
from reference_server.script import ScriptError
from reference_server.sessions import Sessions
from reference_server.settings import Settings

Answer = Callable[[Request], Awaitable[Response]]


class App:
    """The application and what it runs: `running.stop()` ends all streams in order."""

    def __init__(self, settings: Settings, scenarios: Scenarios | None = None) -> None:
        self.running = Running(settings, scenarios or Scenarios(shipped(), settings.default_script))
        starlette = _starlette(self.running)
        asgi: ASGIApp = _Streams(starlette)
        for cls, args, kwargs in reversed(guards(settings)):
            asgi = cls(asgi, *args, **kwargs)
        # outermost, for what needs the connection that the others wrap
        asgi = Choosing(asgi, settings.fault) if settings.allow_faults else Refusing(asgi)
        self._asgi = ConnectionMiddleware(asgi)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if self.running.stopping and scope["type"] == "http":
            refusal = JSONResponse({"detail": "the server is shutting down"}, 503, {"Connection": "close"})
            await refusal(scope, receive, send)
            return
        await self._asgi(scope, receive, send)


def create_app(settings: Settings) -> App:
    """The application with the shipped scenarios."""
    return App(settings)


def _starlette(running: Running) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        # plain uvicorn does not call `stop` itself, and comes here when its streams are gone
        await running.stop()

    return Starlette(
        routes=[
            Mount("/agentsmithy/1", routes=agentsmithy_routes(1, running)),
            Mount("/agentsmithy/2", routes=agentsmithy_routes(2, running)),
            Mount("/penguin/1", routes=penguin_routes(1, running)),
            Mount("/penguin/2", routes=penguin_routes(2, running)),
            Mount("/opencode/1", routes=opencode_routes(running)),
            *root_routes(running),
        ],
        exception_handlers={HTTPException: _refused, ScriptError: _bad_script, Exception: _broken},
        lifespan=lifespan,
    )


def agentsmithy_routes(revision: int, running: Running) -> list[BaseRoute]:
    """One AgentSmithy with state of its own."""
    server = AgentSmithy(revision, running)
    return [
        _stream("/api/chat", "POST", server.chat),
        _route("/api/dialogs", POST=server.create_dialog),
        _route("/api/dialogs/{id}", DELETE=server.delete_dialog),
        _route("/api/dialogs/{id}/history", GET=server.history),
        _route("/health", GET=health),
    ]


def penguin_routes(revision: int, running: Running) -> list[BaseRoute]:
    """One Penguin with sessions of its own."""
    sessions = Sessions(running, new_session_id)
    return [*_penguin(Penguin(revision, running, sessions)), *_sessions(sessions)]


def opencode_routes(running: Running) -> list[BaseRoute]:
    """One OpenCode with sessions of its own."""
    ids = Ids()
    sessions = Sessions(running, lambda: ids.make("ses", descending=True))
    return [*_opencode(OpenCode(running, sessions, ids)), *_sessions(sessions)]


def root_routes(running: Running) -> list[BaseRoute]:
    """The newest of each. Penguin and OpenCode have the same sessions, which Penguin answers for."""
    sessions = Sessions(running, new_session_id)
    return [
        *agentsmithy_routes(2, running),
        *_penguin(Penguin(2, running, sessions)),
        *_opencode(OpenCode(running, sessions, Ids())),
        *_sessions(sessions),
    ]


def _penguin(server: Penguin) -> list[BaseRoute]:
    return [
        _stream("/api/v1/events/sse", "GET", server.events),
        _route("/api/v1/chat/message", POST=server.message),
        _route("/api/v1/health", GET=health),
    ]


def _opencode(server: OpenCode) -> list[BaseRoute]:
    return [
        _stream("/event", "GET", server.events),
        _route("/session/{id}/prompt_async", POST=server.prompt),
        _route("/global/health", GET=server.health),
    ]


def _sessions(sessions: Sessions) -> list[BaseRoute]:
    return [
        _route("/session", GET=sessions.list_all, POST=sessions.create),
        _route("/session/{id}", GET=sessions.get, PATCH=sessions.update, DELETE=sessions.delete),
        _route("/session/{id}/abort", POST=sessions.abort),
    ]


async def health(request: Request) -> JSONResponse:
    """`GET /health` and `GET /api/v1/health`."""
    return JSONResponse({"status": "healthy", "server_status": "ready"})


class _Endpoint:
    """An endpoint in raw ASGI for the methods that it has. HEAD is not GET here: it is refused too."""

    def __init__(self, methods: Mapping[str, ASGIApp]) -> None:
        self._methods = methods

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._methods.get(scope["method"])
        if app is None:
            raise HTTPException(405, "Method Not Allowed", {"Allow": ", ".join(self._methods)})
        await app(scope, receive, send)


class _Streams:
    """Answers requests for event streams itself: nothing of the application stays around a stream while it lasts."""

    def __init__(self, app: Starlette) -> None:
        self._app = app
        self._streams = {
            (route.endpoint.method, prefix + route.path): route.endpoint.app
            for prefix, route in _routes(app.routes)
            if isinstance(route.endpoint, _Stream)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        stream = self._streams.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if stream is None:
            await self._app(scope, receive, send)
            return
        try:
            await stream(scope, receive, send)
        except HTTPException as error:
            refusal = await _refused(Request(scope), error)
        except ScriptError as error:
            refusal = await _bad_script(Request(scope), error)
        else:
            return
        await refusal(scope, receive, send)


def _routes(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[tuple[str, Route]]:
    for route in routes:
        if isinstance(route, Mount):
            yield from _routes(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            yield prefix, route


class _Stream(_Endpoint):
    """An endpoint whose answer to one method is an event stream."""

    def __init__(self, method: str, app: ASGIApp) -> None:
        super().__init__({method: app})
        self.method = method
        self.app = app


def _stream(path: str, method: str, app: ASGIApp) -> Route:
    return Route(path, _Stream(method, app))


def _route(path: str, **methods: Answer) -> Route:
    return Route(path, _Endpoint({method: _answering(answer) for method, answer in methods.items()}))


def _answering(answer: Answer) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await answer(Request(scope, receive))
        await response(scope, receive, send)

    return app


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, error.status_code, headers=error.headers)


async def _bad_script(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 400)


async def _broken(request: Request, error: Exception) -> Response:
    # the exception goes on to the server, which logs it
    return JSONResponse({"detail": "Internal Server Error"}, 500)
