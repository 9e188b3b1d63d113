"""Run our commands as users do: as processes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Ran:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        """Everything that it printed."""
        return self.out + self.err

    @property
    def last_line(self) -> str:
        """The last line of its standard output."""
        lines = self.out.strip().splitlines()
        return lines[-1] if lines else ""


def run(
    *command: str,
    cwd: Path,
    env: dict[str, str] | None = None,
    timeout: float = 300,
    stdin: bytes | None = None,
) -> Ran:
    """Run a command to its end; `timeout` only keeps a hanging one from hanging the tests."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SSE_", "PYTEST_", "GITHUB_"))}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=clean | (env or {}),
        capture_output=True,
        timeout=timeout,
        input=stdin,
        check=False,
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def conformance(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None, stdin: bytes | None = None
) -> Ran:
    """`sse-conformance …`"""
    return run(sys.executable, "-m", "conformance.cli", *arguments, cwd=cwd, env=env, stdin=stdin)


def pytest_run(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> Ran:
    """`pytest …`"""
    return run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, cwd=cwd, env=env)
