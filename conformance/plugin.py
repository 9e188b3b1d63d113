"""The pytest plugin: options only, until a run judges a target. Everything else is in `conformance.session`.

It is loaded into every pytest run of an environment in which the distribution is installed, so it
imports nothing heavy and changes nothing unless a target is named or our suite is in the run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import pytest

SUITE = Path(__file__).parent / "suite"

# Options by name: (flag, environment variable, help). Precedence: command line, environment, configuration, default.
OPTIONS = {
    "sse_protocol": ("--sse-protocol", "SSE_PROTOCOL", "protocol revision of the targets, such as penguin/2"),
    "sse_profile": (
        "--sse-profile",
        "SSE_PROFILE",
        "profile of the target: a TOML file, or the name of a shipped one",
    ),
    "sse_baseline": ("--sse-baseline", "SSE_BASELINE", "TOML file of expected failures"),
    "sse_write_baseline": (
        "--sse-write-baseline",
        "SSE_WRITE_BASELINE",
        "write what fails now as a baseline",
    ),
    "sse_allow": (
        "--sse-allow",
        "SSE_ALLOW",
        "effect classes allowed on a remote target: edit,disrupt,configure",
    ),
    "sse_report": ("--sse-report", "SSE_REPORT", "directory for results, summary and exchanges"),
    "sse_timeout_scale": ("--sse-timeout-scale", "SSE_TIMEOUT_SCALE", "factor on every deadline (default 1)"),
    "sse_max_seconds": (
        "--sse-max-seconds",
        "SSE_MAX_SECONDS",
        "ceiling on probing one target (default 600)",
    ),
    "sse_lens": (
        "--sse-lens",
        "SSE_LENS",
        "show what stock clients see of the same bytes: all, or some of httpx-sse,browser,eventsource-parser,naive",
    ),
    "sse_node_folder": (
        "--sse-node-folder",
        "SSE_NODE_FOLDER",
        "folder from which the lens looks for eventsource-parser (default: the current one)",
    ),
    "sse_only": ("--sse-only", "SSE_ONLY", "judge only requirements whose id begins so: ID,…"),
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a run; each can also be set by environment and configuration."""
    group = parser.getgroup("sse-conformance", "event stream conformance")
    group.addoption("--target", action="append", metavar="[P/R=]URL", help="server to judge; may be repeated")
    group.addoption("--sse-strict", action="store_true", default=None, help="closed schemas; warnings fail")
    parser.addini("sse_target", "servers to judge", type="args", default=[])
    parser.addini("sse_strict", "closed schemas; warnings fail", type="bool", default=False)
    for name, (flag, _, text) in OPTIONS.items():
        group.addoption(flag, dest=name, metavar=flag.rpartition("-")[2].upper(), help=text)
        parser.addini(name, text, default=None)


def pytest_configure(config: pytest.Config) -> None:
    """Bring in the session where this run judges something."""
    for name in ("must", "should", "info"):
        config.addinivalue_line("markers", f"{name}: requirements of that level")
    if _names_target(config) or _is_ours(config):
        from conformance.session import JudgingSession

        config.pluginmanager.register(JudgingSession(config), "sse-conformance-session")


def setting(config: pytest.Config, name: str) -> str | None:
    """An option's value: command line over environment over configuration; None where it is set nowhere."""
    value = getattr(config.option, name, None) or os.environ.get(OPTIONS[name][1]) or config.getini(name)
    return str(value) if value else None


def named_targets(config: pytest.Config) -> tuple[str, ...]:
    """The targets as they were typed."""
    return tuple(
        config.option.target or os.environ.get("SSE_TARGET", "").split() or config.getini("sse_target")
    )


def is_strict(config: pytest.Config) -> bool:
    """Whether strictness was asked for."""
    return bool(config.option.sse_strict or os.environ.get("SSE_STRICT") or config.getini("sse_strict"))


def _names_target(config: pytest.Config) -> bool:
    return bool(
        named_targets(config) or getattr(config.option, "sse_profile", None) or os.environ.get("SSE_PROFILE")
    )


def _is_ours(config: pytest.Config) -> bool:
    """Whether this run was pointed at our suite."""
    named = [str(argument).partition("::")[0] for argument in config.args]
    return any(SUITE.is_relative_to(path) or path.is_relative_to(SUITE) for path in _paths(config, named))


def _paths(config: pytest.Config, named: Iterable[str]) -> list[Path]:
    if config.option.pyargs:
        named = [str(SUITE) if name.split(".")[0] == "conformance" else name for name in named]
    return [(config.invocation_params.dir / name).resolve() for name in named]
