"""The AgentSmithy rules over the histories of dialogs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conformance.agentsmithy import CLIMBING, HISTORY, own_script
from conformance.rules.base import Case
from conformance.script import say
from conformance.transcript import Action, Ended
from tests.support.agentsmithy_cases import (
    Events,
    faithful,
    profile_of,
    prompt_of,
    red,
    streams_case,
    unsure,
    verdicts,
)

PROFILE = profile_of()


def told(*played: Events) -> list[dict[str, Any]]:
    """A faithful history of these streams: one entry for each run of text."""
    entries: list[dict[str, Any]] = []
    for events in played:
        for event in events:
            kind = event["type"]
            if kind == "chat" and entries and entries[-1]["type"] == "chat":
                entries[-1]["content"] += event["content"]
            elif kind in ("user", "chat", "tool_call"):
                entries.append({k: v for k, v in event.items() if k != "dialog_id"})
    return [{"idx": index, **entry} for index, entry in enumerate(entries)]


def histories(bend: Any = None, **members: Any) -> Case:
    scripts = {name: own_script(PROFILE, name) for name in ("alpha", "bravo", "again")}
    a, b, again = (
        faithful(scripts[name], PROFILE, dialog=dialog)
        for name, dialog in (("alpha", "A"), ("bravo", "B"), ("again", "A"))
    )
    answers = {"A": told(a, again), "B": told(b)}
    if bend is not None:
        bend(answers)
    calls = [
        Action(
            9.0,
            "call",
            session=dialog,
            status=200,
            answer={"dialog_id": dialog, "events": entries, "has_more": False, **members},
            until=9.1,
        )
        for dialog, entries in answers.items()
    ]
    return streams_case(
        HISTORY,
        ("a", scripts["alpha"], "A", a),
        ("b", scripts["bravo"], "B", b),
        ("a-again", scripts["again"], "A", again),
        actions=calls,
    )


def test_histories_are_green() -> None:
    of = histories()
    assert red(of) == unsure(of) == set()
    assert verdicts(of)["AS-CONC-04"].judged == 2


def test_a_history_cut_into_other_pieces() -> None:
    def pieces(answers: dict[str, list[dict[str, Any]]]) -> None:
        entry = next(e for e in answers["A"] if e["type"] == "chat")
        at = answers["A"].index(entry)
        answers["A"][at : at + 1] = [
            {"type": "reasoning", "content": "hm"},
            {"type": "chat", "content": entry["content"][:5]},
            {"type": "chat", "content": entry["content"][5:]},
            {"type": "chat", "content": ""},
        ]

    assert red(histories(pieces)) == set()


def test_a_page_of_a_history() -> None:
    def page(answers: dict[str, list[dict[str, Any]]]) -> None:
        answers["A"] = answers["A"][-4:]
        answers["A"][0] = {**answers["A"][0], "content": answers["A"][0].get("content", "")[3:]}

    assert red(histories(page, has_more=True)) == set()
    assert red(histories(page)) == {"AS-CONC-04"}


def test_histories_that_mix_lose_or_double() -> None:
    def mixed(answers: dict[str, list[dict[str, Any]]]) -> None:
        answers["A"].insert(1, answers["B"][1])

    def lost(answers: dict[str, list[dict[str, Any]]]) -> None:
        answers["A"].pop()

    def doubled(answers: dict[str, list[dict[str, Any]]]) -> None:
        answers["B"].insert(2, answers["B"][2])

    def empty(answers: dict[str, list[dict[str, Any]]]) -> None:
        answers["B"].clear()

    for bend in (mixed, lost, doubled, empty):
        assert red(histories(bend)) == {"AS-CONC-04"}, bend.__name__


def test_a_history_that_cannot_be_read() -> None:
    of = histories()
    calls = [replace(a, status=404, answer=None) for a in of.observation.actions_of("call")]
    prompts = of.observation.actions_of("prompt")
    assert "AS-CONC-04" in unsure(Case(replace(of.observation, actions=(*prompts, *calls))))


def climbing(*found: str, own: bool = True) -> Case:
    """The history of dialog D after prompts to ids that climb into it; `found` are roles that it shows."""
    played = {
        "own": (say("This ", "is ", "mine."), "D"),
        "climb-up": (say("climb-up ", "was ", "here."), "sse-conformance/../D"),
        "unknown": (say("unknown ", "here."), "sse-conformance-unknown"),
    }
    roles = [*(("own",) if own else ()), *found]
    entries = [{"type": "user", "content": prompt_of(played[role][0])} for role in roles]
    call = Action(9.0, "call", session="D", status=200, answer={"events": entries}, until=9.1)
    return streams_case(
        CLIMBING,
        *(
            (role, script, dialog, faithful(script, PROFILE, dialog=dialog))
            for role, (script, dialog) in played.items()
        ),
        actions=[call],
    )


def test_ids_that_climb() -> None:
    assert red(climbing()) == unsure(climbing()) == set()
    assert red(climbing("climb-up")) == {"AS-REQ-04b"}


def test_a_target_that_has_one_dialog_for_all_unknown_ids() -> None:
    of = climbing("climb-up", "unknown")
    assert red(of) == set()
    assert verdicts(of)["AS-REQ-04b"].not_applicable


def test_a_history_without_its_own_prompt_proves_nothing() -> None:
    assert unsure(climbing(own=False)) == {"AS-REQ-04b"}


def acted(of: Case, *calls: Action, prompts: bool = True) -> Case:
    """The case with other readings of histories."""
    sent = of.observation.actions_of("prompt") if prompts else ()
    return Case(replace(of.observation, actions=(*sent, *calls)))


def read(of: Case, dialog: str, **changes: Any) -> Action:
    (call,) = (action for action in of.observation.actions_of("call") if action.session == dialog)
    return replace(call, **changes)


def test_a_history_that_cannot_be_judged_does_not_excuse_another() -> None:
    of = histories(lambda answers: answers["B"].pop())
    wrong = read(of, "B")
    for unread in (
        read(of, "A", status=404),
        read(of, "A", answer=[]),
        read(of, "A", answer={"entries": []}),
        read(of, "A", answer={"events": None}),
        read(of, "A", session="nobody"),
    ):
        for calls in ((unread, wrong), (wrong, unread)):
            judgement = verdicts(acted(of, *calls))["AS-CONC-04"]
            assert [found.role for found in judgement.findings] == ["b"]
            assert judgement.inconclusive
            assert judgement.judged == 1
    unread = verdicts(acted(of, read(of, "A", status=404), wrong))["AS-CONC-04"]
    assert "HTTP 404" in unread.inconclusive
    assert "AS-CONC-04" in unsure(acted(of, wrong, prompts=False))


def test_a_stream_that_we_left_says_nothing_of_its_history() -> None:
    of = histories()
    left = tuple(
        (role, replace(made, ended=Ended.CLOSED_BY_US, chunks=()) if role == "a-again" else made)
        for role, made in of.observation.transcripts
    )
    judgement = verdicts(Case(replace(of.observation, transcripts=left)))["AS-CONC-04"]
    assert (judgement.findings, judgement.judged, bool(judgement.inconclusive)) == ((), 1, True)
    lost = tuple(pair for pair in of.observation.transcripts if pair[0] != "a-again")
    judgement = verdicts(Case(replace(of.observation, transcripts=lost)))["AS-CONC-04"]
    assert (judgement.findings, judgement.judged, bool(judgement.inconclusive)) == ((), 1, True)


def test_a_wrong_history_is_said_of_its_dialog_s_first_stream() -> None:
    for bend, role in ((lambda answers: answers["A"].pop(), "a"), (lambda answers: answers["B"].pop(), "b")):
        (found,) = verdicts(histories(bend))["AS-CONC-04"].findings
        assert found.role == role


def test_a_history_that_was_not_read_shows_nobody_climbing() -> None:
    of = climbing("climb-up")
    for changes in ({"status": 404}, {"answer": None}):
        assert unsure(acted(of, read(of, "D", **changes))) == {"AS-REQ-04b"}
    refused = tuple(
        (role, replace(made, head=None) if role == "own" else made)
        for role, made in of.observation.transcripts
    )
    assert "AS-REQ-04b" in unsure(Case(replace(of.observation, transcripts=refused)))
