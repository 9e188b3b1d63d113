"""The requests that the Penguin driver sends: the event stream with its filters and cursors, and JSON calls."""

from __future__ import annotations

import json
from typing import Any, Literal
from urllib.parse import quote, urlencode

from conformance.profile import Profile
from conformance.transcript import Request

STREAM = "/api/v1/events/sse"
_JSON = (("Content-Type", "application/json"), ("Accept", "application/json"))


def subscription(
    profile: Profile,
    *,
    session: str | None = None,
    agent: str | None = None,
    directory: str | None = None,
    cursor: str | None = None,
    cursor_in: Literal["header", "query"] = "header",
    extra: tuple[tuple[str, str], ...] = (),
) -> Request:
    """A request for the event stream. `extra` are further query parameters; None leaves one out."""
    named = (("session_id", session), ("agent_id", agent), ("directory", directory))
    query = [(name, value) for name, value in named if value is not None]
    query.extend(extra)
    headers: list[tuple[str, str]] = [("Accept", "text/event-stream")]
    if cursor is not None and cursor_in == "query":
        query.append(("last_event_id", cursor))
    elif cursor is not None:
        headers.append(("Last-Event-ID", cursor))
    url = f"{profile.url}{STREAM}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")
    return Request("GET", url, tuple(headers))


def json_request(method: str, url: str, body: Any = None) -> Request:
    """A call with a JSON body (none where `body` is None)."""
    if body is None:
        return Request(method, url, (("Accept", "application/json"),))
    return Request(method, url, _JSON, json.dumps(body).encode("utf-8"))
