"""What a long run is doing, on a terminal: one line that is drawn over and over, and nothing anywhere else.

It takes the place of pytest's dots. With -q or -v, workers, a debugger, in CI, and where nothing is a terminal,
pytest's own output stays as it is. No escape sequences are used but the carriage return, so there is nothing for
NO_COLOR to turn off; what is coloured goes through pytest's writer, which honours it and `--color`.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Generator, Iterable
from typing import TextIO

import pytest

from conformance.catalogue import Requirement
from conformance.lab import Lab
from conformance.observe.probe import Probe
from conformance.profile_file import default_profile
from conformance.run import Run, Target

_TICK = 1.0  # seconds
_TOLD = 3  # probes after which their mean says something


def wanted(config: pytest.Config) -> bool:
    """Whether this run may draw a line."""
    quiet = config.option.verbose != 0 or getattr(config.option, "numprocesses", None)
    debugged = config.option.usepdb or config.option.trace or config.option.collectonly
    batch = os.environ.get("CI") or os.environ.get("BUILD_NUMBER") or os.environ.get("TERM", "dumb") == "dumb"
    return not (quiet or debugged or batch or hasattr(config, "workerinput")) and sys.stdout.isatty()


class Line:
    """The line itself. Every method may be called from any thread."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal
        self._lock = threading.Lock()
        self._width = 0

    def show(self, text: str) -> None:
        """Draw it anew, cut to the terminal's width."""
        width = shutil.get_terminal_size().columns - 1
        text = text if len(text) <= width else f"{text[: width - 1]}…"
        with self._lock:
            self._write(f"\r{text:<{self._width}}")
            self._width = len(text)

    def clear(self) -> None:
        """Leave an empty line with the cursor at its beginning."""
        with self._lock:
            if self._width:
                self._write(f"\r{' ' * self._width}\r")
                self._width = 0

    def close(self) -> None:
        """Draw no more."""
        self.clear()
        with self._lock:
            self._terminal.close()

    def _write(self, text: str) -> None:
        if not self._terminal.closed:
            self._terminal.write(text)
            self._terminal.flush()


class Progress:
    """The hooks that keep the line true. `run.watch` tells which probe begins."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        # Tests run with their output captured: a descriptor of its own leads to the terminal past that.
        descriptor = os.dup(sys.stdout.fileno())
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        self._line = Line(os.fdopen(descriptor, "w", encoding=encoding, errors="replace"))
        self._config = config
        self._began = time.monotonic()
        self._items: dict[str, int] = {}  # number by node id
        self._probes = 0
        self._probed = 0
        self._judging = self._requirement = ""
        self._probing = ""
        self._drawing = threading.Event()
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None
        run.watch = self.probe_begins

    def probe_begins(self, key: str, probe: Probe) -> None:
        """A probe of that target begins."""
        self._probed += 1
        other = "" if self._judging.endswith(f" {key}") else f"{key} "  # probed beside the one that is judged
        self._probing = f"{other}{probe.name}: {probe.summary.rstrip('.')}"
        self._draw()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Begin, if every item is one of ours: others have dots to show."""
        chosen: dict[Target, list[Requirement]] = {}
        for item in session.items:
            callspec = getattr(item, "callspec", None)
            judged = None if callspec is None else callspec.params.get("judged")
            if not isinstance(judged, tuple):
                return
            chosen.setdefault(judged[0], []).append(judged[1])
            self._items[item.nodeid] = len(self._items) + 1
        self._probes = sum(_probes_of(target, rows) for target, rows in chosen.items())
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and self._items:
            reporter.showfspath = False  # the line says what is judged
            self._ticker = threading.Thread(target=self._tick, name="sse-conformance progress", daemon=True)
            self._ticker.start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say what is judged now."""
        if self._ticker is not None:
            key, requirement = _named(nodeid)
            self._judging, self._requirement = (
                f"{self._items.get(nodeid, 0)}/{len(self._items)} {key}",
                requirement,
            )
            self._probing = ""
            self._drawing.set()
            self._draw()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_report_teststatus(
        self, report: pytest.TestReport
    ) -> Generator[None, object, tuple[str, str, object]]:
        """No dot or letter for what the line has shown."""
        status = yield
        assert isinstance(status, tuple)
        if self._ticker is None or getattr(report, "nodeid", None) not in self._items:
            return status
        return (status[0], "", "")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Give the terminal back; what failed is said at once."""
        if self._ticker is None:
            return
        if report.failed:
            self._drawing.clear()
            self._line.clear()
            reporter = self._config.pluginmanager.get_plugin("terminalreporter")
            told = dict(report.user_properties)
            if reporter is not None:
                reporter.write_line(
                    f"{told.get('verdict', 'error')}: {' '.join(_named(report.nodeid))}", red=True
                )
        if report.when == "teardown":
            self._drawing.clear()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Leave nothing behind."""
        self._ended.set()
        self._drawing.clear()
        if self._ticker is not None:
            self._ticker.join()
        self._line.close()

    def _tick(self) -> None:
        while not self._ended.wait(_TICK):
            self._draw()

    def _draw(self) -> None:
        if not self._drawing.is_set():
            return
        elapsed = time.monotonic() - self._began
        left = ""
        done = self._probed - bool(self._probing)
        if _TOLD <= done < self._probes:
            left = f", about {_clock(elapsed / done * (self._probes - done))} left"
        probe = (
            f" · probe {self._probed}/{max(self._probed, self._probes)} {self._probing}"
            if self._probing
            else ""
        )
        self._line.show(f"{self._judging} {self._requirement} · {_clock(elapsed)}{left}{probe}")


def _probes_of(target: Target, requirements: Iterable[Requirement]) -> int:
    # The built-in server is not started for a guess.
    lab = Lab(target.profile or default_profile(target.protocol, "http://127.0.0.1"))
    return len({probe.name for row in requirements for probe in lab.probes_of(row)})


def _named(nodeid: str) -> tuple[str, str]:
    """The target's key and the requirement's id of one of our items."""
    key, _, requirement = nodeid.partition("[")[2].removesuffix("]").rpartition("::")
    return key, requirement


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


__all__ = ["Progress", "wanted"]
