"""What all prefixes of one running server share: settings, scenarios, and the agents that are at work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from reference_server.scenarios import Scenarios
from reference_server.sending import Sender
from reference_server.settings import Settings

STOP_SECONDS = 2.0  # that agents have for their last words


class Running:
    """The server's life. `stopping` is true once it has been told to end."""

    def __init__(self, settings: Settings, scenarios: Scenarios) -> None:
        self.settings = settings
        self.scenarios = scenarios
        self.sender = Sender(settings.coalesce)
        self.stopping = False
        self._agents: set[asyncio.Task[None]] = set()
        self._closers: list[Callable[[], None]] = []

    def start(self, agent: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let an agent work in the background; it is cancelled when the server stops."""
        task = asyncio.create_task(agent)
        self._agents.add(task)
        task.add_done_callback(self._agents.discard)
        return task

    async def run(self, agent: Coroutine[Any, Any, None]) -> None:
        """Let an agent work to its end. Cancelled with its caller."""
        task = self.start(agent)
        try:
            await task
        finally:
            task.cancel()

    def at_end(self, close: Callable[[], None]) -> None:
        """Call `close` once all agents have ended."""
        self._closers.append(close)

    async def stop(self) -> None:
        """End agents, then streams: each in order and with its last words."""
        self.stopping = True
        agents = tuple(self._agents)
        for agent in agents:
            agent.cancel()
        if agents:
            await asyncio.wait(agents, timeout=STOP_SECONDS)
        for close in self._closers:
            close()
