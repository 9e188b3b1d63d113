"""What a rule takes in one look at a run of events is what it passes one by one: nothing hides in a run.

Recorded streams, spoilt here and there, get the same judgement from rules that see runs and from rules that see
single events only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.rules import one_pass
from conformance.rules.base import FAMILIES, StreamRule, stream_rules
from conformance.rules.fields import UniqueIds
from conformance.rules.penguin_envelope import IdsUnique
from conformance.rules.penguin_revision2 import OrderGrows
from conformance.wire import Decoder
from tests.support.generated_profile import examples
from tests.support.sse_cases import case

FOLDER = Path(__file__).parents[1] / "recordings"
PROTOCOLS = {
    "agentsmithy-1.13.0": ("agentsmithy/1", "agentsmithy/2"),
    "penguin-0.9.3": ("penguin/1", "penguin/2"),
}
LONGEST = 40  # blocks of a recording that are taken

Blocks = list[bytes]
STREAMS = [
    (blocks[:LONGEST], protocol)
    for folder, protocols in PROTOCOLS.items()
    for path in sorted((FOLDER / folder).glob("*.sse"))
    if len(blocks := [block.raw for block in Decoder().feed(path.read_bytes())]) > 1
    for protocol in protocols
]

# What may become of a block, and what may be put before it.
SPOILT: tuple[Callable[[bytes], bytes], ...] = (
    lambda raw: b"",
    lambda raw: raw + raw,
    lambda raw: b"event: message\n" + raw,
    lambda raw: b"event: odd\n" + raw,
    lambda raw: b"id:\n" + raw,
    lambda raw: b"id: evt:session:x:00000001\n" + raw,
    lambda raw: re.sub(rb"(?m)^id: .*\r?\n", b"", raw),
    lambda raw: re.sub(rb"(?m)^id: ", b"id: \0", raw),
    lambda raw: re.sub(rb"(?m)^id: .*$", b"id: zzz", raw),
    lambda raw: raw.replace(b"{", b"[", 1),
    lambda raw: raw.replace(b'{"', b'{"type": "a", "type": "chat", "', 1),
    lambda raw: raw.replace(b'"type": "', b'"type": "un', 1),
    lambda raw: raw.replace(b'"type": ', b'"typo": ', 1),
    lambda raw: raw.replace(b'"order": ', b'"order": 1', 1),
    lambda raw: raw.replace(b'"order": ', b'"order": -', 1),
    lambda raw: raw.replace(b'"time": 1', b'"time": 0.1', 1),
    lambda raw: raw.replace(b'"time": 1', b'"time": 2', 1),
    lambda raw: raw.replace(b'"id": "', b'"id": "\\n', 1),
    lambda raw: raw.replace(b'"id": "', b'"id": "\\ud800', 1),
    lambda raw: raw.replace(b'"id": "evt', b'"id": 7, "was": "evt', 1),
    lambda raw: raw.replace(b"evt:session:", b"evt:other:"),
    lambda raw: raw.replace(b'"id":"', b'"id":"zz', 1),
    lambda raw: raw.replace(b'"type":"', b'"type":"un', 1),
    lambda raw: raw.replace(b'"delta":"', b'"delta":"un', 1),
    lambda raw: raw.replace(b'"id": "evt', b'"id": "", "was": "evt', 1),
    lambda raw: raw.replace(b'"dialog_id": "', b'"dialog_id": "x', 1),
    lambda raw: raw.replace(b'"text"', b'"words"'),
    lambda raw: b": a comment\n\n" + raw,
    lambda raw: b"id: alone\n\n" + raw,
    lambda raw: b"event: alone\n\n" + raw,
    lambda raw: b"\n" + raw,
    lambda raw: b'data: {"type": "heartbeat"}\n\n' + raw,
)


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[bytes, str]:
    """A recorded stream with a few blocks spoilt or moved, and its protocol."""
    recorded, protocol = draw(st.sampled_from(STREAMS))
    blocks = list(recorded)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(blocks) - 1))
        if draw(st.integers(0, 3)):
            blocks[at] = draw(st.sampled_from(SPOILT))(blocks[at])
        else:
            blocks.insert(draw(st.integers(0, len(blocks))), blocks.pop(at))
    return b"".join(blocks), protocol


def _said(body: bytes, protocol: str, rules: list[type[StreamRule]]) -> list[Any]:
    return list(one_pass.judge_streams(case(body, protocol=protocol).streams, rules).values())


@examples(1200)
@given(spoilt(), st.sampled_from([1, 2, 3, 5, 8, 64]))
def test_a_run_is_judged_as_its_events_are(stream: tuple[bytes, str], events: int) -> None:
    body, protocol = stream
    rules = [rule for _, rule in stream_rules(protocol.partition("/")[0])]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(one_pass, "EVENTS", events)
        in_runs = _said(body, protocol, rules)
        for rule in rules:
            patch.setattr(rule, "takes", StreamRule.takes)
        assert _said(body, protocol, rules) == in_runs


def _event(order: int, session: str = "a", *, name: str | None = None, sent: str | None = None) -> bytes:
    """An event of Penguin with that order, its ids made of it unless they are given."""
    known = f"evt:session:{session}:{order:08d}"
    shown = known if name is None else name
    body = {"id": shown, "order": order, "time": 1, "type": "session.status", "properties": {}}
    return f"id: {known if sent is None else sent}\ndata: {json.dumps(body)}\n\n".encode()


ALONE = b"id: alone\n\n"
BARE = b'data: {"type": "chat"}\n\n'


@pytest.mark.parametrize(
    ("parts", "protocol", "found"),
    [
        # Each stream has an order of its own.
        ([_event(5), _event(7, "b"), _event(6, "b")], "penguin/2", 1),
        ([_event(5), _event(7, "b"), _event(6)], "penguin/2", 0),
        (
            [_event(5), _event(6), _event(7, "b"), _event(8, "b"), _event(1, "b"), _event(2, "b")],
            "penguin/2",
            2,
        ),
        (
            [_event(5), _event(7, "b"), _event(8), _event(9, "b"), _event(6, "b"), _event(7, "c")],
            "penguin/2",
            1,
        ),
        # What has no id has not the same one.
        ([_event(1, name=""), _event(2), _event(3, name=""), _event(4)], "penguin/2", 2),
        # An id beside its event is found at the end, unless some event has its own, be it empty.
        ([ALONE, BARE, BARE, ALONE, BARE], "agentsmithy/2", 1),
        ([ALONE, BARE, BARE, b"id: 1\n" + BARE, b"id: 2\n" + BARE], "agentsmithy/2", 0),
        ([ALONE, BARE, BARE, b"id:\n" + BARE, b"id:\n" + BARE], "agentsmithy/2", 0),
        ([BARE, b"id: 1\n" + BARE, BARE, b"id: 2\n" + BARE, b"id: 1\n" + BARE], "agentsmithy/2", 1),
    ],
)
def test_what_a_run_might_hide(
    parts: Blocks, protocol: str, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules: list[type[StreamRule]] = [UniqueIds, *((OrderGrows, IdsUnique) if protocol == "penguin/2" else ())]
    said = []
    for events in (1, 2, 3, 64):
        monkeypatch.setattr(one_pass, "EVENTS", events)
        said.append(_said(b"".join(parts), protocol, rules))
    assert sum(len(judgement.findings) for judgement in said[0]) == found
    assert said == [said[0]] * 4


def test_the_recorded_streams_are_taken_in_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the test above would compare nothing."""
    monkeypatch.setattr(one_pass, "EVENTS", 5)
    taken: dict[str, int] = {}
    rules = [rule for family in FAMILIES for _, rule in stream_rules(family)]
    for rule in dict.fromkeys(rules):
        if rule.takes is StreamRule.takes:
            continue
        taken[rule.__qualname__] = 0

        def takes(self: StreamRule, run: Any, _takes: Any = rule.takes) -> bool:
            took: bool = _takes(self, run)
            taken[type(self).__qualname__] += took
            return took

        monkeypatch.setattr(rule, "takes", takes)
    for blocks, protocol in STREAMS:
        _said(b"".join(blocks), protocol, [rule for _, rule in stream_rules(protocol.partition("/")[0])])
    assert taken
    assert all(taken.values()), taken
