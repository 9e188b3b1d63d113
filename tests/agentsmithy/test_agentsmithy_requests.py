"""The AgentSmithy rules over requests that are wrong, odd or too large."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conformance.agentsmithy import BAD_CONTEXTS, BAD_REQUESTS, HOSTILE_IDS, HOSTILE_PROMPT, NO_USER
from conformance.rules.base import Case
from conformance.transcript import Ended, Transcript
from tests.support.agentsmithy_cases import case, exchange, profile_of, red, unsure, verdicts


def refusal(
    status: int = 422, body: bytes = b'{"detail": "no"}', media: str = "application/json"
) -> Transcript:
    return exchange(body, status=status, media=media)


def stream(*kinds: str, ended: Ended = Ended.COMPLETE) -> Transcript:
    members: dict[str, dict[str, Any]] = {"error": {"error": "no"}, "done": {"done": True}}
    return exchange(
        [{"type": kind, "dialog_id": "d", **members.get(kind, {"content": "x"})} for kind in kinds],
        ended=ended,
    )


def bad(changed: dict[str, Transcript], *, protocol: str = "agentsmithy/2") -> Case:
    """All bad requests refused, but those that are changed (by name)."""
    transcripts = {entry.role: changed.get(entry.name, refusal()) for entry in (*BAD_REQUESTS, NO_USER)}
    return case("bad-requests", transcripts, profile=profile_of(protocol))


def test_refusals_are_green() -> None:
    of = bad({})
    assert red(of) == unsure(of) == set()
    assert verdicts(of)["AS-REQ-01a"].judged == len(BAD_REQUESTS)
    assert verdicts(of)["AS-REQ-01c"].judged == len(BAD_REQUESTS) + 1


@pytest.mark.parametrize(
    ("answer", "broken"),
    [
        (refusal(400, b'{"detail": "no"}', "application/problem+json; charset=utf-8"), set()),
        (refusal(500), {"AS-REQ-01a", "AS-REQ-01b"}),
        (refusal(200), {"AS-REQ-01b"}),
        (refusal(302, b"", ""), {"AS-REQ-01b"}),
        (refusal(400, b"no", "text/plain"), {"AS-REQ-01c"}),
        (refusal(400, b"no"), {"AS-REQ-01c"}),
        (refusal(400, b""), {"AS-REQ-01c"}),
        (exchange(answered=False, ended=Ended.DEADLINE), {"AS-REQ-01a"}),
        (exchange(answered=False, ended=Ended.RESET), {"AS-REQ-01a"}),
        (exchange(b"{", status=400, media="application/json", ended=Ended.DEADLINE),
         {"AS-REQ-01a", "AS-REQ-01c"}),
        (stream("user", "error", "done"), {"AS-REQ-01b"}),
        (stream("user", "error"), {"AS-REQ-01a", "AS-REQ-01b"}),
        (stream("user", "chat", "done"), {"AS-REQ-01a", "AS-REQ-01b"}),
        (stream("user", "error", "done", "chat"), {"AS-REQ-01a", "AS-REQ-01b"}),
        (stream("user", "error", "done", ended=Ended.DEADLINE), {"AS-REQ-01a", "AS-REQ-01b"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", [BAD_REQUESTS[0].name, BAD_REQUESTS[-1].name])
def test_what_a_bad_request_gets(name: str, answer: Transcript, broken: set[str]) -> None:
    assert red(bad({name: answer})) == broken


@pytest.mark.parametrize("answer", [stream("user", "error", "done"), refusal(200), refusal(500)])
def test_no_user_message_is_a_warning_alone(answer: Transcript) -> None:
    assert red(bad({NO_USER.name: answer})) == {"AS-REQ-01c"}
    assert verdicts(bad({NO_USER.name: answer}))["AS-REQ-01c"].judged == len(BAD_REQUESTS) + 1


def test_requests_that_were_not_sent_any_more_are_not_counted() -> None:
    of = bad({})
    some = Case(replace(of.observation, transcripts=of.observation.transcripts[:3]))
    assert verdicts(some)["AS-REQ-01a"].judged == 3


@pytest.mark.parametrize(
    ("answer", "broken", "open_rows"),
    [
        (refusal(200, b'{"content": "x"}'), set(), set()),
        (refusal(400, b"no", "text/plain"), set(), set()),
        (refusal(500), {"AS-REQ-02a"}, set()),
        (refusal(200, b"<html>", "text/html"), {"AS-REQ-02b"}, set()),
        (stream("user", "done"), {"AS-REQ-02b"}, set()),
        (exchange(answered=False, ended=Ended.DEADLINE), set(), {"AS-REQ-02a", "AS-REQ-02b"}),
    ],
)
def test_stream_false(answer: Transcript, broken: set[str], open_rows: set[str]) -> None:
    of = case("no-stream", {"no-stream": answer})
    assert red(of) == broken
    assert unsure(of) == open_rows


@pytest.mark.parametrize(
    ("answer", "broken", "open_rows"),
    [
        (refusal(422), set(), set()),
        (stream("user", "error", "done"), set(), set()),
        (stream("user", "chat", "done"), set(), set()),
        (stream("user"), {"AS-REQ-03a"}, set()),
        (stream(ended=Ended.TRUNCATED), {"AS-REQ-03a"}, set()),
        (stream("user", ended=Ended.DEADLINE), {"AS-REQ-03a"}, set()),
        (refusal(500), {"AS-REQ-03b"}, set()),
        (exchange(answered=False, ended=Ended.NO_RESPONSE), set(), {"AS-REQ-03a", "AS-REQ-03b"}),
    ],
)
def test_an_unpaired_surrogate(answer: Transcript, broken: set[str], open_rows: set[str]) -> None:
    of = case("surrogate", {"surrogate": answer})
    assert red(of) == broken
    assert unsure(of) == open_rows


def test_hostile_ids_are_told() -> None:
    answers = [refusal(400), refusal(500), stream("user", "done")]
    of = case(
        "hostile-dialogs",
        {HOSTILE_PROMPT + name: answer for (name, _), answer in zip(HOSTILE_IDS[:3], answers, strict=True)},
    )
    said = verdicts(of)["AS-REQ-04"]
    assert said.judged == 3
    assert not said.findings
    assert "HTTP 500" in said.notes[1]
    assert "user, done" in said.notes[2]


def test_a_wrong_context() -> None:
    good = {entry.role: refusal() for entry in BAD_CONTEXTS}
    assert red(case("wrong-context", good)) == set()
    for answer in (stream("user", "error", "done"), refusal(500), exchange(answered=False)):
        assert red(case("wrong-context", {**good, BAD_CONTEXTS[-1].role: answer})) == {"AS-REQ-05"}


def test_a_large_body() -> None:
    profile = profile_of()
    profile = replace(profile, capabilities=replace(profile.capabilities, max_body=1000))

    def large(big: Transcript, after: Transcript) -> Case:
        return case("big-body", {"big": big, "after": after}, profile=profile)

    served, dead = stream("user", ended=Ended.CLOSED_BY_US), exchange(answered=False, ended=Ended.DEADLINE)
    assert red(large(refusal(413), served)) == unsure(large(refusal(413), served)) == set()
    assert red(large(stream("user", "done"), served)) == {"AS-REQ-06"}
    assert red(large(refusal(500), served)) == {"AS-REQ-06"}
    assert red(large(refusal(413), dead)) == {"AS-REQ-06"}
    assert unsure(large(exchange(answered=False, ended=Ended.RESET), served)) == {"AS-REQ-06"}
    for role in ("big", "after"):  # the other one was not sent
        assert unsure(case("big-body", {role: refusal(413)}, profile=profile)) == {"AS-REQ-06"}
