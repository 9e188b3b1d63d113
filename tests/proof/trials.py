"""Trying a mutant: the tests that reach it are run, with it, in a process of its own, until one fails.

Two ways. *Warm*: a pytest session that has collected everything forks; in the child the functions of the mutant get
their mutated code, and the chosen tests run at once. *Cold*: what a module does when it is imported (constants,
registrations, defaults) must be imported mutated, by a child of a process that has not imported the module yet.
"""

from __future__ import annotations

import gc
import importlib
import importlib.abc
import importlib.util
import inspect
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import pytest

from mutation import Mutant, Mutation, instructions, own_instructions  # isort: skip  (beside this file)

MEMORY = 4 * 2**30  # bytes that a trial may take: a mutant that collects without end is killed
LOOPS = 1.0  # seconds of processor time, and PATIENCE times what a test takes: then it is taken to loop
PATIENCE = 5.0
HANGS = 300.0  # seconds of any clock for a whole trial
QUIET = ["-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov", "--tb=line", "--no-header"]
# pytest's rewriting of asserts would load the package from disk, past the mutation.
QUIET += ["--assert=plain", "--hypothesis-profile=trial"]
# Imported before any cold trial forks, so that none pays for it: nothing here is mutated, nor imports what is.
AHEAD = (
    "conformance.catalogue",
    "conformance.event_schemas",
    "conformance.profile_file",
    "conformance.script",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a trial. `killer`: the test that failed, "(loops)" where none ended; "" if it lived."""

    mutant: Mutant
    killer: str
    seconds: float
    said: str = ""


Told = Callable[[Outcome], None]


class Crew:
    """Children that each do one thing; at most `workers` at once."""

    def __init__(self, workers: int, scratch: Path, told: Told) -> None:
        self._workers = workers
        self._scratch = scratch
        self._told = told
        self._running: dict[int, tuple[Mutant, float, Path]] = {}
        self._number = 0

    def send(self, mutant: Mutant, work: Callable[[Path], int]) -> None:
        """Fork, and let the child do it. It writes the name of a failed test into the file that it is given."""
        while len(self._running) >= self._workers:
            self._wait()
        self._number += 1
        result = self._scratch / f"{self._number}.killer"
        sys.stdout.flush()
        child = os.fork()
        if child:
            self._running[child] = (mutant, time.monotonic(), result)
            return
        status = 70
        try:
            signal.alarm(int(HANGS))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            with result.with_suffix(".log").open("wb") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
            status = work(result)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def finish(self) -> None:
        """Wait for all of them."""
        while self._running:
            self._wait()

    def _wait(self) -> None:
        child, status = os.wait()
        mutant, began, result = self._running.pop(child)
        log = result.with_suffix(".log")
        killer = result.read_text(encoding="utf-8") if result.exists() else ""
        said = log.read_text(encoding="utf-8", errors="replace")[-3000:] if log.exists() else ""
        result.unlink(missing_ok=True)
        log.unlink(missing_ok=True)
        shutil.rmtree(_folder(result), ignore_errors=True)
        if status and not killer:
            killer = "(loops)" if os.WIFSIGNALED(status) else "(breaks)"
        self._told(Outcome(mutant, killer, time.monotonic() - began, said))


class Watch:
    """A pytest plugin for children: bounds each test, and leaves at the first that fails."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self._seconds = seconds
        self.result: Path | None = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Its time is that of the processor: a busy machine kills no mutant."""
        signal.setitimer(signal.ITIMER_PROF, LOOPS + PATIENCE * self._seconds.get(item.nodeid, 0.0))
        result = yield
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        return result  # type: ignore[return-value]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A failed test is all that is asked for; that one could not be set up says nothing."""
        if report.failed and report.when == "call" and self.result is not None:
            self.result.write_text(report.nodeid, encoding="utf-8")
            print(report.longreprtext, flush=True)
            os._exit(1)


class Warm:
    """A pytest plugin: in place of a run of the tests, trials of mutants."""

    def __init__(self, root: Path, watch: Watch, body: Callable[[Warm], None]) -> None:
        self._root = root
        self._watch = watch
        self._body = body
        self._items: dict[str, pytest.Item] = {}
        self._live: dict[str, dict[object, list[FunctionType]]] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """What would run the tests."""
        self._config = session.config
        self._items = {item.nodeid: item for item in session.items}
        _warm_up()
        self._live = _live_functions(self._root)
        gc.collect()
        gc.freeze()
        self._body(self)
        return True

    @property
    def tests(self) -> list[str]:
        """The ids of all tests."""
        return list(self._items)

    def swaps(self, mutation: Mutation) -> list[tuple[FunctionType, CodeType]]:
        """The living functions that the mutation changes, with their code; none where it changes the import."""
        path = self._root / mutation.mutant.module
        original = compile(path.read_text(encoding="utf-8"), str(path), "exec")
        live = self._live.get(mutation.mutant.module, {})
        return [
            (function, changed)
            for code, changed in _changed(original, mutation.code)
            for function in live.get(_place(code), ())
            if len(function.__code__.co_freevars) == len(changed.co_freevars)
        ]

    def run(self, swaps: Sequence[tuple[FunctionType, CodeType]], tests: Sequence[str], result: Path) -> int:
        """In a child: exchange the code, run the tests."""
        for function, code in swaps:
            function.__code__ = code
        self._watch.result = result
        _own_folder(self._config, result)
        items = [self._items[test] for test in tests]
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        return 0


def warm_session(root: Path, files: Sequence[str], watch: Watch, body: Callable[[Warm], None]) -> None:
    """Collect these files, and call `body` where their tests would be run."""
    os.chdir(root)
    sys.path.insert(0, str(root))
    status = pytest.main([*QUIET, *files], plugins=[watch, Warm(root, watch, body)])
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        sys.exit(f"pytest ended with status {status}")


def prepare_cold(root: Path) -> None:
    """Import what no cold trial need import again."""
    os.chdir(root)
    sys.path.insert(0, str(root))
    for name in AHEAD:
        importlib.import_module(name)
    _warm_up()


def run_cold(mutation: Mutation, rounds: Sequence[Sequence[str]], watch: Watch, result: Path) -> int:
    """In a child: import the module mutated, collect the tests, run them, the first round before the second."""
    watch.result = result
    sys.meta_path.insert(0, _Mutated(mutation))
    for tests in rounds:
        status = int(pytest.main([*QUIET, f"--basetemp={_folder(result)}", *tests], plugins=[watch]))
        if status:
            return status
    return 0


def _warm_up() -> None:
    """Read the catalogues, schemas and examples, which every test reads."""
    from conformance import catalogue, event_schemas, profile_file, schema_store

    for protocol in catalogue.protocols():
        catalogue.catalogue(protocol)
        profile_file.default_profile(protocol, "http://localhost")
        for strict in (False, True):
            event_schemas.event_schemas(protocol, strict)
    for name in ("observation", "examples"):
        schema_store.own_validator(name)
    if examples := sys.modules.get("conformance.examples"):
        for protocol in catalogue.protocols():
            examples.examples(protocol)


def _folder(result: Path) -> Path:
    return result.with_suffix(".files")


def _own_folder(config: pytest.Config, result: Path) -> None:
    """Let `tmp_path` be in a folder of the trial's own: the numbered ones are everybody's, and tidied up by all."""
    config._tmp_path_factory._given_basetemp = _folder(result)  # type: ignore[attr-defined]


def _live_functions(root: Path) -> dict[str, dict[object, list[FunctionType]]]:
    found: dict[str, dict[object, list[FunctionType]]] = defaultdict(lambda: defaultdict(list))
    package = str(root / "conformance") + os.sep
    for value in gc.get_objects():
        if type(value) is FunctionType and value.__code__.co_filename.startswith(package):
            module = Path(value.__code__.co_filename).relative_to(root).as_posix()
            found[module][_place(value.__code__)].append(value)
    return found


def _place(code: CodeType) -> object:
    return code.co_qualname, code.co_firstlineno, tuple(code.co_positions())


def _changed(original: CodeType, mutated: CodeType) -> list[tuple[CodeType, CodeType]]:
    """The functions that a mutation changes; none where it changes what runs at import."""
    if not original.co_flags & inspect.CO_OPTIMIZED:  # a module's or a class's own code
        if own_instructions(original) != own_instructions(mutated):
            return []
        changed: list[tuple[CodeType, CodeType]] = []
    elif instructions(original) == instructions(mutated):
        return []
    else:
        changed = [(original, mutated)]
    for before, after in zip(_inner(original), _inner(mutated), strict=False):
        if instructions(before) != instructions(after):
            more = _changed(before, after)
            if not more:
                return []
            changed += more
    return changed


def _inner(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds one module, and executes the mutated code for it."""

    def __init__(self, mutation: Mutation) -> None:
        self._name = mutation.mutant.module.removesuffix(".py").replace("/", ".")
        self._code = mutation.code

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec of the mutated module; no other."""
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._code.co_filename, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        """Execute it."""
        exec(self._code, module.__dict__)
