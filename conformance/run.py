"""A run under pytest: its targets, their laboratories, and the verdicts as test outcomes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import pytest

from conformance import transcript
from conformance.baseline import Baseline
from conformance.catalogue import Requirement, catalogue, protocols
from conformance.findings import Level, Verdict
from conformance.judge import HarnessError, Result
from conformance.lab import Lab
from conformance.lens.result import Lens, first_shown, notes, with_texts
from conformance.lens.taking import clients, take
from conformance.observe.probe import Probe, probes
from conformance.profile import Profile
from conformance.redact import Redactor
from conformance.reference import ReferenceServer
from conformance.repoint import Repointing
from conformance.report.exhibits import Exhibit, exhibited
from conformance.report.failure import describe
from conformance.report.model import FoundFinding, ResultRow
from conformance.transcript import Observation


@dataclass(frozen=True, slots=True)
class Target:
    """One column of the run: a protocol revision on a server. `profile` is None for the built-in one."""

    key: str  # unique in the run and part of the test ids: "penguin/2", "penguin/2#2"
    protocol: str
    profile: Profile | None

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """What is judged: every row of the revision's catalogue that can be tested."""
        return tuple(row for row in catalogue(self.protocol).requirements if not row.excluded)


def targets_of(profiles: tuple[Profile, ...]) -> tuple[Target, ...]:
    """The run's targets: the given profiles; without any, the reference server in every protocol."""
    if not profiles:
        return tuple(Target(protocol, protocol, None) for protocol in protocols())
    made: list[Target] = []
    for profile in profiles:
        same = sum(target.protocol == profile.protocol for target in made)
        key = profile.protocol if not same else f"{profile.protocol}#{same + 1}"
        made.append(Target(key, profile.protocol, profile))
    return tuple(made)


LENS_ROW = "SSE-INT-01"  # the requirement that a lens belongs to
_MOST_LEARNED = 200  # secrets of one target that are learned from what it answers


class _Redacting:
    """The redactor of a target, and what it has learned from which probes."""

    def __init__(self, redactor: Redactor) -> None:
        self.redactor = redactor
        self.probes: set[str] = set()
        self._learned: dict[str, None] = {}

    def learn(self, probe: str, seen: Observation, profile: Profile) -> None:
        self.probes.add(probe)
        if new := self.redactor.learned_from(seen) - self._learned.keys():
            self._learned |= dict.fromkeys(sorted(new)[: _MOST_LEARNED - len(self._learned)])
            self.redactor = Redactor(profile, self._learned)


class Run:
    """What lives as long as the test session: laboratories, the built-in server, a target's model, saved exchanges."""

    def __init__(
        self,
        *,
        directory: Path,
        baseline: Baseline,
        max_seconds: float,
        strict: bool,
        timeout_scale: float,
        lens: Sequence[str] = (),
        node_folder: Path | None = None,
    ) -> None:
        self.directory = directory
        self.baseline = baseline
        self.max_seconds = max_seconds
        self.strict = strict
        self.timeout_scale = timeout_scale
        self.lens = tuple(lens)  # the clients that show what they see of the same bytes
        self.node_folder = node_folder
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.watch: Callable[[str, Probe], None] | None = None  # is told which probe of which target begins
        self._labs: dict[str, Lab] = {}
        self._making = threading.Lock()
        self._resources = ExitStack()
        self._exhibits: dict[tuple[str, str], Exhibit] = {}
        self.complaints: list[str] = []  # what could not be put back at the end
        self._repointing = Repointing(self._resources, self.complaints.append)
        self._redactors: dict[str, _Redacting] = {}

    def lab(self, target: Target) -> Lab:
        """The target's laboratory, made (and the built-in server started) when first asked for."""
        with self._making:
            if target.key not in self._labs:
                lab = self._labs[target.key] = Lab(self._profile(target), max_seconds=self.max_seconds)
                if self.watch is not None:
                    lab.watch = partial(self.watch, target.key)
            return self._labs[target.key]

    def prepared(self, target: Target) -> tuple[Target, str]:
        """The target as it is judged, and what was done to it for that ("" if nothing): where its profile gives leave,
        its model is the scripted one until `close`. Raises `RepointError` and `TargetUnreachable`.
        """
        if target.profile is None:
            return target, ""
        profile, said = self._repointing.point(target.profile)
        return replace(target, profile=profile), said

    def close(self) -> None:
        """Put back what was changed, and stop what was started. What cannot be put back is in `complaints`."""
        self._resources.close()

    def _profile(self, target: Target) -> Profile:
        if target.profile is not None:
            return target.profile
        try:
            server = self._resources.enter_context(ReferenceServer())
        except RuntimeError as error:
            raise HarnessError(str(error)) from None
        profile = server.profile(target.protocol)
        return replace(profile, strict=self.strict, timeout_scale=self.timeout_scale)

    def redactor(self, target: Target) -> Redactor:
        """What takes the target's secrets out of text: the profile's, and those that its probes saw until now."""
        lab = self.lab(target)
        known = self._redactors.setdefault(target.key, _Redacting(Redactor(lab.profile)))
        for name in probes(lab.profile.family).keys() - known.probes:
            if (seen := lab.observation(name)) is not None:
                known.learn(name, seen, lab.profile)
        return known.redactor

    def findings(self, target: Target, result: Result) -> tuple[FoundFinding, ...]:
        """The result's evidence as reports hold it; the exchanges are saved, redacted."""
        redactor = self.redactor(target)
        return exhibited(result.evidence, lambda probe: self._exhibit(target, probe, redactor), redactor.text)

    def _exhibit(self, target: Target, probe: str, redactor: Redactor) -> Exhibit:
        if (target.key, probe) not in self._exhibits:
            observation = self.lab(target).observation(probe)
            assert observation is not None  # a finding comes from an observation
            shown = redactor.observation(observation)
            name = f"{target.key.replace('/', '-').replace('#', '-')}.{probe}.json"
            path = self.directory / "observations" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # A lone surrogate (an answer may hold one) stays the JSON escape that it was.
            path.write_text(transcript.to_json(shown), encoding="utf-8", errors="backslashreplace")
            saved = path.relative_to(self.directory).as_posix()
            self._exhibits[target.key, probe] = Exhibit(shown, saved)
        return self._exhibits[target.key, probe]

    def take_lens(self, target: Target, names: Iterable[str]) -> Lens:
        """What the chosen clients see of these probes' streams; where they differ first, the exchange is saved."""
        redactor, lab = self.redactor(target), self.lab(target)
        seen = (lab.observation(name) for name in names)
        shown = (redactor.observation(observation) for observation in seen if observation is not None)
        lens = take(shown, clients(self.lens, node_folder=self.node_folder))
        saved = {probe: self._exhibit(target, probe, redactor).saved for probe in first_shown(lens)}
        streams = (replace(stream, saved=saved.get(stream.probe, "")) for stream in lens.streams)
        return with_texts(replace(lens, streams=tuple(streams)), redactor.text)

    def describe(self, target: Target, result: Result, findings: tuple[FoundFinding, ...]) -> str:
        """The failure's block for the terminal, redacted."""
        redactor = self.redactor(target)
        # From what is masked already: a cut through a secret would leave its half.
        streams = [
            self._exhibit(target, e.probe, redactor).case.stream(e.finding.role) for e in result.evidence
        ]
        shown = [replace(f, saved=str(self.directory / f.saved) if f.saved else "") for f in findings]
        return redactor.text(describe(result, shown, streams))


@dataclass(frozen=True, slots=True)
class Decision:
    """A requirement's row, and what it means for the run: `failure` is the text that turns it red ("" if none)."""

    row: ResultRow
    failure: str = ""


def decide(run: Run, target: Target, requirement: Requirement) -> Decision:
    """Judge a requirement, weigh it against the baseline and the profile's leave, and keep its exchanges.

    Everything in the decision is redacted. Raises `HarnessError` for a fault of ours.
    """
    result = run.lab(target).result(requirement)
    known = run.baseline.get(requirement.id, target.key)
    standing = "" if known is None else known.standing(result.verdict, date.today())
    if known is not None and standing == "expected":
        result = replace(result, verdict=Verdict.EXPECTED, reason=f"expected: {known.reason}")
    findings = run.findings(target, result)
    clean = run.redactor(target).text
    result = replace(result, reason=clean(result.reason), notes=tuple(clean(note) for note in result.notes))

    said: list[str] = []
    if result.verdict is Verdict.FAIL or (
        result.verdict is Verdict.INCONCLUSIVE
        and result.level is Level.MUST
        and requirement.id not in run.lab(target).profile.allow_inconclusive
    ):
        said.append(run.describe(target, result, findings))
    if known is not None and standing == "expired":
        said.append(
            f"{requirement.id}: the baseline's entry expired on {known.expires} ({known.reason}): remove it"
        )
    elif known is not None and standing == "stale":
        said.append(
            f"{requirement.id}: the baseline expects a failure ({known.reason}), but the verdict is "
            f"{result.verdict.value}: remove the stale entry"
        )
    row = ResultRow.of(result, findings, baseline=standing, red=bool(said))
    if run.lens and requirement.id == LENS_ROW:
        lens = run.take_lens(target, result.probes)
        row = replace(row, lens=lens, notes=tuple(dict.fromkeys((*row.notes, *notes(lens)))))
    return Decision(row, "\n".join(said))


class Judged:
    """One requirement on one target, ready to be judged."""

    def __init__(self, run: Run, target: Target, requirement: Requirement) -> None:
        self.run = run
        self.target = target
        self.requirement = requirement
        self.row: ResultRow | None = None

    def enforce(self) -> None:
        """Judge, keep the row, turn the verdict into pytest's outcome. Raises `HarnessError` for a fault of ours."""
        __tracebackhide__ = True
        decision = decide(self.run, self.target, self.requirement)
        row = self.row = decision.row
        if decision.failure:
            pytest.fail(decision.failure, pytrace=False)
        if row.verdict is Verdict.EXPECTED:
            pytest.xfail(row.reason)
        if row.verdict in (Verdict.NOT_APPLICABLE, Verdict.INCONCLUSIVE):
            pytest.skip(f"{row.verdict.value}: {row.reason}")
