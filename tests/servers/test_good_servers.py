"""Servers that are right and unusual, judged as a user would judge them: nothing may be held against them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.commands import conformance

HERE = Path(__file__).parent
KEY = "only-for-good-clients"
# Rows that fill buffers or wait in silence: one run per server is enough for them.
QUICK = ("-k", "not LIVE-0 and not CON-03")


@dataclass(frozen=True)
class Case:
    """How a server is started and judged, and the warnings that are due to it."""

    server: str
    protocol: str
    options: str = ""
    profile: str = ""
    suite: tuple[str, ...] = QUICK
    warnings: frozenset[str] = frozenset()


CASES = {
    "agentsmithy/2 in CRLF": Case("agentsmithy_raw", "agentsmithy/2"),
    "agentsmithy/1 in CR, byte by byte, over many lines, with ids and a BOM": Case(
        "agentsmithy_raw",
        "agentsmithy/1",
        "--revision 1 --eol cr --framing bytes --pretty --odd-fields --gzip --refuse-early --no-dialogs",
        profile="_bare",
    ),
    "agentsmithy/2 in LF until the connection ends, guarded, one stream per dialog": Case(
        "agentsmithy_raw",
        "agentsmithy/2",
        f"--eol lf --framing close --escape --empty-segments --one-stream-per-dialog --max-body 300000 --token {KEY}"
        ' --charset ;Charset="utf-8";x=y',
        profile="_guarded",
    ),
    "penguin/2 that joins chunks": Case("penguin_asgi", "penguin/2", "--resume", suite=()),
    "penguin/1 without sessions or ids in its events": Case(
        "penguin_asgi", "penguin/1", "--revision 1", profile="_bare"
    ),
    "penguin/2 with one order for all, ids on its handshakes, 404 for the unknown, guarded": Case(
        "penguin_asgi",
        "penguin/2",
        f"--resume --one-stream --connected-id --unknown-is-404 --cors --every-chunk --retention 1000 --key {KEY}",
        profile="_guarded",
        # Its order grows under a filter as it was promised, and not by one as was observed.
        warnings=frozenset({"PG-2-01b"}),
    ),
    "penguin/2 that does not list its sessions nor say their directories": Case(
        "penguin_asgi",
        "penguin/2",
        "--resume --shy",
        suite=("-k", "PG-FLT-06a or PG-FLT-07a or PG-FLT-08"),
    ),
    "penguin/2 that answers late": Case(
        "penguin_asgi",
        "penguin/2",
        "--resume --late 300 --keepalive 0.02",
        suite=("-k", "PG-REC-01 or HTTP-02"),
    ),
}


@contextlib.contextmanager
def running(case: Case) -> Iterator[str]:
    """The server's base URL, while it runs."""
    command = [sys.executable, str(HERE / f"{case.server}.py"), *case.options.split()]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on "), line
        yield line.removeprefix("listening on ").strip()
    finally:
        process.terminate()
        process.communicate(timeout=20)


def judge(case: Case, url: str, folder: Path) -> dict[str, str]:
    """Run the suite as a user does; the verdicts by requirement. Its exit code must be 0."""
    profile = HERE / f"{case.server}{case.profile}.toml"
    target = (
        "test",
        f"{case.protocol}={url}",
        "--sse-profile",
        str(profile),
        "--sse-report",
        str(folder),
        "-q",
    )
    ran = conformance(*target, *case.suite, cwd=folder, env={"GOOD_SERVER_KEY": KEY})
    assert ran.code == 0, ran.all
    report = json.loads((folder / f"{case.protocol.replace('/', '-')}.json").read_text())
    return {entry["requirement"]: entry["verdict"] for entry in report["results"]}


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_held_against_a_good_server(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    with running(case) as url:
        verdicts = judge(case, url, tmp_path)
    assert sum(verdict == "pass" for verdict in verdicts.values()) > 0, verdicts
    assert {each for each, verdict in verdicts.items() if verdict in ("fail", "inconclusive")} == set()
    assert {each for each, verdict in verdicts.items() if verdict == "warn"} == case.warnings


def test_a_second_run_finds_files_that_are_there_already(tmp_path: Path) -> None:
    case = Case("agentsmithy_raw", "agentsmithy/2", suite=("-k", "AS-TOOL-02"))
    with running(case) as url:
        for _ in range(2):
            assert judge(case, url, tmp_path) == {"AS-TOOL-02": "pass"}
