"""A run under pytest: its targets, their laboratories, and the verdicts as test outcomes."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from conformance import transcript
from conformance.baseline import Baseline
from conformance.catalogue import Requirement, catalogue, protocols
from conformance.findings import Level, Verdict
from conformance.judge import HarnessError, Result
from conformance.lab import Lab
from conformance.profile import Profile
from conformance.redact import Redactor
from conformance.reference import ReferenceServer
from conformance.report.curl import curl_line
from conformance.report.failure import describe
from conformance.report.model import FoundFinding, ResultRow
from conformance.rules.base import Case


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


class Run:
    """What lives as long as the test session: laboratories, the built-in server, saved exchanges."""

    def __init__(
        self,
        *,
        directory: Path,
        baseline: Baseline,
        max_seconds: float,
        strict: bool,
        timeout_scale: float,
    ) -> None:
        self.directory = directory
        self.baseline = baseline
        self.max_seconds = max_seconds
        self.strict = strict
        self.timeout_scale = timeout_scale
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self._labs: dict[str, Lab] = {}
        self._making = threading.Lock()
        self._resources = ExitStack()
        self._saved: dict[tuple[str, str], str] = {}

    def lab(self, target: Target) -> Lab:
        """The target's laboratory, made (and the built-in server started) when first asked for."""
        with self._making:
            if target.key not in self._labs:
                self._labs[target.key] = Lab(self._profile(target), max_seconds=self.max_seconds)
            return self._labs[target.key]

    def close(self) -> None:
        """Stop what was started."""
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

    def findings(self, target: Target, result: Result) -> tuple[FoundFinding, ...]:
        """The result's evidence as reports hold it; the exchanges are saved, redacted."""
        redactor = Redactor(self.lab(target).profile)
        found = []
        for evidence in result.evidence:
            curl = self._curl(target, evidence.probe, evidence.finding.role, redactor)
            entry = FoundFinding.of(evidence, saved=self._save(target, evidence.probe, redactor), curl=curl)
            found.append(
                replace(
                    entry,
                    title=redactor.text(entry.title),
                    expected=redactor.text(entry.expected),
                    observed=redactor.text(entry.observed),
                )
            )
        return tuple(found)

    def _save(self, target: Target, probe: str, redactor: Redactor) -> str:
        if (target.key, probe) not in self._saved:
            observation = self.lab(target).observation(probe)
            assert observation is not None  # a finding comes from an observation
            name = f"{target.key.replace('/', '-').replace('#', '-')}.{probe}.json"
            path = self.directory / "observations" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(transcript.to_json(redactor.observation(observation)), encoding="utf-8")
            self._saved[target.key, probe] = str(path.relative_to(self.directory))
        return self._saved[target.key, probe]

    def _curl(self, target: Target, probe: str, role: str, redactor: Redactor) -> str:
        observation = self.lab(target).observation(probe)
        assert observation is not None
        recorded = observation.transcript(role) if role else None
        if recorded is None:
            recorded = observation.transcripts[0][1] if observation.transcripts else None
        if recorded is None:
            return ""
        clean = redactor.observation(replace(observation, transcripts=(("", replace(recorded, chunks=())),)))
        return curl_line(clean.transcripts[0][1].request)

    def describe(self, target: Target, result: Result, findings: tuple[FoundFinding, ...]) -> str:
        """The failure's block for the terminal, redacted."""
        lab = self.lab(target)
        cases = {probe: Case(seen) for probe in result.probes if (seen := lab.observation(probe)) is not None}
        streams = [
            cases[e.probe].stream(e.finding.role) if e.probe in cases else None for e in result.evidence
        ]
        shown = [replace(f, saved=str(self.directory / f.saved) if f.saved else "") for f in findings]
        return Redactor(lab.profile).text(describe(result, shown, streams))


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
        run, target = self.run, self.target
        result = run.lab(target).result(self.requirement)
        known = run.baseline.get(self.requirement.id)
        expired = known is not None and known.expired(date.today())
        if known is not None and not expired and result.verdict is Verdict.FAIL:
            result = replace(result, verdict=Verdict.EXPECTED, reason=f"expected: {known.reason}")
        findings = run.findings(target, result)
        self.row = ResultRow.of(result, findings)

        if result.verdict is Verdict.EXPECTED:
            pytest.xfail(result.reason)
        if known is not None and not expired and result.verdict in (Verdict.PASS, Verdict.WARN, Verdict.NOTE):
            pytest.fail(
                f"{self.requirement.id}: the baseline expects a failure ({known.reason}), but the verdict is "
                f"{result.verdict.value}: remove the stale entry",
                pytrace=False,
            )
        profile = run.lab(target).profile
        if result.verdict is Verdict.FAIL or (
            result.verdict is Verdict.INCONCLUSIVE
            and result.level is Level.MUST
            and self.requirement.id not in profile.allow_inconclusive
        ):
            text = run.describe(target, result, findings)
            if expired and known is not None:
                text += f"\n  the baseline's entry expired on {known.expires}: {known.reason}"
            pytest.fail(text, pytrace=False)
        if result.verdict in (Verdict.NOT_APPLICABLE, Verdict.INCONCLUSIVE):
            pytest.skip(f"{result.verdict.value}: {Redactor(profile).text(result.reason)}")
