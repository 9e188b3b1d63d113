"""The reference server behind Debian's nginx with its default buffering: a proxy takes away nothing that is judged.

What nginx does here of itself, and why nothing is held against it: it takes `X-Accel-Buffering: no` for itself, so
the stream is passed on as it comes and without that header (SSE-HTTP-04b, a note); it speaks HTTP/1.0 to the server
and sends chunks to the client; it answers a body above 1 MiB with 413 and a page (AS-REQ-06 asks for a 4xx, whatever
its body). What it does to a server that is wrong is justly seen, and is held against what the client gets: a stream
without that header comes all at once.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.good_servers import judge, nothing_is_held_against, verdicts_of
from tests.support.nginx_proxy import nginx, nginx_program
from tests.support.reference import reference_server

CAPABILITIES = {
    "agentsmithy/2": "history = true\nworkspace = true\nmax_body = 1048576\n",
    "penguin/2": "resume = true\nretention = 1000\n",
}


def profile_of(protocol: str, folder: Path) -> Path:
    """What is declared about the reference server behind nginx."""
    profile = folder / "profile.toml"
    profile.write_text(
        f'name = "reference server behind nginx"\nprotocol = "{protocol}"\nworkspace = "/workspace"\n'
        f"[capabilities]\nheartbeat = 1\n{CAPABILITIES[protocol]}"
    )
    return profile


def folders(tmp_path: Path) -> tuple[Path, Path]:
    """One for nginx, one for the report; skips the test where nginx is missing."""
    nginx_program()
    own, report = tmp_path / "nginx", tmp_path / "report"
    own.mkdir()
    report.mkdir()
    return own, report


@pytest.mark.parametrize(("protocol", "judged"), [("agentsmithy/2", 76), ("penguin/2", 80)])
def test_nothing_is_lost_behind_nginx(protocol: str, judged: int, tmp_path: Path) -> None:
    own, report = folders(tmp_path)
    with (
        reference_server("--heartbeat", "1", "--replay-buffer", "1000") as upstream,
        nginx(upstream, own) as url,
    ):
        name = f"nginx-{protocol.partition('/')[0]}"
        verdicts = judge(f"{url}/{protocol}", profile_of(protocol, tmp_path), report, name=name)
    nothing_is_held_against(verdicts, judged=judged, warnings={})


def test_a_proxy_that_holds_the_stream_back_is_seen_to(tmp_path: Path) -> None:
    """nginx as it is where the server does not ask it to pass the stream on: everything comes at the end."""
    own, report = folders(tmp_path)
    asked = ("-k", "SSE-HTTP-02 or SSE-HTTP-03 or SSE-HTTP-01a or SSE-HTTP-07 or AS-END")
    with (
        reference_server("--heartbeat", "1") as upstream,
        nginx(upstream, own, "proxy_ignore_headers X-Accel-Buffering;") as url,
    ):
        ran, verdicts = verdicts_of(
            f"{url}/agentsmithy/2", profile_of("agentsmithy/2", tmp_path), report, asked
        )
    assert ran.code == 1, ran.all
    assert verdicts == {
        "SSE-HTTP-01a": "pass",
        "SSE-HTTP-02": "warn",
        "SSE-HTTP-03": "fail",
        "SSE-HTTP-07": "pass",
        "AS-END-01": "pass",
        "AS-END-02": "pass",
        "AS-END-03": "pass",
    }
