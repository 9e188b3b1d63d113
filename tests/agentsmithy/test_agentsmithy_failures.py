"""Failing models and edits, by several prompts and at the edges: what counts as told, and where an edit belongs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conformance.rules.base import Case
from conformance.script import ModelTurn, Script, say
from conformance.transcript import Ended
from tests.support.agentsmithy_bends import Bend, changed, event, events_of, index_of, insert, moved, without
from tests.support.agentsmithy_cases import (
    WORKSPACE,
    Events,
    case,
    created,
    exchange,
    faithful,
    profile_of,
    prompt_of,
    prompted,
    red,
    script_of,
    turn_case,
    unsure,
    verdicts,
)

PROFILE = profile_of()


def bent(of: Case, **changes: Any) -> Case:
    """The case with its only exchange changed."""
    ((role, made),) = of.observation.transcripts
    return Case(replace(of.observation, transcripts=((role, replace(made, **changes)),)))


def answered_with(name: str, status: int) -> Case:
    of = turn_case(name)
    head = of.exchanges[0].transcript.head
    assert head is not None
    return bent(of, head=replace(head, status=status, headers=(("content-type", "application/json"),)))


def spoken(*texts: str) -> Bend:
    """The turn's events up to its first text, then these texts, and `done`: no error is told."""

    def bend(events: Events) -> Events:
        said = [event("chat", content=text) for text in texts]
        return [events[0], event("chat_start"), *said, event("chat_end"), events[-1]]

    return bend


FAILING = {
    "error-status": "AS-ERR-01a",
    "error-in-stream": "AS-ERR-01b",
    "cut-reset": "AS-ERR-02a",
    "cut-close": "AS-ERR-02b",
}


@pytest.mark.parametrize(("name", "row"), FAILING.items())
def test_a_failure_may_be_told_by_a_status(name: str, row: str) -> None:
    for status in (400, 402, 500, 503):
        of = answered_with(name, status)
        assert verdicts(of)[row].judged == 1
        assert row not in unsure(of) | red(of)
    for of in (answered_with(name, 200), answered_with(name, 302), bent(turn_case(name), head=None)):
        assert row in unsure(of)


@pytest.mark.parametrize(("name", "row"), FAILING.items())
def test_a_failing_turn_that_we_left_says_nothing(name: str, row: str) -> None:
    of = turn_case(name, events_of(name)[: index_of(events_of(name), "error")], ended=Ended.CLOSED_BY_US)
    assert row in unsure(of)
    assert row not in red(of)
    told = turn_case(name, events_of(name)[:-1], ended=Ended.CLOSED_BY_US)
    assert verdicts(told)[row].judged == 1
    assert row not in unsure(told)


def test_a_refused_call_is_not_told_by_going_on() -> None:
    assert "AS-ERR-01a" in red(
        turn_case("error-status", spoken("Let me ", "try.")(events_of("error-status")))
    )


@pytest.mark.parametrize("name", ["error-in-stream", "cut-reset", "cut-close"])
def test_a_call_that_broke_off_may_be_tried_again(name: str) -> None:
    row = FAILING[name]
    script = script_of(name, PROFILE)
    first, piece = script.said, script.turns[-1].text_chunks[0]
    for texts, good in (
        ((piece, piece, piece), False),
        ((piece, "and the rest."), True),
        ((first, "and the rest."), True),
        ((first, first, "and the rest."), True),
        (("Something else.",), True),
        ((first,), False),
        ((first, first), False),
        ((first, " \n"), False),
        ((first[: len(first) // 2],), False),
    ):
        of = turn_case(name, spoken(*texts)(events_of(name)))
        assert (row not in red(of)) is good, texts
        assert verdicts(of)[row].judged == 1


def test_a_piece_that_occurs_in_another_is_no_going_on() -> None:
    script = Script((ModelTurn(text=("a", "bab"), cut="reset"),))
    for texts, good in ((("a", "bab"), False), (("a", "bab", "a", "bab"), False), (("a", "bab", "c"), True)):
        made = exchange(spoken(*texts)(events_of("cut-reset")), prompt=prompt_of(script))
        of = case("cut-reset", {"stream": made}, [prompted(script)])
        assert ("AS-ERR-02a" not in red(of)) is good, texts
        assert verdicts(of)["AS-ERR-02a"].judged == 1


def test_a_failure_in_the_stream_may_be_told_without_words() -> None:
    blank = changed("error", error=" ")
    assert "AS-ERR-01b" not in red(turn_case("error-in-stream", blank(events_of("error-in-stream"))))
    (found,) = verdicts(turn_case("error-status", blank(events_of("error-status"))))["AS-ERR-01a"].findings
    assert found.event == index_of(events_of("error-status"), "error")
    both = insert(-1, event("error", error=""))(blank(events_of("error-status")))
    (found,) = verdicts(turn_case("error-status", both))["AS-ERR-01a"].findings
    assert found.event == index_of(both, "error")
    twice = insert(-1, event("error", error="the model failed"))
    both = twice(blank(events_of("error-status")))
    assert "AS-ERR-01a" not in red(turn_case("error-status", both))


def two(name: str, first: Events | int, second: Events) -> Case:
    """Two prompts with the turn's script; the first may be refused."""
    script = script_of(name, PROFILE)
    refused = exchange(b"{}", status=first, media="application/json") if isinstance(first, int) else None
    transcripts = {
        "first": refused or exchange(first, prompt=prompt_of(script)),  # type: ignore[arg-type]
        "second": exchange(second, prompt=prompt_of(script), opened_at=2.0),
    }
    return case(name, transcripts, [created(), prompted(script, "first"), prompted(script, "second", at=2.0)])


def test_the_second_of_two_failures_is_judged_whatever_the_first_was() -> None:
    events = events_of("error-status")
    untold = without("error")(events)
    for first in (events, 500):
        of = two("error-status", first, untold)
        assert [found.role for found in verdicts(of)["AS-ERR-01a"].findings] == ["second"]
        assert verdicts(two("error-status", first, events))["AS-ERR-01a"].judged == 2


@pytest.mark.parametrize(("name", "row"), FAILING.items())
def test_a_prompt_that_went_well_before_excuses_no_failure(name: str, row: str) -> None:
    well, script = say("Hello."), script_of(name, PROFILE)
    transcripts = {
        "first": exchange(faithful(well, PROFILE), prompt=prompt_of(well)),
        "second": exchange(without("error")(events_of(name)), prompt=prompt_of(script), opened_at=2.0),
    }
    actions = [created(), prompted(well, "first"), prompted(script, "second", at=2.0)]
    judgement = verdicts(case(name, transcripts, actions))[row]
    assert ([found.role for found in judgement.findings], judgement.judged) == (["second"], 1)


def test_the_second_of_two_edits_is_judged_whatever_the_first_was() -> None:
    events = events_of("edit")
    untold = without("file_edit")(events)
    failed = [*events[:2], event("error", error="no credit"), events[-1]]
    for first in (events, failed, 500):
        of = two("edit", first, untold)
        assert [found.role for found in verdicts(of)["AS-TOOL-02"].findings] == ["second"]
    for first in (failed, 500):
        assert "AS-TOOL-02" in unsure(two("edit", first, events))


def test_edits_are_told_at_the_event_that_is_wrong() -> None:
    events = events_of("edit")
    relative = changed("file_edit", file="relative.txt")(events)
    (found,) = verdicts(turn_case("edit", relative))["AS-TOOL-02"].findings
    assert found.event == index_of(events, "file_edit")
    (found,) = verdicts(turn_case("edit", without("file_edit")(events)))["AS-TOOL-02"].findings
    assert found.event == index_of(events, "tool_call")
    (found,) = verdicts(turn_case("edit", changed("file_edit", file=7)(events)))["AS-TOOL-02"].findings
    assert found.event == index_of(events, "file_edit")
    early = moved("file_edit", 0, index_of(events_of("edit"), "tool_call"))(events_of("edit"))
    (found,) = verdicts(turn_case("edit", early))["AS-TOOL-02"].findings
    assert found.event == index_of(early, "file_edit")


def test_an_edit_whose_call_is_not_told_is_another_row_s_business() -> None:
    events = events_of("edit-twice")
    uncalled = without("tool_call", 0)(events)
    assert "AS-TOOL-02" not in red(turn_case("edit-twice", uncalled))
    assert "AS-TOOL-02" in red(turn_case("edit-twice", without("file_edit", 1)(uncalled)))


@pytest.mark.parametrize(
    ("file", "inside"),
    [
        (f"{WORKSPACE}/a", True),
        (f"{WORKSPACE}/a/../b", True),
        (f"/{WORKSPACE}/a", True),
        ("a", True),
        ("./a/b", True),
        (WORKSPACE, False),
        (f"{WORKSPACE}2/a", False),
        (f"{WORKSPACE}/../a", False),
        ("../a", False),
        ("/etc/passwd", False),
        ("C:\\a", False),
    ],
)
def test_files_inside_the_workspace(file: str, inside: bool) -> None:
    of = turn_case("escape", insert(3, event("file_edit", file=file))(events_of("escape")))
    assert ("AS-TOOL-04" not in red(of)) is inside
    assert verdicts(of)["AS-TOOL-04"].judged == 2  # this edit, and that an escape was tried


def test_every_edit_outside_is_named_whatever_came_before() -> None:
    bend = insert(
        3, event("file_edit", file=7), event("file_edit", file="/etc/a"), event("file_edit", file="/etc/b")
    )
    findings = verdicts(turn_case("escape", bend(events_of("escape"))))["AS-TOOL-04"].findings
    assert [found.event for found in findings] == [4, 5]


@pytest.mark.parametrize(
    ("file", "path", "same"),
    [
        ("C:\\W\\f.txt", "c:/w/f.txt", True),
        ("C:\\W\\sub\\..\\f.txt", "C:\\w\\F.TXT", True),
        ("C:\\W\\g.txt", "C:\\W\\f.txt", False),
        ("/w/f.txt", "/w/./f.txt", True),
        ("/w/F.txt", "/w/f.txt", False),
        ("//w/f.txt", "/w/f.txt", True),
        ("w/f.txt", "/w/f.txt", False),
    ],
)
def test_paths_that_are_the_same(file: str, path: str, same: bool) -> None:
    script = script_of("edit", PROFILE)
    tool = PROFILE.tools.edit
    assert tool is not None
    events = events_of("edit")
    turns = tuple(
        replace(turn, tools=tuple(replace(call, args={**call.args, tool.path: path}) for call in turn.tools))
        for turn in script.turns
    )
    told = [{**e, "args": {**e["args"], tool.path: path}} if e["type"] == "tool_call" else e for e in events]
    shown = [{**e, "file": file} if e["type"] == "file_edit" else e for e in told]
    made = exchange(shown, prompt=prompt_of(script))
    of = case("edit", {"stream": made}, [created(), prompted(replace(script, turns=turns))])
    assert ("AS-TOOL-02" not in red(of)) is same
