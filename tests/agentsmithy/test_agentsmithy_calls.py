"""Tool calls of several model calls, equal calls, and calls that come too often: what is held against whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conformance.agentsmithy import FAILING_TOOL
from conformance.rules.base import Case
from conformance.script import ModelTurn, Script, ToolCall
from conformance.transcript import Ended
from conformance.turns import read_call
from tests.support.agentsmithy_cases import (
    Events,
    case,
    created,
    exchange,
    faithful,
    profile_of,
    prompt_of,
    prompted,
    red,
    unsure,
    verdicts,
)

PROFILE = profile_of()
CALLS = {"A": read_call(PROFILE, "one"), "B": read_call(PROFILE, "two"), "C": read_call(PROFILE, "three")}
CALLS["D"] = replace(CALLS["A"], args={**CALLS["A"].args, "from": 7})  # what tells of it would tell of A, too


def turns(*calls: list[ToolCall]) -> Script:
    return Script(
        (*(ModelTurn(tools=tuple(each)) for each in calls), ModelTurn(text=("That ", "is ", "all.")))
    )


def told(script: Script, order: str) -> Case:
    """The script's turn, its calls in that order ("." is the text)."""
    made = faithful(script, PROFILE)
    by_name: dict[str, Events] = {
        name: [next(e for e in faithful(turns([call]), PROFILE) if e["type"] == "tool_call")]
        for name, call in CALLS.items()
    }
    by_name["."] = [e for e in made if e["type"].startswith("chat")]
    body = [made[0], *(event for name in order for event in by_name[name]), made[-1]]
    return case("tools", {"stream": exchange(body, prompt=prompt_of(script))}, [created(), prompted(script)])


@pytest.mark.parametrize(
    ("made", "order", "once", "in_order"),
    [
        ("A BC", "ABC.", [], []),
        ("A BC", "BAC.", [], []),  # which turn made a call does not show
        ("A BC", "ACB.", [], [2]),
        ("A B C", "CBA.", [], []),
        ("A BC", "ABBC.", [3], []),
        ("BC", "BCB.", [3], []),
        ("BC", "CBC.", [3], [1]),
        ("AAB", "AAB.", [], []),
        ("AAB", "AA.", [1], []),  # near it: another call of that name
        ("AAB", "AB.", [1], []),
        ("AAB", "AAAB.", [3], []),
        ("AA BC", "AACB.", [], [3]),
        ("A B", "A.B", [7], []),  # after the text of the call that follows
        ("A B", ".", [None, None], []),
        ("AD", "AD.", [], []),
        ("AD", "DA.", [], [1]),
        ("DA", "DA.", [], []),
        ("AD", "D.", [1], []),
        ("AD", "A.", [1], []),
        ("AD", "ADD.", [3], []),
    ],
)
def test_calls(made: str, order: str, once: list[int | None], in_order: list[int]) -> None:
    script = turns(*([CALLS[name] for name in turn] for turn in made.split()))
    said = verdicts(told(script, order))
    assert [found.event for found in said["AS-TOOL-01b"].findings] == in_order
    assert [found.event for found in said["AS-TOOL-01a"].findings] == once
    assert said["AS-TOOL-01a"].judged == len(set(made) - {" "})


def test_a_stream_that_broke_off_is_held_to_its_calls_and_one_that_we_left_is_not() -> None:
    script = turns([CALLS["A"]])
    for events, ended, judged in (
        ("A.", Ended.COMPLETE, 1),
        ("A.", Ended.CLOSED_BY_US, 1),  # it had come to its end
        ("A.", Ended.DEADLINE, 1),
    ):
        of = told(script, events)
        made = replace(of.exchanges[0].transcript, ended=ended)
        assert (
            verdicts(Case(replace(of.observation, transcripts=(("stream", made),))))["AS-TOOL-01a"].judged
            == judged
        )
    for ended, row in (
        (Ended.COMPLETE, red),
        (Ended.RESET, red),
        (Ended.CLOSED_BY_US, unsure),
        (Ended.CAPPED, unsure),
    ):
        body = [e for e in faithful(script, PROFILE) if e["type"] not in ("tool_call", "done")]
        made = exchange(body, prompt=prompt_of(script), ended=ended)
        assert "AS-TOOL-01a" in row(case("tools", {"stream": made}, [created(), prompted(script)]))


def failing(calls: int, *, done: bool, ended: Ended) -> Case:
    script = Script((ModelTurn(tools=(CALLS["A"],)),), repeat=True)
    events = faithful(script, PROFILE)
    call = next(event for event in events if event["type"] == "tool_call")
    made = exchange([events[0], *[call] * calls, *events[-1:] * done], prompt=prompt_of(script), ended=ended)
    return case(FAILING_TOOL, {"stream": made}, [created(), prompted(script)])


def test_an_agent_that_came_to_its_end_stopped_however_the_stream_was_left() -> None:
    bound = PROFILE.limits.failing_tool_calls
    for ended in (Ended.COMPLETE, Ended.CLOSED_BY_US, Ended.DEADLINE):
        assert verdicts(failing(bound, done=True, ended=ended))["AS-TOOL-05"].judged == 1
        (found,) = verdicts(failing(bound + 1, done=True, ended=ended))["AS-TOOL-05"].findings
        assert found.event == bound + 1
    # That the stream broke off without `done` is AS-END-03's business: no call came after it.
    assert verdicts(failing(bound, done=False, ended=Ended.COMPLETE))["AS-TOOL-05"].judged == 1
    for ended in (Ended.CLOSED_BY_US, Ended.DEADLINE, Ended.CAPPED):
        assert unsure(failing(bound, done=False, ended=ended)) == {"AS-TOOL-05"}
