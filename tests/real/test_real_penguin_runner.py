"""The runner of `make real-penguin`, with a stand-in for Penguin: what it starts, stops and returns."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from pathlib import Path

import pytest

from tests.real import penguin

HEALTHY = """
    import http.server, os, subprocess, sys
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    open("../home/child", "w").write(str(child.pid))
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/api/v1/health" else 404)
            self.end_headers()
    http.server.HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
BROKEN = "raise SystemExit('no such table: sessions')"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment that claims to hold the right version, and a place for the report."""
    folder = tmp_path / "penguin"
    (folder / "bin").mkdir(parents=True)
    program(folder / "bin" / "python", f"#!/bin/sh\necho {penguin.VERSION}\n")
    monkeypatch.setattr(penguin, "HOME", folder)
    monkeypatch.setattr(penguin, "REPORT", penguin.ROOT / "reports" / f"runner-test-{os.getpid()}")
    return folder


def program(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def server(home: Path, code: str) -> None:
    program(home / "bin" / "penguin-web", f"#!{sys.executable}\n{textwrap.dedent(code)}\n")


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


def test_starts_server_and_model_and_stops_both_with_their_children(home: Path) -> None:
    server(home, HEALTHY)
    with penguin.running(0) as running:
        assert running.workspace.is_dir()
        for url in (f"{running.url}/api/v1/health", f"{running.model_url}/v1/models"):
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
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server(home, BROKEN)
    assert penguin.main([]) == penguin.HARNESS_ERROR
    error = capsys.readouterr().err
    assert "did not answer: no such table: sessions" in error
    assert error.count("\n") == 1


def test_no_usable_python_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shim = tmp_path / "python3.12"
    program(shim, "#!/bin/sh\necho 'not here' >&2\nexit 127\n")
    monkeypatch.setattr(penguin, "HOME", tmp_path / "nothing")
    monkeypatch.setattr(penguin, "PYTHONS", (str(shim), "sse-conformance-no-such-python"))
    assert penguin.main([]) == penguin.HARNESS_ERROR
    assert capsys.readouterr().err == (
        "real-penguin: Penguin needs Python 3.10, 3.11 or 3.12, and none was found\n"
    )


def test_environment_holds_nothing_of_ours_and_reaches_nothing_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a real one")
    environment = penguin.prepare(
        tmp_path, tmp_path / "workspace", "http://127.0.0.1:1", "http://127.0.0.1:2"
    )
    assert "OPENAI_API_KEY" not in environment
    urls = [value for value in environment.values() if "://" in value]
    assert urls
    assert all(url.startswith("http://127.0.0.1:") for url in urls)
    assert environment["HTTPS_PROXY"] == penguin.NOWHERE
    assert "127.0.0.1" in environment["NO_PROXY"]


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
    home: Path,
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
            (penguin.REPORT / "penguin-2.json").write_text("{}", encoding="utf-8")
        return subprocess.CompletedProcess(command, status)

    monkeypatch.setattr(penguin.subprocess, "run", run)
    (tmp_path / "penguin.log").write_text("log", encoding="utf-8")
    target = penguin.Running("http://127.0.0.1:1", "http://127.0.0.1:2", tmp_path / "w", tmp_path)
    try:
        assert penguin.judge(target, ["-k", "x"], strict_exit=strict) == returned
        assert (penguin.REPORT / "penguin.log").read_text(encoding="utf-8") == "log"
    finally:
        penguin.shutil.rmtree(penguin.REPORT)
    assert commands[0][-2:] == ["-k", "x"]
    assert 'model_url = "http://127.0.0.1:2"' in (tmp_path / "profile.toml").read_text(encoding="utf-8")


def test_profile_of_the_run_is_legal(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from conformance.profile_file import load_profile

    monkeypatch.setattr(
        penguin.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 4)
    )
    (tmp_path / "penguin.log").touch()
    target = penguin.Running("http://127.0.0.1:1", "http://127.0.0.1:2", tmp_path / "w", tmp_path)
    try:
        penguin.judge(target, [], strict_exit=False)
    finally:
        penguin.shutil.rmtree(penguin.REPORT)
    profile = load_profile(tmp_path / "profile.toml", url="http://127.0.0.1:1", environ={})
    assert (profile.model_url, profile.workspace) == ("http://127.0.0.1:2", str(tmp_path / "w"))


def test_a_signal_stops_everything(home: Path, tmp_path: Path) -> None:
    server(home, HEALTHY)
    code = (
        f"from pathlib import Path; from tests.real import penguin; penguin.HOME = Path({str(home)!r}); "
        "raise SystemExit(penguin.main(['--serve']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=penguin.ROOT, stdout=subprocess.PIPE, text=True
    ) as runner:
        assert runner.stdout is not None
        lines = [runner.stdout.readline() for _ in range(5)]
        assert lines[-1].startswith("listening on http://127.0.0.1:"), lines
        scratch = Path(lines[-2].removeprefix("logs ").strip())
        child = int((scratch / "home" / "child").read_text(encoding="utf-8"))
        runner.send_signal(signal.SIGTERM)
        assert runner.wait(30) == 143
    assert gone(child)
    assert not scratch.exists()
