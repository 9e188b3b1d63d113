"""`sse-conformance requirements [P/R]`: the catalogue as a list, or as pages."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from conformance import exits
from conformance.catalogue import catalogue, protocols

_EXAMPLES = """examples:
  sse-conformance requirements penguin/2
  sse-conformance requirements penguin/2 --format markdown > penguin-2.md
  sse-conformance requirements --format markdown -o docs/requirements
"""

_EXAMPLES = """examples:
  sse-conformance requirements
  sse-conformance requirements penguin/2
  sse-conformance requirements penguin/2 --format markdown -o docs/requirements
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "requirements",
        help="list the requirements",
        description="List the requirements of a protocol revision.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("protocol", nargs="*", metavar="P/R", help="protocol revision (default: every one)")
    parser.add_argument(
        "--format",
        choices=("list", "markdown"),
        default="list",
        help="one line each (default), or a page with examples in bytes and the faults that show each can fail",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="write a file for each revision into this folder"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the requirements of each revision."""
    for protocol in options.protocol:
        if protocol not in protocols():
            print(f"unknown protocol {protocol!r}: expected one of {', '.join(protocols())}", file=sys.stderr)
            return exits.USAGE
    for protocol in options.protocol or protocols():
        text = _page(protocol) if options.format == "markdown" else _list(protocol)
        if options.output is None:
            print(text, end="")
            continue
        file = (
            options.output / f"{protocol.replace('/', '-')}.{'md' if options.format == 'markdown' else 'txt'}"
        )
        try:
            options.output.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            print(f"{file}: cannot be written: {error.strerror or error}", file=sys.stderr)
            return exits.USAGE
    return exits.OK


def _page(protocol: str) -> str:
    from conformance.report.requirement_pages import render  # a list need not wait for templates

    return render(protocol)


def _list(protocol: str) -> str:
    rows = catalogue(protocol).requirements
    lines = [f"{protocol}: {len(rows)} requirements"]
    for row in rows:
        excluded = "  (not tested)" if row.excluded else ""
        lines.append(f"  {row.id:<14} {row.level.value}  {' '.join(row.statement.split())}{excluded}")
    return "\n".join(lines) + "\n"
