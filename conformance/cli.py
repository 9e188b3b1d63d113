"""The `sse-conformance` command. Each subcommand lives in a module of its own in `conformance.commands`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from conformance import __version__, exits
from conformance.commands import (
    check,
    completion,
    explain,
    lens,
    load,
    passthrough,
    report,
    requirements,
    test,
)

_EXAMPLES = """examples:
  sse-conformance test http://127.0.0.1:8000 --sse-protocol penguin/2
  sse-conformance check recording.sse --protocol agentsmithy/2
  curl -N URL | sse-conformance check - --protocol penguin/1
  sse-conformance serve --port 8000
  sse-conformance explain PG-CON-01
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command, with every subcommand."""
    parser = argparse.ArgumentParser(
        prog="sse-conformance",
        description="Judge the event streams of AI agent servers.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sse-conformance {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (test, load, passthrough, check, lens, report, requirements, explain, completion):
        module.register(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns its exit code (`conformance.exits`)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    try:
        options, rest = parser.parse_known_args(arguments)
        if rest and not getattr(options, "takes_rest", False):
            parser.error(f"unrecognized arguments: {' '.join(rest)}")
        options.rest = rest
        return int(options.run(options))
    except SystemExit as stop:  # argparse's usage errors say 2; ours are pytest's 4
        return exits.USAGE if stop.code == 2 else int(stop.code or 0)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return exits.INTERRUPTED
    except BrokenPipeError:  # `sse-conformance requirements | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.OK
    except Exception as error:  # a fault of ours must not look like a verdict (1)
        if os.environ.get("SSE_DEBUG"):
            raise
        print(f"harness error: {type(error).__name__}: {error} (SSE_DEBUG=1 shows where)", file=sys.stderr)
        return exits.HARNESS


if __name__ == "__main__":
    sys.exit(main())
