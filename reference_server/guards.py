"""What stands before every route: CORS, rate limit, credentials. Each is absent unless it was asked for."""

from __future__ import annotations

import hmac
import math
import re
import time
from collections import OrderedDict, deque

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from reference_server.settings import Auth, RateLimit, Settings

# What browsers must ask leave for: the protocols' own headers, and those that carry credentials.
ALLOWED_HEADERS = ("authorization", "cache-control", "content-type", "last-event-id", "x-api-key")
_HEALTH = re.compile(r"(/[a-z]+/\d+)?(/health|/api/v1/health|/global/health)")
METHODS = ("GET", "POST", "PATCH", "DELETE")
MAX_CLIENTS = 10_000  # whose requests are counted; the one longest silent is forgotten


def guards(settings: Settings) -> list[Middleware]:
    """The middleware, outermost first: refusals carry CORS headers, preflights need no credentials."""
    chosen = []
    if settings.cors:
        chosen.append(
            Middleware(
                CORSMiddleware,
                allow_origins=list(settings.cors),
                allow_methods=list(METHODS),
                allow_headers=[*ALLOWED_HEADERS, *([settings.auth.header] if settings.auth else [])],
            )
        )
    if settings.rate_limit is not None:
        chosen.append(Middleware(RateLimitMiddleware, limit=settings.rate_limit))
    if settings.auth is not None:
        chosen.append(Middleware(AuthMiddleware, auth=settings.auth))
    return chosen


def open_to_all(scope: Scope) -> bool:
    """Whether a request needs no leave: health checks."""
    return _HEALTH.fullmatch(scope["path"]) is not None


class AuthMiddleware:
    """401 with a challenge for requests without the right credentials."""

    def __init__(self, app: ASGIApp, auth: Auth) -> None:
        self.app = app
        self._auth = auth
        self._value = _canonical(auth.value)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and not open_to_all(scope):
            given = Headers(scope=scope).get(self._auth.header, "")
            if not hmac.compare_digest(_canonical(given), self._value):
                refusal = JSONResponse(
                    {"detail": "Not authenticated"}, 401, {"WWW-Authenticate": self._auth.challenge}
                )
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _canonical(credentials: str) -> bytes:
    """Credentials with the scheme, where there is one, in lower case: RFC 9110 §11.1 ignores its case."""
    scheme, space, rest = credentials.partition(" ")
    return f"{scheme.lower() if space else scheme}{space}{rest}".encode("latin-1")


class RateLimitMiddleware:
    """429 with `Retry-After` (whole seconds) for a client address that asks more often than it may."""

    def __init__(self, app: ASGIApp, limit: RateLimit) -> None:
        self.app = app
        self._limit = limit
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http" and not open_to_all(scope):
            wait = self._count((scope.get("client") or ("", 0))[0], time.monotonic())
            if wait > 0:
                headers = {"Retry-After": str(math.ceil(wait))}
                await JSONResponse({"detail": "Too many requests"}, 429, headers)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _count(self, client: str, now: float) -> float:
        """Seconds until this client may ask again; 0 if it may now, which is then counted."""
        seen = self._seen.setdefault(client, deque())
        self._seen.move_to_end(client)
        if len(self._seen) > MAX_CLIENTS:
            self._seen.popitem(last=False)
        while seen and seen[0] <= now - self._limit.seconds:
            seen.popleft()
        if len(seen) >= self._limit.requests:
            return seen[0] + self._limit.seconds - now
        seen.append(now)
        return 0.0
