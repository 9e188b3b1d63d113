"""The Penguin driver: sessions over HTTP, their events on `GET /api/v1/events/sse`.

Routes: Penguin SSE Endpoint Documentation (the stream) and the server's session API (the stimulus).
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal
from urllib.parse import quote, urlencode

from conformance.observe.drivers.bus import BusDriver, Sent
from conformance.observe.drivers.penguin_requests import subscription
from conformance.observe.drivers.requests import json_request
from conformance.observe.drivers.template import template_of
from conformance.observe.recording import Recording
from conformance.observe.transport import LiveStream
from conformance.transcript import Request


class PenguinDriver(BusDriver):
    """Speaks penguin/1 and penguin/2."""

    family = "penguin"
    filters_by_session = True

    @property
    def shows_sessions(self) -> bool:
        """The document of penguin/1 shows no event about a session."""
        return self.profile.revision >= 2

    def stream_of(self, session: str | None, directory: str | None) -> Request:
        """`GET /api/v1/events/sse` with its filters."""
        return subscription(self.profile, session=session, directory=directory)

    async def subscribe(
        self,
        recording: Recording,
        role: str,
        *,
        session: str | None = None,
        directory: str | None = None,
        required: bool = True,
        joins: bool = False,
        agent: str | None = None,
        cursor: str | None = None,
        cursor_in: Literal["header", "query"] = "header",
        extra: tuple[tuple[str, str], ...] = (),
    ) -> LiveStream:
        """As for any bus, with Penguin's filter by agent, a cursor, and further query parameters."""
        request = subscription(
            self.profile,
            session=session,
            agent=agent,
            directory=directory,
            cursor=cursor,
            cursor_in=cursor_in,
            extra=extra,
        )
        from_start = session is not None and cursor is None and not joins
        return await self._open(recording, role, request, from_start=from_start, required=required)

    async def sessions(self, recording: Recording, *, note: str = "") -> Any:
        """The target's list of sessions, None where it gives none."""
        request = json_request("GET", f"{self.profile.url}/session")
        answer = await recording.act("call", request, note=note or "list sessions")
        return answer.json if answer.ok else None

    def _creation(self, title: str, directory: str | None) -> Request:
        query = "" if directory is None else f"?{urlencode({'directory': directory}, quote_via=quote)}"
        body = {"title": title} if directory is None else {"title": title, "directory": directory}
        return json_request("POST", f"{self.profile.url}/session{query}", body)

    def _prompting(self, session: str, text: str, agent: str) -> Request:
        body = {"text": text, "session_id": session, "agent_id": agent, "streaming": True}
        return json_request("POST", f"{self.profile.url}/api/v1/chat/message", body)

    def _on_session(self, method: str, session: str, action: str = "", body: Any = None) -> Request:
        return json_request(method, f"{self.profile.url}/session/{quote(session, safe='')}{action}", body)

    async def _over(self, recording: Recording, sent: Sent) -> bool:
        """Wait for the turn's end; False where only its answer came, or nothing."""
        deadline = recording.seconds(self.profile.limits.turn)
        if not self.shows_sessions:
            await asyncio.wait({sent.answer}, timeout=deadline)
            return sent.answer.done()
        idle = asyncio.create_task(sent.stream.wait(lambda live: self._idle(live, sent), deadline))
        try:
            await asyncio.wait({idle, sent.answer}, timeout=deadline, return_when=asyncio.FIRST_COMPLETED)
            if not idle.done():
                # The protocol's own prompt is answered when the turn has ended; a template's may be at once.
                if template_of(self.profile, "prompt") is not None:
                    await asyncio.wait({idle}, timeout=deadline)
                else:
                    await self._patiently(recording, sent.stream, lambda live: self._idle(live, sent))
            seen = self._idle(sent.stream, sent)
            if (seen or idle.done()) and not sent.answer.done():
                await asyncio.wait({sent.answer}, timeout=deadline)
            return seen
        finally:
            idle.cancel()


__all__ = ["PenguinDriver"]
