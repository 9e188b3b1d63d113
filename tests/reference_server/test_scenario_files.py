"""Scenario files: the shipped ones play, and a bad one is refused with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reference_server.scenarios import FOLDER, ScenarioError, Scenarios, load, read_scenario, shipped
from reference_server.script import PLAIN, ScriptError
from tests.support.raw_sse import RawStream, chat_body

GOOD = "name: own\nsummary: mine\nscript:\n  turns:\n    - text: [a]\n"


def test_at_least_eight_are_shipped_each_under_its_own_name() -> None:
    names = {path.stem for path in FOLDER.glob("*.yaml")}
    assert len(names) >= 8
    assert {name: scenario.name for name, scenario in shipped().items()} == {name: name for name in names}


@pytest.mark.parametrize("name", sorted(set(shipped()) - {"silence", "slow"}))
@pytest.mark.parametrize("revision", [1, 2])
def test_each_plays_to_its_end(base: str, name: str, revision: int) -> None:
    url = f"{base}/agentsmithy/{revision}/api/chat"
    with RawStream(url, method="POST", body=chat_body(f"[[scenario {name}]]")).to_end() as stream:
        assert stream.types[-1] == "done"
        assert stream.types.count("done") == 1
        assert len(stream.types) > 1


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "empty"),
        ("name: [", 1, "expected"),
        ("- a\n", 1, "object"),
        (GOOD + "extra: 1\n", 6, "extra"),
        (GOOD.replace("summary: mine\n", ""), 1, "summary"),
        (GOOD.replace("[a]", "[a, 7]"), 5, "7"),
        (GOOD + "    - text: [b]\n", 6, "turn without tools"),
        (GOOD + "  pace_ms: fast\n", 6, "fast"),
        (GOOD + "name: twice\n", 6, "twice"),
        (GOOD.replace("[a]", "&x [a]") + "  pace_ms: *x\n", 6, "alias"),
        (GOOD.replace("- text: [a]", "- error: {message: m}"), 5, "status"),
        (GOOD.replace("turns", "turn"), 4, "turn"),
        (GOOD + "  1: 2\n", 6, "string"),
        ("name: own\n\0", 2, "special characters"),
        ("name: " + "[" * 5000, 1, ""),
    ],
)
def test_a_bad_file_is_named_with_the_line(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as caught:
        read_scenario(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:")
    assert "\n" not in message
    assert said in message
    if said:
        assert message.startswith(f"{path}:{line}:")


def test_dates_and_numbers_in_texts_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(GOOD.replace("[a]", "[2026-01-01, 'true']"))
    assert list(read_scenario(path).script.turns[0].text_chunks()) == ["2026-01-01", "true"]


def test_a_prompt_chooses(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(GOOD)
    named: dict[str, Any] = {"own": load(str(own), {})}
    scenarios = Scenarios(named, PLAIN)
    assert scenarios.script_for("x [[scenario own]] y") == named["own"].script
    assert scenarios.script_for("x") is PLAIN
    both = '[[scenario own]] [[script {"turns": [{"text": ["b"]}]}]]'
    assert list(scenarios.script_for(both).turns[0].text_chunks()) == ["b"]
    with pytest.raises(ScriptError, match="known: own"):
        scenarios.script_for("[[scenario other]]")
