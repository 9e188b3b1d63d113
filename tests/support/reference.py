"""The reference server as a process, for tests that judge it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def reference_server(*arguments: str) -> Iterator[str]:
    """Its base URL (without a revision's prefix), while it runs."""
    with reference_process(*arguments) as (url, _):
        yield url


@contextlib.contextmanager
def reference_process(*arguments: str) -> Iterator[tuple[str, int]]:
    """The same, and the id of its process."""
    command = [sys.executable, "-m", "reference_server", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on "), line
        yield line.removeprefix("listening on ").strip(), process.pid
    finally:
        process.terminate()
        process.communicate(timeout=20)
