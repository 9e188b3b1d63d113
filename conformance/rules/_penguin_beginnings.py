"""Where turns begin, so that a connection is held only to what it could see."""

from __future__ import annotations

from collections import OrderedDict

from conformance.message import Message
from conformance.parts import GAP, STATUS, session_of, status_of
from conformance.rules.base import StreamContext

MESSAGES = 8_192  # messages remembered per connection, and sessions


class Beginnings:
    """Which sessions a connection has seen a turn begin in: only those are held to what came before.

    So are the sessions that are known to have been at rest when it was opened. Else a turn begins with busy after
    idle. Busy alone proves nothing, for it is said again while a turn goes on, and so may be what is known of the
    user's message.
    """

    KINDS = frozenset({STATUS, "session.created", GAP})  # the events that it takes note of

    def __init__(self, context: StreamContext) -> None:
        self._all = context.from_start
        self._begun = context.begun
        self._some: OrderedDict[str, bool] = OrderedDict()  # whether a turn has begun since it was idle

    def feed(self, message: Message) -> tuple[()]:
        """Take note of an event that begins or ends a turn or makes a session, or of a gap."""
        if message.type == GAP:
            self.forget()
            self._some.clear()
        elif message.type == "session.created":
            self._note(session_of(message), True)
        elif (status := status_of(message)) is not None:
            if status[1] == "idle":
                self._note(status[0], self._some.get(status[0], False))
            elif status[0] in self._some:
                self._note(status[0], True)
        return ()

    def _note(self, session: str, begun: bool) -> None:
        self._some[session] = begun
        if len(self._some) > MESSAGES:
            self._some.popitem(last=False)

    def seen(self, session: str) -> bool:
        """Whether what is missing of this session now is missing indeed."""
        return self._all or session in self._begun or self._some.get(session, False)

    def forget(self) -> None:
        """Say that something was dropped from a window: nothing is held to what came before any more."""
        self._all, self._begun = False, frozenset()
