"""The seam: the places where a named deviation may take hold of the server. By default nothing does.

The server asks `current()` where it makes something (an agent's run, a subscription, the events of a turn) and
lets the deviation of the request wrap it. Nothing is asked per byte, and a server that was started without leave
for faults never has another deviation than `NONE`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

if TYPE_CHECKING:
    from reference_server.agent import AgentEvent
    from reference_server.bus import Filter, Gap, Published, Subscriber
    from reference_server.session import Event, Session

    Acts = AsyncGenerator[AgentEvent, None]
    Missed = tuple[Published, ...] | Gap
    Find = Callable[[str, Filter], Missed]


class Deviation:
    """Changes nothing. What differs from the protocol, or is odd and legal, is a subclass."""

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request: what it asks and what it is answered may be changed here."""
        await app(scope, receive, send)

    def acts(self, acts: Acts) -> Acts:
        """What the agent does on one prompt."""
        return acts

    def events(self, session: Session, events: Iterable[Event]) -> Iterable[Event]:
        """Events of a session on an event bus, before they are numbered."""
        return events

    def wanted(self, wanted: Filter) -> Filter:
        """What a subscriber of an event bus asked for."""
        return wanted

    def missed(self, cursor: str, wanted: Filter, find: Find) -> Missed:
        """What is replayed to a subscriber with a cursor; `find` looks it up."""
        return find(cursor, wanted)

    def subscribed(self, subscriber: Subscriber) -> None:
        """A subscriber of an event bus has been registered."""


NONE = Deviation()
_current: ContextVar[Deviation] = ContextVar("deviation", default=NONE)


def current() -> Deviation:
    """The deviation of the request that is being served; tasks that it starts have it too."""
    return _current.get()


async def serve_with(deviation: Deviation, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one request with a deviation."""
    token = _current.set(deviation)
    try:
        await deviation.serve(app, scope, receive, send)
    finally:
        _current.reset(token)
