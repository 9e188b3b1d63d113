"""The built-in target: the reference server as a process of its own on a free port."""

from __future__ import annotations

import secrets
import tempfile
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from conformance.profile import Capabilities, Profile
from conformance.profile_file import default_profile
from conformance.program import Program

HEARTBEAT = 1.0
ORIGIN = "http://localhost:3000"
MAX_BODY = 8 * 1_048_576
REPLAY = 2_000


class ReferenceServer:
    """Starts the server on entering and stops it on leaving.

    Raises `RuntimeError` (one line) where it does not start.
    """

    def __init__(self) -> None:
        self._workspace = tempfile.TemporaryDirectory(prefix="sse-conformance-workspace-")
        self._token = secrets.token_hex(12)
        options = ["--heartbeat", f"{HEARTBEAT:g}", "--workspace", self._workspace.name]
        options += ["--auth", f"bearer:{self._token}", "--cors", ORIGIN]
        options += ["--max-body", str(MAX_BODY), "--replay-buffer", str(REPLAY)]
        self._program = Program("reference server", "reference_server", *options)

    def __enter__(self) -> ReferenceServer:
        try:
            self._program.__enter__()
        except RuntimeError:
            self._workspace.cleanup()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.__exit__(kind, error, trace)
        self._workspace.cleanup()

    def profile(self, protocol: str) -> Profile:
        """What is declared about this server, speaking that protocol revision."""
        profile = default_profile(protocol, f"{self._program.url}/{protocol}")
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
