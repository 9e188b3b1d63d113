"""`sse-conformance serve` and `model`: start the reference server or the scripted model.

They are programs of their own: the harness starts them and shares no code with them.
"""

from __future__ import annotations

import argparse
import runpy
import sys

PROGRAMS = {
    "serve": ("reference_server", "start the reference server", "sse-conformance serve --port 8000"),
    "model": ("reference_server.model", "start the scripted model", "sse-conformance model --port 8001"),
}


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommands; their options are the programs' own (`… serve --help`)."""
    for name, (module, text, example) in PROGRAMS.items():
        parser = commands.add_parser(name, help=text, add_help=False, usage=example)
        parser.set_defaults(run=run, takes_rest=True, module=module, program=f"sse-conformance {name}")


def run(options: argparse.Namespace) -> int:
    """Become that program."""
    sys.argv = [options.program, *options.rest]
    try:
        runpy.run_module(options.module, run_name="__main__", alter_sys=False)
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0
