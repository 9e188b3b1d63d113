"""`sse-conformance requirements [P/R]`: the catalogue as a list."""

from __future__ import annotations

import argparse
import sys

from conformance import exits
from conformance.catalogue import catalogue, protocols


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "requirements",
        help="list the requirements",
        description="List the requirements of a protocol revision.",
    )
    parser.add_argument("protocol", nargs="*", metavar="P/R", help="protocol revision (default: every one)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """One line each: id, level, statement."""
    for protocol in options.protocol:
        if protocol not in protocols():
            print(f"unknown protocol {protocol!r}: expected one of {', '.join(protocols())}", file=sys.stderr)
            return exits.USAGE
    for protocol in options.protocol or protocols():
        rows = catalogue(protocol).requirements
        print(f"{protocol}: {len(rows)} requirements")
        for row in rows:
            excluded = "  (not tested)" if row.excluded else ""
            print(f"  {row.id:<14} {row.level.value}  {' '.join(row.statement.split())}{excluded}")
    return exits.OK
