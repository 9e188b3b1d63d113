"""Faults of the framing of any stream: changes to blocks and bytes."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import strategies as st

from conformance.transcript import Ended
from tests.support.generated_faults import AGENTSMITHY, on_blocks, on_bytes, pick
from tests.support.generated_scenes import Draft
from tests.support.generated_scripts import Wanted
from tests.support.generated_wire import BOM, Block


def _with_data(made: list[Block]) -> list[int]:
    return [number for number, block in enumerate(made) if block.data]


def _changed(made: list[Block], at: int, *lines: bytes) -> list[Block]:
    return [*made[:at], replace(made[at], lines=list(lines)), *made[at + 1 :]]


def _one(draw: st.DrawFn, made: list[Block]) -> tuple[int, list[bytes]]:
    at = pick(draw, _with_data(made))
    assert at is not None
    return at, list(made[at].lines)


@on_bytes("not-utf8", "SSE-FMT-01")
def not_utf8(draw: st.DrawFn, draft: Draft, body: bytes) -> bytes | None:
    """A byte, or a sequence, that UTF-8 does not have, between two characters."""
    at = draw(st.integers(0, len(body)))
    while at < len(body) and body[at] & 0xC0 == 0x80:
        at += 1
    wrong = draw(
        st.sampled_from([b"\xff", b"\xe9", b"\xc0\xaf", b"\xed\xa0\x80", b"\x80", b"\xf5\x80\x80\x80"])
    )
    if wrong == b"\xe9" and at == len(body):
        wrong = b"\xff"  # at the end of a stream that was cut it may be the beginning of a character
    return body[:at] + wrong + body[at:]


@on_bytes("character-cut-in-two", "SSE-FMT-01")
def cut_character(draw: st.DrawFn, draft: Draft, body: bytes) -> bytes | None:
    """A byte of a character is lost."""
    found = [at for at, byte in enumerate(body) if byte & 0xC0 == 0x80]
    at = pick(draw, found)
    return None if at is None else body[:at] + body[at + 1 :]


@on_bytes("second-bom", "SSE-FMT-02")
def second_bom(draw: st.DrawFn, draft: Draft, body: bytes) -> bytes | None:
    return BOM * (1 if draft.layout.bom else 2) + body


@on_blocks("bom-in-mid-stream", "SSE-FMT-02")
def later_bom(draw: st.DrawFn, draft: Draft, made: list[Block]) -> list[Block] | None:
    at = draw(st.integers(1, len(made))) - 1
    line = draw(st.integers(0, len(made[at].lines) - 1))
    if at == 0 and line == 0:
        return None  # at offset 0 it is legal
    lines = [*made[at].lines]
    lines[line] = BOM + lines[line]
    return _changed(made, at, *lines)


@on_blocks("data-misspelt", "SSE-FMT-04a")
def misspelt(draw: st.DrawFn, draft: Draft, made: list[Block]) -> list[Block] | None:
    at, lines = _one(draw, made)
    name = draw(st.sampled_from([b"Data:", b"DATA:", b" data:", b"data :", b"\tdata:"]))
    return _changed(made, at, *(name + line[5:] if line.startswith(b"data:") else line for line in lines))


@on_blocks("bare-json", "SSE-FMT-04a")
def bare_json(draw: st.DrawFn, draft: Draft, made: list[Block]) -> list[Block] | None:
    at, lines = _one(draw, made)
    return _changed(
        made, at, *(line[5:].lstrip(b" ") if line.startswith(b"data:") else line for line in lines)
    )


@on_blocks("raw-line-end-in-data", "SSE-FMT-04a", wanted=Wanted(pieces=1))
def raw_line_end(draw: st.DrawFn, draft: Draft, made: list[Block]) -> list[Block] | None:
    """A line end inside a JSON string: what follows it is no field."""
    places = [
        (number, line, at)
        for number, block in enumerate(made)
        for line in block.data
        for at in _inside_strings(block.lines[line])
    ]
    if not places:
        return None
    at, line, cut = draw(st.sampled_from(places))
    lines = [*made[at].lines]
    head, tail = lines[line][:cut], lines[line][cut:]
    if tail.startswith((b":", b"data", b"id", b"event", b"retry", BOM)):
        return None  # then it is a field after all, or a comment
    return _changed(made, at, *lines[:line], head, tail, *lines[line + 1 :])


def _inside_strings(line: bytes) -> list[int]:
    """Where a data line may be cut inside a JSON string: between two characters, after no backslash."""
    found: list[int] = []
    inside = escaped = False
    for at, byte in enumerate(line):
        if at >= 5:
            if inside and not escaped and byte & 0xC0 != 0x80:
                found.append(at)
            if escaped:
                escaped = False
            elif inside and byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                inside = not inside
    return found


@on_blocks("unknown-field", "SSE-FMT-04b")
def unknown_field(draw: st.DrawFn, draft: Draft, made: list[Block]) -> list[Block] | None:
    at = draw(st.integers(0, len(made) - 1))
    lines = [*made[at].lines]
    field = draw(st.sampled_from([b"foo: bar", b"Id: 3", b"time:1", b"comment", b"events: x"]))
    lines.insert(draw(st.integers(0, len(lines))), field)
    return _changed(made, at, *lines)


@on_bytes("no-blank-line-at-the-end", "SSE-FMT-05", AGENTSMITHY)
def no_blank_line(draw: st.DrawFn, draft: Draft, body: bytes) -> bytes | None:
    """The last blank line, or its line end, is missing where the server ended the stream."""
    ending = 2 if body.endswith(b"\r\n") else 1
    cut = body[:-ending]
    return cut[: -draw(st.integers(0, 3)) or None]


@on_blocks("no-blank-line-between", "SSE-FMT-06a")
def no_blank_between(draw: st.DrawFn, draft: Draft, made: list[Block]) -> list[Block] | None:
    found = [at for at in _with_data(made) if at + 1 in _with_data(made)]
    at = pick(draw, found)
    if at is None:
        return None
    both = Block([*made[at].lines, *made[at + 1].lines])
    return [*made[:at], both, *made[at + 2 :]]


@on_blocks("not-json", "SSE-FMT-06a")
def not_json(draw: st.DrawFn, draft: Draft, made: list[Block]) -> list[Block] | None:
    at, _ = _one(draw, made)
    event = made[at].event
    assert event is not None
    text = json.dumps({key: value for key, value in event.items() if not key.startswith("_")})
    wrong = draw(
        st.sampled_from(
            [
                text + text,
                text[:-1],
                text[1:],
                text + ",",
                f"{text[:-1]}, }}",
                text.replace('"', "'"),
                "",
                "[DONE]",
            ]
            + [
                f'{text[:-1]}, "x": {value}}}'
                for value in ("NaN", "Infinity", "-Infinity", "01", "+1", ".5", "True")
            ]
        )
    )
    return _changed(made, at, b"data: " + wrong.encode())


@on_blocks("one-json-over-two-events", "SSE-FMT-06a")
def over_two(draw: st.DrawFn, draft: Draft, made: list[Block]) -> list[Block] | None:
    at, lines = _one(draw, made)
    data = b"".join(line[5:] for line in lines if line.startswith(b"data:"))
    cut = draw(st.integers(2, len(data) - 1))
    return [*made[:at], Block([b"data:" + data[:cut]]), Block([b"data:" + data[cut:]]), *made[at + 1 :]]


@on_blocks("member-twice", "SSE-FMT-06b")
def twice(draw: st.DrawFn, draft: Draft, made: list[Block]) -> list[Block] | None:
    at, lines = _one(draw, made)
    first = made[at].data[0]
    lines[first] = lines[first].replace(b"{", b'{"type": "x",', 1)
    return _changed(made, at, *lines)


@on_blocks("event-without-data", "SSE-EVT-01a")
def empty_named(draw: st.DrawFn, draft: Draft, made: list[Block]) -> list[Block] | None:
    at = draw(st.integers(0, len(made)))
    return [*made[:at], Block([draw(st.sampled_from([b"event: ping", b"event:", b"event"]))]), *made[at:]]


@on_blocks("hidden-by-a-name", "SSE-EVT-02a")
def named(draw: st.DrawFn, draft: Draft, made: list[Block]) -> list[Block] | None:
    known = [at for at in _with_data(made) if (made[at].event or {}).get("type") != "usage"]
    at = pick(draw, known)
    assert at is not None
    lines = [line for line in made[at].lines if not line.startswith(b"event")]
    name = draw(st.sampled_from([b"event: chat", b"event:update", b"event: Message"]))
    lines.insert(draw(st.integers(0, len(lines))), name)
    return _changed(made, at, *lines)


@on_blocks("id-with-nul", "SSE-EVT-03a")
def id_with_nul(draw: st.DrawFn, draft: Draft, made: list[Block]) -> list[Block] | None:
    at, lines = _one(draw, made)
    lines = [line for line in lines if not line.startswith(b"id")]
    return _changed(made, at, draw(st.sampled_from([b"id: a\0", b"id:\0", b"id: \0b"])), *lines)


@on_blocks("retry-not-digits", "SSE-EVT-03b")
def bad_retry(draw: st.DrawFn, draft: Draft, made: list[Block]) -> list[Block] | None:
    at = draw(st.integers(0, len(made)))
    value = draw(st.sampled_from(["1.5", "-1", "+3", "3s", "", " 3", "\u0663", "1_000"]))
    return [*made[:at], Block([f"retry: {value}".encode()]), *made[at:]]


@on_blocks("id-used-twice", "SSE-EVT-04")
def id_twice(draw: st.DrawFn, draft: Draft, made: list[Block]) -> list[Block] | None:
    found = [
        at for at in _with_data(made) if not (made[at].event or {}).get("type", "").startswith("server.")
    ]
    if len(found) < 2:
        return None
    pair = draw(st.lists(st.sampled_from(found), min_size=2, max_size=2, unique=True))
    after = list(made)
    for at in pair:
        lines = [line for line in made[at].lines if not line.startswith(b"id")]
        after[at] = replace(made[at], lines=[b"id: the-same", *lines])
    return after


@on_bytes("truncated-by-the-server", "AS-END-03", AGENTSMITHY, ended=Ended.TRUNCATED)
def truncated(draw: st.DrawFn, draft: Draft, body: bytes) -> bytes | None:
    at = draw(st.integers(0, max(0, body.rfind(b"done") - 1)))
    return body[:at]
