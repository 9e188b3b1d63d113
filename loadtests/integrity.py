"""Judges the events of one connection as they arrive: what was asked for, in sequence; the schemas; the suite's rules.

Nothing here knows a socket or a clock. What the suite's rules find counts as `invalid`, unless the sequence judge has
said already what is wrong with that event.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import conformance.rules  # noqa: F401  (importing the package registers the rules)
from conformance.catalogue import catalogue, level_for
from conformance.findings import Finding, Level
from conformance.load_result import Example
from conformance.message import Message, read_messages
from conformance.profile import Profile
from conformance.rules.base import stream_rules
from conformance.rules.one_pass import Pass
from conformance.rules.stream import Run, StreamContext, StreamRule
from conformance.schema_store import Problem
from conformance.transcript import Ended
from conformance.wire import Block
from loadtests.dialects import Dialect
from loadtests.measures import Figures
from loadtests.sequence import Heard, Offence, Sequence
from loadtests.validation import validation_for

TOGETHER = 64  # events that the rules are given at once: each asking costs
WINDOWS = 64  # answers of which is remembered what was shown between their ends
REMEMBERED = 4_096  # events of which is remembered that something was wrong
# Schemas are held by `loadtests.validation`, and whose events these are is known better than from the first of them.
_SAID_ELSEWHERE = frozenset({"AS-EVT-01", "PG-EVT-01", "AS-EVT-03"})
_DOUBLED = frozenset({"PG-EVT-03"})  # an event that comes twice


@cache
def rules_for(profile: Profile) -> dict[type[StreamRule], str]:
    """The incremental rules of what the revision demands (MUST) that need nothing but data, with their requirements."""
    demanded = {
        requirement.id
        for requirement in catalogue(profile.protocol).requirements
        if not requirement.excluded and level_for(requirement, profile) is Level.MUST
    }
    return {
        rule: requirement
        for requirement, rule in stream_rules(profile.family)
        if requirement in demanded and requirement not in _SAID_ELSEWHERE and not rule.reads_fields
    }


def warm(profile: Profile) -> None:
    """Read schemas and rules now, so that the first stream need not wait for it. Raises `SchemaError`."""
    validation_for(profile.protocol, profile.strict)
    context = StreamContext("", profile)
    for rule in rules_for(profile):
        rule(context)


class StreamJudge:
    """One connection. `name` is what to call it in examples; `from_start` and `begun` as in `StreamContext`."""

    def __init__(
        self,
        dialect: Dialect,
        sequence: Sequence,
        figures: Figures,
        name: str,
        *,
        from_start: bool = True,
        begun: frozenset[str] = frozenset(),
    ) -> None:
        profile = dialect.profile
        self._dialect = dialect
        self._sequence = sequence
        self._figures = figures
        self._name = name
        self._validation = validation_for(profile.protocol, profile.strict)
        self._rules = rules_for(profile)
        context = StreamContext(name, profile, from_start, begun)
        self._pass = Pass(context, list(self._rules), self._found)
        self._waiting: list[Message] = []
        self._accused: set[int] = set()  # events of which is known already that something is wrong
        self._offended = False  # the sequence judge has found something
        self._fed: list[Message] = []  # what the rules were given last
        self._spoilt: set[str] = set()  # sessions in which they found something
        self._since: dict[str, set[str]] = {}  # by session, ids since the last end
        self._windows: dict[tuple[str, int], frozenset[str]] = {}
        self.number = 0  # of the next event
        self.told = 0  # events of sessions: heartbeats and their like are none
        self.failures = 0  # events that say that a turn failed
        self.cursor: str | None = None

    def events(self, datas: list[bytes], at: float) -> None:
        """The data of events that arrived together."""
        dialect, sequence, validation = self._dialect, self._sequence, self._validation
        counts = self._figures.counts
        messages = read_messages([self._block(data, at) for data in datas])
        counts["events"] += len(messages)
        for message in messages:
            session = dialect.session(message)
            sequence.suspect = False
            if session:
                self.told += 1
            # What is somebody else's is not held against this stream's rules, too.
            allowed = sequence.allowed(session)
            if allowed:
                problems = None if message.error else validation.problems(message.type, message.value)
                if problems is not None:
                    counts["validated"] += 1
                    if problems:
                        self._invalid(message, session, problems[0])
                before = len(sequence.heard)
                dialect.show(message, session, sequence, at)
                self._note(message, session, before)
            if sequence.suspect or sequence.spoilt(session):
                self._accused.add(message.block.number)
            if dialect.failed(message):
                self.failures += 1
            if dialect.gap(message):
                sequence.renewed(resumes=False)
            self.cursor = dialect.cursor(message) or self.cursor
            if allowed:
                self._waiting.append(message)
            if sequence.heard or len(self._waiting) >= TOGETHER:
                self.flush()
        if sequence.offences:
            self.tell()

    def shown(self, heard: Heard) -> frozenset[str] | None:
        """The ids of what was shown beside text from the end of the answer before to that of this one; once.

        None where one of the two was not seen, or where events have no ids.
        """
        return self._windows.pop((heard.session, heard.prompt), None)

    def _note(self, message: Message, session: str, before: int) -> None:
        # Between two ends in a session every subscriber is shown the same; before the first, each came when it came.
        identity = self._dialect.identity(message)
        if identity is not None and session in self._since:
            self._since[session].add(identity)
        for heard in self._sequence.heard[before:]:
            if heard.ended is None or identity is None:
                self._since.pop(session, None)
                continue
            window = self._since.get(session)
            if window is not None:
                if len(self._windows) >= WINDOWS:
                    self._windows.clear()
                self._windows[heard.session, heard.prompt] = frozenset(window)
            self._since[session] = set()

    def heard(self) -> list[Heard]:
        """The answers that have come to their end since the last time, once all has judged them."""
        self.flush()
        sequence = self._sequence
        heard, sequence.heard = sequence.heard, []
        if not self._spoilt:
            return heard
        spoilt = {self._sequence.key(session) for session in self._spoilt}
        self._spoilt.clear()
        return [
            replace(one, outcome=Offence.INVALID.value)
            if one.outcome == "good" and one.session in spoilt
            else one
            for one in heard
        ]

    def flush(self) -> None:
        """Let the rules judge what they were not given yet."""
        messages, self._waiting = self._waiting, []
        if messages:
            self._fed = messages
            self._pass.feed(Run(messages))
            if len(self._accused) > REMEMBERED:
                self._accused = {number for number in self._accused if number > self.number - REMEMBERED // 2}

    def close(self, ended: Ended) -> None:
        """The connection is over."""
        self.flush()
        self.tell()
        self._pass.close(ended)
        for _, judgement in self._pass.judgements():
            del judgement  # found already; only what a rule raised is known by this
        for rule, error in self._pass.errors.items():
            self._figures.fault(f"{self._rules[rule]}: the rule raised {type(error).__name__}: {error}")
        self.tell()

    def tell(self) -> None:
        """Count what the sequence judge has found."""
        offences = self._sequence.offences
        for offending in offences:
            self._count(offending.kind, offending.count)
            self._offended = True
            if offending.count > 0:
                self._example(offending.kind, None, offending.expected, offending.observed)
        offences.clear()

    def _block(self, data: bytes, at: float) -> Block:
        block = Block()
        block.index = block.number = self.number
        block.start = block.end = 0
        block.at = at
        block.data = data
        block.event = block.id = block.retry = block._text = None
        block._last_id = b""
        block._close = b"\n\n"
        self.number += 1
        return block

    def _invalid(self, message: Message, session: str, problem: Problem) -> None:
        self._sequence.spoil(session, Offence.INVALID)
        self._count(Offence.INVALID, 1)
        self._example(
            Offence.INVALID,
            message.block.number,
            f"{message.type or 'an event'}: {problem.pointer or 'the event'}: {problem.expected}",
            problem.observed,
        )

    def _found(self, rule: type[StreamRule], finding: Finding) -> None:
        if finding.event in self._accused or (finding.event is None and self._offended):
            return
        session = next((self._dialect.session(m) for m in self._fed if m.block.number == finding.event), "")
        if self._sequence.spoilt(session):
            return  # it follows from what the sequence judge has said since
        requirement = self._rules[rule]
        kind = Offence.DOUBLED if requirement in _DOUBLED else Offence.INVALID
        self._count(kind, 1)
        self._example(kind, finding.event, f"{requirement}: {finding.expected}", finding.observed)
        self._spoilt.add(session)

    def _count(self, kind: Offence, count: int) -> None:
        self._figures.counts[kind.value] += count

    def _example(self, kind: Offence, event: int | None, expected: str, observed: str) -> None:
        where = self._name if event is None else f"{self._name}, event {event}"
        self._figures.example(Example(kind.value, where, expected, observed))
