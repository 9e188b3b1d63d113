"""A program of ours as a process: the reference server, the scripted model. No code is shared with it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from types import TracebackType


class Program:
    """`python -m MODULE ARGUMENTS`, started on entering and stopped on leaving, by its process id.

    `name` is what to call it. It says on its first line where it listens: `url`. Raises `RuntimeError` (one
    line) where it does not start.
    """

    def __init__(self, name: str, module: str, *arguments: str) -> None:
        self.url = ""
        self._name = name
        self._command = [sys.executable, "-m", module, "--port", "0", *arguments]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Program:
        with tempfile.TemporaryFile("w+") as errors:
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, text=True
            )
            assert self._process.stdout is not None
            line = self._process.stdout.readline()  # ends at once where the process does
            if not line.startswith("listening on "):
                self.__exit__(None, None, None)
                errors.seek(0)
                said = [line.strip(), *errors.read().strip().splitlines()][-1]
                raise RuntimeError(f"the {self._name} did not start: {said}")
        self.url = line.removeprefix("listening on ").strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()
