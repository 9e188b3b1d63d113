"""The event bus of one Penguin prefix: numbering, filters, fan-out, and a bounded buffer for replay.

Publishing never waits. An agent calls `relax` between its events, which gives subscribers that read a chance
to keep up and costs next to nothing for those that do not read at all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from reference_server.mailbox import Mailbox

PATIENCE = 1.5  # seconds without any reading after which an agent no longer waits for a subscriber
INDULGENCE = 10.0  # seconds that agents wait for one subscriber in all, until it has caught up


@dataclass(frozen=True, slots=True)
class Labels:
    """What an event belongs to; None: to none. Filters look at these and at nothing else."""

    session: str | None = None
    agent: str | None = None
    directory: str | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """What a subscriber asked for: all that is not None must match."""

    session: str | None = None
    agent: str | None = None
    directory: str | None = None

    def passes(self, labels: Labels) -> bool:
        """Whether an event with these labels is for this subscriber.

        What belongs to no session (agent, directory) does not pass where one is asked for: a subscriber to an
        unknown one must see nothing of anyone's.
        """
        return (
            (self.session is None or self.session == labels.session)
            and (self.agent is None or self.agent == labels.agent)
            and (self.directory is None or self.directory == labels.directory)
        )


@dataclass(frozen=True, slots=True)
class Published:
    """An event as it went out: its id (None where the revision has none), labels and shared frame."""

    event_id: str | None
    labels: Labels
    frame: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """A cursor that is not in the buffer, and the ids at the ends of what the filter passes of the buffer."""

    cursor: str
    oldest: str | None
    newest: str | None


class Subscriber:
    """A mailbox and what it is to hold."""

    __slots__ = ("mailbox", "patience", "wanted")

    def __init__(self, wanted: Filter, mailbox: Mailbox) -> None:
        self.wanted = wanted
        self.mailbox = mailbox
        self.patience = INDULGENCE


class Bus:
    """Fan-out to any number of subscribers, and replay of the newest events.

    `replay_events` and `replay_bytes` bound the buffer (0 events: nothing can be replayed).
    """

    def __init__(self, *, queue_bytes: int, queue_events: int, replay_events: int, replay_bytes: int) -> None:
        self._queue_bytes = queue_bytes
        self._queue_events = queue_events
        self._replay_events = replay_events
        self._replay_bytes = replay_bytes
        self._subscribers: set[Subscriber] = set()
        self._buffer: deque[Published] = deque()
        self._buffered = 0
        self._lagging: set[Subscriber] = set()

    @property
    def subscribers(self) -> int:
        """How many streams are open."""
        return len(self._subscribers)

    def publish(self, event: Published) -> None:
        """Hand an event to everyone whose filter it passes, and remember it."""
        if event.event_id is not None:
            self._remember(event)
        overflowed = []
        mark = self._queue_bytes // 4
        events = self._queue_events // 4
        for subscriber in self._subscribers:
            if subscriber.wanted.passes(event.labels):
                box = subscriber.mailbox
                if not box.offer(event.frame):
                    overflowed.append(subscriber)
                elif box.queued >= mark or box.count >= events:
                    self._lagging.add(subscriber)
        for subscriber in overflowed:
            self._drop(subscriber)

    def subscribe(self, wanted: Filter) -> Subscriber:
        """Register a listener: whatever is published from now on is in its mailbox."""
        subscriber = Subscriber(wanted, Mailbox(self._queue_bytes, self._queue_events))
        self._subscribers.add(subscriber)
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Forget a listener."""
        self._drop(subscriber)

    def missed(self, cursor: str, wanted: Filter) -> tuple[Published, ...] | Gap:
        """What came after a cursor and passes the filter, in order; the gap, if the cursor is not known."""
        found: list[Published] = []
        for event in reversed(self._buffer):
            if event.event_id == cursor:
                return tuple(reversed(found))
            if wanted.passes(event.labels):
                found.append(event)
        return Gap(cursor, found[-1].event_id if found else None, found[0].event_id if found else None)

    async def relax(self) -> None:
        """Let the streams run; wait a little for subscribers that lag and still read."""
        await asyncio.sleep(0)
        for subscriber in tuple(self._lagging):
            await self._wait_for(subscriber)

    def close(self) -> None:
        """End every stream, after what is queued."""
        for subscriber in tuple(self._subscribers):
            subscriber.mailbox.end()
            self._drop(subscriber)

    async def _wait_for(self, subscriber: Subscriber) -> None:
        box = subscriber.mailbox
        loop = asyncio.get_running_loop()
        low = self._queue_bytes // 8
        while subscriber.patience > 0:
            before, started = box.taken, loop.time()
            try:
                async with asyncio.timeout(min(PATIENCE, subscriber.patience)):
                    await box.drained_below(low, self._queue_events // 8)
            except TimeoutError:
                subscriber.patience -= loop.time() - started
                if box.taken == before:
                    subscriber.patience = 0  # it does not read: nobody waits for it until it does
                continue
            subscriber.patience = INDULGENCE
            self._lagging.discard(subscriber)
            return
        if box.ended or (box.queued <= low and box.count <= self._queue_events // 8):
            subscriber.patience = INDULGENCE
            self._lagging.discard(subscriber)

    def _remember(self, event: Published) -> None:
        self._buffer.append(event)
        self._buffered += len(event.frame)
        while self._buffer and (
            len(self._buffer) > self._replay_events or self._buffered > self._replay_bytes
        ):
            self._buffered -= len(self._buffer.popleft().frame)

    def _drop(self, subscriber: Subscriber) -> None:
        self._subscribers.discard(subscriber)
        self._lagging.discard(subscriber)
