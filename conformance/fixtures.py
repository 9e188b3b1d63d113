"""pytest fixtures for the test-suite of a server.

In the server's own `conftest.py`:

    pytest_plugins = ["conformance.fixtures"]

and in its tests:

    def test_event_stream(sse_judge, server_url):
        sse_judge(server_url, "penguin/2").assert_conforms()

Nothing is started or imported but for a test that asks for it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conformance.api import Verdicts


@pytest.fixture(scope="session")
def sse_judge(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Verdicts]:
    """`conformance.api.judge`, with what this pytest run was told as its defaults.

    `--sse-timeout-scale`, `--sse-max-seconds`, `--sse-strict`, `--sse-only`, `--sse-allow` and `--sse-baseline` (or
    their environment variables) hold for each call that does not say otherwise. Each call has a report of its own: in
    the folder of `--sse-report` if that is given, else in pytest's temporary folder.
    """
    from conformance.api import judge
    from conformance.plugin import is_strict, setting

    config, here = request.config, request.config.invocation_params.dir
    numbers = itertools.count(1)
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    reports, baseline = setting(config, "sse_report"), setting(config, "sse_baseline")
    defaults: dict[str, Any] = {
        "only": setting(config, "sse_only") or (),
        "allow": setting(config, "sse_allow") or (),
        "strict": is_strict(config),
        "timeout_scale": _number(setting(config, "sse_timeout_scale"), 1.0),
        "max_seconds": _number(setting(config, "sse_max_seconds"), 600.0),
        "baseline": here / baseline if baseline else None,
    }

    def folder() -> Path:
        if not reports:
            return tmp_path_factory.mktemp("sse-judge")
        return here / reports / "-".join(part for part in ("judge", worker, str(next(numbers))) if part)

    def call(url: str | None = None, protocol: str | None = None, **options: Any) -> Verdicts:
        __tracebackhide__ = True
        options.setdefault("report", folder())
        return judge(url, protocol, **(defaults | options))

    return call


def _number(raw: str | None, default: float) -> float:
    if raw is None:
        return default
    try:
        return float(raw)
    except ValueError:
        return 0.0  # which `judge` refuses
