"""A judging pytest session: collection, exit status and reports of a run that judges targets."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from conformance import __version__, exits, progress, termination
from conformance.baseline import Baseline, BaselineError, dump, entries_of, load
from conformance.catalogue import Requirement, catalogue, protocols
from conformance.findings import Level, Verdict
from conformance.judge import HarnessError
from conformance.lab import Lab, allowed_effects
from conformance.lens.taking import CLIENTS
from conformance.observe.transport import TargetUnreachable
from conformance.plugin import OPTIONS, is_strict, named_targets, setting
from conformance.prefetch import Prefetch, Work
from conformance.preflight import WrongEndpointError, endpoints_that_answer, preflight
from conformance.redact import Redactor
from conformance.repoint import RepointError
from conformance.report import documents, files
from conformance.report.model import Declared, ResultRow, RunResult
from conformance.results import declared, result_of
from conformance.run import LENS_ROW, Judged, Run, Target, targets_of
from conformance.targets import NoProtocolError, TargetError, TargetOptions, resolve

_MARKERS = {Level.MUST: "must", Level.SHOULD: "should", Level.INFO: "info"}
_MODELS = "sse_model_urls"  # what workers are told
_JUDGED = pytest.StashKey[Judged]()


class JudgingSession:
    """The hooks of one session. An xdist worker only judges; the controller writes the documents."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        told: Mapping[str, Any] | None = getattr(config, "workerinput", None)
        self.worker = told is not None
        try:
            self._read_options()
        except NoProtocolError as error:
            answering = endpoints_that_answer(error.url)
            hint = f"; what answers there: {', '.join(answering)}" if answering else ""
            raise pytest.UsageError(f"{error}{hint}") from None
        except (TargetError, BaselineError) as error:
            raise pytest.UsageError(str(error)) from None
        self.in_run = False  # our suite was collected, whatever was selected of it
        self.chosen: dict[Target, list[Requirement]] = {}
        self.prompts: dict[str, int] = {}
        self.rows: dict[str, list[ResultRow]] = {}
        self.declared: dict[str, Declared] = {}
        self.gave_up: dict[str, str] = {}  # why a target was not probed to the end
        self.began = time.monotonic()
        self.harness_error = ""
        self._told = 0  # complaints of the run that were written
        self.done_to: dict[str, str] = {}  # what was done to a target to judge it
        if told is not None:  # the controller has pointed them
            self._take_models(told.get(_MODELS, {}))
        if getattr(config.option, "dist", "no") == "load":
            config.option.dist = "loadgroup"  # a target's probes run once: all its items stay on one worker
        if progress.wanted(config):
            config.pluginmanager.register(progress.Progress(config, self.run), "sse-conformance-progress")

    def _read_options(self) -> None:
        config, here = self.config, self.config.invocation_params.dir
        options = TargetOptions(
            targets=named_targets(config),
            protocol=setting(config, "sse_protocol"),
            profile=setting(config, "sse_profile"),
            allow=_list(setting(config, "sse_allow")),
            strict=is_strict(config),
            timeout_scale=_number(config, "sse_timeout_scale", 1.0),
        )
        profiles = resolve(options)
        self.explicit = bool(profiles)  # the user named a target
        self.targets = targets_of(profiles)
        self.only = _list(setting(config, "sse_only"))
        _check_prefixes(self.only, self.targets)
        lens, node_folder = self._lens(), setting(config, "sse_node_folder")
        report, baseline = setting(config, "sse_report"), setting(config, "sse_baseline")
        write = setting(config, "sse_write_baseline")
        self.write_baseline = here / write if write else None
        if self.write_baseline is not None and not self.write_baseline.parent.is_dir():
            raise TargetError(
                f"--sse-write-baseline {write}: there is no folder {self.write_baseline.parent}"
            )
        self.run = Run(
            directory=here / report if report else Path(tempfile.gettempdir()) / _scratch_name(),
            baseline=load(here / baseline) if baseline else Baseline(),
            max_seconds=_number(config, "sse_max_seconds", 600.0),
            strict=options.strict,
            timeout_scale=options.timeout_scale,
            lens=lens,
            node_folder=here / node_folder if node_folder else here,
        )

    def _lens(self) -> tuple[str, ...]:
        """The clients that are to show what they see."""
        asked = _list(setting(self.config, "sse_lens"))
        chosen = (*CLIENTS,) if asked == ("all",) else asked
        if unknown := [name for name in chosen if name not in CLIENTS]:
            raise TargetError(f"--sse-lens {unknown[0]}: expected all, or some of {', '.join(CLIENTS)}")
        if chosen and self.only and not LENS_ROW.startswith(self.only):
            raise TargetError(f"--sse-lens: it belongs to {LENS_ROW}, which --sse-only leaves out")
        return chosen

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Look at every named target once, before anything is judged; and whether there is a place for the report."""
        if self.config.option.collectonly or self.worker:
            return
        try:
            self.run.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            said = f"--sse-report {self.run.directory}: cannot be made: {error.strerror}"
            pytest.exit(said, returncode=exits.USAGE)
        if not self.explicit:
            return
        for target in self.targets:
            assert target.profile is not None
            clean = Redactor(target.profile).text
            try:
                preflight(target.profile)
            except TargetUnreachable as error:
                pytest.exit(clean(f"target unreachable: {error}"), returncode=exits.UNREACHABLE)
            except WrongEndpointError as error:
                pytest.exit(clean(f"wrong target: {error}"), returncode=exits.USAGE)
        self._prepare()

    def _prepare(self) -> None:
        """Point the models of targets at the scripted one, where there is leave. It is said at the head of the run."""
        # Where a later plugin stops the session before it has begun, there is no end of a session either.
        self.config.add_cleanup(self._close)
        if any(target.profile is not None and target.profile.repoint for target in self.targets):
            self.config.add_cleanup(termination.as_interrupt())
        try:
            for target in self.targets:
                prepared, said = self.run.prepared(target)
                self.targets = tuple(prepared if each is target else each for each in self.targets)
                if said:
                    self.done_to[target.key] = said
        except TargetUnreachable as error:
            pytest.exit(f"target unreachable: {error}", returncode=exits.UNREACHABLE)
        except RepointError as error:
            pytest.exit(str(error), returncode=exits.USAGE)
        if self.config.option.verbose < 0:  # then there is no header
            self._write([f"{key}: {said}" for key, said in self.done_to.items()])

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker where the targets' models are: it points none itself."""
        profiles = {target.key: target.profile for target in self.targets if target.profile is not None}
        node.workerinput[_MODELS] = {key: profile.model_url for key, profile in profiles.items()}

    def _take_models(self, urls: Mapping[str, str | None]) -> None:
        self.targets = tuple(
            target
            if target.profile is None
            else replace(target, profile=replace(target.profile, model_url=urls.get(target.key)))
            for target in self.targets
        )

    def pytest_report_header(self) -> list[str]:
        """Who is judged, by which profile, with whose consent."""
        lines = [f"sse-conformance {__version__}"]
        for target in self.targets:
            profile = target.profile
            if profile is None:
                lines.append(f"  {target.key}: the built-in reference server")
                continue
            shown = Redactor(profile).profile(profile)
            effects = ", ".join(sorted(effect.value for effect in allowed_effects(profile)))
            lines.append(f"  {target.key}: {shown.url} · effects allowed: {effects}")
            lines.append(f"    capabilities: {_declared(shown.capabilities)} · script: {shown.script}")
            if target.key in self.done_to:
                lines.append(f"    {self.done_to[target.key]}")
        return lines

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One item for every requirement of every target."""
        if (
            "judged" not in metafunc.fixturenames
            or metafunc.module.__name__ != "conformance.suite.test_requirements"
        ):
            return
        self.in_run = True
        cases = []
        for target in self.targets:
            for row in target.requirements:
                if self.only and not row.id.startswith(self.only):
                    continue
                level = pytest.mark.__getattr__(_MARKERS[row.level])
                marks = [level, pytest.mark.xdist_group(target.key)]
                cases.append(pytest.param((target, row), id=f"{target.key}::{row.id}", marks=marks))
        metafunc.parametrize("judged", cases, indirect=True)

    @pytest.fixture
    def judged(self, request: pytest.FixtureRequest) -> Judged:
        """The requirement on its target."""
        target, requirement = request.param
        made = Judged(self.run, target, requirement)
        request.node.stash[_JUDGED] = made
        return made

    @pytest.hookimpl(tryfirst=True)  # before the terminal asks what was collected
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count what was selected; a target that nothing of ours will judge is an error."""
        labs: dict[str, set[str]] = {}
        for item in session.items:
            callspec = getattr(item, "callspec", None)
            chosen = callspec.params.get("judged") if callspec is not None else None
            if chosen is None or not isinstance(chosen, tuple):
                continue
            target, requirement = chosen
            self.chosen.setdefault(target, []).append(requirement)
            if target.profile is not None:
                probes = Lab(target.profile).probes_of(requirement)
                seen = labs.setdefault(target.key, set())
                self.prompts[target.key] = self.prompts.get(target.key, 0) + sum(
                    probe.prompts for probe in probes if probe.name not in seen
                )
                seen |= {probe.name for probe in probes}
        if self.explicit and not self.in_run and not session.testsfailed and not self.worker:
            raise pytest.UsageError(
                "--target was given, but this run selects none of the conformance tests: type "
                "`sse-conformance test URL --sse-protocol P/R` or `pytest --pyargs conformance --target URL`"
            )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Probe the other targets while the first is judged, where each has a server of its own."""
        work = [Work(target, tuple(rows)) for target, rows in self.chosen.items()]
        profiles = [entry.target.profile for entry in work]
        servers = {urlsplit(profile.url).netloc for profile in profiles if profile is not None}
        apart = all(profile is None for profile in profiles) or len(servers) == len(profiles)
        alone = self.worker or getattr(self.config.option, "dist", "no") != "no"
        if len(work) < 2 or not apart or alone or self.config.option.collectonly:
            return (yield)
        prefetch = Prefetch(self.run, work[1:])
        try:
            return (yield)
        finally:
            prefetch.stop()

    def pytest_report_collectionfinish(self) -> list[str]:
        """What the run will cost the targets."""
        return [f"{key}: will send {count} prompts" for key, count in self.prompts.items()]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Put the verdict on the test case; keep harness errors apart from failures of the target."""
        report = yield
        made = item.stash.get(_JUDGED, None)
        if made is None or report.when != "call":
            return report
        if call.excinfo is not None and call.excinfo.errisinstance(HarnessError):
            text = f"harness error (not the target's fault): {call.excinfo.value}"
            if (profile := made.target.profile) is not None:
                text = Redactor(profile).text(text)
            report.longrepr = text
            report.sse_harness_error = text  # type: ignore[attr-defined]
        if made.row is not None:
            told = [("requirement", made.requirement.id), ("verdict", made.row.verdict.value)]
            report.user_properties += told
            item.user_properties += told  # the report of the teardown, from which JUnit takes them
            lab = self.run.lab(made.target)
            # As JSON text: plain enough for its way from a worker process.
            texts = [json.dumps(files.row_data(made.row)), json.dumps(asdict(declared(lab.profile)))]
            report.sse_row = [made.target.key, *texts]  # type: ignore[attr-defined]
            report.sse_gave_up = Redactor(lab.profile).text(lab.broken)  # type: ignore[attr-defined]
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a test case said."""
        self.harness_error = self.harness_error or getattr(report, "sse_harness_error", "")
        if (carried := getattr(report, "sse_row", None)) is not None:
            key, row, profile = carried
            self.rows.setdefault(key, []).append(files.row_of(json.loads(row)))
            self.declared[key] = files.declared_of(json.loads(profile))
            if reason := getattr(report, "sse_gave_up", ""):
                self.gave_up[key] = reason

    @pytest.hookimpl(tryfirst=True, wrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Write the documents, set the exit status, and say the last lines."""
        if self.harness_error:
            session.exitstatus = exits.HARNESS
        yield
        self._close()
        if self.run.complaints and session.exitstatus == exits.OK:
            session.exitstatus = exits.HARNESS
        if not self.rows or self.worker:
            return
        results = self._results(int(session.exitstatus))
        runs = list(results.values())
        lines = self._closing_lines(runs)
        try:
            documents.write(self.run.directory, runs, step_summary=True)
            if self.write_baseline is not None:
                entries = entries_of(results, self.run.baseline)
                self.write_baseline.write_text(dump(entries), encoding="utf-8")
                lines.insert(0, _written(self.write_baseline, len(entries), runs))
        except OSError as error:  # a full disk, say: the verdicts were given, their documents are not there
            session.exitstatus = exits.USAGE
            lines.insert(0, f"{error.filename}: cannot be written: {error.strerror}")
        self._write(lines)

    def _close(self) -> None:
        self.run.close()
        self._write(self.run.complaints[self._told :])
        self._told = len(self.run.complaints)

    def _write(self, lines: Sequence[str]) -> None:
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            for line in lines:
                reporter.write_line(line)

    def _results(self, status: int) -> dict[str, RunResult]:
        """One result for each target that something was said of, by the target's key."""
        duration = time.monotonic() - self.began
        return {
            target.key: result_of(
                self.run,
                target,
                self.rows[target.key],
                declared=self.declared[target.key],
                duration=duration,
                exit_status=status,
                gave_up=self.gave_up.get(target.key, ""),
            )
            for target in self.targets
            if target.key in self.rows
        }

    def _closing_lines(self, runs: list[RunResult]) -> list[str]:
        lines = [f"{key}: gave up: {reason}" for key, reason in self.gave_up.items()]
        for run in runs:
            lines += [_warning(run, row) for row in run.rows if row.verdict is Verdict.WARN]
        slow = max((row for run in runs for row in run.rows), key=lambda row: row.seconds, default=None)
        if slow is not None:
            total = time.monotonic() - self.began
            lines.append(f"slowest requirement: {slow.requirement} ({slow.seconds:.1f} s of {total:.1f} s)")
        lines.append(f"report: {self.run.directory}")
        return [*lines, *(run.summary_line() for run in runs)]


def _warning(run: RunResult, row: ResultRow) -> str:
    """One line: a warning does not fail, but must not pass unseen either."""
    first = row.findings[0]
    more = f" and {len(row.findings) - 1} more" if len(row.findings) > 1 else ""
    return f"warn {run.protocol} {row.requirement}: {first.title} (probe {first.probe}{more}): {first.saved}"


def _written(path: Path, entries: int, runs: list[RunResult]) -> str:
    """What a written baseline holds, and what it cannot make green: a baseline names failures only."""
    open_rows = [
        row.requirement for run in runs for row in run.rows if row.red and row.verdict is Verdict.INCONCLUSIVE
    ]
    left = f"; still red: {', '.join(open_rows)} (inconclusive: see allow_inconclusive)" if open_rows else ""
    return f"baseline: {path}: {entries} expected {'failure' if entries == 1 else 'failures'}{left}"


def _scratch_name() -> str:
    # One name for the controller and its workers, so that saved paths agree.
    session = os.environ.setdefault("SSE_CONFORMANCE_SESSION", f"{os.getpid()}")
    return f"sse-conformance-{session}"


def _number(config: pytest.Config, name: str, default: float) -> float:
    raw = setting(config, name)
    try:
        value = default if raw is None else float(raw)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise TargetError(f"{OPTIONS[name][0]} {raw}: expected a number above 0")
    return value


def _check_prefixes(only: tuple[str, ...], targets: tuple[Target, ...]) -> None:
    # One list may serve targets of several protocols, so a prefix need not be known to each of them.
    everywhere = [row.id for protocol in protocols() for row in catalogue(protocol).requirements]
    for prefix in only:
        if not any(name.startswith(prefix) for name in everywhere):
            raise TargetError(
                f"--sse-only {prefix}: no requirement's id begins so (see `sse-conformance requirements`)"
            )
    if only and not any(row.id.startswith(only) for target in targets for row in target.requirements):
        named = ", ".join(target.protocol for target in targets)
        raise TargetError(f"--sse-only {','.join(only)}: {named} has no such requirement")


def _list(raw: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (raw or "").split(",") if part.strip())


def _declared(capabilities: Any) -> str:
    names = [name for name in capabilities.__dataclass_fields__ if getattr(capabilities, name)]
    return ", ".join(names) or "none"
