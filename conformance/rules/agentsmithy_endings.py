"""AgentSmithy: how streams end (AgentSmithy protocol 1, §done: "Signals the end of the stream")."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from conformance.agentsmithy import STREAM_PROBES
from conformance.findings import Finding, Judgement
from conformance.message import Message
from conformance.rules._agentsmithy import answered, plays
from conformance.rules.base import Case, StreamContext, StreamRule, check, stream_check
from conformance.transcript import Ended
from conformance.turns import TURN_PROBES

_FAMILY = ("agentsmithy",)
_DONE = frozenset({"done"})


@stream_check("AS-END-01", probes=STREAM_PROBES, families=_FAMILY)
class OneDone(StreamRule):
    """`done` comes once. A stream without any is the business of AS-END-03."""

    types: ClassVar[frozenset[str] | None] = _DONE

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._seen: int | None = None

    def feed(self, message: Message) -> Iterable[Finding]:
        if self._seen is None:
            self._seen = message.block.number
            self.judged += 1
            return ()
        return [
            self.finding(
                message,
                "done comes more than once",
                expected="one done event in a stream",
                observed=f"another done; the first was event {self._seen}",
            )
        ]


@stream_check("AS-END-02", probes=STREAM_PROBES, families=_FAMILY)
class NothingAfterDone(StreamRule):
    """After `done` comes no event, and the stream ends. Comments may come, a second `done` is AS-END-01's."""

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._done: int | None = None

    def feed(self, message: Message) -> Iterable[Finding]:
        if message.type == "done":
            if self._done is None:
                self._done = message.block.number
                self.judged += 1
            return ()
        if self._done is None:
            return ()
        return [
            self.finding(
                message,
                "An event comes after done",
                expected=f"nothing after done, which was event {self._done}",
                observed=f"an event of type {message.type!r}" if message.type else "an event without a type",
            )
        ]

    def close(self, ended: Ended) -> Iterable[Finding]:
        # The driver waits some seconds after `done` before it gives up with a deadline.
        if self._done is None or ended is not Ended.DEADLINE:
            return ()
        return [
            Finding(
                "The stream stays open after done",
                "the server ends the response after done",
                f"done was event {self._done}, and the response was still open when the deadline passed",
                self.context.role,
                self._done,
            )
        ]


@stream_check("AS-END-03", probes=STREAM_PROBES, families=_FAMILY)
class DoneEnds(StreamRule):
    """`done` ends every stream, whatever happened in it. Streams that we left or capped are exempt."""

    types: ClassVar[frozenset[str] | None] = _DONE

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._seen = False

    def feed(self, message: Message) -> Iterable[Finding]:
        if not self._seen:
            self._seen = True
            self.judged += 1
        return ()

    def close(self, ended: Ended) -> Iterable[Finding]:
        if self._seen or ended in (Ended.CLOSED_BY_US, Ended.CAPPED):
            return ()
        self.judged += 1
        how = "was still open when its deadline passed" if ended is Ended.DEADLINE else f"ended ({ended})"
        return [
            Finding(
                "A stream has no done",
                "a done event at the end of every stream",
                f"the stream {how} without a done event",
                self.context.role,
            )
        ]


@check("AS-END-03", probes=TURN_PROBES, families=_FAMILY)
def every_prompt_has_a_stream(case: Case) -> Judgement:
    """A valid prompt that is answered by no stream leaves open how its stream would end.

    A refused model call may be answered with a status instead (AS-ERR-01a), and so may a large prompt.
    """
    if case.observation.probe == "large":
        return Judgement()
    scripted_failure = any(play.script.fails for play in plays(case))
    for action in case.prompts():
        problem = answered(case.stream(action.stream))
        if problem and not scripted_failure:
            return Judgement(inconclusive=problem)
    return Judgement()
