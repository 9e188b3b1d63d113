"""AgentSmithy: one stream for each prompt, its answer."""

from __future__ import annotations

import time

import gevent
from gevent.event import Event

from conformance.transcript import Ended
from loadtests.client import End, Stream, open_stream
from loadtests.integrity import StreamJudge
from loadtests.plan import Mark
from loadtests.run import Run, StatusError, Target, media_type
from loadtests.sequence import Sequence

AGAIN = (0.1, 0.2, 0.5, 1.0, 2.0)  # seconds before a failing server is tried again, each time
# How an end is told to the suite's rules: what we brought about is exempt from completeness.
ENDED = {
    End.CLEAN: Ended.COMPLETE,
    End.RESET: Ended.RESET,
    End.PREMATURE: Ended.TRUNCATED,
    End.BAD_HTTP: Ended.PROTOCOL_ERROR,
    End.TOO_LONG: Ended.CAPPED,
    End.STALL: Ended.DEADLINE,
    End.TIMEOUT_FIRST: Ended.DEADLINE,
}


class StreamError(Exception):
    """What ended a stream, or was wrong with it, in a word or two."""


class Chat:
    """One prompt and its stream. It goes on by itself: a user that is stopped meanwhile does not cut it."""

    def __init__(self, run: Run, target: Target, dialog: str, mark: Mark, asked: float) -> None:
        self.over = Event()
        self.error: str | None = None  # the kind of error, where there is one
        self._run = run
        self._target = target
        self._mark = mark
        self._asked = asked
        self._measured: dict[str, float] = {}
        self._size = 0
        self._detail = ""
        self._sequence = Sequence(run.plan, run.owners, dialog.__eq__, mark.prompt)
        self._sequence.owe(mark, asked)
        self._judge = StreamJudge(target.dialect, self._sequence, run.figures, f"dialog {dialog}, {mark}")
        text = f"Do as you are told: {run.plan.script(mark.session, mark.prompt).directive()}"
        self._began = time.monotonic()
        run.open.add(self)
        run.opened(self._began)
        run.figures.counts["prompts"] += 1
        call = target.call(target.dialect.prompting(dialog, text))
        self._stream: Stream = open_stream(target.endpoint, call, self, target.limits)

    # --- the run's side

    def leave(self) -> None:
        """It ends by itself."""

    def abandon(self) -> None:
        """Close now; nothing of it is judged."""
        self._stream.close()

    def renew(self) -> None:
        """Hang up: the user asks anew."""
        self._stream.close()

    # --- the client's side

    def opened(self, began: float, at: float) -> None:
        """The connection stands."""
        self._time("connect", at - began)
        self._began = at

    def head(self, status: int, headers: tuple[tuple[str, str], ...], at: float) -> None:
        """The head: anything but an event stream is an error."""
        self._time("headers", at - self._began)
        if status != 200:
            self._fail("status", str(StatusError(status)))
        elif media_type(headers) != "text/event-stream":
            self._fail("media_type", f"media type {media_type(headers) or 'none'}")

    def events(self, datas: list[bytes], size: int, at: float) -> None:
        """A read."""
        self._run.received(len(datas), size, at)
        self._size += size
        if datas:
            self._judge.events(datas, at)

    def ended(self, how: End, why: str, at: float) -> None:
        """Judge what came, and tell of it."""
        try:
            self._ended(how, why, at)
        except Exception as error:
            self._run.figures.fault(f"the end of a stream was not judged: {error!r}")
        self._run.closed(at)
        self._run.open.discard(self)
        self.over.set()

    def _ended(self, how: End, why: str, at: float) -> None:
        run, sequence = self._run, self._sequence
        if self.error is None and how.error is not None:
            self.error, self._detail = how.error, why or how.error
        if how is End.LOCAL:
            run.figures.fault(f"the generator has no resources left: {why}")
        if self._stream.error is not None:
            run.figures.fault(f"a listener raised {self._stream.error!r}")
        judged = self._judge.number > 0
        if how is End.CLEAN and judged:
            sequence.fence()
        elif how in (End.CLOSED_BY_US, End.LOCAL) or not judged or how is End.TOO_LONG:
            sequence.leave()
        else:
            sequence.cut()
        self._judge.close(ENDED.get(how, Ended.CLOSED_BY_US) if judged else Ended.CLOSED_BY_US)
        if self._judge.failures and self.error is None:
            self.error = self._detail = "error_event"
        if how is End.CLEAN and not judged and self.error is None:
            self.error, self._detail = "premature_end", "no event"
        if self.error is not None:
            run.error(self.error, at)
        outcome = ""
        for heard in self._judge.heard():
            if heard.prompt == self._mark.prompt and heard.session == self._mark.session:
                outcome = heard.outcome
                run.heard(heard, self.error, **self._measured)
        if not outcome and self.error is not None:
            run.failed(self._asked, at, self.error)
        wrong = self._detail or ("" if outcome in ("good", "") else outcome)
        if how is not End.CLOSED_BY_US or wrong:
            name = f"{self._target.profile.protocol} stream"
            run.fire("SSE", name, at - self._asked, self._size, StreamError(wrong) if wrong else None)

    def _time(self, name: str, seconds: float) -> None:
        self._run.figures.times[name].record(seconds)
        self._measured[name] = seconds

    def _fail(self, kind: str, detail: str) -> None:
        self.error, self._detail = kind, detail
        self._stream.close()


class Dialog:
    """Asks in a dialog of its own, one prompt after the other."""

    def __init__(self, run: Run, target: Target) -> None:
        self._run = run
        self._target = target
        self._key = run.key()
        self._prompt = self._failures = 0
        # A server that cannot make dialogs takes a name of ours for one.
        self._dialog = target.create() or f"load-{run.plan.run}-{self._key}"
        run.owners.bind(self._key, self._dialog)
        self._due = time.monotonic()

    def ask(self) -> None:
        """Send a prompt, and wait for its answer; then wait until the next one is due."""
        run, every = self._run, self._run.settings.every
        asked = self._due if every else time.monotonic()
        mark = Mark(self._key, self._prompt, 0, run.plan.chunks)
        self._prompt += 1
        chat = Chat(run, self._target, self._dialog, mark, asked)
        chat.over.wait()
        # Whoever asks a failing server again at once measures nothing but itself.
        self._failures = self._failures + 1 if chat.error else 0
        if self._failures:
            gevent.sleep(AGAIN[min(self._failures, len(AGAIN)) - 1])
        # A prompt that is due while the answer before is still coming is sent late, and counts so.
        self._due += every
        if every:
            gevent.sleep(max(0.0, self._due - time.monotonic()))
