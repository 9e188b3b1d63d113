"""AgentSmithy 2, segments and the user's message: told where they go wrong, and not of what nobody saw."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from conformance.rules.agentsmithy_segments import user_event_has_the_prompt
from conformance.rules.base import Case
from tests.support.agentsmithy_bends import event, events_of, insert, without
from tests.support.agentsmithy_cases import (
    Events,
    case,
    exchange,
    red,
    turn_case,
    verdicts,
)

START, END, CHAT, DONE = (
    event("chat_start"),
    event("chat_end"),
    event("chat", content="x"),
    event("done", done=True),
)
USER = event("user", content="test")


def segments(
    *events: dict[str, Any], row: str = "AS-2-02a", late: bool = False
) -> tuple[int, list[int | None]]:
    made = replace(exchange(list(events)), from_start=not late)
    judgement = verdicts(case("text", {"stream": made}))[row]
    return judgement.judged, [found.event for found in judgement.findings]


@pytest.mark.parametrize(
    ("events", "wrong"),
    [
        ([USER, START, CHAT, END, DONE], []),
        ([USER, START, END, START, CHAT, CHAT, END, DONE], []),
        ([USER, CHAT, DONE], [1]),
        ([USER, END, DONE], [1]),
        ([USER, START, START, CHAT, END, DONE], [2]),
        ([USER, START, CHAT, DONE], [3]),
        ([USER, START, CHAT, END, CHAT, DONE], [4]),
        ([USER, START, CHAT, END, END, DONE], [4]),
        ([USER, event("reasoning_start"), CHAT, event("reasoning_end"), DONE], [2]),
        ([USER, START, event("summary_start"), DONE], [3, 3]),
        ([USER, START, CHAT, DONE, CHAT, END, DONE], [3]),  # after done another row speaks
        ([USER, DONE, CHAT, END, START], []),
    ],
)
def test_segments_are_pairs(events: Events, wrong: list[int]) -> None:
    assert segments(*events)[1] == wrong
    assert segments(*events, late=True) == (0, [])


def test_overlap_is_told_once_at_the_segment_that_starts_too_early() -> None:
    inner, other = event("reasoning_start"), event("summary_start")
    events = [
        USER,
        START,
        inner,
        other,
        event("reasoning_end"),
        event("summary_end"),
        CHAT,
        END,
        START,
        END,
        DONE,
    ]
    assert segments(*events, row="AS-2-02b") == (4, [2])
    assert segments(USER, START, END, inner, event("reasoning_end"), DONE, row="AS-2-02b") == (2, [])
    assert segments(USER, START, START, END, DONE, row="AS-2-02b") == (2, [])


def test_what_follows_an_error() -> None:
    error = event("error", error="no")
    assert segments(USER, error, DONE, row="AS-2-03") == (1, [])
    assert segments(USER, error, CHAT, DONE, row="AS-2-03") == (1, [2])
    assert segments(USER, error, error, CHAT, DONE, row="AS-2-03") == (2, [2, 3])
    assert segments(USER, error, CHAT, CHAT, DONE, row="AS-2-03") == (1, [2])
    assert segments(USER, error, row="AS-2-03") == (0, [])


def asked(body: bytes | None, events: Events) -> Case:
    made = exchange(events)
    return case("text", {"stream": replace(made, request=replace(made.request, body=body))})


def request(*messages: Any) -> bytes:
    return json.dumps({"messages": messages}).encode()


@pytest.mark.parametrize(
    ("body", "judged", "wrong"),
    [
        (request({"role": "user", "content": "test"}), 1, False),
        (request({"role": "user", "content": "first"}, {"role": "user", "content": "test"}), 1, False),
        (request({"role": "user", "content": "test"}, {"role": "assistant", "content": "x"}), 1, False),
        (request({"role": "user", "content": "test"}, {"role": "user", "content": "last"}), 1, True),
        (request({"role": "user", "content": "test "}), 1, True),
        (request({"role": "user", "content": ["test"]}), 0, False),
        (request({"role": "user", "content": "test"}, {"role": "user", "content": ["test"]}), 0, False),
        (request({"role": "user"}), 0, False),
        (request({"role": "assistant", "content": "test"}), 0, False),
        (request(), 0, False),
        (request(7), 0, False),
        (b"[" * 100_000, 0, False),
        (b"{", 0, False),
        (b"[]", 0, False),
        (None, 0, False),
    ],
)
def test_the_user_event_holds_the_last_message_of_the_user(
    body: bytes | None, judged: int, wrong: bool
) -> None:
    of = asked(body, [USER, DONE])
    judgement = user_event_has_the_prompt(of)
    assert (judgement.judged, bool(judgement.findings)) == (judged, wrong)
    for events in ([DONE], [DONE, USER], []):
        assert user_event_has_the_prompt(asked(body, events)).judged == 0


def test_the_second_of_two_streams_is_held_to_its_prompt() -> None:
    body = request({"role": "user", "content": "other"})
    good, bad = exchange([USER, DONE]), exchange([USER, DONE], opened_at=2.0)
    bad = replace(bad, request=replace(bad.request, body=body))
    odd = exchange([DONE])
    for first in (good, odd):
        of = case("several-turns", {"first": first, "second": bad})
        assert [found.role for found in user_event_has_the_prompt(of).findings] == ["second"]


def test_a_summary_may_be_skipped_and_an_error_may_interrupt_nothing() -> None:
    events = insert(1, event("summary_start"), event("summary_end"))(events_of("error-in-stream"))
    assert red(turn_case("error-in-stream", events)) == set()
    assert red(turn_case("error-in-stream", without("chat_end")(events))) == {"AS-2-02a"}
