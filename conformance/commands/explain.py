"""`sse-conformance explain ID`: what a requirement means, how it is judged and how it fails, with examples in bytes."""

from __future__ import annotations

import argparse
import difflib
import sys
import textwrap
from dataclasses import replace

from conformance import exits
from conformance.catalogue import Requirement, catalogue, protocols
from conformance.findings import Level

_LEVELS = {"M": "must", "S": "should", "I": "reported only"}

_EXAMPLES = """examples:
  sse-conformance explain PG-CON-01
  sse-conformance explain SSE-FMT-07a --protocol agentsmithy/2
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "explain",
        help="explain a requirement",
        description="Explain a requirement: what it says and where, how it is judged, a good and a bad example in\n"
        "bytes, and the faults of the reference server that show that it can fail.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("id", metavar="ID", help="a requirement's id, such as PG-CON-01")
    parser.add_argument(
        "--protocol", metavar="P/R", help="show what it says in this protocol revision, and its example"
    )
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
    if options.protocol is not None and options.protocol not in rows:
        print(
            f"{wanted} is no requirement of {options.protocol!r}: it is one of {', '.join(rows)}",
            file=sys.stderr,
        )
        return exits.USAGE
    print(next(iter(rows.values())).id)
    for alike in _alike(rows):
        if options.protocol in (None, *alike):
            print()
            _said(alike)
    asked = options.protocol or next(iter(rows))
    if not rows[asked].excluded:
        _shown(rows, asked)
    return exits.OK


def _alike(rows: dict[str, Requirement]) -> list[dict[str, Requirement]]:
    """The rows by revision, those together that say the same, whatever their level."""
    groups: dict[Requirement, dict[str, Requirement]] = {}
    for protocol, row in rows.items():
        groups.setdefault(replace(row, level=Level.MUST, level_without=()), {})[protocol] = row
    return list(groups.values())


def _said(rows: dict[str, Requirement]) -> None:
    """What a row says, and its level in each of these revisions."""
    row = next(iter(rows.values()))
    _paragraph("requires", row.statement)
    _paragraph("level", ", ".join(f"{_LEVELS[r.level.value]} in {protocol}" for protocol, r in rows.items()))
    _paragraph("source", row.source)
    if row.capability:
        _paragraph("applies", f"where the profile declares {row.capability}")
    if row.condition:
        _paragraph("condition", row.condition)
    if row.excluded:
        _paragraph("not tested", row.excluded)
    _paragraph("judged", row.judged)


def _shown(rows: dict[str, Requirement], protocol: str) -> None:
    """The examples and faults of a revision: of the one that has an example of its own, if none was asked for."""
    from conformance.report.requirement_pages import entry  # other commands need not wait for templates

    made = entry(rows[protocol], protocol)
    if made.example is not None:
        good, bad = ("one way", "another") if made.row.level is Level.INFO else ("good", "bad")
        print(f"\n{good}, in {made.example.protocol}\n\n{textwrap.indent(made.good, '    ')}")
        print(f"\n{bad}: {made.example.why}\n\n{textwrap.indent(made.bad, '    ')}")
    if made.faults:
        print(f"\nfaults of the reference server that show that it can fail, in {made.faulty}\n")
        for fault in made.faults:
            print(f"    {fault.name:<36}  {fault.summary}")
        print(f"\n{textwrap.indent(made.shown, '    ')}")
    if made.evidence:
        print(f"\n{made.evidence}")


def _paragraph(label: str, text: str) -> None:
    flat = " ".join(text.split())
    print(textwrap.fill(flat, 100, initial_indent=f"{label:<11}", subsequent_indent=" " * 11))
