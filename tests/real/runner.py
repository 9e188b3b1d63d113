"""Installs, starts, judges and stops a real server whose model is the scripted one. Everything stays on loopback.

What one server needs is a `Server`: `penguin.py` and `opencode.py` beside this file.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MODEL = "scripted"
READY = 90.0  # seconds until the server must answer; a first start may compile its dependencies
STOP = 8.0  # seconds between SIGTERM and SIGKILL
HARNESS_ERROR = 3
NOWHERE = "http://127.0.0.1:9"  # the discard port: connections are refused at once
# A session of another directory works here, beside the workspace; servers take only directories that exist.
ELSEWHERE = "workspace-sse-conformance-elsewhere"


class SetupError(RuntimeError):
    """The real server could not be had. One line."""


class NotForThisMachine(SetupError):
    """The server does not run on such a machine, whatever is installed. One line."""


@dataclass(frozen=True)
class Running:
    """A real server and its model, both on loopback."""

    url: str
    model_url: str
    workspace: Path
    scratch: Path


class Server(ABC):
    """A real server: how it is installed, configured and started.

    `home` is the folder that it is installed in, `report` where the report of a run is kept.
    """

    name: str  # as its package is called
    version: str
    short: str  # "penguin", for file names and for `make real-…`
    protocol: str
    health: str  # the path that answers 200 when it is ready
    profile: Path  # what is declared about it, whoever runs it
    headers: Mapping[str, str] = MappingProxyType({})  # that every request must carry
    capabilities: Mapping[str, Any] = MappingProxyType({})  # that it has because of how it is started here

    def __init__(self, *, home: Path | None = None, report: Path | None = None) -> None:
        self.home = home or ROOT / ".real" / f"{self.short}-{self.version}"
        self.report = report or ROOT / "reports" / f"real-{self.short}"

    @abstractmethod
    def install(self) -> None:
        """Install this version into `home`, unless it is there. Raises `SetupError`."""

    @abstractmethod
    def describe(self) -> str:
        """Name and version as the installed server itself says them."""

    @abstractmethod
    def command(self, url: str) -> list[str]:
        """How it is started so that it serves `url`."""

    @abstractmethod
    def environment(self, scratch: Path, workspace: Path, url: str, model_url: str) -> dict[str, str]:
        """Its whole environment beside what `isolated` gives; writes configuration into `scratch` if it needs any."""

    @contextlib.contextmanager
    def running(self, port: int = 0) -> Iterator[Running]:
        """The server in a scratch home, and its model; both processes are stopped on every way out."""
        scratch = Path(tempfile.mkdtemp(prefix=f"real-{self.short}-"))
        try:
            model_log, server_log = scratch / "model.log", scratch / self.log
            with contextlib.ExitStack() as stack:
                model = stack.enter_context(process(model_command(), dict(os.environ), ROOT, model_log))
                model_url = wait_for_line(model, model_log, "listening on ")
                url = f"http://127.0.0.1:{port or free_port()}"
                workspace = scratch / "workspace"
                for folder in (workspace, scratch / ELSEWHERE, scratch / "home", scratch / "tmp"):
                    folder.mkdir()
                environment = isolated(scratch) | self.environment(scratch, workspace, url, model_url)
                server = stack.enter_context(process(self.command(url), environment, workspace, server_log))
                self.wait(server, url, server_log)
                yield Running(url, model_url, workspace, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    @property
    def log(self) -> str:
        """The name of the file that holds the server's output."""
        return f"{self.short}.log"

    def wait(self, started: subprocess.Popen[bytes], url: str, log: Path) -> None:
        """Return when the server is ready. Raises `SetupError`."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        asked = urllib.request.Request(f"{url}{self.health}", headers=dict(self.headers))
        deadline = time.monotonic() + READY
        while time.monotonic() < deadline and started.poll() is None:
            with (
                contextlib.suppress(OSError, urllib.error.URLError),
                opener.open(asked, timeout=5) as answer,
            ):
                if answer.status == 200:
                    return
            time.sleep(0.2)
        raise SetupError(f"{self.name} did not answer: {tail(log)}")

    def profile_of(self, server: Running) -> Path:
        """The shipped profile as a file that says what is this run's own, too."""
        declared = tomllib.loads(self.profile.read_text(encoding="utf-8"))
        declared |= {"model_url": server.model_url, "workspace": str(server.workspace)}
        declared["headers"] = dict(self.headers)
        declared["implementation"] = {"name": self.name, "version": self.version}
        declared["capabilities"] |= self.capabilities
        path = server.scratch / "profile.toml"
        path.write_text(toml(declared), encoding="utf-8")
        return path

    def judge(
        self, server: Running, arguments: Sequence[str], *, strict_exit: bool = False, runs: int = 1
    ) -> int:
        """Run the suite against the server and keep the report beside the server's log.

        With several runs each has a folder of its own, and a summary says how often each verdict was given.
        """
        shutil.rmtree(self.report, ignore_errors=True)
        if runs == 1:
            return self._judge_once(server, self.report, arguments, strict_exit)
        reports = [self.report / f"run-{number}" for number in range(1, runs + 1)]
        worst = max(self._judge_once(server, report, arguments, strict_exit) for report in reports)
        summary = self.report / "summary.md"
        command = [sys.executable, "-m", "conformance.cli", "report", "markdown", *map(str, reports)]
        subprocess.run([*command, "-o", str(summary)], cwd=ROOT, check=False)
        print(f"how often each verdict was given: {os.path.relpath(summary, ROOT)}")
        return worst

    def _judge_once(self, server: Running, report: Path, arguments: Sequence[str], strict_exit: bool) -> int:
        report.mkdir(parents=True)
        command = [sys.executable, "-m", "pytest", "-q", "--target", server.url]
        command += ["--sse-protocol", self.protocol, "--sse-profile", str(self.profile_of(server))]
        command += ["--sse-report", str(report), *arguments]
        status = subprocess.run(command, cwd=ROOT, check=False).returncode
        shutil.copy(server.scratch / self.log, report / self.log)
        print(f"report: {os.path.relpath(report, ROOT)}", flush=True)
        if status not in (0, 1) or not any(report.glob("*.json")):
            print(f"the run itself failed: pytest's status is {status}", file=sys.stderr)
            return status if status > 1 else HARNESS_ERROR
        if status == 1:
            print("requirements fail: that is the report's result, not an error of this run")
        return status if strict_exit else 0


def main(server: Server, document: str, argv: Sequence[str] | None = None) -> int:
    """The command line of a real server's file: `document` is its docstring."""
    parser = argparse.ArgumentParser(
        description=document, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--serve", action="store_true", help="only start the server, until killed")
    parser.add_argument("--port", type=int, default=0, help="port of the server (default: a free one)")
    parser.add_argument("--runs", type=int, default=1, help="judge it so many times, and count the verdicts")
    parser.add_argument("--strict-exit", action="store_true", help="exit with pytest's status")
    parser.add_argument("pytest_args", nargs="*", help="arguments for pytest, after --")
    options = parser.parse_args(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        server.install()
        with server.running(options.port) as running:
            print(f"{server.describe()} on {running.url}", flush=True)
            print(f"scripted model on {running.model_url}", flush=True)
            if options.serve:
                print(f"workspace {running.workspace}\nlogs {running.scratch}", flush=True)
                print(f"profile {server.profile_of(running)}", flush=True)
                print(f"listening on {running.url}", flush=True)
                signal.pause()
            return server.judge(
                running, options.pytest_args, strict_exit=options.strict_exit, runs=options.runs
            )
    except SetupError as error:
        print(f"real-{server.short}: {error}", file=sys.stderr)
        return HARNESS_ERROR
    except KeyboardInterrupt:
        return 2


def isolated(scratch: Path) -> dict[str, str]:
    """An environment that holds nothing of ours, and from which nothing but loopback is reached."""
    return {
        "PATH": os.defpath,
        "HOME": str(scratch / "home"),
        "TMPDIR": str(scratch / "tmp"),
        "LANG": "C.UTF-8",
        "HTTP_PROXY": NOWHERE,
        "HTTPS_PROXY": NOWHERE,
        "ALL_PROXY": NOWHERE,
        "NO_PROXY": "127.0.0.1,localhost",
    }


def toml(table: Mapping[str, Any], path: str = "") -> str:
    """A table as TOML; JSON's strings, numbers and lists are TOML's."""
    values = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    lines = [f"[{path}]"] if path else []
    lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    inner = (
        toml(value, f"{path}.{key}" if path else key) for key, value in table.items() if key not in values
    )
    return "\n".join([*lines, *inner]) + "\n"


def model_command() -> list[str]:
    """How the scripted model is started."""
    return [sys.executable, "-m", "reference_server.model", "--port", "0"]


def output_of(command: list[str]) -> str | None:
    """What a command prints, stripped, or None where it fails."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@contextlib.contextmanager
def process(
    command: list[str], environment: dict[str, str], folder: Path, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, its output in `log`, which is stopped in the end."""
    with log.open("wb") as output:
        started = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield started
    finally:
        stop(started)


def stop(started: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL to the process's own group if it stays."""
    if started.poll() is None:
        started.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            started.wait(STOP)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(started.pid, signal.SIGKILL)  # what it has started itself goes too
    started.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def wait_for_line(started: subprocess.Popen[bytes], log: Path, prefix: str) -> str:
    """What follows `prefix` in the log, once it is there."""
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline and started.poll() is None:
        for line in log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
            if line.startswith(prefix) and line.endswith("\n"):
                return line.removeprefix(prefix).strip()
        time.sleep(0.05)
    raise SetupError(f"it did not start: {tail(log)}")


def tail(log: Path) -> str:
    """The last words of a log, on one line."""
    lines = log.read_text(encoding="utf-8", errors="replace").split()
    return " ".join(lines)[-600:] or "it said nothing"
