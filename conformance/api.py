"""For other programs and test-suites: judge a server and get what is said of it as a value.

    from conformance.api import judge

    verdicts = judge("http://127.0.0.1:8000", "penguin/2", only=["PG-CON", "SSE-FMT-01"])
    verdicts.assert_conforms()

Under pytest, `conformance.fixtures` has the same as a fixture.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from conformance import exits
from conformance.baseline import Baseline, BaselineError, load
from conformance.catalogue import Requirement, catalogue, protocols
from conformance.judge import HarnessError
from conformance.observe.transport import TargetUnreachable
from conformance.preflight import WrongEndpointError, preflight
from conformance.profile import Profile
from conformance.redact import Redactor
from conformance.repoint import RepointError
from conformance.report import documents
from conformance.report.model import ResultRow, RunResult
from conformance.results import declared, result_of
from conformance.run import Run, Target, decide
from conformance.targets import NoProtocolError, TargetError, TargetOptions, resolve

_SHOWN = 10  # failures whose whole text stands in one message
_NOT_IN_A_HEADER = re.compile(r"[^\t\x20-\x7e\x80-\xff]")  # RFC 9110 §5.5


@dataclass(frozen=True, slots=True)
class Failure:
    """What turns a run red: a requirement's id, and the text that shows why (expected, observed, bytes, curl)."""

    requirement: str
    text: str


class NotConforming(AssertionError):
    """A server that does not do what its protocol says; the message shows each failure. See `verdicts`."""

    def __init__(self, verdicts: Verdicts) -> None:
        self.verdicts = verdicts
        super().__init__(str(verdicts))


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What is said of one server.

    `run` is the result as it is saved and rendered. `failures` are what would turn a run red: a MUST that fails
    and is not in the baseline, a stale entry of it, a MUST that could not be judged without the profile's leave.
    `directory` holds the exchanges of the findings, and the documents where a report was asked for.
    """

    run: RunResult
    failures: tuple[Failure, ...]
    directory: Path

    @property
    def ok(self) -> bool:
        """Whether every required requirement holds."""
        return not self.failures

    def row(self, requirement: str) -> ResultRow:
        """What is said of one requirement. Raises `KeyError` where it was not judged."""
        found = next((row for row in self.run.rows if row.requirement == requirement), None)
        if found is None:
            raise KeyError(f"{requirement} was not judged (see `only`)")
        return found

    def assert_conforms(self) -> None:
        """Raise `NotConforming` (an `AssertionError`), which shows every failure, unless everything holds."""
        __tracebackhide__ = True
        if self.failures:
            raise NotConforming(self)

    def __str__(self) -> str:
        """The failures, then the line of counts."""
        texts = [failure.text for failure in self.failures[:_SHOWN]]
        if more := self.failures[_SHOWN:]:
            texts.append(f"… and {', '.join(failure.requirement for failure in more)}")
        return "\n\n".join([*texts, self.run.summary_line()])


def judge(
    url: str | None = None,
    protocol: str | None = None,
    *,
    profile: str | Path | Profile | None = None,
    headers: Mapping[str, str] | None = None,
    only: str | Iterable[str] = (),
    allow: str | Iterable[str] = (),
    strict: bool = False,
    timeout_scale: float = 1.0,
    max_seconds: float = 600.0,
    baseline: str | Path | None = None,
    report: str | Path | None = None,
) -> Verdicts:
    """Judge the server at `url` (its base URL) by a protocol revision, and wait for the verdicts.

    `profile` is a TOML file, the name of a shipped one, or a value; without it the protocol's own is used.
    `headers` go with every request and are secrets. `only` names requirements or what their ids begin with;
    `allow` effect classes ("edit", "disrupt", "configure") for a server that is not on this machine. `strict`: closed
    schemas, warnings fail. `timeout_scale` is a factor on every deadline, `max_seconds` a ceiling on the probing.
    `baseline` is a file of expected failures. `report` is a folder for the documents and exchanges (default: none
    but the exchanges of findings, in a temporary folder).

    Where the profile gives leave (`repoint`), the server's model is the scripted one meanwhile; what cannot be put back
    at the end is a `RuntimeWarning`.

    It needs no event loop and no pytest session, may be called from any thread, and works inside a running
    event loop too, but blocks it: there, `await judge_async(…)` lets a server of the same loop answer.

    Raises, each with one line: `TargetUnreachable` where nothing that speaks HTTP answers, `WrongEndpointError`
    where something else than this protocol does, `TargetError` for arguments that cannot be used, `BaselineError`,
    and `HarnessError` for a fault that is ours and not the server's.
    """
    target = _target(url, protocol, profile, headers, _names(allow), strict, timeout_scale)
    chosen = _chosen(target, _names(only))
    expected = Baseline() if baseline is None else load(Path(baseline))
    if not max_seconds > 0:
        raise TargetError(f"max_seconds={max_seconds!r}: expected a number above 0")
    directory = Path(tempfile.mkdtemp(prefix="sse-conformance-") if report is None else report)
    run = Run(
        directory=directory,
        baseline=expected,
        max_seconds=max_seconds,
        strict=strict,
        timeout_scale=timeout_scale,
    )

    def judged() -> Verdicts:
        try:
            _look(target)
            return _verdicts(run, _prepared(run, target), chosen)
        finally:
            run.close()

    try:
        verdicts = _outside_of_any_loop(judged, run.close)
    finally:
        for complaint in run.complaints:
            warnings.warn(complaint, RuntimeWarning, stacklevel=2)
        if report is None:
            with contextlib.suppress(OSError):  # not empty: the exchanges of findings stay
                directory.rmdir()
    if report is not None:
        documents.write(directory, [verdicts.run])
    return verdicts


async def judge_async(
    url: str | None = None,
    protocol: str | None = None,
    *,
    profile: str | Path | Profile | None = None,
    headers: Mapping[str, str] | None = None,
    only: str | Iterable[str] = (),
    allow: str | Iterable[str] = (),
    strict: bool = False,
    timeout_scale: float = 1.0,
    max_seconds: float = 600.0,
    baseline: str | Path | None = None,
    report: str | Path | None = None,
) -> Verdicts:
    """`judge` in a thread of its own: the event loop goes on, and a server that it runs can answer."""
    return await asyncio.to_thread(
        judge,
        url,
        protocol,
        profile=profile,
        headers=headers,
        only=only,
        allow=allow,
        strict=strict,
        timeout_scale=timeout_scale,
        max_seconds=max_seconds,
        baseline=baseline,
        report=report,
    )


def _target(
    url: str | None,
    protocol: str | None,
    profile: str | Path | Profile | None,
    headers: Mapping[str, str] | None,
    allow: tuple[str, ...],
    strict: bool,
    timeout_scale: float,
) -> Target:
    if url is None and profile is None:
        raise TargetError("judge(): which server? Give its URL, or a profile that names one")
    if not timeout_scale > 0:
        raise TargetError(f"timeout_scale={timeout_scale!r}: expected a number above 0")
    options = TargetOptions(
        targets=() if url is None else (url,),
        protocol=protocol,
        profile=None if profile is None or isinstance(profile, Profile) else str(profile),
        allow=allow,
        strict=strict,
        timeout_scale=timeout_scale,
    )
    try:
        found = (
            _of_value(profile, url, protocol, options)
            if isinstance(profile, Profile)
            else resolve(options)[0]
        )
    except NoProtocolError as error:
        raise TargetError(
            f"judge({error.url!r}): which protocol? Name one of {', '.join(protocols())}, or a profile"
        ) from None
    found = replace(found, headers=_headers(found.headers, headers or {}))
    return Target(found.protocol, found.protocol, found)


def _of_value(profile: Profile, url: str | None, protocol: str | None, options: TargetOptions) -> Profile:
    named = replace(options, targets=(url or profile.url,), protocol=protocol or profile.protocol)
    checked = resolve(named)[
        0
    ]  # the URL, the protocol and the effects are checked as those of a command line
    allow = (*(profile.allow or ()), *(checked.allow or ())) or None
    return replace(
        profile,
        protocol=checked.protocol,
        url=checked.url,
        allow=allow,
        strict=profile.strict or checked.strict,
        timeout_scale=checked.timeout_scale,
    )


def _headers(known: tuple[tuple[str, str], ...], more: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    for name, value in more.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise TargetError(f"headers: {name!r} is no header name")
        if _NOT_IN_A_HEADER.search(value) or value != value.strip():
            # The value is a secret: it is not shown.
            raise TargetError(
                f"headers: the value of {name} cannot be sent: it has a line end, a control character, "
                "a space at its edge, or a character outside Latin-1"
            )
    named = {name.lower() for name in more}
    return (*(pair for pair in known if pair[0].lower() not in named), *more.items())


def _chosen(target: Target, only: tuple[str, ...]) -> tuple[Requirement, ...]:
    everywhere = [row.id for protocol in protocols() for row in catalogue(protocol).requirements]
    for prefix in only:
        if not any(name.startswith(prefix) for name in everywhere):
            raise TargetError(
                f"only={prefix!r}: no requirement's id begins so (see `sse-conformance requirements`)"
            )
    chosen = tuple(row for row in target.requirements if not only or row.id.startswith(only))
    if not chosen:
        raise TargetError(f"only={','.join(only)!r}: {target.protocol} has no such requirement")
    return chosen


def _look(target: Target) -> None:
    assert target.profile is not None
    clean = Redactor(target.profile).text
    try:
        preflight(target.profile)
    except TargetUnreachable as error:
        raise TargetUnreachable(clean(str(error))) from None
    except WrongEndpointError as error:
        raise WrongEndpointError(clean(str(error))) from None


def _prepared(run: Run, target: Target) -> Target:
    try:
        prepared, _ = run.prepared(target)
    except RepointError as error:
        raise TargetError(str(error)) from None
    return prepared


def _verdicts(run: Run, target: Target, chosen: tuple[Requirement, ...]) -> Verdicts:
    assert target.profile is not None
    redactor, began = Redactor(target.profile), time.monotonic()
    try:
        decisions = [decide(run, target, requirement) for requirement in chosen]
    except HarnessError as error:
        raise HarnessError(redactor.text(str(error))) from error.__cause__
    rows = tuple(decision.row for decision in decisions)
    failures = tuple(
        Failure(decision.row.requirement, decision.failure) for decision in decisions if decision.failure
    )
    result = result_of(
        run,
        target,
        rows,
        declared=declared(target.profile),
        duration=time.monotonic() - began,
        exit_status=exits.FAILED if failures else exits.OK,
        gave_up=redactor.text(run.lab(target).broken),
    )
    return Verdicts(result, failures, run.directory)


def _outside_of_any_loop(judged: Callable[[], Verdicts], close: Callable[[], None]) -> Verdicts:
    """Call it here, or in a thread where an event loop runs here already (probes have loops of their own).

    That thread does not outlive the program: `close` is called where waiting for it is interrupted.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return judged()
    said: list[Verdicts | BaseException] = []

    def work() -> None:
        try:
            said.append(judged())
        except BaseException as error:
            said.append(error)

    thread = threading.Thread(target=work, name="sse-conformance", daemon=True)
    thread.start()
    try:
        thread.join()
    except BaseException:
        close()
        raise
    found = said[0]
    if isinstance(found, TargetUnreachable):
        raise TargetUnreachable(
            f"{found} (judge() was called inside a running event loop, which waits for it: if that loop also runs "
            "the server, use `await judge_async(…)`)"
        )
    if isinstance(found, BaseException):
        raise found
    return found


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    parts = given.split(",") if isinstance(given, str) else given
    return tuple(part.strip() for part in parts if part.strip())


__all__ = [
    "BaselineError",
    "Failure",
    "HarnessError",
    "NotConforming",
    "TargetError",
    "TargetUnreachable",
    "Verdicts",
    "WrongEndpointError",
    "judge",
    "judge_async",
]
