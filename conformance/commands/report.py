"""`sse-conformance report FORMAT RESULT…`: render documents again from result files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from conformance import exits
from conformance.report import markdown, model


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "report", help="render reports from result files", description="Render a report from result files."
    )
    parser.add_argument("format", choices=["markdown", "summary"], help="what to render")
    parser.add_argument("result", nargs="+", type=Path, metavar="RESULT", help="result file of a run (JSON)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the document."""
    runs = []
    for path in options.result:
        try:
            runs.append(model.read(path))
        except model.ResultError as error:
            print(error, file=sys.stderr)
            return exits.USAGE
        except OSError as error:
            print(f"{path}: cannot be read: {error.strerror}", file=sys.stderr)
            return exits.USAGE
    print(
        markdown.render(runs) if options.format == "markdown" else "\n".join(r.summary_line() for r in runs)
    )
    return exits.OK
