"""Servers that are right and unusual, judged as a user would judge them: nothing may be held against them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.good_servers import KEY, SERVERS, GoodServer, judge, nothing_is_held_against, running

# Rows that fill buffers or wait in silence: one run per server is enough for them.
QUICK = ("-k", "not LIVE-0 and not CON-03")

CASES = (
    # agentsmithy/2 in CRLF
    GoodServer("sockets", "agentsmithy_raw.py", "agentsmithy_raw.toml", judged=72, suite=QUICK),
    # agentsmithy/1 in CR, byte by byte, over many lines, with ids and a BOM
    GoodServer(
        "sockets-bare",
        "agentsmithy_raw.py",
        "agentsmithy_raw_bare.toml",
        judged=62,
        options="--revision 1 --eol cr --framing bytes --pretty --odd-fields --gzip --refuse-early --no-dialogs",
        suite=QUICK,
    ),
    # agentsmithy/2 in LF until the connection ends, guarded, one stream per dialog
    GoodServer(
        "sockets-guarded",
        "agentsmithy_raw.py",
        "agentsmithy_raw_guarded.toml",
        judged=74,
        options=f"--eol lf --framing close --escape --empty-segments --one-stream-per-dialog --max-body 300000"
        f' --token {KEY} --charset ;Charset="utf-8";x=y',
        suite=QUICK,
    ),
    # agentsmithy/2 with ids and `retry`
    GoodServer(
        "sockets-fields",
        "agentsmithy_raw.py",
        "agentsmithy_raw.toml",
        judged=7,
        options="--odd-fields",
        suite=("-k", "SSE-EVT"),
    ),
    # agentsmithy/1 with dialogs, guarded, for pages of any origin
    GoodServer(
        "sockets-first",
        "agentsmithy_raw.py",
        "agentsmithy_raw_first.toml",
        judged=6,
        options=f"--revision 1 --any-origin --token {KEY}",
        suite=("-k", "HTTP-09 or HTTP-10 or REQ-04b or CONC-04"),
    ),
    # so many requests in two seconds; 503 beyond
    GoodServer(
        "sockets-limited",
        "agentsmithy_raw.py",
        "agentsmithy_raw_limited.toml",
        judged=2,
        options="--limit 25",
        suite=("-k", "HTTP-11"),
    ),
    # penguin/1 with cursors and ids, guarded, that ends streams after an error
    GoodServer(
        "asgi-first",
        "penguin_asgi.py",
        "penguin_asgi_first.toml",
        judged=70,
        options=f"--revision 1 --resume --json-ids --end-after-error --cors --retention 1000 --key {KEY}",
        suite=QUICK,
    ),
    # so many requests in each second; 429 beyond
    *(
        GoodServer(
            f"asgi-limited-{revision}",
            "penguin_asgi.py",
            f"penguin_asgi_limited_{revision}.toml",
            judged=2,
            options=f"--revision {revision} --limit 20",
            suite=("-k", "HTTP-11"),
        )
        for revision in (1, 2)
    ),
    # penguin/2 that joins chunks
    GoodServer("asgi", "penguin_asgi.py", "penguin_asgi.toml", judged=79, options="--resume"),
    # penguin/1 without sessions or ids in its events
    GoodServer(
        "asgi-bare",
        "penguin_asgi.py",
        "penguin_asgi_bare.toml",
        judged=60,
        options="--revision 1",
        suite=QUICK,
    ),
    # penguin/2 with one order for all, ids on its handshakes, 404 for the unknown, guarded
    GoodServer(
        "asgi-guarded",
        "penguin_asgi.py",
        "penguin_asgi_guarded.toml",
        judged=78,
        options="--resume --one-stream --connected-id --unknown-is-404 --cors --every-chunk --end-after-error"
        f" --retention 1000 --key {KEY}",
        suite=QUICK,
        warnings={
            "PG-2-01b": "its order grows under a filter as it was promised, and not by one as was observed"
        },
    ),
    # penguin/2 that does not list its sessions nor say their directories
    GoodServer(
        "asgi-shy",
        "penguin_asgi.py",
        "penguin_asgi.toml",
        judged=1,
        options="--resume --shy",
        suite=("-k", "PG-FLT-06a or PG-FLT-07a or PG-FLT-08"),
    ),
    # penguin/2 that answers late
    GoodServer(
        "asgi-late",
        "penguin_asgi.py",
        "penguin_asgi.toml",
        judged=2,
        options="--resume --late 300 --keepalive 0.02",
        suite=("-k", "PG-REC-01 or HTTP-02"),
    ),
)


@pytest.mark.parametrize("server", CASES, ids=lambda case: case.name)
def test_nothing_is_held_against_a_good_server(server: GoodServer, tmp_path: Path) -> None:
    with running(server, tmp_path) as url:
        verdicts = judge(url, SERVERS / server.profile, tmp_path, server.suite, name=server.name)
    nothing_is_held_against(verdicts, judged=server.judged, warnings=server.warnings)


def test_a_second_run_finds_files_that_are_there_already(tmp_path: Path) -> None:
    server, asked = CASES[0], ("-k", "AS-TOOL-02")
    with running(server, tmp_path) as url:
        for _ in range(2):
            assert judge(url, SERVERS / server.profile, tmp_path, asked) == {"AS-TOOL-02": "pass"}
