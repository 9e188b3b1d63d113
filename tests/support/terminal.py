"""Run a command on a terminal of its own, and see what it wrote there."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Mapping
from pathlib import Path


def on_terminal(
    *command: str, cwd: Path, env: Mapping[str, str] | None = None, columns: int = 100
) -> tuple[int, str]:
    """The exit code and everything that came on the terminal (standard input, output and error are one)."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    drop = (
        "SSE_",
        "PYTEST_",
        "GITHUB_",
        "CI",
        "BUILD_NUMBER",
        "COLUMNS",
        "NO_COLOR",
        "FORCE_COLOR",
        "PY_COLORS",
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith(drop)}
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=clean | {"TERM": "xterm"} | dict(env or {}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    parts = []
    try:
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # Linux says so when the other side is closed
                break
            if not part:
                break
            parts.append(part)
    finally:
        os.close(ours)
    return process.wait(timeout=60), b"".join(parts).decode()


def screen(text: str) -> list[str]:
    """The lines as a reader sees them in the end: a carriage return goes back, and what follows overwrites."""
    seen = []
    for line in text.replace("\r\n", "\n").split("\n"):
        cells: list[str] = []
        for part in line.split("\r"):
            cells[: len(part)] = part
        seen.append("".join(cells).rstrip())
    return seen
