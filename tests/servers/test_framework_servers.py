"""Servers as one writes them with today's frameworks, judged as a user would judge them: nothing may be held
against them, and whatever the framework does of itself is what the suite has to understand."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.good_servers import KEY, SERVERS, GoodServer, judge, nothing_is_held_against, running

CASES = (
    GoodServer(
        "sse-starlette",
        "agentsmithy_starlette.py",
        "agentsmithy_starlette.toml",
        judged=78,
        options="--workspace {folder} --origin https://ide.example",
    ),
    GoodServer(
        "node-agentsmithy",
        "agentsmithy_node.mjs",
        "agentsmithy_node.toml",
        judged=70,
        options="--limit 30",
    ),
    GoodServer("aiohttp", "penguin_aiohttp.py", "penguin_aiohttp.toml", judged=75, options=f"--token {KEY}"),
    GoodServer(
        "aiohttp-bare",
        "penguin_aiohttp.py",
        "penguin_aiohttp_bare.toml",
        judged=66,
        options="--revision 1",
    ),
    GoodServer(
        "aiohttp-opencode",
        "opencode_aiohttp.py",
        "opencode_aiohttp.toml",
        judged=62,
        options=f"--secret {KEY} --delegate",
    ),
    # as the original tells it: idle twice, a page for every address
    GoodServer(
        "aiohttp-opencode-original",
        "opencode_aiohttp.py",
        "opencode_aiohttp.toml",
        judged=61,
        options=f"--secret {KEY} --original --stubborn",
        warnings={"SSE-HTTP-05b": "every address that it does not know is answered with a page"},
    ),
    GoodServer(
        "aiohttp-opencode-bare",
        "opencode_aiohttp.py",
        "opencode_aiohttp_bare.toml",
        judged=61,
        options="--bare",
    ),
    # ids, `retry` and comments; streams that end after an error; pages of one origin, with credentials
    GoodServer(
        "aiohttp-opencode-shared",
        "opencode_aiohttp.py",
        "opencode_aiohttp_shared.toml",
        judged=64,
        options="--bare --fields --ends --origin https://app.example",
        suite=("-k", "not LIVE-0 and not CON-03"),
    ),
    GoodServer(
        "aiohttp-opencode-limited",
        "opencode_aiohttp.py",
        "opencode_aiohttp_limited.toml",
        judged=2,
        options="--limit 25",
        suite=("-k", "HTTP-11"),
    ),
    GoodServer(
        "node-penguin",
        "penguin_node.mjs",
        "penguin_node.toml",
        judged=83,
        warnings={
            "PG-EVT-02": "its `session.error` makes a failure visible and is no type that revision 2 lists"
        },
    ),
)


@pytest.mark.parametrize("server", CASES, ids=lambda case: case.name)
def test_nothing_is_held_against_a_server_of_a_framework(server: GoodServer, tmp_path: Path) -> None:
    own, report = tmp_path / "own", tmp_path / "report"
    own.mkdir()
    report.mkdir()
    profile = tmp_path / "profile.toml"
    shutil.copy(SERVERS / server.profile, profile)
    if "--workspace {folder}" in server.options:
        profile.write_text(f'workspace = "{own}"\n{profile.read_text()}')
    with running(server, own) as url:
        verdicts = judge(url, profile, report, server.suite, name=server.name)
    nothing_is_held_against(verdicts, judged=server.judged, warnings=server.warnings)
