"""What every rule is made of: the decoded view of an observation, and the registry of checks.

A rule is pure: observation in, findings out. It opens no socket and reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from conformance.findings import Judgement
from conformance.message import Message
from conformance.rules.one_pass import judge_streams
from conformance.rules.stream import Listener, RuleByType, Run, Stream, StreamContext, StreamRule
from conformance.transcript import Action, Observation, Transcript


class Case:
    """An observation as rules see it: transcripts decoded once, shared by all rules."""

    def __init__(self, observation: Observation) -> None:
        self.observation = observation
        self.profile = observation.profile
        self._judgements: dict[type[StreamRule], Judgement | Exception] = {}

    @cached_property
    def exchanges(self) -> tuple[Stream, ...]:
        """Every transcript, event stream or not."""
        return tuple(
            Stream(role, transcript, self.profile, self._begun(transcript))
            for role, transcript in self.observation.transcripts
        )

    def _begun(self, transcript: Transcript) -> frozenset[str]:
        """The sessions that we prompt, and of which no turn was under way when the stream was opened.

        A stream that resumes shows what was before.
        """
        if transcript.request.resumes:
            return frozenset()
        opened = transcript.opened_at
        prompts = self.observation.actions_of("prompt")
        under_way = {a.session for a in prompts if a.under_way(opened)}
        return frozenset(a.session for a in prompts if a.session not in under_way)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """The transcripts that are event streams."""
        return tuple(exchange for exchange in self.exchanges if exchange.transcript.is_event_stream)

    def stream(self, role: str) -> Stream | None:
        """The exchange of that role, event stream or not."""
        return next((exchange for exchange in self.exchanges if exchange.role == role), None)

    def prompts(self, role: str | None = None) -> tuple[Action, ...]:
        """The prompts sent, in order; with `role`, those whose effect belongs into that stream."""
        return self.observation.actions_of("prompt", stream=role)

    @property
    def head_assumed(self) -> bool:
        """Whether the response heads are not what a server sent: a recorded body without its head."""
        return bool(self.observation.fact("head") == "assumed")

    @property
    def request_unknown(self) -> bool:
        """Whether nobody knows what was asked: a recorded body alone may have been filtered or resumed."""
        return bool(self.observation.fact("request") == "unknown")

    def judge_by(self, rule: type[StreamRule]) -> Judgement:
        """What an incremental rule says of all event streams; the other rules go along in the same pass."""
        if rule not in self._judgements:
            self._pass_over(rule)
        judgement = self._judgements[rule]
        if isinstance(judgement, Exception):
            raise judgement
        return judgement

    def judge_streams(self) -> None:
        """Let all incremental rules pass over the streams now: what others ask of a stream's end is known then."""
        if not self._judgements:
            self._pass_over()

    def _pass_over(self, *first: type[StreamRule]) -> None:
        probe, family = self.observation.probe, self.profile.family
        others = (
            entry.rule
            for entry in _stream_rules
            if family in entry.families and (probe == RECORDED or probe in entry.probes)
        )
        self._judgements |= judge_streams(self.streams, list(dict.fromkeys((*first, *others))))


Judge = Callable[[Case], Judgement]


@dataclass(frozen=True, slots=True)
class Check:
    """How a requirement is judged: by this function, over the observations of these probes.

    `families` are the protocols for which this check exists (a requirement may have one check per
    family). `recorded`: it can also answer from a single recorded stream, without any stimulus known.
    `every`: the stimulus of each named probe must have worked, else the requirement is inconclusive;
    False for generic rows, for which it is enough that some of many streams could be judged.
    """

    requirement: str
    probes: frozenset[str]
    judge: Judge
    families: frozenset[str]
    recorded: bool
    every: bool


FAMILIES = ("agentsmithy", "penguin", "opencode")
_checks: list[Check] = []


def check(
    requirement: str,
    *,
    probes: Iterable[str],
    families: Iterable[str] = FAMILIES,
    recorded: bool = False,
    every: bool = True,
) -> Callable[[Judge], Judge]:
    """Register a function over a `Case` as the judgement of a requirement."""

    def register(judge: Judge) -> Judge:
        _checks.append(Check(requirement, frozenset(probes), judge, frozenset(families), recorded, every))
        return judge

    return register


def stream_check(
    requirement: str, *, probes: Iterable[str], families: Iterable[str] = FAMILIES
) -> Callable[[type[StreamRule]], type[StreamRule]]:
    """Register an incremental rule: it judges every event stream of the observations of these probes."""

    def register(rule: type[StreamRule]) -> type[StreamRule]:
        def judge(case: Case) -> Judgement:
            return case.judge_by(rule)

        names = frozenset(probes)
        _checks.append(Check(requirement, names, judge, frozenset(families), recorded=True, every=False))
        _stream_rules.append(_Registered(requirement, frozenset(families), names, rule))
        return rule

    return register


@dataclass(frozen=True, slots=True)
class _Registered:
    requirement: str
    families: frozenset[str]
    probes: frozenset[str]
    rule: type[StreamRule]


_stream_rules: list[_Registered] = []
RECORDED = "recorded"  # the probe name of observations that were read from a recorded body


def checks(family: str) -> Iterator[Check]:
    """The registered checks of a protocol family (import `conformance.rules` first)."""
    return (entry for entry in _checks if family in entry.families)


def stream_rules(family: str) -> Iterator[tuple[str, type[StreamRule]]]:
    """The incremental rules of a protocol family with their requirement ids, for running streams."""
    return ((entry.requirement, entry.rule) for entry in _stream_rules if family in entry.families)


__all__ = [
    "FAMILIES",
    "RECORDED",
    "Case",
    "Check",
    "Listener",
    "Message",
    "RuleByType",
    "Run",
    "Stream",
    "StreamContext",
    "StreamRule",
    "check",
    "checks",
    "stream_check",
    "stream_rules",
]
