"""`sse-conformance completion SHELL`: what a shell needs to complete our commands, options, ids, protocols and faults.

The script is made by shtab from parsers. Those of `test`, `serve` and `model` pass their arguments on, so what can
be completed there is added here: our pytest options, and what the programs' own help says.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterable

from conformance import exits
from conformance.catalogue import catalogue, protocols
from conformance.commands.passthrough import PROGRAMS
from conformance.plugin import OPTIONS
from conformance.profile import Effect
from conformance.profile_file import shipped_profiles

_SHELLS = ("bash", "zsh", "fish", "tcsh")
_EXAMPLES = """examples:
  sse-conformance completion bash > ~/.local/share/bash-completion/completions/sse-conformance
  source <(sse-conformance completion bash)
  sse-conformance completion zsh > "${fpath[1]}/_sse-conformance"
  sse-conformance completion fish > ~/.config/fish/completions/sse-conformance.fish
"""
# Options of `test` beside those that take a value of ours: a switch, and pytest's own that are of use here.
_MORE = (
    ("--sse-strict", "", "closed schemas; warnings fail"),
    ("-k", "EXPRESSION", "select by name"),
    ("-m", "LEVEL", "select by level"),
    ("-n", "N", "workers (pytest-xdist)"),
    ("-x", "", "stop at the first failure"),
    ("-q", "", "less output"),
    ("-v", "", "more output"),
    ("--collect-only", "", "list what would be judged"),
    ("--junit-xml", "FILE", "write JUnit XML"),
    ("--color", "WHEN", "yes, no or auto"),
)


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "completion",
        help="print a completion script for a shell",
        description="Print the script that makes a shell complete commands, options, requirement ids, protocol "
        "revisions, profiles and fault names.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=_SHELLS, help="the shell")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the script."""
    import shtab  # here, so that no other command waits for it

    from conformance.cli import build_parser  # which imports this module

    parser = build_parser()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            _tell(action.choices)
    print(shtab.complete(parser, shell=options.shell))
    return exits.OK


def _tell(parsers: dict[str, argparse.ArgumentParser]) -> None:
    """Add to the subcommands' parsers what they do not know of their arguments."""
    import shtab

    ids = sorted({row.id for protocol in protocols() for row in catalogue(protocol).requirements})
    choices: dict[str, Iterable[str]] = {
        "sse_protocol": protocols(),
        "sse_only": ids,
        "sse_allow": [effect.value for effect in Effect],
    }
    for action in parsers["explain"]._actions + parsers["requirements"]._actions + parsers["check"]._actions:
        if action.dest in ("id", "protocol"):
            action.choices = ids if action.dest == "id" else protocols()
    for name in ("check", "report"):
        for action in parsers[name]._actions:
            if action.dest in ("file", "result", "output", "compare"):
                action.complete = shtab.FILE  # type: ignore[attr-defined]

    for action in parsers["load"]._actions:
        if action.dest == "sse_protocol":
            action.choices = [*protocols(), "mixed"]
        elif action.dest == "sse_profile":
            action.choices = [*shipped_profiles()]
        elif action.dest == "sse_allow":
            action.choices = [Effect.LOAD.value]
        elif action.dest in ("compare", "report"):
            action.complete = shtab.FILE if action.dest == "compare" else shtab.DIRECTORY  # type: ignore[attr-defined]

    test = parsers["test"]
    test.add_argument("--target", metavar="[P/R=]URL", help="server to judge")
    for dest, (flag, _, text) in OPTIONS.items():
        option = test.add_argument(flag, dest=dest, help=text, choices=choices.get(dest))
        if dest == "sse_profile":
            option.choices = [*shipped_profiles()]
        elif dest == "sse_report":
            option.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif "baseline" in dest:
            option.complete = shtab.FILE  # type: ignore[attr-defined]
    for flag, metavar, text in _MORE:
        if metavar:
            option = test.add_argument(flag, metavar=metavar, help=text)
            option.choices = {"LEVEL": ["must", "should", "info"], "WHEN": ["yes", "no", "auto"]}.get(metavar)
        else:
            test.add_argument(flag, action="store_true", help=text)

    for name, (module, _, _) in PROGRAMS.items():
        for flag, metavar in _options_of(module):
            if not metavar:
                parsers[name].add_argument(flag, action="store_true")
                continue
            option = parsers[name].add_argument(flag, metavar=metavar)
            if flag in ("--fault", "--scenario"):
                option.choices = _listed(module, f"--list-{flag[2:]}s")
            elif found := re.fullmatch(r"\{(.*)\}", metavar):
                option.choices = found[1].split(",")


def _options_of(module: str) -> list[tuple[str, str]]:
    """A program's options with the names of their values, as its help says them."""
    return re.findall(r"^  (?:-\w, )?(--[a-z-]+)(?: ([^\s]+))?", _said(module, "--help"), re.M)


def _listed(module: str, flag: str) -> list[str]:
    """The names that a program lists: the first word of a line that is no kind, sorted."""
    words = (line.split() for line in _said(module, flag).splitlines())
    return sorted({row[1] if row[0] in ("fault", "variant") else row[0] for row in words if len(row) > 1})


def _said(module: str, flag: str) -> str:
    command = [sys.executable, "-m", module, flag]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    ).stdout
