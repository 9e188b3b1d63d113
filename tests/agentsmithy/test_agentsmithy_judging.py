"""Where a careless AgentSmithy check would accuse: streams left or cut, targets without scripts, paths."""

from __future__ import annotations

from dataclasses import replace

import pytest

from conformance.transcript import Ended
from tests.support.agentsmithy_bends import changed, event, events_of, index_of, insert
from tests.support.agentsmithy_cases import (
    encode,
    faithful,
    profile_of,
    red,
    script_of,
    turn_case,
    unsure,
    verdicts,
)


def test_segments_and_user_are_unknown_types_in_revision_1() -> None:
    of = turn_case("text", events_of("text", "agentsmithy/2"), profile=profile_of("agentsmithy/1"))
    said = verdicts(of)
    assert red(of) == {"AS-EVT-02"}
    assert len(said["AS-EVT-02"].findings) == 3  # each type is told once


def test_a_type_that_nobody_knows_is_told_once_and_not_of_another() -> None:
    odd = [event("x"), event("y"), event("x"), event("x")]
    judgement = verdicts(turn_case("text", insert(2, *odd)(events_of("text"))))["AS-EVT-02"]
    assert [found.event for found in judgement.findings] == [2, 3]
    assert judgement.judged == len(events_of("text")) + 4
    nameless = changed("chat", 0, type="")(events_of("text"))
    assert verdicts(turn_case("text", nameless))["AS-EVT-02"].judged == len(nameless) - 1


def test_strict_closes_the_schemas() -> None:
    events = changed("chat", 0, model="x")(events_of("text"))
    assert red(turn_case("text", events, profile=profile_of(strict=True))) == {"AS-EVT-01"}


@pytest.mark.parametrize("ended", [Ended.CLOSED_BY_US, Ended.CAPPED])
def test_streams_that_we_left_need_no_done(ended: Ended) -> None:
    of = turn_case("text", events_of("text")[:3], ended=ended)
    assert red(of) == set()


@pytest.mark.parametrize("ended", [Ended.DEADLINE, Ended.TRUNCATED, Ended.RESET])
def test_streams_that_the_server_left_open_or_broke_need_done(ended: Ended) -> None:
    of = turn_case("text", events_of("text")[:3], ended=ended)
    assert red(of) == {"AS-END-03"}


def test_a_stream_that_stays_open_after_done() -> None:
    assert red(turn_case("text", ended=Ended.DEADLINE)) == {"AS-END-02"}


def test_an_empty_stream_has_no_done() -> None:
    assert red(turn_case("text", [])) == {"AS-END-03"}


def test_a_comment_after_done_is_no_event() -> None:
    body = encode(events_of("text")) + b": ping - 2026-01-01\r\n\r\n"
    assert red(turn_case("text", body=body)) == set()


def test_events_that_are_no_json_are_left_to_the_stream_rules() -> None:
    body = encode(events_of("empty")[:1]) + b"data: {oops\r\n\r\n" + encode(events_of("empty")[1:])
    assert red(turn_case("empty", body=body)) == set()


def test_a_target_that_reports_an_error_is_not_said_to_lose_text() -> None:
    events = events_of("text")
    bent = [*events[:3], event("chat_end"), event("error", error="no credit"), events[-1]]
    of = turn_case("text", bent)
    assert red(of) == set()
    assert "no credit" in verdicts(of)["AS-TXT-01"].inconclusive


def test_a_model_that_reads_no_scripts_is_not_accused() -> None:
    events = events_of("text")
    bent = [*events[:2], event("chat", content="Sure! What is this test about?"), *events[-2:]]
    of = turn_case("text", bent)
    assert red(of) == set()
    assert "script = false" in verdicts(of)["AS-TXT-01"].inconclusive


@pytest.mark.parametrize("status", [404, 500])
def test_a_prompt_without_a_stream_is_inconclusive(status: int) -> None:
    of = turn_case("tools")
    stream = of.exchanges[0].transcript
    assert stream.head is not None
    head = replace(stream.head, status=status, headers=(("content-type", "application/json"),))
    observation = replace(of.observation, transcripts=(("stream", replace(stream, head=head)),))
    bent = type(of)(observation)
    assert red(bent) == set()
    assert {"AS-TXT-01", "AS-TOOL-01a", "AS-END-03"} <= unsure(bent)


def test_a_refused_model_call_may_be_answered_with_a_status() -> None:
    of = turn_case("error-status")
    stream = of.exchanges[0].transcript
    assert stream.head is not None
    head = replace(stream.head, status=502, headers=(("content-type", "application/json"),))
    bent = type(of)(replace(of.observation, transcripts=(("stream", replace(stream, head=head)),)))
    assert red(bent) == unsure(bent) == set()
    assert verdicts(bent)["AS-ERR-01a"].judged == 1


def test_the_request_of_an_unknown_dialog_may_open_another() -> None:
    of = turn_case("text", [{**e, "dialog_id": "other"} for e in events_of("text")])
    unknown = type(of)(replace(of.observation, actions=of.observation.actions_of("prompt")))
    assert red(unknown) == set()
    assert verdicts(unknown)["AS-EVT-03"].judged == len(events_of("text"))
    assert verdicts(of)["AS-EVT-03"].judged == len(events_of("text")) + 1  # its request's id, too


def test_symbolic_links_of_the_workspace_are_resolved() -> None:
    events = changed("file_edit", file="/private/srv/work/sse-conformance-edit.txt")(events_of("edit"))
    of = turn_case("edit", events)
    resolved = type(of)(replace(of.observation, facts=(("workspace", "/private/srv/work"),)))
    assert red(of) == {"AS-TOOL-02", "AS-TOOL-04"}
    assert red(resolved) == set()


@pytest.mark.parametrize(
    ("file", "broken"),
    [
        ("/somewhere/sse-conformance-edit.txt", set()),
        ("C:\\work\\sse-conformance-edit.txt", set()),
        ("sse-conformance-edit.txt", {"AS-TOOL-02"}),
        ("somewhere/sse-conformance-edit.txt", {"AS-TOOL-02"}),
        ("/somewhere/not-sse-conformance-edit.txt", {"AS-TOOL-02"}),
    ],
)
def test_without_a_known_workspace_the_end_of_the_path_counts(file: str, broken: set[str]) -> None:
    profile = profile_of(workspace=None)
    events = faithful(script_of("edit", profile), profile)
    at = index_of(events, "tool_call") + 1
    assert (
        red(turn_case("edit", insert(at, event("file_edit", file=file))(events), profile=profile)) == broken
    )


def test_without_a_known_workspace_nothing_is_outside_it() -> None:
    said = verdicts(turn_case("escape", profile=profile_of(workspace=None)))["AS-TOOL-04"]
    assert said.not_applicable
    assert not said.judged


def test_a_late_joiner_is_not_accused_of_what_came_before() -> None:
    events = events_of("edit")[4:]
    of = turn_case("edit", events)
    stream = replace(of.exchanges[0].transcript, from_start=False)
    late = type(of)(replace(of.observation, probe="plain", transcripts=(("stream", stream),), actions=()))
    assert {"AS-2-01", "AS-2-02a", "AS-TOOL-03"}.isdisjoint(red(late))
