"""Penguin and OpenCode: subscribers that listen for long, and prompts that others send meanwhile.

A *room* is what is subscribed to: with a filter by session, one session and `fanout` subscribers; without one,
everything of a workspace. A room has an asker, a client of its own, that sends one prompt after
the other and waits until all subscribers have heard the answer.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import cycle

import gevent
from gevent.event import AsyncResult, Event

from conformance.transcript import Ended
from loadtests.chats import AGAIN, ENDED, StreamError
from loadtests.client import End, Stream, open_stream
from loadtests.dialects import Bus, dialect_for
from loadtests.integrity import StreamJudge
from loadtests.plan import Mark
from loadtests.run import Run, StatusError, Target, media_type
from loadtests.sequence import Sequence

GATHER = 1.0  # seconds that a room waits for more subscribers before the first prompt
LATECOMERS = 2.0  # seconds that it waits for those who cannot connect
AWAY = 0.1  # seconds that a client is gone whose network changes
SETTLE = 1.0  # seconds that the end of an answer is waited for after its last chunk


class Subscriber:
    """One user's subscription, through all its connections."""

    def __init__(self, room: Room) -> None:
        self.over = Event()
        self.last = time.monotonic()  # when it last heard something
        self.listening = False  # the server is known to have subscribed it
        self.silent = 0  # prompts in a row of whose answers nothing came
        self.unended = False  # an answer has no end yet: the next prompt is its fence
        self._room = room
        self._run = room.run
        self._target = room.target
        self._name = f"subscriber {room.run.subscriber()}"
        self._dialect = room.dialect
        self.sequence = Sequence(self._run.plan, self._run.owners, room.belongs)
        self._judge: StreamJudge | None = None
        self._stream: Stream | None = None
        self._cursor: str | None = None
        self._owed: set[Mark] = set()
        self._missed = 0
        self._leaving = False
        self._lost: float | None = None  # when the connection was lost
        self._failures = 0  # connections in a row that failed
        self._error = ""
        self._detail = ""
        self._resumed = False  # this connection asked for what was missed
        self._renewing = False  # closed by us to connect anew
        self._began = self._opened = time.monotonic()
        self._size = 0
        self._run.open.add(self)
        self._connect()

    # --- the run's side

    def leave(self) -> None:
        """Close as soon as nothing is owed."""
        self._leaving = True
        self._perhaps_close()

    def abandon(self) -> None:
        """Close now; what is under way is not judged, unless it was the server that hung up."""
        self._leaving = True
        self._owed.clear()
        if self._stream is None:
            self._finish()
        else:
            self._stream.close()

    def renew(self) -> None:
        """Hang up, and come again after a moment: what a client does whose network changes."""
        if self._stream is not None and self.listening and not self._leaving:
            self._renewing = True
            self._stream.close()

    # --- the room's side

    def owe(self, mark: Mark, asked: float) -> bool:
        """A prompt is due; whether its answer is to be heard here."""
        resumes = self._dialect.resumes and self._cursor is not None
        if self._leaving or not (self.listening or resumes):
            return False
        self._owed.add(mark)
        self.sequence.owe(mark, asked)
        return True

    def withdraw(self, mark: Mark) -> None:
        """It was not taken."""
        self._owed.discard(mark)
        self.sequence.withdraw(mark)
        self._perhaps_close()

    def awaits(self, mark: Mark) -> bool:
        """Whether its answer is still to come."""
        return mark in self._owed

    def forgo(self, mark: Mark, since: float) -> None:
        """Its answer, asked for at `since`, is no longer waited for: a later one will tell what became of it."""
        self._owed.discard(mark)
        self.unended = True
        self.silent = self.silent + 1 if self.last < since else 0
        if self.silent > 1 and self._stream is not None:
            # Two prompts, and not a word: the stream stands still. That is the server's doing, not ours.
            self._error = "stall"
            self._stream.close()
        self._perhaps_close()

    def stall(self, mark: Mark) -> None:
        """Nothing came for too long, and the turn is not known to be over: the stream is given up."""
        self._owed.discard(mark)
        if self._stream is not None:
            self._error, self._detail = "stall", "nothing new for too long"
            self._stream.close()
        self._perhaps_close()

    # --- the client's side

    def opened(self, began: float, at: float) -> None:
        """The connection stands."""
        self._run.figures.times["connect"].record(at - began)
        self._opened = at

    def head(self, status: int, headers: tuple[tuple[str, str], ...], at: float) -> None:
        """The head: anything but an event stream is an error."""
        self._run.figures.times["headers"].record(at - self._opened)
        if status != 200:
            self._error = "status"
        elif media_type(headers) != "text/event-stream":
            self._error = "media_type"
        if self._error and self._stream is not None:
            self._detail = str(StatusError(status)) if self._error == "status" else media_type(headers)
            self._stream.close()

    def events(self, datas: list[bytes], size: int, at: float) -> None:
        """A read."""
        self._run.received(len(datas), size, at)
        self._size += size
        if not datas:
            return
        if not self.listening:
            self._judge = self._new_judge()
            self.listening = True
            self._failures = 0
            if self._lost is not None:
                self._run.figures.times["reconnect"].record(at - self._lost)
                self._lost = None
        judge = self._judge
        assert judge is not None
        told = judge.told
        judge.events(datas, at)
        if judge.told != told:
            self.last = at
        self._cursor = judge.cursor or self._cursor
        if self.sequence.heard:
            self._hear()
            self._perhaps_close()

    def ended(self, how: End, why: str, at: float) -> None:
        """Judge what is known to be wrong, and come again unless nobody wishes to."""
        try:
            self._ended(how, why, at)
        except Exception as error:
            self._run.figures.fault(f"the end of a stream was not judged: {error!r}")
            self._finish()

    def _ended(self, how: End, why: str, at: float) -> None:
        run, judge = self._run, self._judge if self.listening else None
        error = self._error or how.error or ""
        if how is End.LOCAL:
            run.figures.fault(f"the generator has no resources left: {why}")
        if how is End.CLEAN and not error:
            error, why = "premature_end", "the server ended the stream"
        ours = not error
        if self._stream is not None and self._stream.error is not None:
            run.figures.fault(f"a listener raised {self._stream.error!r}")
        self._stream, self.listening = None, False
        resumes = self._dialect.resumes and self._cursor is not None and how is not End.TOO_LONG
        leaving = self._leaving and not self._owed
        if leaving:
            self.sequence.leave()
        elif ours or resumes:
            self.sequence.renewed(resumes=resumes)
            if not resumes:  # the end may pass by while we are away: nobody is to wait for it
                self._owed.clear()
        else:
            self.sequence.cut()
            self._owed.clear()
        if judge is not None:
            for _ in range(judge.failures):
                run.error("error_event", at)
            judge.close(ENDED.get(how, Ended.CLOSED_BY_US))
        self._hear(error or None)
        if error:
            run.error(error, at)
        wrong = StreamError(self._detail or why or error) if error else None
        run.fire("SSE", f"{self._target.profile.protocol} subscription", at - self._began, self._size, wrong)
        run.closed(at)
        self._error = self._detail = ""
        if leaving or (self._leaving and not resumes):
            self._finish()
            return
        self._lost = at
        pause = AWAY if self._renewing else AGAIN[min(self._failures, len(AGAIN) - 1)]
        self._failures += not self._renewing
        self._renewing = False
        run.figures.counts["reconnects"] += 1
        gevent.spawn_later(pause, self._connect)

    # --- inside

    def _connect(self) -> None:
        if self._leaving and not self._owed:
            self._finish()
            return
        target, room = self._target, self._room
        resumed = self._resumed = self._cursor is not None and self._dialect.resumes
        self._began, self._size = time.monotonic(), 0
        self._run.opened(self._began)
        request = self._dialect.subscription(room.session, self._cursor if resumed else None)
        self._stream = open_stream(target.endpoint, target.call(request), self, target.subscription_limits)

    def _new_judge(self) -> StreamJudge:
        # Made at the first event: then the server has subscribed us, and whether something was asked before is known.
        fresh = frozenset() if self._resumed else self._room.fresh
        return StreamJudge(
            self._dialect,
            self.sequence,
            self._run.figures,
            self._name,
            from_start=self._dialect.filters and bool(fresh),
            begun=fresh,
        )

    def _hear(self, error: str | None = None) -> None:
        if self._judge is None:
            return
        judge = self._judge
        for one in judge.heard():
            self._run.heard(one, error if one.outcome == "cut" else None)
            for mark in [
                mark for mark in self._owed if (mark.session, mark.prompt) == (one.session, one.prompt)
            ]:
                self._owed.discard(mark)
                self.silent, self.unended = 0, False
                self._run.shared(mark, one, self._name, judge.shown(one))
        missed, self._missed = self.sequence.missed - self._missed, self.sequence.missed
        self._run.figures.counts["missed"] += missed

    def _perhaps_close(self) -> None:
        if self._leaving and not self._owed:
            if self._stream is None:
                self._finish()
            else:
                self._stream.close()

    def _finish(self) -> None:
        if self.over.is_set():
            return
        if self._failures > 1 and self._judge is not None:
            # The server hung up, and did not let us come again. With one failure we have not tried yet.
            self.sequence.cut()
            self._hear()
            self._judge.tell()
        self.sequence.leave()
        self._run.open.discard(self)
        self._room.left(self)
        self.over.set()


class Room:
    """What is subscribed to, who listens, and who asks there."""

    def __init__(self, run: Run, target: Target, dialect: Bus, session: str, key: str, place: str) -> None:
        self.run = run
        self.target = target
        self.dialect = dialect
        self.place = place
        self.session = session
        self.subscribers: list[Subscriber] = []
        self.closed = False
        self.promised = 0  # places for users who are about to take them
        self.begun = False  # prompts have been sent
        self._key = key
        self._prompt = 0
        self._joined = time.monotonic()
        run.owners.bind(key, session)
        run.places[session] = place
        self.asker = gevent.spawn(self._ask_on)

    @property
    def fresh(self) -> frozenset[str]:
        """The session, as long as nothing was asked there: who subscribes then is waited for, and misses nothing."""
        return frozenset() if self.begun else frozenset({self.session})

    @property
    def full(self) -> bool:
        """Whether nobody else is to listen here."""
        return self.dialect.filters and self.taken >= self.run.settings.fanout

    @property
    def taken(self) -> int:
        """Places that are taken, or promised."""
        return len(self.subscribers) + self.promised

    def belongs(self, session: str) -> bool:
        """Whether events of that session may be shown here. Of sessions of others is not known where they belong."""
        if self.dialect.filters:
            return session == self.session
        return self.run.places.get(session, self.place) == self.place

    def join(self) -> Subscriber:
        """One more subscriber."""
        self._joined = time.monotonic()
        subscriber = Subscriber(self)
        self.subscribers.append(subscriber)
        return subscriber

    def left(self, subscriber: Subscriber) -> None:
        """One has gone."""
        if subscriber in self.subscribers:
            self.subscribers.remove(subscriber)
        self.closed = self.closed or not self.subscribers

    # --- the asker

    def _ask_on(self) -> None:
        every, run = self.run.settings.every, self.run
        self._gather()
        self.begun = True
        due = time.monotonic()
        while not self.closed and not run.draining:
            if not any(subscriber.listening for subscriber in self.subscribers):
                gevent.sleep(0.05)
                due = time.monotonic()
                continue
            self._ask(due if every else time.monotonic(), run.plan.chunks)
            # A prompt that is due and cannot be sent because the answer before has not ended is late, and counts so.
            due += every
            gevent.sleep(max(0.0, due - time.monotonic()) if every else 0.0)
        if any(subscriber.unended and subscriber.listening for subscriber in self.subscribers):
            # Of the last prompt an end is missing. One more is its fence.
            self._ask(time.monotonic(), 1)

    def _gather(self) -> None:
        while not self.closed and not self.run.draining:
            waited = time.monotonic() - self._joined
            listening = self.subscribers and all(subscriber.listening for subscriber in self.subscribers)
            some = any(subscriber.listening for subscriber in self.subscribers)
            if listening and ((self.full and not self.promised) or waited > GATHER):
                return
            if some and waited > LATECOMERS:
                return
            gevent.sleep(0.02)

    def _ask(self, due: float, chunks: int) -> None:
        """Send one prompt, and wait until its answer was heard by all who should."""
        run, target = self.run, self.target
        mark = Mark(self._key, self._prompt, 0, chunks)
        self._prompt += 1
        hearers = [subscriber for subscriber in self.subscribers if subscriber.owe(mark, due)]
        run.owe(mark, len(hearers))
        run.figures.counts["prompts"] += 1
        script = run.plan.script(self._key, mark.prompt, chunks=chunks)
        request = self.dialect.prompting(self.session, f"Do as you are told: {script.directive()}")
        takes = chunks * run.plan.pace_ms / 1000
        patience = run.settings.patience
        sent = time.monotonic()
        answer = target.ask(f"{target.profile.protocol} prompt", request, head=takes + patience + 1.0)
        if answer is None or answer.status >= 400:
            if not run.draining or any(subscriber.listening for subscriber in hearers):
                run.error("prompt", time.monotonic())
            for subscriber in hearers:
                if answer is not None or not subscriber.listening:
                    subscriber.withdraw(mark)
            gevent.sleep(AGAIN[0])
            if answer is not None:
                hearers = []
        while True:
            waiting = [subscriber for subscriber in hearers if subscriber.awaits(mark)]
            if not waiting:
                break
            newest = max(sent, *(subscriber.last for subscriber in waiting))
            # When all has been said, only the end is missing, and the next prompt asks for nothing before its time.
            said = all(subscriber.sequence.complete(mark) for subscriber in waiting)
            if time.monotonic() - newest > (min(patience, SETTLE) if said else patience):
                # Where the server may still be at it, the next prompt would be no fence.
                over = said or (answer is not None and self.dialect.prompt_waits)
                for subscriber in waiting:
                    if over:
                        subscriber.forgo(mark, sent)
                    else:
                        subscriber.stall(mark)
                break
            gevent.sleep(0.01)
        run.settled(mark)


class _Coming:
    """A room that is being made, and how many wait for a place in it."""

    def __init__(self) -> None:
        self.made: AsyncResult[Room | None] = AsyncResult()
        self.places = 1


class Rooms:
    """The rooms of one target in this process."""

    def __init__(self, run: Run, target: Target) -> None:
        self._run = run
        self.target = target
        self._directories = run.settings.directories or (target.profile.workspace or "",)
        self._places = cycle(self._directories)
        self._coming: _Coming | None = None
        self.rooms: list[Room] = []

    def join(self) -> Subscriber | None:
        """A place in a room that has one, or in a new one; None where no session could be made."""
        self.rooms = [room for room in self.rooms if not room.closed]
        filters, fanout = self.target.dialect.filters, self._run.settings.fanout
        # Where nobody can ask for one session alone, there are no more rooms than workspaces.
        enough = not filters and len(self.rooms) >= len(self._directories)
        room = min((room for room in self.rooms if not room.full), key=lambda room: room.taken, default=None)
        if room is not None and (filters or enough):
            return room.join()
        coming = self._coming
        last = not filters and len(self.rooms) + 1 >= len(self._directories)
        if coming is not None and (last or coming.places < fanout):
            coming.places += 1
            room = coming.made.get()
        else:
            self._coming = coming = _Coming()
            room = None
            try:
                room = self._make()
            finally:  # a user that is stopped meanwhile leaves nobody waiting
                if self._coming is coming:
                    self._coming = None
                if room is not None:
                    room.promised = coming.places
                coming.made.set(room)
        if room is None:
            return None
        room.promised -= 1
        return room.join()

    def _make(self) -> Room | None:
        place = next(self._places)
        dialect = self.target.dialect
        if not dialect.filters and place:
            dialect = dialect_for(replace(self.target.profile, workspace=place))
        assert isinstance(dialect, Bus)  # what answers with the stream itself needs no room: `chats.py`
        key = self._run.key()
        session = self.target.create(dialect)
        if session is None:
            self._run.error("prompt", time.monotonic())
            return None
        room = Room(self._run, self.target, dialect, session, key, place)
        self.rooms.append(room)
        return room
