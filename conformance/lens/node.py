"""Node's `eventsource-parser`, as the user has installed it: our reader runs it in a process of its own."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import threading
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from conformance.lens.reading import Answer, Missing, Reading, Seen

PACKAGE = "eventsource-parser"
INSTALLED = f"{PACKAGE}@3.1.1"  # the version that the list of deviations is about
_SECONDS = 60.0  # for one stream; only keeps a broken parser from hanging the lens
_INSTALL_SECONDS = 300.0


class Node:
    """`eventsource-parser` fed by a `TextDecoder`. It is looked for from `folder` upwards.

    With `install` npm is asked to install it in `folder` where it is not there.
    """

    key = "eventsource-parser"
    title = "Node's eventsource-parser"
    tells_retry = True

    def __init__(self, folder: Path | None = None, *, install: bool = False) -> None:
        self._folder = (folder or Path.cwd()).absolute()
        self._install = install
        self._process: subprocess.Popen[str] | None = None
        self.version = ""

    def __enter__(self) -> Self:
        node = shutil.which("node")
        if node is None:
            raise Missing("Node is not installed: apt-get install nodejs (version 18 or later)")
        hello = self._start(node)
        if "version" not in hello and self._install:
            self._stop()
            _npm(self._folder)
            hello = self._start(node)
        if "version" not in hello:
            self._stop()
            raise Missing(
                f"{PACKAGE} is not installed in {self._folder} (Node says {hello.get('missing', 'nothing')}): "
                f"npm install {INSTALLED} there, or name a folder with --node-folder"
            )
        self.version = str(hello["version"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def read(self, answer: Answer) -> Reading:
        """What the parser calls back with."""
        said = self._ask({"chunks": [base64.b64encode(chunk).decode("ascii") for chunk in answer.chunks]})
        if not said:
            raise Missing(f"{self.title} stopped")
        events = tuple(Seen(event["type"], event["data"], event["id"]) for event in said["events"])
        retry = said["retry"]
        return Reading(events, retry=None if retry is None else int(retry))

    def _start(self, node: str) -> dict[str, Any]:
        reader = resources.files("conformance.lens") / "node_reader.mjs"
        with resources.as_file(reader) as script:
            self._process = subprocess.Popen(
                [node, str(script), str(self._folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                encoding="utf-8",
            )
            return self._hear()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return {}
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        """The next line of the process, which is killed if it does not come."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        watchdog = threading.Timer(_SECONDS, process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            line = process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            return {}
        said: dict[str, Any] = json.loads(line)
        return said

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def _npm(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise Missing(
            f"npm is not installed, so {PACKAGE} cannot be brought into {folder}: apt-get install npm"
        )
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        npm,
        "install",
        "--prefix",
        str(folder),
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        INSTALLED,
    ]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"npm install {INSTALLED} in {folder} did not end: {error}") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Missing(f"npm install {INSTALLED} in {folder} failed: {said}")


__all__ = ["INSTALLED", "PACKAGE", "Node"]
