"""All incremental rules go over a stream in one pass: each sees what it asked for, and fails alone."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pytest

from conformance.findings import Finding
from conformance.message import Message
from conformance.rules import stream as stream_module
from conformance.rules.base import Listener, RuleByType, Run, StreamRule
from conformance.rules.one_pass import ENOUGH, SHOWN, Pass, judge_streams
from conformance.transcript import Ended
from conformance.wire import Block, Decoder
from tests.support.sse_cases import case, judged, transcript

BODY = b': hi\n\ndata: {"type": "a"}\n\n\nid: 1\n\ndata: {"type": "b"}\n\ndata: {"type": "a"}\n\n'


class _Everything(StreamRule):
    """Notes whatever it is given."""

    def feed(self, message: Message) -> Iterable[Finding]:
        self.judged += 1
        self.notes.append(message.type)
        return ()

    def skipped(self, block: Block) -> Iterable[Finding]:
        self.notes.append(block.raw.decode().strip())
        return ()

    def close(self, ended: Ended) -> Iterable[Finding]:
        self.notes.append(ended.value)
        return ()


class _OnlyA(StreamRule):
    """Asks for one type, and finds something each time."""

    types = frozenset({"a"})

    def feed(self, message: Message) -> Iterable[Finding]:
        self.judged += 1
        yield self.finding(message, "an a", expected="no a", observed="a")


class _Breaks(StreamRule):
    """Raises at the second event."""

    def feed(self, message: Message) -> Iterable[Finding]:
        if message.event.index:
            raise KeyError("a bug of ours")
        return ()


class _BreaksBeside(StreamRule):
    """Raises where no event is."""

    def feed(self, message: Message) -> Iterable[Finding]:
        return ()

    def skipped(self, block: Block) -> Iterable[Finding]:
        raise ValueError("a bug of ours")


class _BreaksAtTheEnd(_OnlyA):
    """Raises at the end of the stream."""

    def close(self, ended: Ended) -> Iterable[Finding]:
        raise LookupError("a bug of ours")


class _BreaksAtOnce(StreamRule):
    """Cannot even be made."""

    def __init__(self, context: stream_module.StreamContext) -> None:
        raise RuntimeError("a bug of ours")

    def feed(self, message: Message) -> Iterable[Finding]:
        raise AssertionError("never made, never fed")


@pytest.mark.parametrize("kept", [True, False])
def test_each_rule_sees_what_it_asked_for(kept: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not kept:
        monkeypatch.setattr(stream_module, "KEPT", 0)
        monkeypatch.setattr("conformance.rules.one_pass.KEPT", 0)
    breaking = [_Breaks, _BreaksBeside, _BreaksAtTheEnd, _BreaksAtOnce]
    said = judge_streams(case(BODY, BODY).streams, [*breaking, _Everything, _OnlyA])
    everything, only_a = said[_Everything], said[_OnlyA]
    assert not isinstance(everything, Exception)
    assert not isinstance(only_a, Exception)
    assert everything.notes == (": hi", "a", "id: 1", "b", "a", "complete") * 2
    assert everything.judged == 6
    assert [(f.role, f.event) for f in only_a.findings] == [
        ("stream", 0),
        ("stream", 2),
        ("stream-1", 0),
        ("stream-1", 2),
    ]
    assert only_a.judged == 4
    assert [type(said[rule]) for rule in breaking] == [KeyError, ValueError, LookupError, RuntimeError]


def test_a_rule_of_ours_that_breaks_raises_for_itself_only() -> None:
    of = case(BODY)
    with pytest.raises(KeyError):
        of.judge_by(_Breaks)
    assert of.judge_by(_OnlyA).judged == 2


def test_long_streams_are_read_without_being_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "KEPT", 0)
    (stream,) = case(BODY).streams
    assert [message.type for message in stream.read()] == ["a", "b", "a"]
    assert stream.tail.raw == b""
    assert "messages" not in vars(stream)
    assert "blocks" not in vars(stream)
    assert [message.type for message in stream.messages] == ["a", "b", "a"]


def test_a_rule_that_has_found_enough_looks_no_further() -> None:
    """Endless defects end in bounded work, and the report says where looking stopped."""
    events = 3 * ENOUGH
    body = b'data: {"type": "a"}\n\n' * events + b'data: {"type": "b"}\n\n'
    said = judge_streams(case(body).streams, [_OnlyA, _Everything])
    found, all_seen = said[_OnlyA], said[_Everything]
    assert not isinstance(found, Exception)
    assert not isinstance(all_seen, Exception)
    assert len(found.findings) == SHOWN
    assert found.judged == SHOWN + ENOUGH
    assert any("the rest of the stream was not looked at" in note for note in found.notes)
    assert all_seen.judged == events + 1


def test_what_comes_before_a_line_that_is_too_long_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_module, "Decoder", partial(Decoder, max_line=30))
    body = BODY + b"data: " + b"x" * 30
    of = case(transcript(body, body))
    (stream,) = of.streams
    assert stream.decode_error is not None
    assert stream.decode_error.offset == len(BODY) + 30
    assert [message.type for message in stream.messages] == ["a", "b", "a"]
    assert not stream.known_fields_only
    assert judged("SSE-FMT-05", of).judged == 0  # what is pending is not the server's end


def test_a_rule_by_type_that_is_fed_asks_who_listens() -> None:
    class Rule(RuleByType):
        def listener(self, kind: str) -> Listener | None:
            return (
                (lambda message: [self.finding(message, "a", expected="", observed="")])
                if kind == "a"
                else None
            )

    (stream,) = case(BODY).streams
    rule = Rule(stream.context)
    assert [len(list(rule.feed(message))) for message in stream.messages] == [1, 0, 1]


def test_a_pass_tells_of_each_finding_as_it_is_made() -> None:
    (stream,) = case(BODY).streams
    told: list[tuple[type[StreamRule], int | None]] = []
    over = Pass(
        stream.context, [_OnlyA, _BreaksAtOnce], lambda rule, finding: told.append((rule, finding.event))
    )
    over.feed(Run(stream.messages[:2]))
    assert told == [(_OnlyA, 0)]
    over.feed(Run(stream.messages[2:]))
    over.close(Ended.COMPLETE)
    assert told == [(_OnlyA, 0), (_OnlyA, 2)]
    ((rule, judgement),) = over.judgements()
    assert (rule, judgement.judged, len(judgement.findings)) == (_OnlyA, 2, 2)
    assert [type(error) for error in over.errors.values()] == [RuntimeError]
