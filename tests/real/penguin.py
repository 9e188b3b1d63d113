"""Judges a real Penguin server from PyPI, whose model is the scripted one. Everything stays on loopback.

    python tests/real/penguin.py             install (once), start, judge, stop; the report is kept
    python tests/real/penguin.py --serve     start, print the URLs, run until killed

Exit status: 0 when a report was made, also where requirements fail (the report says so; `--strict-exit`
passes pytest's status on); else pytest's own (2 to 6), or 3 where the server could not be had. Arguments
after `--` go to pytest.
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
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSION = "0.9.3"
HOME = ROOT / ".real" / f"penguin-{VERSION}"
REPORT = ROOT / "reports" / "real-penguin"
PROFILE = ROOT / "conformance" / "profiles" / "penguin-0.9.toml"
MODEL = "scripted"
PYTHONS = ("python3.12", "python3.11", "python3.10", sys.executable)  # Penguin runs on 3.10 to 3.12
READY = 90.0  # seconds until the server must answer; its first start compiles its dependencies
STOP = 8.0  # seconds between SIGTERM and SIGKILL
HARNESS_ERROR = 3
NOWHERE = "http://127.0.0.1:9"  # the discard port: connections are refused at once


class SetupError(RuntimeError):
    """The real server could not be had. One line."""


@dataclass(frozen=True)
class Running:
    """A Penguin server and its model, both on loopback."""

    url: str
    model_url: str
    workspace: Path
    scratch: Path


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the module's docstring says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--serve", action="store_true", help="only start the server, until killed")
    parser.add_argument("--port", type=int, default=0, help="port of the server (default: a free one)")
    parser.add_argument("--strict-exit", action="store_true", help="exit with pytest's status")
    parser.add_argument("pytest_args", nargs="*", help="arguments for pytest, after --")
    options = parser.parse_args(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        install()
        with running(options.port) as server:
            print(f"penguin-ai {installed_version()} ({python_version()}) on {server.url}", flush=True)
            print(f"scripted model on {server.model_url}", flush=True)
            if options.serve:
                print(f"workspace {server.workspace}\nlogs {server.scratch}", flush=True)
                print(f"listening on {server.url}", flush=True)
                signal.pause()
            return judge(server, options.pytest_args, strict_exit=options.strict_exit)
    except SetupError as error:
        print(f"real-penguin: {error}", file=sys.stderr)
        return HARNESS_ERROR
    except KeyboardInterrupt:
        return 2


def install() -> None:
    """Make an environment that holds this version of Penguin, unless it is there."""
    if installed_version() == VERSION:
        return
    python = next((found for name in PYTHONS if (found := usable_python(name))), None)
    if python is None:
        raise SetupError("Penguin needs Python 3.10, 3.11 or 3.12, and none was found")
    print(f"installing penguin-ai {VERSION} into {HOME.relative_to(ROOT)} (about 150 packages)", flush=True)
    shutil.rmtree(HOME, ignore_errors=True)
    HOME.parent.mkdir(exist_ok=True)
    steps = (
        [python, "-m", "venv", str(HOME)],
        [str(HOME / "bin" / "pip"), "install", "--quiet", "--no-input", f"penguin-ai=={VERSION}"],
    )
    for step in steps:
        if subprocess.run(step, check=False).returncode != 0:
            raise SetupError(f"this failed: {' '.join(step)}")


def installed_version() -> str | None:
    """The version of penguin-ai in its environment, or None."""
    code = "import importlib.metadata as m; print(m.version('penguin-ai'))"
    return output_of([str(HOME / "bin" / "python"), "-c", code])


def python_version() -> str | None:
    """The version of the Python that runs the server."""
    return output_of([str(HOME / "bin" / "python"), "--version"])


def usable_python(name: str) -> str | None:
    """The interpreter's path if it runs, can make environments, and has a version that Penguin takes."""
    code = (
        "import sys, venv, ensurepip; print(sys.executable if (3, 10) <= sys.version_info < (3, 13) else '')"
    )
    path = shutil.which(name)
    return output_of([path, "-c", code]) or None if path else None


def output_of(command: list[str]) -> str | None:
    """What a command prints, stripped, or None where it fails."""
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@contextlib.contextmanager
def running(port: int) -> Iterator[Running]:
    """A Penguin server in a scratch home; both processes are stopped on every way out."""
    scratch = Path(tempfile.mkdtemp(prefix="real-penguin-"))
    try:
        model_log, server_log = scratch / "model.log", scratch / "penguin.log"
        with contextlib.ExitStack() as stack:
            model = stack.enter_context(process(model_command(), dict(os.environ), ROOT, model_log))
            model_url = wait_for_line(model, model_log, "listening on ")
            url = f"http://127.0.0.1:{port or free_port()}"
            workspace = scratch / "workspace"
            environment = prepare(scratch, workspace, url, model_url)
            command = [str(HOME / "bin" / "penguin-web")]
            server = stack.enter_context(process(command, environment, workspace, server_log))
            wait_for_answer(server, f"{url}/api/v1/health", server_log)
            yield Running(url, model_url, workspace, scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def prepare(scratch: Path, workspace: Path, url: str, model_url: str) -> dict[str, str]:
    """Folders and configuration for the server; its whole environment, which holds nothing of ours."""
    # a session of another directory: the server takes only those that exist
    other = scratch / "sse-conformance-elsewhere"
    for folder in (workspace, other, scratch / "home", scratch / "tmp"):
        folder.mkdir()
    base = f"{model_url}/v1"
    settings = {
        "model": MODEL,
        "provider": "openrouter",
        "client_preference": "openrouter",
        "streaming_enabled": True,
        "context_window": 128000,
        "max_output_tokens": 4000,
        "api_base": base,
    }
    configuration = {
        "model": {"default": MODEL, **settings},
        "api": {"base_url": base},
        "model_configs": {MODEL: settings},
    }
    config = scratch / "config.yml"
    config.write_text(json.dumps(configuration), encoding="utf-8")  # JSON is YAML
    host, _, port = url.removeprefix("http://").partition(":")
    return {
        "PATH": f"{HOME / 'bin'}{os.pathsep}{os.defpath}",
        "HOME": str(scratch / "home"),
        "TMPDIR": str(scratch / "tmp"),
        "LANG": "C.UTF-8",
        # Nothing leaves loopback. Its tokenizer would otherwise ask the network for tables before every
        # prompt, and hold up the whole server (5 s each) until the name is given up where there is none.
        "HTTP_PROXY": NOWHERE,
        "HTTPS_PROXY": NOWHERE,
        "ALL_PROXY": NOWHERE,
        "NO_PROXY": "127.0.0.1,localhost",
        "HOST": host,
        "PORT": port,
        "PENGUIN_AUTH_ENABLED": "false",
        "PENGUIN_NO_SETUP": "1",
        "PENGUIN_CONFIG_PATH": str(config),
        "PENGUIN_WORKSPACE": str(workspace),
        "PENGUIN_CWD": str(workspace),
        "PENGUIN_PROJECT_ROOT": str(workspace),
        "PENGUIN_API_BASE": base,
        "PENGUIN_DEFAULT_MODEL": MODEL,
        "PENGUIN_DEFAULT_PROVIDER": "openrouter",
        "PENGUIN_CLIENT_PREFERENCE": "openrouter",
        "OPENROUTER_API_KEY": "sk-or-v1-fake",
        "OPENROUTER_BASE_URL": base,
    }


def model_command() -> list[str]:
    """How the scripted model is started."""
    return [sys.executable, "-m", "reference_server.model", "--port", "0"]


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


def wait_for_answer(started: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Return when `url` answers 200."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline and started.poll() is None:
        with contextlib.suppress(OSError, urllib.error.URLError), opener.open(url, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise SetupError(f"penguin-web did not answer: {tail(log)}")


def tail(log: Path) -> str:
    """The last words of a log, on one line."""
    lines = log.read_text(encoding="utf-8", errors="replace").split()
    return " ".join(lines)[-600:] or "it said nothing"


def judge(server: Running, arguments: Sequence[str], *, strict_exit: bool) -> int:
    """Run the suite against the server and keep the report beside the server's log."""
    shutil.rmtree(REPORT, ignore_errors=True)
    REPORT.mkdir(parents=True)
    profile = server.scratch / "profile.toml"
    own = f"model_url = {json.dumps(server.model_url)}\nworkspace = {json.dumps(str(server.workspace))}\n"
    program = f'\n[implementation]\nname = "penguin-ai"\nversion = "{VERSION}"\n'
    profile.write_text(own + PROFILE.read_text(encoding="utf-8") + program, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "--target", server.url, "--sse-protocol", "penguin/2"]
    command += ["--sse-profile", str(profile), "--sse-report", str(REPORT), *arguments]
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    shutil.copy(server.scratch / "penguin.log", REPORT / "penguin.log")
    print(f"report: {REPORT.relative_to(ROOT)}")
    if status not in (0, 1) or not any(REPORT.glob("*.json")):
        print(f"the run itself failed: pytest's status is {status}", file=sys.stderr)
        return status if status > 1 else HARNESS_ERROR
    if status == 1:
        print("requirements fail: that is the report's result, not an error of this run")
    return status if strict_exit else 0


if __name__ == "__main__":
    sys.exit(main())
