"""The request for Penguin's event stream, with its filters and cursors."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote, urlencode

from conformance.profile import Profile
from conformance.transcript import Request

STREAM = "/api/v1/events/sse"


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
