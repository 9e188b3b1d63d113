"""The OpenCode driver: sessions over HTTP, the events of their directory on `GET /event`.

Routes: OpenCode's own description of itself (`GET /doc`, OpenAPI). A prompt is answered at once, so the turn's end is
seen on the stream. There is no filter by session: a client picks its own events by `properties.sessionID`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any
from urllib.parse import quote, urlencode

from conformance.observe.drivers.bus import BusDriver, Over, Sent
from conformance.observe.drivers.requests import json_request
from conformance.observe.recording import Recording
from conformance.observe.transport import LiveStream
from conformance.profile import Profile
from conformance.script import Script
from conformance.transcript import Request

STREAM = "/event"
_LONG = 3_600.0  # seconds: a wait that others end


class OpenCodeDriver(BusDriver):
    """Speaks opencode/1."""

    family = "opencode"
    filters_by_session = False

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self._streams: list[tuple[LiveStream, str]] = []  # that were opened, and their URLs

    def stream_of(self, session: str | None, directory: str | None) -> Request:
        """`GET /event` of the directory that the session works in."""
        where = directory or self._where(session)
        return Request("GET", self._url(STREAM, where), (("Accept", "text/event-stream"),))

    def _creation(self, title: str, directory: str | None) -> Request:
        return json_request(
            "POST", self._url("/session", directory or self.profile.workspace), {"title": title}
        )

    def _prompting(self, session: str, text: str, agent: str) -> Request:
        body = {"parts": [{"type": "text", "text": text}]} | ({"agent": agent} if agent else {})
        return self._on_session("POST", session, "/prompt_async", body)

    def _on_session(self, method: str, session: str, action: str = "", body: Any = None) -> Request:
        path = f"/session/{quote(session, safe='')}{action}"
        return json_request(method, self._url(path, self._where(session)), body)

    def _where(self, session: str | None) -> str | None:
        """The directory to name in requests: the one that the session was made for, else the workspace."""
        return (self._asked.get(session) if session is not None else None) or self.profile.workspace

    def _url(self, path: str, directory: str | None) -> str:
        query = f"?{urlencode({'directory': directory}, quote_via=quote)}" if directory else ""
        return f"{self.profile.url}{path}{query}"

    async def _over(self, recording: Recording, sent: Sent) -> bool:
        await asyncio.wait({sent.answer}, timeout=recording.seconds(self.profile.limits.turn))
        return self._idle(sent.stream, sent)

    def _ending(
        self, recording: Recording, stream: LiveStream, session: str, script: Script | None
    ) -> Over | None:
        """The session's idle after its busy.

        Where it does not come though the turn has said all that it was to say, or that it failed, or though another
        of our streams of that directory shows it: that moment. A model that fails however often it is asked is tried
        again for minutes: once that shows, the turn is aborted.
        """
        progress = self.progress(stream)
        # Another stream may lag: what it has yet to show of earlier turns is none of this one's end.
        beside = self._beside(stream, session)
        known = frozenset[str]().union(*(self.progress(live).users(session) for live in (stream, *beside)))
        before, failures = progress.turns(session), progress.failures(session)
        retries, completed = progress.retries(session), progress.completed(session)
        fails = script is not None and script.fails
        keeps_failing = script is not None and script.keeps_failing

        def idle(live: LiveStream) -> bool:
            return self.progress(live).turns(session) > before

        def hopeless(live: LiveStream) -> bool:
            return keeps_failing and self.progress(live).retries(session) > retries

        def told(live: LiveStream) -> bool:
            if self.progress(live).failures(session) > failures and (fails or session in self._aborted):
                return True
            if script is None or keeps_failing:
                return False
            return self._said(live, session, script, completed)

        async def elsewhere(live: LiveStream) -> None:
            if not await live.wait(lambda live: self.progress(live).over_since(session, known), _LONG):
                await asyncio.sleep(_LONG)  # it has ended and will not say

        async def over() -> float | None:
            own = stream.wait(lambda live: idle(live) or hopeless(live) or told(live), _LONG)
            await _first_of(own, *map(elsewhere, beside))
            if hopeless(stream) and not idle(stream):
                await self.abort(recording, session)
            moment = recording.now()
            if idle(stream) or await self._patiently(recording, stream, idle):
                return recording.now()
            return None if stream.ended else moment

        return over

    def _beside(self, stream: LiveStream, session: str) -> list[LiveStream]:
        """Our other open streams of the session's directory."""
        url = self.stream_of(session, None).url
        return [live for live, of in self._streams if of == url and live is not stream and not live.ended]

    async def _open(
        self, recording: Recording, role: str, request: Request, *, from_start: bool, required: bool
    ) -> LiveStream:
        stream = await super()._open(recording, role, request, from_start=from_start, required=required)
        self._streams.append((stream, request.url))
        return stream


async def _first_of(*waits: Coroutine[Any, Any, object]) -> None:
    """Return when one of them does; the others are given up."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


__all__ = ["OpenCodeDriver"]
