"""What a long run shows while it runs: one line on a terminal, and not one control character anywhere else."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import conformance, pytest_run
from tests.support.reference import reference_server
from tests.support.terminal import on_terminal, screen

ONLY = "SSE-FMT-07a,AS-TXT-03"
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
DRAWN = re.compile(r"\r\d/2 agentsmithy/2 SSE-FMT-07a · 0:\d\d")


@pytest.fixture(scope="module")
def good() -> Iterator[str]:
    with reference_server() as url:
        yield f"{url}/agentsmithy/2"


@pytest.fixture(scope="module")
def wrong() -> Iterator[str]:
    with reference_server("--fault", "crlf-made-lf") as url:
        yield f"{url}/agentsmithy/2"


def arguments(url: str, *more: str) -> list[str]:
    return ["test", url, "--sse-protocol", "agentsmithy/2", "--sse-only", ONLY, "--color", "auto", *more]


def shown(url: str, cwd: Path, *more: str, **env: str) -> tuple[int, str]:
    return on_terminal(sys.executable, "-m", "conformance.cli", *arguments(url, *more), cwd=cwd, env=env)


def test_a_terminal_shows_what_is_judged_and_nothing_of_it_stays(good: str, tmp_path: Path) -> None:
    code, text = shown(good, tmp_path)
    assert code == 0, text
    assert DRAWN.search(text), text
    assert re.search(r"SSE-FMT-07a · 0:\d\d.* · probe \d+/\d+ \w+", text)
    drawn = [part for part in re.split(r"[\r\n]", text) if "· probe" in part]
    assert max(map(len, drawn)) < 100  # one less than the terminal's columns, so that nothing wraps
    seen = screen(re.sub(r"\x1b\[[\d;]*[mK]", "", text))
    assert not [line for line in seen if "· probe" in line]
    assert any(line.startswith("2 pass · 0 fail") for line in seen)
    assert not [line for line in seen if line.startswith("..")]  # no dots beside it


def test_a_failure_is_said_at_once(wrong: str, tmp_path: Path) -> None:
    code, text = shown(wrong, tmp_path)
    assert code == 1, text
    seen = screen(re.sub(r"\x1b\[[\d;]*[mK]", "", text))
    assert "fail: agentsmithy/2 SSE-FMT-07a" in seen
    assert seen.index("fail: agentsmithy/2 SSE-FMT-07a") < next(
        number for number, line in enumerate(seen) if "FAILURES" in line
    )


@pytest.mark.parametrize("setting", [{"NO_COLOR": "1"}, {}], ids=["NO_COLOR", "--color=no"])
def test_without_colour_there_is_no_escape_sequence(
    good: str, tmp_path: Path, setting: dict[str, str]
) -> None:
    code, text = shown(good, tmp_path, *([] if setting else ["--color=no"]), **setting)
    assert code == 0, text
    assert DRAWN.search(text)
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("more", "env"),
    [(["-q"], {}), (["-v"], {}), (["-n", "1"], {}), ([], {"CI": "true"}), ([], {"TERM": "dumb"})],
    ids=["-q", "-v", "-n", "CI", "dumb"],
)
def test_where_it_is_not_wanted(good: str, tmp_path: Path, more: list[str], env: dict[str, str]) -> None:
    code, text = shown(good, tmp_path, *more, **env)
    assert code == 0, text
    assert not DRAWN.search(text)


def test_no_control_characters_where_nothing_is_a_terminal(wrong: str, tmp_path: Path) -> None:
    ran = conformance(*arguments(wrong), cwd=tmp_path, env={"TERM": "xterm"})
    assert ran.code == 1
    assert "SSE-FMT-07a [M] fail" in ran.out
    assert not CONTROL.search(ran.all)
    checked = conformance(
        "check", *map(str, (tmp_path / "none").parent.glob("*.sse")), "-", "--protocol", "penguin/2",
        cwd=tmp_path, stdin=b"data: \x1b[31mred\x07\r\x00\n\n",
    )  # fmt: skip
    assert checked.code == 1, checked.all
    assert not CONTROL.search(checked.all)


def test_other_tests_keep_their_dots(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text("def test_a(): pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_theirs.py"]
    code, text = on_terminal(*command, cwd=tmp_path)
    assert code == 0, text
    assert re.search(r"test_theirs\.py .*\.", text)
    assert pytest_run("test_theirs.py", cwd=tmp_path).code == 0
