"""docs/load.md names what there is: every option, metric, shape and kind; its Python and its conditions work."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from conformance.cli import build_parser
from conformance.commands.load import SHAPES
from conformance.report import load_files
from conformance.slo import DEFAULTS, METRICS, parse
from loadtests.options import add_options
from loadtests.shapes import SHAPES as USERS_SHAPES
from tests.support.commands import ROOT
from tests.support.load_cases import whole

TEXT = (ROOT / "docs/load.md").read_text(encoding="utf-8")


def test_nothing_is_left_to_be_filled_in() -> None:
    assert "@@" not in TEXT
    assert "127.0.0.1:18" not in TEXT


def test_every_option_is_told() -> None:
    (commands,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    options = [word for action in commands.choices["load"]._actions for word in action.option_strings]
    assert len(options) > 15
    for word in options:
        assert word in ("-h", "--help") or f"{word}" in TEXT, word


def test_every_option_of_our_users_is_told_there_and_in_the_help_of_the_command() -> None:
    options = argparse.ArgumentParser(add_help=False)
    add_options(options)
    (commands,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    help_text = commands.choices["load"].format_help()
    own = {word for action in options._actions for word in action.option_strings}
    assert len(own) > 10
    for word in own - {"--sse-load-report", "--sse-shape"}:  # which are --report and --shape of the command
        assert word in TEXT, word
        assert word in help_text, word
    assert "--sse-load-report" in TEXT
    assert set(SHAPES) == set(USERS_SHAPES)


@pytest.mark.parametrize("name", [*METRICS, *SHAPES])
def test_every_metric_and_shape_is_told(name: str) -> None:
    assert re.search(rf"`[^`]*\b{name}\b[^`]*`|^\| {name} \|", TEXT, re.MULTILINE)


def test_the_conditions_can_be_read() -> None:
    (block,) = re.findall(r"```\n([^`]*)\n```\n\nA condition is", TEXT)
    assert len(parse(block)) > 7
    assert f"`{DEFAULTS}`" in TEXT


def test_the_python_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("load").mkdir()
    Path("load/load.json").write_text(load_files.dumps(whole()))
    exec(compile(block, "load.md", "exec"), {})
    assert capsys.readouterr().out == "False 1 0.04\n"
