"""`sse-conformance test URL…`: pytest with our suite and our configuration, from any folder."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

import conformance.suite
from conformance.plugin import OPTIONS

_URL = re.compile(r"^([a-z][a-z0-9_-]*/\d+=)?https?://")

_EXAMPLES = """examples:
  sse-conformance test http://127.0.0.1:8000 --sse-protocol penguin/2
  sse-conformance test penguin/2=http://127.0.0.1:8000 agentsmithy/2=http://127.0.0.1:8001
  sse-conformance test http://127.0.0.1:8000 --sse-profile server.toml --sse-baseline known.toml
  sse-conformance test http://127.0.0.1:8000 --sse-protocol penguin/2 --sse-only PG-CON,SSE-FMT-01 --sse-report out
  sse-conformance test http://127.0.0.1:8000 --sse-protocol penguin/2 -m must -n 2 --junit-xml junit.xml
  sse-conformance test -q
"""


def _options() -> str:
    named = [("--target [P/R=]URL", "server to judge; may be repeated, and left out before a URL")]
    named += [("--sse-strict", "closed schemas; warnings fail")]
    named += [(f"{flag} {flag.rpartition('-')[2].upper()}", text) for flag, _, text in OPTIONS.values()]
    return "\n".join(["options of the suite:", *(f"  {left:<31} {text}" for left, text in named)])


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand. Its arguments are pytest's, apart from the URLs."""
    parser = commands.add_parser(
        "test",
        help="judge running servers",
        usage="sse-conformance test [[P/R=]URL ...] [pytest's and our options]",
        description="Judge running servers; without a URL, the built-in reference server in every protocol. "
        "Every other argument goes to pytest: the options below, and all of its own (-k, -m, -x, -q, -n, "
        "--junit-xml, --color …).",
        epilog=f"{_options()}\n\n{_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, takes_rest=True)


def run(options: argparse.Namespace) -> int:
    """Run pytest in this process; its exit code is ours."""
    suite = Path(conformance.suite.__file__).parent
    # The user's own pytest configuration and conftest files must not decide what a verdict is.
    arguments = [
        "-c",
        str(suite / "pytest.ini"),
        f"--rootdir={suite}",
        "-p",
        "no:cacheprovider",
        "--tb=short",
    ]
    return int(pytest.main([*arguments, *_targets_named(options.rest), str(suite)]))


def _targets_named(arguments: Sequence[str]) -> list[str]:
    """The arguments with `--target` before each URL: leading words, and what looks like one anywhere."""
    out: list[str] = []
    leading = True
    for argument in arguments:
        leading = leading and not argument.startswith("-")
        if leading or (_URL.match(argument) and out[-1] != "--target"):
            out.append("--target")
        out.append(argument)
    return out
