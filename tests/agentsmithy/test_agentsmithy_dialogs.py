"""The AgentSmithy rules over several streams: turns after one another, dialogs at once, histories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from conformance.agentsmithy import CLIENT_GONE, FAILING_TOOL, own_script, several
from conformance.profile import Tools
from conformance.rules.base import Case
from conformance.script import ModelTurn, Script, say
from conformance.transcript import Ended, Transcript
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
    streams_case,
    unsure,
    verdicts,
)

PROFILE = profile_of()


# ------------------------------------------------------------------------- turns of one dialog


def three_turns(**bends: Any) -> Case:
    played = []
    for number, script in zip(("first", "second", "third"), several(PROFILE), strict=True):
        events = faithful(script, PROFILE, dialog="D")
        if bend := bends.get(number):
            events = bend(events)
        played.append((f"turn-{number}", script, "D", events))
    return streams_case("several-turns", *played)


def test_several_turns_are_green() -> None:
    of = three_turns()
    assert red(of) == unsure(of) == set()
    assert verdicts(of)["AS-TXT-01"].judged == 3


def test_defects_that_show_in_the_third_turn_alone() -> None:
    last = [
        (lambda e: e[:-1], {"AS-END-03"}),
        (lambda e: [{**x, "dialog_id": "E"} for x in e], {"AS-EVT-03"}),
        (lambda e: [x for x in e if x["type"] != "reasoning"], {"AS-TXT-02"}),
        (lambda e: [*e[:-1], e[-3], e[-1]], {"AS-TXT-01", "AS-2-02a"}),
        (lambda e: e[1:], {"AS-2-01"}),
    ]
    for bend, broken in last:
        assert red(three_turns(third=bend)) == broken


def test_a_first_turn_without_its_end_does_not_excuse_the_third() -> None:
    def lost(events: Events) -> Events:
        return [e for e in events if e["type"] != "chat"]

    broken_off = three_turns(first=lambda e: e[:3], third=lost)
    assert [found.role for found in verdicts(broken_off)["AS-TXT-01"].findings] == ["turn-third"]
    taken = three_turns(first=lambda e: [*e[:3], event("error", "D", error="x"), e[-1]], third=lost)
    judgement = verdicts(taken)["AS-TXT-01"]
    assert [found.role for found in judgement.findings] == ["turn-first", "turn-third"]
    assert judgement.judged == 3


def test_a_given_id_counts_from_the_first_stream_on_also_without_a_creation() -> None:
    of = three_turns(third=lambda e: [{**x, "dialog_id": "E"} for x in e])
    uncreated = Case(replace(of.observation, actions=of.observation.actions_of("prompt")))
    assert red(uncreated) == {"AS-EVT-03"}


# ------------------------------------------------------------------------- two dialogs at once


def two(bend: Any = None, *, dialogs: tuple[str, str] = ("A", "B"), made: bool = True) -> Case:
    scripts = [own_script(PROFILE, name) for name in ("alpha", "bravo")]
    both = [faithful(script, PROFILE, dialog=dialog) for script, dialog in zip(scripts, dialogs, strict=True)]
    if bend is not None:
        both = bend(*both)
    of = streams_case(
        "two-dialogs", ("a", scripts[0], dialogs[0], both[0]), ("b", scripts[1], dialogs[1], both[1])
    )
    if made:
        return of
    prompts = tuple(replace(a, session="") for a in of.observation.actions_of("prompt"))
    return Case(replace(of.observation, actions=prompts))


def test_two_dialogs_are_green() -> None:
    of = two()
    assert red(of) == unsure(of) == set()
    assert verdicts(of)["AS-CONC-01"].judged == 2


def test_a_foreign_chunk() -> None:
    of = two(lambda a, b: (a, [*b[:5], {**a[4], "dialog_id": "B"}, *b[5:]]))
    assert red(of) == {"AS-CONC-01"}
    (finding,) = verdicts(of)["AS-CONC-01"].findings
    assert (finding.role, finding.event) == ("b", 5)


def test_foreign_events_with_their_own_id() -> None:
    assert red(two(lambda a, b: ([*a[:3], b[3], *a[3:]], b))) == {"AS-CONC-01", "AS-EVT-03"}


def test_a_foreign_call() -> None:
    call = next(e for e in two().streams[1].messages if e.type == "tool_call").body
    of = two(lambda a, b: ([*a[:-1], {**call, "dialog_id": "A"}, a[-1]], b))
    assert red(of) == {"AS-CONC-01"}


def test_text_that_went_to_the_other_stream() -> None:
    def bend(a: Events, b: Events) -> tuple[Events, Events]:
        return [*a[:6], *a[7:]], [*b[:6], {**a[6], "dialog_id": "B"}, *b[6:]]

    findings = verdicts(two(bend))["AS-CONC-01"].findings
    assert {finding.role for finding in findings} == {"a", "b"}


def test_streams_that_were_swapped() -> None:
    assert "AS-CONC-01" in red(two(lambda a, b: (b, a)))


def test_a_call_lost_or_doubled_beside_another_dialog() -> None:
    at = next(m.event.index for m in two().streams[0].messages if m.type == "tool_call")
    assert red(two(lambda a, b: ([*a[:at], *a[at + 1 :]], b))) == {"AS-CONC-01"}
    assert red(two(lambda a, b: ([*a[:at], a[at], *a[at:]], b))) == {"AS-CONC-01"}


def test_a_target_that_makes_no_dialogs_may_put_both_into_one() -> None:
    of = two(dialogs=("A", "A"), made=False)
    assert red(of) == set()
    assert verdicts(of)["AS-CONC-01"].not_applicable


def test_dialogs_that_the_server_chose_are_judged_too() -> None:
    assert red(two(made=False)) == set()
    foreign = two(lambda a, b: (a, [*b[:5], {**a[4], "dialog_id": "B"}, *b[5:]]), made=False)
    assert red(foreign) == {"AS-CONC-01"}


def event(kind: str, dialog: str, **members: Any) -> dict[str, Any]:
    return {"type": kind, "dialog_id": dialog, **members}


def test_an_id_alone_is_foreign_too() -> None:
    for made in (True, False):
        of = two(lambda a, b: ([*a[:3], event("summary", "B"), *a[3:]], b), made=made)
        (finding,) = verdicts(of)["AS-CONC-01"].findings
        assert (finding.role, finding.event) == ("a", 3)


def test_each_of_two_dialogs_is_accused_of_its_own() -> None:
    findings = verdicts(two(lambda a, b: (b, a)))["AS-CONC-01"].findings
    assert [finding.role for finding in findings] == ["a", "b"]
    at = next(m.event.index for m in two().streams[0].messages if m.type == "tool_call")
    (twice,) = verdicts(two(lambda a, b: ([*a[:at], a[at], *a[at:]], b)))["AS-CONC-01"].findings
    assert twice.event == at + 1
    (thrice,) = verdicts(two(lambda a, b: ([*a[:at], a[at], a[at], *a[at:]], b)))["AS-CONC-01"].findings
    assert thrice.event == at + 2


def test_a_dialog_that_cannot_be_judged_does_not_excuse_the_one_beside_it() -> None:
    def failed(events: Events) -> Events:
        return [*events[:3], event("error", events[0]["dialog_id"], error="no credit"), events[-1]]

    def unheard(events: Events) -> Events:
        return [*events[:2], event("chat", events[0]["dialog_id"], content="Sure, what?"), *events[-2:]]

    for spoilt in (failed, unheard):
        of = two(lambda a, b, spoilt=spoilt: (spoilt(a), b))  # type: ignore[misc]
        assert "AS-CONC-01" not in red(of)
        assert "AS-CONC-01" in unsure(of)
        of = two(lambda a, b, spoilt=spoilt: (spoilt(a), [*b[:4], *b[5:]]))  # type: ignore[misc]
        assert "AS-CONC-01" in red(of)


def without(of: Case, *roles: str, prompts: bool = False) -> Case:
    kept = tuple(pair for pair in of.observation.transcripts if pair[0] not in roles)
    actions = tuple(a for a in of.observation.actions if not (prompts and a.stream in roles))
    return Case(replace(of.observation, transcripts=kept, actions=actions))


def ended(of: Case, role: str, ended: Ended, *, head: bool = True) -> Case:
    made = [
        (name, replace(each, ended=ended, head=each.head if head else None) if name == role else each)
        for name, each in of.observation.transcripts
    ]
    return Case(replace(of.observation, transcripts=tuple(made)))


def test_one_dialog_alone_shows_nothing_of_two() -> None:
    for of in (without(two(), "b"), without(two(), "b", prompts=True)):
        assert red(of) == set()
        assert "AS-CONC-01" in unsure(of)


def test_a_dialog_that_we_left_is_no_dialog_that_lost_its_text() -> None:
    of = ended(two(lambda a, b: (a[:5], b)), "a", Ended.CLOSED_BY_US)
    assert red(of) == set()
    assert "AS-CONC-01" in unsure(of)


# ------------------------------------------------------------------------- two streams of one dialog

ALPHA, BRAVO = (say(*(f"{name}{index} " for index in range(4))) for name in ("alpha", "bravo"))


def shared(first: Events, second: Events, *, status: int = 200) -> Case:
    of = streams_case("same-dialog", ("first", ALPHA, "D", first), ("second", BRAVO, "D", second))
    if status == 200:
        return of
    refused = exchange(b"{}", prompt=prompt_of(BRAVO), dialog="D", status=status, media="application/json")
    return Case(replace(of.observation, transcripts=(of.observation.transcripts[0], ("second", refused))))


def alpha() -> Events:
    return faithful(ALPHA, PROFILE, dialog="D")


def bravo() -> Events:
    return faithful(BRAVO, PROFILE, dialog="D")


def test_two_streams_of_one_dialog() -> None:
    assert red(shared(alpha(), bravo())) == set()
    assert verdicts(shared(alpha(), bravo()))["AS-CONC-02"].judged == 2


def test_with_a_shared_history_either_script_may_be_read() -> None:
    user = [{**bravo()[0]}]
    assert red(shared(alpha(), [*user, *alpha()[1:]])) == set()
    other = [*user, {**alpha()[1]}, {"type": "chat", "content": "OK.", "dialog_id": "D"}, *alpha()[-2:]]
    assert red(shared(alpha(), other)) == set()


def test_a_second_stream_may_be_turned_away() -> None:
    for status in (409, 423, 429, 503):
        of = shared(alpha(), [], status=status)
        assert red(of) == unsure(of) == set()
        assert str(status) in verdicts(of)["AS-CONC-02"].notes[0]
    assert "AS-CONC-02" in unsure(shared(alpha(), [], status=500))


def test_streams_of_one_dialog_that_mix() -> None:
    mixed = [*bravo()[:3], alpha()[2], *bravo()[3:]]
    assert red(shared(alpha(), mixed)) == {"AS-CONC-02"}
    (found,) = verdicts(shared(alpha(), mixed))["AS-CONC-02"].findings
    assert (found.role, found.event) == ("second", [each["type"] for each in mixed].index("chat"))


def test_a_second_stream_that_is_cut_short() -> None:
    short = [*bravo()[:4], *bravo()[-2:]]
    assert red(shared(alpha(), short)) == {"AS-CONC-02"}


def test_a_first_stream_that_ends_without_done_when_the_second_comes() -> None:
    assert red(shared(alpha()[:4], bravo())) == {"AS-CONC-02", "AS-END-03"}


def test_a_stream_without_done_is_not_whole_though_its_text_is() -> None:
    assert red(shared(alpha()[:-1], bravo())) == {"AS-CONC-02", "AS-END-03"}
    assert red(ended(shared(alpha()[:4], bravo()), "first", Ended.CLOSED_BY_US)) == {"AS-CONC-02"}


def test_what_the_first_stream_is_does_not_excuse_the_second() -> None:
    short = [*bravo()[:4], *bravo()[-2:]]
    failed = [*alpha()[:3], event("error", "D", error="no credit"), alpha()[-1]]
    assert "AS-CONC-02" in red(shared(failed, short))
    refused = ended(shared(alpha(), short), "first", Ended.NO_RESPONSE, head=False)
    assert red(refused) == {"AS-CONC-02"}
    assert "AS-CONC-02" in unsure(ended(shared(alpha(), bravo()), "first", Ended.NO_RESPONSE, head=False))


def test_a_stream_that_reports_an_error_counts_where_it_comes_to_its_end() -> None:
    error = event("error", "D", error="busy")
    assert verdicts(shared([*alpha()[:3], error, alpha()[-1]], bravo()))["AS-CONC-02"].judged == 2
    assert verdicts(shared([*alpha()[:3], error], bravo()))["AS-CONC-02"].judged == 1


def test_the_first_stream_is_never_turned_away() -> None:
    of = shared(alpha(), bravo())
    refused = exchange(b"{}", prompt=prompt_of(ALPHA), dialog="D", status=409, media="application/json")
    of = Case(replace(of.observation, transcripts=(("first", refused), of.observation.transcripts[1])))
    assert "AS-CONC-02" in unsure(of)


def test_one_prompt_shows_nothing_of_two_streams() -> None:
    assert "AS-CONC-02" in unsure(without(shared(alpha(), bravo()), "second", prompts=True))


# ------------------------------------------------------------------------- a slow dialog

QUICK = say("Quick ", "it is.")
SLOW = Script((ModelTurn(text=("Slow.",), stall_ms=7000),))


def timed(beside: float, *, slow: Transcript | None = None, ended: Ended = Ended.COMPLETE) -> Case:
    def played(script: Script, opened: float, seconds: float, end: Ended = Ended.COMPLETE) -> Transcript:
        events = faithful(script, PROFILE)
        body = events if end is Ended.COMPLETE else events[:1]
        return exchange(body, prompt=prompt_of(script), opened_at=opened, seconds=seconds, ended=end)

    transcripts = {
        "alone": played(QUICK, 0.0, 0.2),
        "slow": slow or played(SLOW, 1.0, beside + 0.5, Ended.CLOSED_BY_US),
        "beside": played(QUICK, 1.2, beside, ended),
    }
    actions = [prompted(QUICK, "alone"), prompted(SLOW, "slow", at=1.0), prompted(QUICK, "beside", at=1.2)]
    return case("slow-dialog", transcripts, [created(), *actions])


def test_a_slow_dialog_beside_a_quick_one() -> None:
    of = timed(0.4)
    assert red(of) == unsure(of) == set()
    assert "0.20 s" in verdicts(of)["AS-CONC-03"].notes[0]


def test_a_slow_dialog_that_holds_up_another() -> None:
    assert red(timed(6.9)) == {"AS-CONC-03"}


def test_a_slow_dialog_that_holds_up_another_past_the_deadline() -> None:
    assert red(timed(40.0, ended=Ended.DEADLINE)) == {"AS-CONC-03", "AS-END-03"}


def test_a_deadline_that_passed_within_the_bound_accuses_nobody() -> None:
    bound = PROFILE.limits.dialog_delay
    assert "AS-CONC-03" in red(timed(bound + 0.3, ended=Ended.DEADLINE))
    assert "AS-CONC-03" not in red(timed(bound + 0.1, ended=Ended.DEADLINE))


def test_a_slow_dialog_that_was_quick_proves_nothing() -> None:
    slow = exchange(faithful(SLOW, PROFILE), prompt=prompt_of(SLOW), opened_at=1.0, seconds=0.1)
    assert "AS-CONC-03" in unsure(timed(0.4, slow=slow))


def test_how_long_a_slow_dialog_may_delay_another_is_scaled_with_all_deadlines() -> None:
    of = timed(6.9)
    scaled = replace(PROFILE, timeout_scale=4.0)
    assert red(Case(replace(of.observation, profile=scaled))) == set()
    quick = replace(PROFILE, timeout_scale=0.01)
    assert red(Case(replace(timed(1.0).observation, profile=quick))) == {"AS-CONC-03"}


def test_a_delay_that_nobody_measured_is_not_judged() -> None:
    for role in ("alone", "slow", "beside"):
        assert "AS-CONC-03" in unsure(without(timed(0.4), role))
        refused = ended(timed(0.4), role, Ended.NO_RESPONSE, head=False)
        assert "AS-CONC-03" in unsure(refused)
        assert "AS-CONC-03" not in red(refused)
    for role in ("alone", "beside"):
        assert "AS-CONC-03" in unsure(ended(timed(0.4), role, Ended.CLOSED_BY_US, head=False))


def test_a_slow_dialog_may_be_silent_from_the_first_byte_on() -> None:
    of = ended(timed(0.4), "slow", Ended.CLOSED_BY_US, head=False)
    assert verdicts(of)["AS-CONC-03"].judged == 1
    assert "AS-CONC-03" not in unsure(of)


def test_a_slow_dialog_that_was_gone_before_the_other_s_end_proves_nothing() -> None:
    slow = exchange(faithful(SLOW, PROFILE)[:1], opened_at=1.0, seconds=0.3, ended=Ended.CLOSED_BY_US)
    assert "AS-CONC-03" in unsure(timed(0.4, slow=slow))
    lasting = exchange(faithful(SLOW, PROFILE), opened_at=1.0, seconds=0.9)
    assert "AS-CONC-03" in unsure(timed(0.4, slow=lasting))  # it was over after all


# ------------------------------------------------------------------------- a tool that always fails


def failing(calls: int, *, done: bool = True, ended: Ended = Ended.COMPLETE) -> Case:
    script = Script((ModelTurn(tools=(read_call(PROFILE, "again"),)),), repeat=True)
    events = faithful(script, PROFILE)
    call = next(event for event in events if event["type"] == "tool_call")
    bent = [events[0], *[call] * calls, *([events[-1]] if done else [])]
    made = exchange(bent, prompt=prompt_of(script), ended=ended)
    return case(FAILING_TOOL, {"stream": made}, [created(), prompted(script)])


def test_an_agent_that_stops() -> None:
    assert red(failing(25)) == unsure(failing(25)) == set()
    assert verdicts(failing(25))["AS-TOOL-05"].judged == 1


def test_an_agent_that_never_stops() -> None:
    assert red(failing(101, done=False, ended=Ended.CLOSED_BY_US)) == {"AS-TOOL-05"}


def test_an_agent_that_was_too_slow_to_know() -> None:
    assert unsure(failing(12, done=False, ended=Ended.CLOSED_BY_US)) == {"AS-TOOL-05"}
    assert unsure(failing(0)) == {"AS-TOOL-05"}


def test_the_model_call_of_a_client_that_has_gone() -> None:
    script = say("x")
    made = exchange(faithful(script, PROFILE)[:2], ended=Ended.CLOSED_BY_US)
    facts = (("model_call", "cancelled"), ("model_waited", 0.2))
    of = case(CLIENT_GONE, {"stream": made}, [prompted(script)], facts=facts)
    assert "cancelled" in verdicts(of)["AS-CONC-05"].notes[0]
    unknown = case(CLIENT_GONE, {"stream": made}, [prompted(script)])
    assert verdicts(unknown)["AS-CONC-05"].inconclusive


def test_without_a_read_tool_the_scripts_do_without() -> None:
    bare = profile_of(tools=Tools(read=None))
    assert not own_script(bare, "alpha").tools
    assert not any(script.tools for script in several(bare))
