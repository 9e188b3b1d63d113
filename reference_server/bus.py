"""An event bus: filters, fan-out, and a bounded buffer for replay.

Subscribers who asked for the same are one audience: what they are sent is put together once for all of them, when the
sender comes round, and shared by their mailboxes. Publishing never waits. Where a subscriber lags, an agent calls
`relax` between its events, which gives those that read a chance to keep up and costs next to nothing for those that do
not read at all.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from reference_server.mailbox import JOIN, Mailbox
from reference_server.sending import Sender

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


Place = tuple[str | None, str | None] | None  # the session or the directory that is asked for, or neither


def _place(wanted: Filter) -> Place:
    """Where an audience is looked for: an event is not held against every filter there is."""
    if type(wanted) is not Filter:
        return None
    if wanted.session is not None:
        return wanted.session, None
    return None if wanted.directory is None else (None, wanted.directory)


class Subscriber:
    """A mailbox, and the audience that it belongs to."""

    __slots__ = ("audience", "mailbox", "patience")

    def __init__(self, audience: Audience, mailbox: Mailbox) -> None:
        self.audience = audience
        self.mailbox = mailbox
        self.patience = INDULGENCE


class Audience:
    """Subscribers who asked for the same, and the frames that are to be delivered to all of them."""

    __slots__ = ("_bus", "due", "frames", "key", "members", "size", "wanted")

    def __init__(self, bus: Bus, wanted: Filter, key: object) -> None:
        self._bus = bus
        self.wanted = wanted
        self.key = key
        self.members: dict[Subscriber, None] = {}
        self.frames: list[bytes] = []
        self.size = 0  # of the frames, in bytes
        self.due = False  # the sender knows

    def flush(self, now: float) -> None:
        """The sender comes round."""
        self.due = False
        self._bus.deliver(self)


class Bus:
    """Fan-out to any number of subscribers, and replay of the newest events.

    `replay_events` and `replay_bytes` bound the buffer (0 events: nothing can be replayed).
    """

    def __init__(
        self, sender: Sender, *, queue_bytes: int, queue_events: int, replay_events: int, replay_bytes: int
    ) -> None:
        self._sender = sender
        self._queue_bytes = queue_bytes
        self._queue_events = queue_events
        self._replay_events = replay_events
        self._replay_bytes = replay_bytes
        self._audiences: dict[Place, dict[object, Audience]] = {}
        self._buffer: deque[Published] = deque()
        self._buffered = 0
        self._lagging: set[Subscriber] = set()

    @property
    def subscribers(self) -> int:
        """How many streams are open."""
        return sum(len(audience.members) for audience in self._all())

    def publish(self, event: Published) -> None:
        """Hand an event to everyone whose filter it passes, and remember it."""
        if event.event_id is not None:
            self._remember(event)
        frame, labels = event.frame, event.labels
        for place in (None, (labels.session, None), (None, labels.directory)):
            here = self._audiences.get(place)
            # a copy: who does not keep up is dropped meanwhile
            for audience in tuple(here.values()) if here else ():
                if audience.wanted.passes(labels):
                    audience.frames.append(frame)
                    audience.size += len(frame)
                    if audience.size >= JOIN or 4 * len(audience.frames) >= self._queue_events:
                        self.deliver(audience)
                    elif not audience.due:
                        audience.due = True
                        self._sender.announce(audience)

    def deliver(self, audience: Audience) -> None:
        """Put what an audience is to be sent into its mailboxes."""
        count = len(audience.frames)
        if not count:
            return
        frames = b"".join(audience.frames)
        audience.frames.clear()
        audience.size = 0
        overflowed = []
        size, events = self._queue_bytes // 4, self._queue_events // 4
        for subscriber in audience.members:
            box = subscriber.mailbox
            if not box.offer(frames, count):
                overflowed.append(subscriber)
            elif box.queued >= size or box.count >= events:
                self._lagging.add(subscriber)
        for subscriber in overflowed:
            self.unsubscribe(subscriber)

    def subscribe(self, wanted: Filter) -> Subscriber:
        """Register a listener: whatever is published from now on is in its mailbox, sooner or later."""
        # a filter of another kind may have a memory, and is nobody else's
        key: object = wanted if type(wanted) is Filter else id(wanted)
        place = _place(wanted)
        if (audience := self._audiences.get(place, {}).get(key)) is not None:
            self.deliver(audience)  # what was published before is not for it; there may be nobody left then
        audience = self._audiences.setdefault(place, {}).setdefault(key, Audience(self, wanted, key))
        subscriber = Subscriber(audience, Mailbox(self._queue_bytes, self._queue_events))
        audience.members[subscriber] = None
        return subscriber

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Forget a listener. One that is forgotten already changes nothing."""
        audience = subscriber.audience
        if subscriber not in audience.members:
            return
        del audience.members[subscriber]
        self._lagging.discard(subscriber)
        if not audience.members:
            place = _place(audience.wanted)
            del self._audiences[place][audience.key]
            if not self._audiences[place]:
                del self._audiences[place]

    def missed(self, cursor: str, wanted: Filter) -> tuple[Published, ...] | Gap:
        """What came after a cursor and passes the filter, in order; the gap, if the cursor is not known."""
        found: list[Published] = []
        for event in reversed(self._buffer):
            if event.event_id == cursor:
                return tuple(reversed(found))
            if wanted.passes(event.labels):
                found.append(event)
        return Gap(cursor, found[-1].event_id if found else None, found[0].event_id if found else None)

    @property
    def lags(self) -> bool:
        """Whether a subscriber does not keep up."""
        return bool(self._lagging)

    async def relax(self) -> None:
        """Wait a little for subscribers that lag and still read."""
        for subscriber in tuple(self._lagging):
            await self._wait_for(subscriber)

    def close(self) -> None:
        """End every stream, after what is queued."""
        for audience in self._all():
            self.deliver(audience)
            for subscriber in tuple(audience.members):
                subscriber.mailbox.end()
                self.unsubscribe(subscriber)

    def _all(self) -> list[Audience]:
        return [audience for here in self._audiences.values() for audience in here.values()]

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
