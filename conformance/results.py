"""From the rows of a session to the result of a run, for pytest's sessions and for callers without one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from conformance import __version__
from conformance.catalogue import CAPABILITIES, has_capability, revisions
from conformance.lab import allowed_effects
from conformance.profile import Implementation, Profile
from conformance.redact import Redactor
from conformance.report.model import Declared, ResultRow, RunResult
from conformance.run import Run, Target

BUILT_IN = "reference server"


def declared(profile: Profile) -> Declared:
    """What a report says of the profile; none of it is secret."""
    named = ((name, getattr(profile.capabilities, name)) for name in CAPABILITIES)
    return Declared(
        capabilities=tuple(
            (name, _words(name, value)) for name, value in named if has_capability(profile, name)
        ),
        effects=tuple(sorted(effect.value for effect in allowed_effects(profile))),
        script=profile.script,
        strict=profile.strict,
    )


def result_of(
    run: Run,
    target: Target,
    rows: Iterable[ResultRow],
    *,
    declared: Declared,
    duration: float,
    exit_status: int | None = None,
    gave_up: str = "",
) -> RunResult:
    """The result of one target, its rows in the order of the catalogue. `duration` is the session's (seconds)."""
    order = {row.id: number for number, row in enumerate(target.requirements)}
    ordered = tuple(sorted(rows, key=lambda row: order[row.requirement]))
    profile, revision = target.profile, revisions()[target.protocol]
    return RunResult(
        BUILT_IN if profile is None else Redactor(profile).text(profile.url),
        target.protocol,
        ordered,
        name=BUILT_IN if profile is None else profile.name,
        implementation=Implementation(BUILT_IN, __version__) if profile is None else profile.implementation,
        started=run.started,
        seconds=sum(row.seconds for row in ordered),
        title=revision.title,
        document=revision.document,
        declared=declared,
        testable=len(target.requirements),
        duration=duration,
        exit_status=exit_status,
        gave_up=gave_up,
    )


def _words(name: str, value: Any) -> str:
    if value is True:
        return "yes"
    if isinstance(value, tuple):
        return ", ".join(value)
    units = {"heartbeat": " s", "retention": " events", "rate_limit": " requests", "max_body": " bytes"}
    return f"{value:g}{units.get(name, '')}" if isinstance(value, int | float) else str(value)


__all__ = ["declared", "result_of"]
