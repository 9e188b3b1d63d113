"""Which tests run which lines of the package, and which of them to try on a mutant.

As a plugin (`-p reach`) it makes every test do its own work, whatever another one has cached.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from types import ModuleType
from typing import Any

import coverage
import pytest
from hypothesis import HealthCheck, Phase, settings

# Tests that start no server: they judge bytes and observations.
TESTS = (
    "tests/wire/test_*.py",
    "tests/rules_sse/test_*.py",
    "tests/penguin/test_*.py",
    "tests/agentsmithy/test_*.py",
    "tests/opencode/test_*.py",
    "tests/transport/test_*_rules.py",
    "tests/generated/test_generated_faults.py",
    "tests/generated/test_generated_streams.py",
    "tests/schemas/test_catalogue.py",
    "tests/docs/test_requirement_examples.py",
    "tests/docs/test_examples_among_others.py",
)
# How the names end of files whose tests start servers or processes, or take times.
OTHERS = "_reference _probes _probe _driver _repoint _slow_link _linear _extras".split()  # noqa: SIM905
# Those that judge once more what others judge, or measure memory.
AGAIN = "a_body_in_a_file or an_example_is_an_observation or is_said_to_follow or endless_line or with_and_without"
CHOSEN = ("-k", f"not ({AGAIN})")
TIMES = "MUTANTS_TIMES"  # the variable that names the file for `measure`
# Of the generated examples so many are tried: read by `tests.support.generated_profile`.
os.environ["SSE_GENERATED"] = "0.25"

settings.register_profile(
    "trial",  # the same examples each time, and a failure is not made small
    phases=(Phase.explicit, Phase.generate),
    database=None,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)

Line = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Reach:
    """Which tests (by id) run which lines of which modules, and how long each takes (of the processor, traced)."""

    lines: dict[Line, frozenset[str]]
    seconds: dict[str, float]
    at_import: frozenset[Line]
    _ways: dict[tuple[str, str], frozenset[int]] = field(default_factory=dict)
    _breadth: dict[str, int] = field(default_factory=dict)
    effort: float = 4.0  # seconds of tests (of the processor, traced) that a mutant has to live through

    def of(self, module: str, line: int) -> list[str]:
        """The tests that run a line, those first that are quick and go ways of their own through the module.

        A line that no test is seen to run may be the middle of a statement: the one above counts.
        """
        for above in range(line, max(0, line - 8), -1):
            if found := self.lines.get((module, above)):
                return self._chosen(module, found)
        return []

    def of_module(self, module: str) -> list[str]:
        """The tests that run any of a module's functions."""
        every = (tests for (name, _), tests in self.lines.items() if name == module)
        return self._chosen(module, frozenset().union(*every))

    def _chosen(self, module: str, tests: frozenset[str]) -> list[str]:
        if not self._ways:
            ways: dict[tuple[str, str], set[int]] = defaultdict(set)
            for (name, line), those in self.lines.items():
                for test in those:
                    ways[name, test].add(line)
                    self._breadth[test] = self._breadth.get(test, 0) + 1
            self._ways.update((key, frozenset(lines)) for key, lines in ways.items())
        # A test that runs little else is likely about this module.
        share = {test: len(self._ways[module, test]) / self._breadth[test] for test in tests}
        groups: dict[frozenset[int], list[str]] = defaultdict(list)
        for test in sorted(
            tests, key=lambda test: (-round(share[test], 1), self.seconds.get(test, 0.0), test)
        ):
            groups[self._ways[module, test]].append(test)
        chosen: list[str] = []
        spent = 0.0
        for each in zip_longest(*groups.values()):
            for test in each:
                cost = 0.0 if test is None else self.seconds.get(test, 0.0)
                if test is not None and (spent + cost <= self.effort or not chosen):
                    spent += cost
                    chosen.append(test)
        return sorted(chosen, key=lambda test: (0.01 + self.seconds.get(test, 0.0)) / share[test])


def test_files(root: Path) -> list[str]:
    """The files whose tests are tried, relative to `root`."""
    return [
        path.relative_to(root).as_posix()
        for pattern in TESTS
        for path in sorted(root.glob(pattern))
        if not path.stem.endswith(tuple(OTHERS))
    ]


def measure(root: Path, scratch: Path, modules: Sequence[str], store: Path) -> Reach:
    """Run the tests once, unmutated, those that were not measured before. Ends the program where they fail.

    `store`: where measurements are kept; one holds as long as the package, its schemas and the test file are what
    they were.
    """
    trees = [_git(root, "rev-parse", f"HEAD:{name}") for name in ("conformance", "schemas", "tests/support")]
    keys = {file: [*trees, _git(root, "rev-parse", f"HEAD:{file}")] for file in test_files(root)}
    known = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    kept = {file: known[file] for file, key in keys.items() if file in known and known[file]["key"] == key}
    if missing := [file for file in keys if file not in kept]:
        ways, seconds = _run(root, scratch, modules, missing)
        for file in missing:
            pure = {test for test in ways if test in seconds and test.startswith(f"{file}::")}
            mine = {test: way for test, way in ways.items() if test in pure}
            took = {test: spent for test, spent in seconds.items() if test.startswith(f"{file}::")}
            kept[file] = {"key": keys[file], "ways": mine, "seconds": took}
        store.write_text(json.dumps(kept, separators=(",", ":")), encoding="utf-8")
    lines_of: dict[Line, set[str]] = defaultdict(set)
    for entry in kept.values():
        for test, way in entry["ways"].items():
            for name, lines in way.items():
                for line in lines:
                    lines_of[name, line].add(test)
    return Reach(
        {line: frozenset(tests) for line, tests in lines_of.items()},
        {test: spent for entry in kept.values() for test, spent in entry["seconds"].items()},
        _at_import(root, scratch, modules),
    )


def _at_import(root: Path, scratch: Path, modules: Sequence[str]) -> frozenset[Line]:
    """The lines that importing the modules runs. What a test file reads while it is collected is no more than data."""
    data, script = scratch / "coverage-import", scratch / "imports.py"
    names = [name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in modules]
    script.write_text("".join(f"import {name}\n" for name in names), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "coverage",
        "run",
        f"--data-file={data}",
        f"--include={root}/conformance/*",
    ]
    env = dict(os.environ, PYTHONPATH=str(root))
    subprocess.run([*command, str(script)], cwd=root, env=env, check=True, capture_output=True)
    measured = coverage.CoverageData(basename=str(data))
    measured.read()
    return frozenset(
        (Path(name).relative_to(root).as_posix(), line)
        for name in measured.measured_files()
        for line in measured.lines(name) or ()
    )


def _run(
    root: Path, scratch: Path, modules: Sequence[str], files: Sequence[str]
) -> tuple[dict[str, dict[str, list[int]]], dict[str, float]]:
    """The lines that each test runs, by module, and how long it takes."""
    data, times, config = scratch / "coverage", scratch / "times.json", scratch / "coveragerc"
    config.write_text("[run]\ninclude =\n" + "".join(f"    {root / name}\n" for name in modules))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "-p",
        "reach",
    ]
    command += ["--cov", f"--cov-config={config}", "--cov-context=test", "--cov-report=", "--assert=plain"]
    command += ["--hypothesis-profile=trial", *CHOSEN, *files]
    path = os.pathsep.join([str(root), str(Path(__file__).parent)])
    env = dict(os.environ, PYTHONPATH=path, COVERAGE_FILE=str(data), **{TIMES: str(times)})
    run = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"the tests fail without any mutation:\n{run.stdout[-3000:]}{run.stderr[-1000:]}")
    measured = coverage.CoverageData(basename=str(data))
    measured.read()
    ways: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for name in measured.measured_files():
        module = Path(name).relative_to(root).as_posix()
        for line, contexts in measured.contexts_by_lineno(name).items():
            for context in contexts:
                ways[context.rpartition("|")[0]][module].add(line)
    found = {test: {name: sorted(lines) for name, lines in way.items()} for test, way in ways.items()}
    return found, json.loads(times.read_text(encoding="utf-8"))


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()


_seconds: dict[str, float] = {}
_not_pure = False
STARTS = {"socket.connect", "socket.bind", "subprocess.Popen", "os.fork", "os.posix_spawn"}


def _hear(event: str, _: object) -> None:
    if event in STARTS:
        global _not_pure
        _not_pure = True


if TIMES in os.environ:
    sys.addaudithook(_hear)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Take its processor time: that of the clock says more of what else the machine does."""
    global _not_pure
    _not_pure, begun = False, time.process_time()
    done = yield
    if not _not_pure:  # one that starts a server or a program has no place in a trial
        _seconds[item.nodeid] = round(time.process_time() - begun, 4)
    return done  # type: ignore[return-value]


def pytest_sessionfinish() -> None:
    """Write the times down for `measure`, where it asked for them."""
    if path := os.environ.get(TIMES):
        Path(path).write_text(json.dumps(_seconds), encoding="utf-8")


def pytest_runtest_setup(item: Any) -> None:
    """Forget what other tests had the rules say: a cached verdict runs no line."""
    module: ModuleType = item.module
    for value in vars(module).values():
        if callable(forget := getattr(value, "cache_clear", None)) and value.__module__ == module.__name__:
            forget()
