"""Servers that are right, started and judged as a user would: nothing may be held against them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.commands import Ran, conformance

SERVERS = Path(__file__).resolve().parents[1] / "servers"
KEY = "only-for-good-clients"  # what a guarded server asks for, and its profile sends
# A folder in which the results of these runs are kept, `<name>.json` each, to be shown as evidence.
KEEP = "SSE_KEEP_RESULTS"


@dataclass(frozen=True)
class GoodServer:
    """How a server is started and judged.

    `program` is a file of tests/servers; `{folder}` in `options` is a folder of its own. `warnings` are due to
    it, each with the reason. At least `judged` requirements must have been looked at.
    """

    name: str
    program: str
    profile: str
    judged: int
    options: str = ""
    suite: tuple[str, ...] = ()
    warnings: Mapping[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def running(server: GoodServer, folder: Path) -> Iterator[str]:
    """The server's base URL, while it runs. Skips the test where Node is needed and missing."""
    if server.program.endswith(".mjs"):
        interpreter = shutil.which("node")
        if interpreter is None:
            pytest.skip("Node is not installed: apt install nodejs (version 18 or later)")
    else:
        interpreter = sys.executable
    options = [option.replace("{folder}", str(folder)) for option in server.options.split()]
    command = [interpreter, str(SERVERS / server.program), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on "), f"{server.program} said {line!r}"
        yield line.removeprefix("listening on ").strip()
    finally:
        process.terminate()
        process.communicate(timeout=20)


def verdicts_of(
    url: str, profile: Path, folder: Path, suite: Sequence[str] = (), *, name: str = ""
) -> tuple[Ran, dict[str, str]]:
    """Run the suite as a user does: the finished command, and the verdicts by requirement.

    The result is kept as `name` where `SSE_KEEP_RESULTS` names a folder.
    """
    arguments = ("test", url, "--sse-profile", str(profile), "--sse-report", str(folder), "-q", *suite)
    ran = conformance(*arguments, cwd=folder, env={"GOOD_SERVER_KEY": KEY})
    result = next(folder.glob("*-[0-9].json"), None)
    assert result is not None, ran.all
    if name and (kept := os.environ.get(KEEP)):
        Path(kept).mkdir(parents=True, exist_ok=True)
        shutil.copy(result, Path(kept) / f"{name}.json")
    report = json.loads(result.read_text())
    return ran, {entry["requirement"]: entry["verdict"] for entry in report["results"]}


def judge(
    url: str, profile: Path, folder: Path, suite: Sequence[str] = (), *, name: str = ""
) -> dict[str, str]:
    """The verdicts on a server whose run must be green."""
    ran, verdicts = verdicts_of(url, profile, folder, suite, name=name)
    assert ran.code == 0, ran.all
    return verdicts


def nothing_is_held_against(verdicts: Mapping[str, str], *, judged: int, warnings: Mapping[str, str]) -> None:
    """No failure, nothing open, the warnings that are due and no other, and that much looked at."""
    by_verdict = {
        verdict: {each for each, said in verdicts.items() if said == verdict} for verdict in verdicts.values()
    }
    assert by_verdict.keys() <= {"pass", "warn", "note", "not-applicable"}, by_verdict
    assert by_verdict.get("warn", set()) == set(warnings)
    count = Counter(verdicts.values())
    assert count["pass"] + count["warn"] + count["note"] >= judged, count


__all__ = [
    "KEEP",
    "KEY",
    "SERVERS",
    "GoodServer",
    "judge",
    "nothing_is_held_against",
    "running",
    "verdicts_of",
]
