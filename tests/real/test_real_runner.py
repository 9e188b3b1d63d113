"""The runner of `make real-…`, with stand-ins for the real servers: what it starts, stops and returns."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path

import pytest

from conformance.profile_file import load_profile
from tests.real import opencode, penguin, runner
from tests.real.opencode import OpenCode
from tests.real.penguin import Penguin
from tests.real.runner import Running, Server

HEALTHY = """
    import http.server, os, subprocess, sys
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open("../home/child", "w").write(str(child.pid))
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path in ("/api/v1/health", "/global/health") else 404)
            self.end_headers()
    port = os.environ.get("PORT") or sys.argv[sys.argv.index("--port") + 1]
    http.server.HTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"""
BROKEN = "raise SystemExit('no such table: sessions')"


@pytest.fixture(params=[Penguin, OpenCode])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Server:
    """A real server's runner, with a folder that nothing is installed in yet."""
    made: Server = request.param(home=tmp_path / "installed", report=tmp_path / "report")
    return made


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def put(server: Server, code: str) -> None:
    """Put a stand-in where the server's program would be; it has the right version."""
    script = f"#!{sys.executable}\n{textwrap.dedent(code)}\n"
    if isinstance(server, Penguin):
        program(server.home / "bin" / "python", f"#!/bin/sh\necho {server.version}\n")
        program(server.home / "bin" / "penguin-web", script)
    else:
        assert isinstance(server, OpenCode)
        version = f"import sys\nif '--version' in sys.argv: raise SystemExit(print({server.version!r}))\n"
        program(server.binary, f"#!{sys.executable}\n{version}{textwrap.dedent(code)}\n")


def gone(pid: int) -> bool:
    """Whether a process ends within ten seconds (one that its parent has not collected is gone, too)."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        if not state.stdout.strip() or state.stdout.strip().startswith("Z"):
            return True
        time.sleep(0.02)
    return False


def test_starts_server_and_model_and_stops_both_with_their_children(server: Server) -> None:
    put(server, HEALTHY)
    with server.running() as running:
        assert running.workspace.is_dir()
        for url in (f"{running.url}{server.health}", f"{running.model_url}/v1/models"):
            with urllib.request.urlopen(url, timeout=10) as answer:
                assert answer.status == 200
        child = int((running.scratch / "home" / "child").read_text(encoding="utf-8"))
        assert not running.url.endswith(":0")
    assert gone(child)
    assert not running.scratch.exists()
    for url in (running.url, running.model_url):
        with pytest.raises(OSError, match="refused"):
            urllib.request.urlopen(url, timeout=10)


def test_server_that_does_not_start_is_a_harness_error_that_says_why(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    put(server, BROKEN)
    assert runner.main(server, "", []) == runner.HARNESS_ERROR
    error = capsys.readouterr().err
    assert f"{server.name} did not answer: no such table: sessions" in error
    assert error.count("\n") == 1


def test_no_usable_python_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shim = tmp_path / "python3.12"
    program(shim, "#!/bin/sh\necho 'not here' >&2\nexit 127\n")
    monkeypatch.setattr(penguin, "PYTHONS", (str(shim), "sse-conformance-no-such-python"))
    assert runner.main(Penguin(home=tmp_path / "nothing"), "", []) == runner.HARNESS_ERROR
    assert capsys.readouterr().err == (
        "real-penguin: Penguin needs Python 3.10, 3.11 or 3.12, and none was found\n"
    )


def test_no_npm_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert runner.main(OpenCode(home=tmp_path / "nothing"), "", []) == runner.HARNESS_ERROR
    assert capsys.readouterr().err == (
        "real-opencode: OpenCode is installed with npm, and there is none: install Node.js and npm\n"
    )


@pytest.mark.parametrize(
    ("system", "machine", "flags", "package"),
    [
        ("Linux", "x86_64", {"avx", "avx2"}, "opencode-linux-x64"),
        ("Linux", "x86_64", {"avx"}, "opencode-linux-x64-baseline"),
        ("Linux", "aarch64", set(), "opencode-linux-arm64"),
        ("Darwin", "arm64", set(), "opencode-darwin-arm64"),
    ],
)
def test_package_is_the_machines(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str, flags: set[str], package: str
) -> None:
    monkeypatch.setattr(opencode.platform, "system", lambda: system)
    monkeypatch.setattr(opencode.platform, "machine", lambda: machine)
    monkeypatch.setattr(opencode, "cpu_flags", lambda: frozenset(flags))
    assert opencode.platform_package() == package


def test_machine_without_a_package_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(opencode.platform, "machine", lambda: "riscv64")
    assert runner.main(OpenCode(home=tmp_path), "", []) == runner.HARNESS_ERROR
    assert "there is no OpenCode for" in capsys.readouterr().err


def test_environment_holds_nothing_of_ours_and_reaches_nothing_outside(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a real one")
    environment = runner.isolated(tmp_path) | server.environment(
        tmp_path, tmp_path / "workspace", "http://127.0.0.1:1", "http://127.0.0.1:2"
    )
    assert "OPENAI_API_KEY" not in environment
    urls = [value for value in environment.values() if value.startswith("http")]
    assert urls
    assert all(url.startswith("http://127.0.0.1:") for url in urls)
    assert environment["HTTPS_PROXY"] == runner.NOWHERE
    assert "127.0.0.1" in environment["NO_PROXY"]
    homes = [value for name, value in environment.items() if name.startswith("XDG") or name == "HOME"]
    assert all(value.startswith(str(tmp_path)) for value in homes)


def test_opencode_has_no_model_but_the_scripted_one() -> None:
    settings = json.loads(json.dumps(opencode.configuration("http://127.0.0.1:2")))
    assert list(settings["provider"]) == ["scripted"]
    assert settings["provider"]["scripted"]["options"]["baseURL"] == "http://127.0.0.1:2/v1"
    assert settings["model"] == settings["small_model"] == "scripted/scripted"


@pytest.mark.parametrize(
    ("status", "report", "strict", "returned"),
    [
        (0, True, False, 0),
        (1, True, False, 0),
        (1, True, True, 1),
        (1, False, False, 3),
        (0, False, False, 3),
        (3, True, False, 3),
        (4, False, True, 4),
        (6, False, False, 6),
        (-9, False, False, 3),
    ],
)
def test_exit_status(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    status: int,
    report: bool,
    strict: bool,
    returned: int,
) -> None:
    commands = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        if report:
            (server.report / "result.json").write_text("{}", encoding="utf-8")
        return subprocess.CompletedProcess(command, status)

    monkeypatch.setattr(runner.subprocess, "run", run)
    (tmp_path / server.log).write_text("log", encoding="utf-8")
    target = Running("http://127.0.0.1:1", "http://127.0.0.1:2", tmp_path / "w", tmp_path)
    assert server.judge(target, ["-k", "x"], strict_exit=strict) == returned
    assert (server.report / server.log).read_text(encoding="utf-8") == "log"
    assert commands[0][-2:] == ["-k", "x"]
    assert server.protocol in commands[0]
    assert 'model_url = "http://127.0.0.1:2"' in (tmp_path / "profile.toml").read_text(encoding="utf-8")


def test_several_runs_have_a_folder_each_and_a_summary(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        if "--sse-report" in command:
            report = Path(command[command.index("--sse-report") + 1])
            (report / "result.json").write_text("{}", encoding="utf-8")
        return subprocess.CompletedProcess(command, len(commands) % 2)

    monkeypatch.setattr(runner.subprocess, "run", run)
    (tmp_path / server.log).write_text("log", encoding="utf-8")
    target = Running("http://127.0.0.1:1", "http://127.0.0.1:2", tmp_path / "w", tmp_path)
    assert server.judge(target, [], strict_exit=True, runs=3) == 1
    folders = [str(server.report / f"run-{number}") for number in (1, 2, 3)]
    assert all((Path(folder) / server.log).is_file() for folder in folders)
    assert len(commands) == 4
    assert commands[-1][-5:] == [*folders, "-o", str(server.report / "summary.md")]


def test_profile_of_the_run_is_legal(server: Server, tmp_path: Path) -> None:
    target = Running("http://127.0.0.1:1", "http://127.0.0.1:2", tmp_path / "w", tmp_path)
    profile = load_profile(server.profile_of(target), url="http://127.0.0.1:1", environ={})
    assert (profile.model_url, profile.workspace) == ("http://127.0.0.1:2", str(tmp_path / "w"))
    assert profile.protocol == server.protocol
    shipped = load_profile(server.profile, url="http://127.0.0.1:1", environ={})
    assert (profile.tools, profile.limits) == (shipped.tools, shipped.limits)
    assert dict(profile.headers) == dict(server.headers)
    for name, value in server.capabilities.items():
        assert getattr(profile.capabilities, name) == (tuple(value) if isinstance(value, list) else value)


def test_a_signal_stops_everything(server: Server, tmp_path: Path) -> None:
    put(server, HEALTHY)
    module, kind = type(server).__module__, type(server).__name__
    code = (
        f"from pathlib import Path; from tests.real.runner import main; from {module} import {kind}; "
        f"raise SystemExit(main({kind}(home=Path({str(server.home)!r})), '', ['--serve']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=runner.ROOT, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        lines = [started.stdout.readline() for _ in range(6)]
        assert lines[-1].startswith("listening on http://127.0.0.1:"), lines
        scratch = Path(lines[-3].removeprefix("logs ").strip())
        child = int((scratch / "home" / "child").read_text(encoding="utf-8"))
        started.send_signal(signal.SIGTERM)
        assert started.wait(30) == 143
    assert gone(child)
    assert not scratch.exists()
