"""SSE-FMT-07 and 08, and what a stream said."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from conformance.findings import Judgement
from conformance.profile_file import default_profile
from conformance.rules.said import difference, first_difference, said, said_reasoning, said_text
from conformance.rules.text import LARGE
from conformance.script import Failure, Fill, ModelTurn, Script, say
from conformance.transcript import Action, Ended, Transcript
from conformance.turns import AWKWARD, RARE
from tests.support.sse_cases import case, judged, transcript

TEXT = "".join(AWKWARD)
JSON = (("content-type", "application/json"),)
FAILS = ModelTurn(error=Failure("no", status=400))


def _events(*events: dict[str, Any], ascii_only: bool = False) -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(e, ensure_ascii=ascii_only).encode() for e in events)


def _chat(*chunks: str, end: bool = True) -> bytes:
    done = [{"type": "done", "done": True, "dialog_id": "d"}] if end else []
    return _events(*({"type": "chat", "content": chunk, "dialog_id": "d"} for chunk in chunks), *done)


def _judge(
    stream: Transcript | bytes,
    requirement: str = "SSE-FMT-07a",
    script: Script | None = None,
    *,
    protocol: str = "agentsmithy/2",
    status: int | None = None,
) -> Judgement:
    probe = {"SSE-FMT-07a": "awkward", "SSE-FMT-07b": "rare", "SSE-FMT-08": "large"}[requirement]
    prompt = Action(
        0.0, "prompt", session="s", stream="stream", script=script or say(*AWKWARD), status=status, until=1.0
    )
    return judged(requirement, case(stream, probe=probe, actions=(prompt,), protocol=protocol))


def test_text_as_it_was_said_passes_however_it_is_cut() -> None:
    assert _judge(_chat(*AWKWARD)) == Judgement(judged=1)
    assert _judge(_chat(*TEXT)) == Judgement(judged=1)
    assert _judge(_chat(TEXT)) == Judgement(judged=1)
    assert _judge(_chat("", TEXT, "")) == Judgement(judged=1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\r\n", "\n"),
        ("\r", ""),
        ("\u2028", "\n"),
        ("\u0085", ""),
        ("\ufeff", ""),
        ("\U0001f600", "\ufffd"),
        ("\ndata: x\n\n", "\n"),
        ("\n\n", "\n"),
        ("event: y\n", ""),
        (" end.", " end"),
        ("\u200d", ""),
        ("\\", "\\\\"),
        ("é", "e\u0301"),
    ],
)
def test_altered_text_is_found(old: str, new: str) -> None:
    assert old in TEXT
    judgement = _judge(_chat(TEXT[:5], TEXT[5:].replace(old, new)))
    assert len(judgement.findings) == 1
    finding = judgement.findings[0]
    assert finding.event in (0, 1)
    index = first_difference(TEXT, TEXT[:5] + TEXT[5:].replace(old, new))
    assert str(index) in finding.observed


def test_doubled_and_reordered_text_is_found() -> None:
    assert _judge(_chat(TEXT, TEXT)).findings
    assert _judge(_chat(TEXT[10:], TEXT[:10])).findings
    assert _judge(_chat()).findings


def test_an_explicit_error_in_place_of_the_text_is_open() -> None:
    error = {"type": "error", "error": "no", "dialog_id": "d"}
    judgement = _judge(_chat("line", end=False) + _events(error))
    assert not judgement.findings
    assert "reported an error" in judgement.inconclusive


def test_a_model_that_does_not_read_scripts_is_nobodys_fault() -> None:
    judgement = _judge(_chat("Hello! How can I help you with your code today?"))
    assert not judgement.findings
    assert "script" in judgement.inconclusive
    assert _judge(_chat("".join(char for char in TEXT if " " <= char < "\x7f"))).findings


def test_a_turn_that_the_recording_cut_is_open_and_a_wrong_one_is_not() -> None:
    cut = _judge(transcript(_chat("line one", end=False), ended=Ended.DEADLINE))
    assert not cut.findings
    assert cut.inconclusive
    assert _judge(transcript(_chat("line 1", end=False), ended=Ended.DEADLINE)).findings
    assert _judge(transcript(_chat("line one"), ended=Ended.CLOSED_BY_US)).findings  # `done` was seen


@pytest.mark.parametrize(
    ("status", "open_"), [(413, False), (422, False), (401, True), (429, True), (500, True)]
)
def test_refusals_are_no_failure(status: int, open_: bool) -> None:
    answer = transcript(b"{}", status=status, headers=JSON)
    judgement = _judge(answer, "SSE-FMT-08", say(Fill(10, 3)))
    assert judgement.judged == 0
    assert not judgement.findings
    assert bool(judgement.inconclusive) is open_
    assert bool(judgement.not_applicable) is not open_


def test_rare_and_large_texts() -> None:
    script = say(Fill(4096, 64))
    assert _judge(_chat(*RARE), "SSE-FMT-07b", say(*RARE)).judged == 1
    assert _judge(_chat("".join(RARE).replace("\0", "")), "SSE-FMT-07b", say(*RARE)).findings
    assert _judge(_chat("".join(RARE).replace("e\u0301", "é")), "SSE-FMT-07b", say(*RARE)).findings
    assert _judge(_chat(script.said), "SSE-FMT-08", script) == Judgement(judged=1)
    lost = script.said[:100_000] + script.said[104_096:]
    finding = _judge(_chat(*(lost[at : at + 1000] for at in range(0, len(lost), 1000))), "SSE-FMT-08", script)
    assert finding.findings[0].event == 102  # where the first counter after the hole stands


@pytest.mark.parametrize(
    ("requirement", "script", "concerned"),
    [
        ("SSE-FMT-07a", say(*AWKWARD), True),
        ("SSE-FMT-07a", say("plain words"), False),
        ("SSE-FMT-07a", replace(say(*AWKWARD), turns=(*say(*AWKWARD).turns, FAILS)), False),
        ("SSE-FMT-07b", say(*RARE), True),
        ("SSE-FMT-07b", say("plain words"), False),
        ("SSE-FMT-08", say(Fill(1000, LARGE // 1000)), True),
        ("SSE-FMT-08", say(Fill(1000, LARGE // 1000 - 1)), False),
    ],
)
def test_which_recorded_texts_concern_a_requirement(
    requirement: str, script: Script, concerned: bool
) -> None:
    prompt = Action(0.0, "prompt", session="s", stream="stream", script=script, until=1.0)
    for text, red in ((script.said, False), (script.said[:-3], True)):
        judgement = judged(requirement, case(_chat(text), probe="recorded", actions=(prompt,)))
        assert (judgement.judged, bool(judgement.findings)) == (int(concerned), concerned and red)


def test_where_nothing_names_a_message_the_prompt_is_not_what_the_agent_said() -> None:
    body = _events(
        *(
            {
                "type": "message.part.updated",
                "properties": {"part": {"type": "text", "text": text}, "delta": text},
            }
            for text in ("the prompt", TEXT)
        )
    )
    prompt = Action(
        0.0,
        "prompt",
        session="s",
        stream="stream",
        script=say(*AWKWARD),
        prompt="the prompt",
        status=200,
        until=1.0,
    )
    of = case(body, probe="awkward", actions=(prompt,), protocol="penguin/1")
    assert judged("SSE-FMT-07a", of) == Judgement(judged=1)


def _message(identity: str, role: str, **more: Any) -> dict[str, Any]:
    return {"type": "message.updated", "properties": {"id": identity, "sessionID": "s", "role": role, **more}}


def _part(
    identity: str, message: str, text: str, kind: str = "text", delta: str | None = None, session: str = "s"
) -> dict[str, Any]:
    part = {"id": identity, "messageID": message, "sessionID": session, "type": kind, "text": text}
    return {
        "type": "message.part.updated",
        "properties": {"part": part, "sessionID": session} | ({} if delta is None else {"delta": delta}),
    }


def _said(*events: dict[str, Any], session: str = "s") -> tuple[str, str]:
    stream = case(_events(*events), protocol="penguin/2").streams[0]
    return said_text(stream, session), said_reasoning(stream, session)


def test_penguins_text_is_the_final_text_of_the_agents_parts() -> None:
    events = (
        _message("u", "user"),
        _part("p0", "u", "the prompt"),
        _message("a", "assistant"),
        _part("r", "a", "hm", "reasoning", "hm"),
        _part("p1", "a", "One ", delta="One "),
        _part("p1", "a", "One two ", delta="two "),
        _part("x", "a", "elsewhere", session="other"),
        _part("p1", "a", "One two ", delta=""),
        _message("b", "assistant"),
        _part("p2", "b", "three", delta="three"),
        _part("gone", "b", "gone"),
        {
            "type": "message.part.removed",
            "properties": {"messageID": "b", "partID": "gone", "sessionID": "s"},
        },
    )
    assert _said(*events) == ("One two three", "hm")
    assert _said(*events, session="other") == ("elsewhere", "")


def test_what_was_removed_or_is_of_another_session_was_not_said() -> None:
    removed = {"type": "message.removed", "properties": {"messageID": "a", "sessionID": "s"}}
    spoken = [_message("a", "assistant"), _part("p", "a", "One"), _message("b", "assistant")]
    assert _said(*spoken, _part("q", "b", "two"), removed) == ("two", "")
    for named in ("part", "envelope"):  # either of them says whose it is
        event = _part("x", "b", "elsewhere", session="other")
        del (event["properties"]["part"] if named == "part" else event["properties"])["sessionID"]
        assert _said(*spoken, event) == ("One", "")
        assert _said(event, session="other") == ("elsewhere", "")
    error = {"type": "session.error", "properties": {"sessionID": "s", "error": {"name": "x"}}}
    stream = case(_events(error), protocol="penguin/2").streams[0]
    assert [len(said(stream, session).errors) for session in ("s", "other", "")] == [1, 0, 1]


def test_where_a_plugin_rewrites_texts_the_increments_are_what_was_said() -> None:
    profile = replace(default_profile("penguin/2", "http://localhost"), rewrites_text=True)
    grown = [_part("p", "a", "One ", delta="One "), _part("p", "a", "One two", delta="two")]
    for events, text in (
        ([*grown, _part("p", "a", "REWRITTEN")], "One two"),
        ([_part("p", "a", "told at once")], "told at once"),
    ):
        assert said_text(case(_events(*events), profile=profile).streams[0], "s") == text


def test_a_user_message_announced_after_its_part_is_still_the_users() -> None:
    assert _said(_part("p0", "u", "the prompt"), _message("u", "user")) == ("", "")


def test_penguin_1_without_any_id() -> None:
    def bare(text: str | None, delta: str | None) -> dict[str, Any]:
        part = {"type": "text"} | ({} if text is None else {"text": text})
        return {
            "type": "message.part.updated",
            "properties": {"part": part} | ({} if delta is None else {"delta": delta}),
        }

    def text(*events: dict[str, Any]) -> str:
        return said_text(case(_events(*events), protocol="penguin/1").streams[0], "s")

    assert text(bare("One ", "One "), bare("One two", "two")) == "One two"
    assert text(bare(None, "One "), bare(None, "two")) == "One two"
    assert text(bare("One.", "One."), bare("Two", "Two"), bare("Two.", ".")) == "One.Two."


def test_penguins_text_is_judged_once_its_turn_is_over() -> None:
    whole = _events(_message("a", "assistant"), _part("p", "a", TEXT, delta=TEXT))
    part = _events(_message("a", "assistant"), _part("p", "a", TEXT[:30], delta=TEXT[:30]))
    failed = part + _events(_message("a", "assistant", error={"name": "x"}))
    idle = _events(
        {"type": "session.status", "properties": {"sessionID": "s", "status": {"type": "idle"}}},
    )

    def verdict(body: bytes, status: int | None) -> Judgement:
        cut = transcript(body, ended=Ended.CLOSED_BY_US)
        return _judge(cut, protocol="penguin/2", status=status)

    assert verdict(whole, 200) == Judgement(judged=1)
    assert verdict(part, 200).findings
    assert verdict(part + idle, None).findings
    assert verdict(part, None).inconclusive
    assert verdict(failed, 200).inconclusive
    assert verdict(part, 500).inconclusive
    assert verdict(part, 400).not_applicable  # this text may be refused

    # What our deadline or a cap ended was not over; what the server ended is, where it says so or cannot say so.
    bare = [{"type": "message.part.updated", "properties": {"part": {"type": "text", "text": TEXT[:30]}}}]
    for body, ended, protocol, accused in (
        (part, Ended.DEADLINE, "penguin/2", False),
        (part, Ended.CAPPED, "penguin/2", False),
        (part, Ended.COMPLETE, "penguin/2", False),
        (part + idle, Ended.COMPLETE, "penguin/2", True),
        (part + idle, Ended.DEADLINE, "penguin/2", False),
        (_events(*bare), Ended.COMPLETE, "penguin/1", True),
    ):
        judgement = _judge(transcript(body, ended=ended), protocol=protocol, status=200)
        assert (bool(judgement.findings), bool(judgement.inconclusive)) == (accused, not accused)


def test_differences_are_said_in_words() -> None:
    assert difference("abc", "abc") == ""
    assert "differs from character 1" in difference("abc", "axc")
    assert "ends after 2 characters" in difference("abc", "ab")
    assert "goes on after the end" in difference("abc", "abcd")


@pytest.mark.parametrize(
    ("left", "right", "index"),
    [
        ("", "", 0),
        ("a", "b", 0),
        ("ab", "xb", 0),
        ("ab", "ac", 1),
        ("abc", "ab", 2),
        ("abcd", "abxd", 2),
        ("abc", "abc", 3),
    ],
)
def test_the_first_difference(left: str, right: str, index: int) -> None:
    assert first_difference(left, right) == first_difference(right, left) == index


def test_which_event_brought_a_character() -> None:
    spoken = said(case(_chat("ab", "", "c")).streams[0])
    found = [spoken.at(index) for index in range(4)]
    assert [each and each.event.index for each in found] == [0, 0, 2, 2]


def test_agentsmithys_reasoning_is_apart() -> None:
    body = _events(
        {"type": "reasoning", "content": "hm"}, {"type": "chat", "content": "so"}, {"type": "error"}
    )
    spoken = said(case(body).streams[0])
    assert (spoken.text, spoken.reasoning, len(spoken.errors)) == ("so", "hm", 1)
