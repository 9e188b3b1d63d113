"""The built-in target: the reference server as a process of its own on a free port."""

from __future__ import annotations

import secrets
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from conformance.profile import Capabilities, Profile
from conformance.profile_file import default_profile

HEARTBEAT = 1.0
ORIGIN = "http://localhost:3000"
MAX_BODY = 8 * 1_048_576
REPLAY = 2_000


class ReferenceServer:
    """Starts the server on entering and stops it on leaving, by its process id.

    Raises `RuntimeError` (one line) where it does not start.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._workspace = tempfile.TemporaryDirectory(prefix="sse-conformance-workspace-")
        self._token = secrets.token_hex(12)
        self._url = ""

    def __enter__(self) -> ReferenceServer:
        command = [sys.executable, "-m", "reference_server", "--port", "0", "--heartbeat", f"{HEARTBEAT:g}"]
        command += ["--workspace", self._workspace.name, "--auth", f"bearer:{self._token}"]
        command += ["--cors", ORIGIN, "--max-body", str(MAX_BODY), "--replay-buffer", str(REPLAY)]
        with tempfile.TemporaryFile("w+") as errors:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, text=True
            )
            assert self._process.stdout is not None
            line = self._process.stdout.readline()  # ends at once where the process does
            if not line.startswith("listening on "):
                self.__exit__(None, None, None)
                errors.seek(0)
                said = [line.strip(), *errors.read().strip().splitlines()][-1]
                raise RuntimeError(f"the reference server did not start: {said}")
        self._url = line.removeprefix("listening on ").strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._workspace.cleanup()

    def profile(self, protocol: str) -> Profile:
        """What is declared about this server, speaking that protocol revision."""
        profile = default_profile(protocol, f"{self._url}/{protocol}")
        capabilities: Capabilities = replace(
            profile.capabilities,
            heartbeat=HEARTBEAT,
            auth="bearer",
            cors=(ORIGIN,),
            max_body=MAX_BODY,
            workspace=True,
            history=profile.family == "agentsmithy",
            retention=REPLAY if profile.capabilities.resume else None,
        )
        return replace(
            profile,
            name="reference server",
            headers=(("Authorization", f"Bearer {self._token}"),),
            workspace=str(Path(self._workspace.name).resolve()),
            capabilities=capabilities,
        )
