"""A load run within Locust: its beginning and its end, in one process or in a master and its workers.

Workers count for themselves; what was counted since the last report goes along with Locust's own reports, and the
master adds it up. At the end the master asks them to drain, and only when all have done so is the run judged.
"""

from __future__ import annotations

import logging
import shlex
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment
from locust.exception import StopUser
from locust.runners import STATE_INIT, MasterRunner, WorkerRunner

from conformance.exits import FAILED, HARNESS, OK, UNREACHABLE, USAGE
from conformance.load_result import LoadResult, redacted
from conformance.redact import Redactor
from conformance.report import load_documents
from conformance.transcript import Request
from loadtests.client import ClientError, exchange
from loadtests.draining import drain, longest
from loadtests.health import Health, LoopWatch, ProcessWatch
from loadtests.integrity import warm
from loadtests.measures import Figures
from loadtests.options import Asked, OptionError, prepare, read_options
from loadtests.result import Story, result_of
from loadtests.rooms import Rooms
from loadtests.run import Run
from loadtests.shapes import saturated

_log = logging.getLogger("sse-conformance")
_KEY = "sse"  # of our figures, in the reports of Locust's workers
PROGRESS = 10.0  # seconds between two lines of progress


class Control:
    """What this process does in a run: a worker makes load, a master adds up and judges, one alone does both."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.total = Figures()  # of all processes, as far as they have reported
        self.result: LoadResult | None = None
        self.asked: Asked | None = None
        self._run: Run | None = None
        self._rooms: dict[str, Rooms] = {}
        self._health: dict[str, Health] = {}
        self._watch: LoopWatch | None = None
        self._process: ProcessWatch | None = None
        self._story: Story | None = None
        self._drained: set[str] = set()
        self._level = -1
        self._storms = 0
        self._finishing = False
        self._greenlets: list[gevent.Greenlet[..., None]] = []
        runner = environment.runner
        if isinstance(runner, WorkerRunner):
            for name, listener in (
                ("sse-drain", self._on_drain),
                ("sse-level", self._on_level),
                ("sse-storm", self._on_storm),
            ):
                runner.register_message(name, listener, concurrent=True)
        elif isinstance(runner, MasterRunner):
            runner.register_message("sse-drained", self._on_drained)
        events = environment.events
        events.test_start.add_listener(self._on_test_start)
        events.test_stopping.add_listener(self._on_test_stopping)
        events.report_to_master.add_listener(self._on_report)
        events.worker_report.add_listener(self._on_worker_report)
        events.quitting.add_listener(self._on_quitting)
        events.quit.add_listener(self._on_quit)

    @staticmethod
    def of(environment: Environment) -> Control:
        """The one of this process."""
        control: Control = environment.sse_control  # type: ignore[attr-defined]
        return control

    @property
    def run(self) -> Run:
        """This process's share; there is one from the beginning of a run on, except in a master.

        Raises `StopUser` where the run could not begin.
        """
        if self._run is None:
            raise StopUser
        return self._run

    def rooms(self, family: str) -> Rooms:
        """The rooms of a protocol."""
        if family not in self._rooms:
            self._rooms[family] = Rooms(self.run, self.run.target(family))
        return self._rooms[family]

    @property
    def is_worker(self) -> bool:
        """Whether a master judges."""
        return isinstance(self.environment.runner, WorkerRunner)

    @property
    def is_master(self) -> bool:
        """Whether others make the load."""
        return isinstance(self.environment.runner, MasterRunner)

    # --- the beginning

    def check(self) -> None:
        """Before anything runs: are the options usable, and is there a server? Ends the program if not."""
        try:
            self.asked = asked = read_options(self.environment.parsed_options, self.environment.host)
            if self._pid is not None:
                ProcessWatch(self._pid, time.time()).stop()
        except (OptionError, ValueError) as error:
            _give_up(str(error), USAGE)
        self.warm_up()
        for profile in asked.settings.profiles:
            target = Run(asked.settings, _nothing).target(profile.family)
            try:
                exchange(target.endpoint, target.call(Request("GET", f"{profile.url}/")), target.limits)
            except ClientError as error:  # any answer will do
                _give_up(f"{profile.url}: {error}", UNREACHABLE)

    def warm_up(self) -> None:
        """Read schemas and rules before there is anything to judge, where it is known already what that will be."""
        with suppress(OptionError):
            for profile in read_options(
                self.environment.parsed_options, self.environment.host
            ).settings.profiles:
                warm(profile)

    def _on_test_start(self, **_: Any) -> None:
        try:
            self._begin()
        except Exception as error:
            # Locust would log it, and let the users run.
            _log.exception("the run could not begin")
            self.total.fault(f"the run could not begin: {error!r}")
            self._run = None

    def _begin(self) -> None:
        options = self.environment.parsed_options
        if not self.is_worker:
            prepare(options)
        self.asked = asked = read_options(options, self.environment.host)
        self.total, self.result = Figures(), None
        self._health, self._drained, self._rooms = {}, set(), {}
        self._level, self._storms, self._finishing = -1, 0, False
        if not self.is_master:
            for profile in asked.settings.profiles:
                warm(profile)
            self._run = Run(asked.settings, self._fire)
            self._watch = LoopWatch()
        if not self.is_worker:
            self._story = Story(asked.settings.started)
            if self._pid is not None:
                self._process = ProcessWatch(self._pid, asked.settings.started)
            self._greenlets = [gevent.spawn(self._look), gevent.spawn(self._progress)]
            first = None if asked.shape is None else asked.shape.at(0.0)
            self.ask_for(0, (getattr(options, "num_users", None) or 1) if first is None else first.users)

    def ask_for(self, level: int, users: int, storms: int = 0) -> None:
        """A level of concurrency, and storms so far: told to all who make load."""
        story = self._story
        if story is None:
            return
        if level != self._level or story.users_of(level) != users:
            if level != self._level:
                story.begin(level, users)
                self._level = level
            else:
                story.raise_to(level, users)
            self._tell("sse-level", [level, users])
        if storms > self._storms:
            self._storms = storms
            self._tell("sse-storm", None)

    def _tell(self, name: str, data: Any) -> None:
        if self.is_master:
            self.environment.runner.send_message(name, data)  # type: ignore[union-attr]
        elif name == "sse-level":
            self.run.raise_level(*data)
        else:
            self._storm()

    # --- while it runs

    @property
    def figures(self) -> Figures:
        """Of all processes, as of now; of workers, as of their last report."""
        if self._run is not None and not self.is_worker:
            return self._run.figures
        return self.total

    @property
    def running(self) -> bool:
        """Whether a run has begun and is not about to end."""
        return self._story is not None and not self._finishing

    def saturated(self) -> str:
        """Why the newest level of concurrency is more than the server, or the generator, holds; "" if it is not."""
        story = self._story
        if story is None:
            return ""
        users = {number: story.users_of(number) for number in story.held()}
        late = next((health.why for health in self._healths().values() if health.why), "")
        return saturated(self.figures.levels, users, story.held(), late)

    def end_early(self, why: str) -> None:
        """Say why the run ends before its time."""
        if self._story is not None:
            self._story.ended = why

    def _healths(self) -> dict[str, Health]:
        if self._watch is not None and not self.is_worker:
            return {"this process": self._watch.health}
        return self._health

    def _look(self) -> None:
        story = self._story
        while story is not None:
            runner = self.environment.runner
            story.saw(0 if runner is None else runner.user_count)
            gevent.sleep(0.25)

    def _progress(self) -> None:
        while True:
            gevent.sleep(PROGRESS)
            figures = self.figures
            wrong = ", ".join(f"{count:,} {kind}" for kind, count in figures.integrity() if count)
            _log.info(
                "%d events judged, %d answers heard, %s; %d errors; p99 of the time to first event %.0f ms",
                figures.counts["events"],
                figures.counts["heard"],
                wrong or "nothing wrong",
                sum(figures.errors.values()),
                figures.times["ttfe"].percentile(99) * 1e3,
            )

    def _fire(self, method: str, name: str, seconds: float, size: int, error: Exception | None) -> None:
        self.environment.events.request.fire(
            request_type=method,
            name=name,
            response_time=seconds * 1e3,
            response_length=size,
            exception=error,
            context={},
        )

    def _storm(self) -> None:
        for stream in list(self.run.open):
            stream.renew()

    def _on_level(self, msg: Any, **_: Any) -> None:
        if self._run is not None:
            self._run.raise_level(*msg.data)

    def _on_storm(self, **_: Any) -> None:
        if self._run is not None:
            self._storm()

    # --- reports

    def _report(self) -> dict[str, Any]:
        health = Health() if self._watch is None else self._watch.health
        figures = self.total if self._run is None else self._run.figures
        return {"figures": figures.take().to_data(), "health": health.to_data()}

    def _on_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        if self._run is not None or self.total.faults:
            data[_KEY] = self._report()

    def _on_worker_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        report = data.get(_KEY)
        if report is not None:
            self.total.add(Figures.from_data(report["figures"]))
            self._health[client_id] = Health(*report["health"])

    # --- the end

    def _on_test_stopping(self, **_: Any) -> None:
        self.finish()

    def finish(self) -> None:
        """Drain, and judge; the first time it is called after a beginning."""
        if self._finishing or (self._story is None and self._run is None):
            return
        self._finishing = True
        story = self._story
        if story is not None:
            story.stop()
        if self._run is not None:
            drain(self._run, self._rooms.values())
        if story is None:  # a worker
            return
        if self.is_master:
            self._drain_workers()
        elif self._run is not None:
            self.total = self._run.figures
        health = self._healths()
        for watch in (self._watch, self._process):
            if watch is not None:
                watch.stop()
        gevent.killall(self._greenlets)
        self._judge(story, health)
        self._watch = self._process = None

    def _drain_workers(self) -> None:
        runner, asked = self.environment.runner, self.asked
        assert isinstance(runner, MasterRunner)
        assert asked is not None
        expected = {client.id for client in runner.clients.all if client.state != STATE_INIT}
        deadline = time.monotonic() + longest(Run(asked.settings, _nothing)) + 10
        for client in expected:
            runner.send_message("sse-drain", None, client)
        while not expected <= self._drained and time.monotonic() < deadline:
            expected &= {client.id for client in runner.clients.all}
            gevent.sleep(0.02)
        missing = {client.id for client in runner.clients.all} & (expected - self._drained)
        for client in sorted(missing) + sorted(
            set(self._health) - {client.id for client in runner.clients.all}
        ):
            self.total.fault(f"the worker {client} did not tell its last figures")

    def _on_drain(self, **_: Any) -> None:
        if self._run is not None:
            drain(self._run, self._rooms.values())
        self.environment.runner.send_message("sse-drained", {_KEY: self._report()})  # type: ignore[union-attr]

    def _on_drained(self, msg: Any, **_: Any) -> None:
        self._on_worker_report(msg.node_id, msg.data)
        self._drained.add(msg.node_id)

    def _judge(self, story: Story, health: dict[str, Health]) -> None:
        asked, options = self.asked, self.environment.parsed_options
        assert asked is not None
        result = result_of(
            asked,
            self.total,
            story,
            health,
            () if self._process is None else tuple(self._process.samples),
            target=self.environment.host or asked.settings.profiles[0].url,
            workers=len(health) or 1,
            spawn_rate=float(getattr(options, "spawn_rate", None) or 1),
            command=shlex.join(["locust", *sys.argv[1:]]),
            seed=asked.settings.seed,
        )
        for profile in asked.settings.profiles:
            result = redacted(result, Redactor(profile).text)
        self.result = result
        folder = getattr(options, "sse_load_report", None)
        if folder:
            try:
                load_documents.write(Path(folder), self.result, step_summary=True)
            except (OSError, ValueError) as error:
                self.total.fault(f"the result could not be written: {error}")

    def _on_quitting(self, **_: Any) -> None:
        self.finish()
        if self.is_worker:
            self.environment.process_exit_code = OK
        elif self.total.faults:
            self.environment.process_exit_code = HARNESS
        elif self.result is not None:
            self.environment.process_exit_code = OK if self.result.passed else FAILED

    def _on_quit(self, **_: Any) -> None:
        if self.is_worker or self.result is None:
            return
        for line in (*self.total.faults, *self.result.why_not, self.result.summary_line()):
            print(line)
        sys.stdout.flush()

    @property
    def _pid(self) -> int | None:
        return getattr(self.environment.parsed_options, "target_pid", None)


def _give_up(line: str, code: int) -> None:
    print(f"sse-conformance: {line}", file=sys.stderr)
    raise SystemExit(code)


def _nothing(*_: Any) -> None:
    """A run that only looks has nobody to tell."""
