"""Completion as a shell does it, and the examples of every `--help`: each of them can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.cli import build_parser
from tests.support.commands import Ran, conformance, run

# What readline does: the words of the line, the one that is completed last.
COMPLETE = """
source script.bash
function_of() { complete -p "$1" | sed 's/.*-F \\([^ ]*\\) .*/\\1/'; }
COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); COMPREPLY=()
"$(function_of "$1")" "$1" "${@: -1}" "${@: -2:1}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion")
    made = conformance("completion", "bash", cwd=path)
    assert made.code == 0, made.all
    (path / "script.bash").write_text(made.out)
    (path / "complete.bash").write_text(COMPLETE)
    (path / "recording.sse").write_text("data: x\n\n")
    return path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("te", {"test"}),
        ("test --sse-prot", {"--sse-protocol"}),
        ("test --sse-protocol peng", {"penguin/1", "penguin/2"}),
        ("test --sse-profile penguin-0", {"penguin-0.9"}),
        ("test http://127.0.0.1:8000 --sse-only PG-CON-", {"PG-CON-01", "PG-CON-02"}),
        ("test -m mu", {"must"}),
        ("explain SSE-FMT-01", {"SSE-FMT-01"}),
        ("requirements agentsmithy/", {"agentsmithy/1", "agentsmithy/2"}),
        ("serve --fault done-tw", {"done-twice", "done-twice-after-a-tool"}),
        ("serve --line-ending ", {"lf", "crlf"}),
        ("model --rea", {"--reasoning"}),
        ("check rec", {"recording.sse"}),
        ("check - --protocol penguin/2 --max-e", {"--max-events"}),
        ("report mark", {"markdown"}),
        ("load --sha", {"--shape"}),
        ("load --shape st", {"step", "storm"}),
        ("load http://127.0.0.1:8000 --sse-protocol mi", {"mixed"}),
        ("load --compare rec", {"recording.sse"}),
        ("completion fi", {"fish"}),
    ],
)
def test_bash_completes(folder: Path, line: str, expected: set[str]) -> None:
    words = line.split(" ")
    ran = run("bash", "complete.bash", "sse-conformance", *words, cwd=folder)
    assert ran.err == ""
    assert {found.strip() for found in ran.out.splitlines()} == expected


@pytest.mark.parametrize("shell", ["zsh", "fish", "tcsh"])
def test_other_shells_have_the_names_too(tmp_path: Path, shell: str) -> None:
    made = conformance("completion", shell, cwd=tmp_path)
    assert made.code == 0, made.all
    for name in ("sse-protocol", "agentsmithy/2", "done-twice", "PG-CON-01", "penguin-0.9"):
        assert name in made.out, name


def test_an_unknown_shell(tmp_path: Path) -> None:
    ran = conformance("completion", "cmd.exe", cwd=tmp_path)
    assert ran.code == 4
    assert "invalid choice: 'cmd.exe'" in ran.err


COMMANDS = ("test", "load", "check", "report", "requirements", "explain", "completion", "serve", "model")


def helped(command: str, tmp_path: Path) -> Ran:
    ran = conformance(*command.split(), "--help", cwd=tmp_path)
    assert ran.code == 0, ran.all
    return ran


def examples(text: str) -> Iterator[list[str]]:
    """The arguments of each example, without what stands around it in a shell's line."""
    _, _, rest = text.partition("examples:\n")
    for line in rest.splitlines():
        if not line.startswith("  "):
            return
        found = re.search(r"sse-conformance ([^|>)]*)", re.sub(r"\s+#.*", "", line))
        assert found is not None, line
        yield shlex.split(found[1])


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_examples_of_help_can_be_typed(command: str, tmp_path: Path) -> None:
    shown = list(examples(helped(command, tmp_path).out))
    assert shown, "no example"
    for arguments in shown:
        options, rest = build_parser().parse_known_args(arguments)
        assert not rest or options.takes_rest
        assert command in ("", arguments[0])
        if arguments[0] == "test":  # its arguments are pytest's: so pytest has to know them
            for word in rest:
                assert not word.startswith("--sse") or word in helped("test", tmp_path).out


def test_help_names_every_option_of_the_suite(tmp_path: Path) -> None:
    from conformance.plugin import OPTIONS

    text = helped("test", tmp_path).out
    for flag, _, words in OPTIONS.values():
        assert flag in text
        assert words in text
