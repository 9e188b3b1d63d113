"""`sse-conformance explain ID`: what a requirement means, where it comes from, how it is judged."""

from __future__ import annotations

import argparse
import difflib
import sys
import textwrap

from conformance import exits
from conformance.catalogue import Requirement, catalogue, protocols

_LEVELS = {"M": "must", "S": "should", "I": "reported only"}


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "explain", help="explain a requirement", description="Explain a requirement."
    )
    parser.add_argument("id", metavar="ID", help="a requirement's id, such as PG-CON-01")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the row of every revision that has it, once where they agree."""
    wanted = options.id.upper()
    known: dict[str, dict[str, Requirement]] = {}
    for protocol in protocols():
        for row in catalogue(protocol).requirements:
            known.setdefault(row.id.upper(), {})[protocol] = row
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, n=3)
        hint = f": did you mean {', '.join(near)}?" if near else " (see `sse-conformance requirements`)"
        print(f"unknown requirement {options.id!r}{hint}", file=sys.stderr)
        return exits.USAGE
    rows = known[wanted]
    row = next(iter(rows.values()))
    levels = ", ".join(f"{_LEVELS[r.level.value]} in {protocol}" for protocol, r in rows.items())
    print(f"{row.id}\n")
    _paragraph("requires", row.statement)
    _paragraph("level", levels)
    _paragraph("source", row.source)
    if row.capability:
        _paragraph("applies", f"where the profile declares {row.capability}")
    if row.condition:
        _paragraph("condition", row.condition)
    if row.excluded:
        _paragraph("not tested", row.excluded)
    _paragraph("judged", row.judged)
    return exits.OK


def _paragraph(label: str, text: str) -> None:
    flat = " ".join(text.split())
    print(textwrap.fill(flat, 100, initial_indent=f"{label:<11}", subsequent_indent=" " * 11))
