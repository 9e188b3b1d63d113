"""`sse-conformance test URL…`: pytest with our suite and our configuration, from any folder."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

import conformance.suite

_URL = re.compile(r"^([a-z][a-z0-9_-]*/\d+=)?https?://")


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand. Its arguments are pytest's, apart from the URLs."""
    parser = commands.add_parser(
        "test",
        help="judge running servers",
        usage="sse-conformance test [[P/R=]URL ...] [pytest's and our options]",
        description="Judge running servers; without a URL, the built-in reference server in every protocol. "
        "Every other argument goes to pytest: --sse-protocol P/R, --sse-profile FILE, --sse-only ID, -k, -m …",
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
