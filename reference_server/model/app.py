"""The scripted model as an ASGI application: OpenAI's routes, and a journal."""

from __future__ import annotations

import contextlib
import hmac
import json
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from reference_server.model.answer import Api, error_body
from reference_server.model.chat import ChatApi, Reasoning
from reference_server.model.connection import Client, ClientGoneError
from reference_server.model.conversation import BadRequestError, FailureCount, due
from reference_server.model.embeddings import embed
from reference_server.model.journal import Journal
from reference_server.model.playing import play, refuse, send_json
from reference_server.model.responses import ResponsesApi
from reference_server.script import ScriptError

MAX_BODY = 64 * 1024 * 1024  # bytes of a request


def create_model_app(*, token: str | None = None, reasoning: Reasoning = "both") -> ASGIApp:
    """The application. `token`: the bearer token that every request must carry; None: any or none.

    Routes: `POST /v1/chat/completions`, `POST /v1/responses`, `POST /v1/embeddings`, `GET /v1/models`, and
    `GET /__model/calls` (the journal; `?since=N` for the calls after number N).
    """
    journal = Journal()

    async def calls(request: Request) -> Response:
        since = request.query_params.get("since", "0")
        if not since.isdecimal():
            return JSONResponse(error_body("`since` is not a number", 400), 400)
        return JSONResponse(journal.to_data(int(since)))

    # `Router` instead of `Starlette`: no middleware stands between an answer and the server's own `send`,
    # which a reset needs.
    router = Router(
        [
            Route("/v1/chat/completions", ModelCalls(ChatApi(reasoning), journal), methods=["POST"]),
            Route("/v1/responses", ModelCalls(ResponsesApi(), journal), methods=["POST"]),
            Route("/v1/embeddings", _embeddings(journal), methods=["POST"]),
            Route("/v1/models", _models, methods=["GET"]),
            Route("/v1/models/{model:path}", _models, methods=["GET"]),
            Route("/__model/calls", calls, methods=["GET"]),
        ],
        redirect_slashes=False,
        default=_not_found,
    )
    return router if token is None else RequireToken(router, token)


class ModelCalls:
    """The route of one API, in raw ASGI."""

    def __init__(self, api: Api, journal: Journal) -> None:
        self._api = api
        self._journal = journal
        self._failures = FailureCount()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        with contextlib.suppress(ClientGoneError):
            body = await _body(receive)
            async with Client(receive, send) as client:
                if body is None:
                    await send_json(client, 413, error_body(f"the body is longer than {MAX_BODY} bytes", 413))
                else:
                    await self._answer(client, scope["path"], body)

    async def _answer(self, client: Client, path: str, body: bytes) -> None:
        try:
            request = self._api.read(_json(body))
            what = due(request)
        except (BadRequestError, ScriptError) as error:
            self._journal.close(self._journal.open(path, ""), "refused", 400)
            await send_json(client, 400, error_body(str(error), 400))
            return
        call = self._journal.open(
            path,
            request.model,
            stream=request.stream,
            turn=what.number if what.scripted else None,
            side_call=what.side_call,
            prompt=what.prompt,
        )
        if self._failures.fails(what):
            await refuse(client, what, call, self._journal)
            return
        answer = self._api.answer(request, what, call.number)
        await play(client, request, what, answer, call, self._journal)
        if call.state == "finished":
            self._api.finished(request, what, call.number)


class RequireToken:
    """Lets only requests with the right bearer token through."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if scope["type"] == "http":
            given = Headers(scope=scope).get("authorization", "").encode()
            if not hmac.compare_digest(given, self._expected):
                body = error_body("the bearer token is missing or wrong", 401)
                response = JSONResponse(body, 401, {"WWW-Authenticate": "Bearer"})
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _embeddings(journal: Journal) -> Callable[[Request], Awaitable[Response]]:
    async def embeddings(request: Request) -> Response:
        try:
            body = await _body(request.receive)
            if body is None:
                raise BadRequestError(f"the body is longer than {MAX_BODY} bytes")
            answer = embed(_json(body))
        except (BadRequestError, ClientGoneError) as error:
            return JSONResponse(error_body(str(error), 400), 400)
        journal.close(journal.open(request.url.path, answer["model"]), "finished")
        return JSONResponse(answer)

    return embeddings


async def _models(request: Request) -> Response:
    """Any model name is accepted; one is listed for clients that look before they ask."""
    name = request.path_params.get("model")
    model = {"id": name or "scripted", "object": "model", "created": 0, "owned_by": "sse-conformance"}
    return JSONResponse(model if name else {"object": "list", "data": [model]})


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        hint = "" if scope["path"].startswith("/v1/") else " (the base URL of this API ends in /v1)"
        response = JSONResponse(error_body(f"no such route: {scope['path']}{hint}", 404), 404)
        await response(scope, receive, send)


async def _body(receive: Receive) -> bytes | None:
    """The request's body, or None where it is too long."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        size += len(message.get("body", b""))
        if size <= MAX_BODY:
            chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks) if size <= MAX_BODY else None


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise BadRequestError("the body is not JSON") from None
