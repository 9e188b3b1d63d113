"""A recording in progress: it opens streams, performs actions, and becomes one observation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

from conformance import __version__
from conformance.observe.transport import Answer, LiveStream, Transport
from conformance.profile import Profile
from conformance.script import Script
from conformance.transcript import Action, Observation, Request


class Recording:
    """Collects what one probe sees, on one monotonic clock that starts at 0 when it is made."""

    def __init__(self, probe: str, profile: Profile) -> None:
        self.probe = probe
        self.profile = profile
        self._origin = time.monotonic()
        self._started = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.transport = Transport(profile, self.now)
        self._streams: list[tuple[str, LiveStream]] = []
        self._actions: list[Action] = []
        self._facts: dict[str, Any] = {}
        self._incomplete = ""
        self._background: list[asyncio.Task[Any]] = []

    def now(self) -> float:
        """Seconds since the recording's origin."""
        return time.monotonic() - self._origin

    def seconds(self, base: float) -> float:
        """A deadline in seconds, scaled by the run's one knob."""
        return base * self.profile.timeout_scale

    async def open(
        self,
        role: str,
        request: Request,
        *,
        from_start: bool = True,
        receive_buffer: int | None = None,
        bare: bool = False,
    ) -> LiveStream:
        """Send a request on a raw socket of its own and record the answer under `role` (unique) as it comes.

        Returns as soon as the request is sent; it is read in the background. `bare`: without the profile's
        headers. `receive_buffer`: SO_RCVBUF in bytes. Raises `TargetUnreachable`.
        """
        self._claim(role)
        stream = await self.transport.open(
            request, from_start=from_start, receive_buffer=receive_buffer, bare=bare
        )
        self.keep(role, stream)
        return stream

    def keep(self, role: str, stream: LiveStream) -> None:
        """Record a stream under `role` (unique) that was opened over `transport` without being recorded."""
        self._claim(role)
        self._streams.append((role, stream))

    def _claim(self, role: str) -> None:
        if any(name == role for name, _ in self._streams):
            raise ValueError(f"role {role!r} is used twice in probe {self.probe!r}")

    async def fetch(
        self, role: str, request: Request, *, timeout: float | None = None, bare: bool = False
    ) -> LiveStream:
        """`open`, then wait for the end: at most `timeout` seconds, unscaled (None: head + turn limit)."""
        stream = await self.open(role, request, bare=bare)
        limits = self.profile.limits
        await stream.wait_end(self.seconds(limits.head + limits.turn if timeout is None else timeout))
        return stream

    async def act(
        self,
        kind: str,
        request: Request,
        *,
        session: str = "",
        agent: str = "",
        stream: str = "",
        script: Script | None = None,
        prompt: str = "",
        note: str = "",
        timeout: float | None = None,
        over: Callable[[], Awaitable[float | None]] | None = None,
    ) -> Answer:
        """Perform an ordinary exchange (httpx) that causes something, and record it as an action.

        `over`: what was caused goes on after an answer that is good: waits for its end, and gives that moment
        (None: it was not seen), which becomes the action's `until`. Raises `TargetUnreachable` where no
        connection could be made. A timeout or a broken answer is no exception: the action's `status` is None
        and its `note` says why.
        """
        at = self.now()
        limits = self.profile.limits
        answer, until = Answer(None, error="the probe ended before the answer came"), None

        def performed() -> None:
            self._actions.append(
                Action(
                    at,
                    kind,
                    session=session,
                    agent=agent,
                    stream=stream,
                    script=script,
                    prompt=prompt,
                    status=answer.status,
                    answer=answer.json,
                    until=until,
                    note=note or answer.error,
                )
            )

        try:
            answer = await self.transport.call(
                request, timeout=self.seconds(limits.head + limits.turn if timeout is None else timeout)
            )
            if over is not None and answer.ok:
                until = await over()
            elif answer.status is not None:
                until = self.now()
        except asyncio.CancelledError:
            performed()
            raise
        performed()
        return answer

    def background(self, action: Coroutine[Any, Any, Answer]) -> asyncio.Task[Answer]:
        """Perform an action (`act`) while the probe goes on; `finish` ends it if it is still under way."""
        task = asyncio.create_task(action)
        self._background.append(task)
        return task

    def mark(self, action: Action) -> None:
        """Record an action that the caller performed (a prompt whose answer is itself a recorded stream)."""
        self._actions.append(action)

    def fact(self, name: str, value: Any) -> None:
        """Keep a measured value (JSON)."""
        self._facts[name] = value

    def incomplete(self, reason: str) -> None:
        """Say that the stimulus did not work as declared; the first reason stays."""
        self._incomplete = self._incomplete or reason

    async def finish(self) -> Observation:
        """Close what is still open and freeze everything. Actions are ordered by their beginning."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        for _, stream in self._streams:
            await stream.close()
        await self.transport.close()
        return Observation(
            probe=self.probe,
            profile=self.profile,
            transcripts=tuple((role, stream.transcript()) for role, stream in self._streams),
            actions=tuple(sorted(self._actions, key=lambda action: action.at)),
            facts=tuple(self._facts.items()),
            incomplete=self._incomplete,
            started=self._started,
            suite=__version__,
        )
