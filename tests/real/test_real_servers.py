"""Real servers from their registries, judged in short: what is known of them is what the suite says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from conformance.api import judge
from tests.real.opencode import OpenCode
from tests.real.penguin import Penguin
from tests.real.runner import NotForThisMachine, Server, SetupError


@dataclass(frozen=True)
class Known:
    """A real server, and verdicts on it that have been read against the bytes (reports/published)."""

    server: type[Server]
    verdicts: Mapping[str, str]


KNOWN = (
    Known(
        OpenCode,
        {
            "PG-CON-01": "pass",
            "PG-MSG-02": "pass",
            "PG-MSG-03": "pass",
            "PG-TOOL-02b": "pass",
            "PG-ERR-01": "pass",
            "SSE-HTTP-05b": "warn",
        },
    ),
    Known(
        Penguin,
        {
            "PG-CON-01": "pass",
            "PG-MSG-03": "pass",
            "PG-ERR-01": "fail",
            "PG-FLT-04": "fail",
            "PG-FLT-08": "fail",
            "SSE-HTTP-05b": "pass",
        },
    ),
)


@pytest.fixture(params=KNOWN, ids=lambda known: known.server.name)
def known(request: pytest.FixtureRequest) -> tuple[Server, Known]:
    """A real server, installed."""
    server: Server = request.param.server()
    try:
        server.install()
    except NotForThisMachine as error:
        pytest.xfail(str(error))
    except SetupError as error:
        pytest.skip(str(error))
    return server, request.param


def test_known_verdicts(known: tuple[Server, Known]) -> None:
    server, of = known
    with server.running() as running:
        verdicts = judge(running.url, profile=server.profile_of(running), only=of.verdicts)
    said = {row.requirement: row.verdict.value for row in verdicts.run.rows}
    assert said == of.verdicts, str(verdicts)
