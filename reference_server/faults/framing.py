"""Faults of the stream's own format: bytes, lines, fields, ids, and what stands in `data`."""

from __future__ import annotations

import re

from reference_server.faults.hooks import (
    Headers,
    Memory,
    Stream,
    at_end,
    block,
    ends_answer,
    event_of,
    header_of,
    is_heartbeat,
    on_blocks,
    on_head,
)

BOM = b"\xef\xbb\xbf"
MIB = 1_048_576
PING = b'{"type": "ping", "properties": {}}'


def extra(stream: Stream, given: bytes, at: int, more: bytes) -> bytes:
    """The block, and before it something more, if it is the one at that place."""
    due = stream.count == at and b"data: " in given
    return more + given if due else given


@on_blocks("invalid-utf8-comment")
def invalid_utf8(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 2, b": caf\xc3\n\n")


@on_blocks("invalid-utf8-second-stream")
def invalid_utf8_later(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 1, b": \xff\n\n") if stream.number == 2 else given


@on_blocks("invalid-utf8-after-a-mebibyte")
def invalid_utf8_late(stream: Stream, given: bytes) -> bytes:
    if stream.sent < MIB or stream.own.get("done"):
        return given
    stream.own["done"] = True
    return b": \xed\xa0\x80\n\n" + given


@on_blocks("cesu-8-comment")
def cesu8(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 1, b": \xed\xa0\xbd\xed\xb8\x80\n\n")


@on_blocks("latin-1")
def latin1(stream: Stream, given: bytes) -> bytes:
    return given.replace("é".encode(), b"\xe9").replace("è".encode(), b"\xe8")


@on_blocks("character-cut-between-chunks")
def cut_character(stream: Stream, given: bytes) -> bytes:
    return given.replace("😀".encode(), "😀".encode()[:3])


@on_blocks("bom-in-mid-stream")
def bom_in_mid_stream(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 2, BOM + b"\n\n")


@on_blocks("second-bom")
def second_bom(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 0, BOM + BOM + b"\n\n")


@on_blocks("bom-before-data")
def bom_before_data(stream: Stream, given: bytes) -> bytes:
    more = block({"type": "ping", "properties": {}}, ascii_only=True)
    return extra(stream, given, 1, BOM + more)


@on_blocks("line-ends-that-simple-clients-miss")
def crlf_always(stream: Stream, given: bytes) -> bytes:
    return given.replace(b"\n", b"\r\n")


@on_blocks("crlf-now-and-then")
def mixed_endings(stream: Stream, given: bytes) -> bytes:
    return given.replace(b"\n", b"\r\n") if stream.count == 1 else given


@on_blocks("bare-json-line")
def bare_json(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 1, b'{"type": "ping", "properties": {}}\n\n')


@on_blocks("data-miscased")
def miscased(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 2, b'Data: {"type": "ping", "properties": {}}\n\n')


@on_blocks("space-before-data")
def space_before_data(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 2, b' data: {"type": "ping", "properties": {}}\n\n')


@on_blocks("bare-json-after-error")
def bare_json_after_error(stream: Stream, given: bytes) -> bytes:
    return given + b'{"status": "failed"}\n\n' if b'"error"' in given else given


@on_blocks("unknown-field")
def unknown_field(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 1, b"foo: bar\n\n")


@on_blocks("field-with-number-of-event")
def numbered_field(stream: Stream, given: bytes) -> bytes:
    return b"seq: 5\n" + given if stream.count == 5 else given


@at_end("half-block-at-the-end")
def half_block(stream: Stream) -> bytes:
    return b'data: {"type": "chat", "con'


@at_end("event-without-blank-line-at-the-end")
def no_blank_line(stream: Stream) -> bytes:
    return b'data: {"type": "ping"}\n'


@at_end("id-left-at-the-end")
def id_left(stream: Stream) -> bytes:
    return b"id: 99\n"


@on_blocks("two-values-in-data")
def two_values(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 2, b"data: " + PING + b" " + PING + b"\n\n")


@on_blocks("json-over-two-events")
def over_two_events(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 2, b"data: " + PING[:9] + b"\n\ndata: " + PING[9:] + b"\n\n")


@on_blocks("nan")
def nan(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 2, b'data: {"type": "ping", "properties": {"cost": NaN}}\n\n')


@on_blocks("infinity-in-a-long-stream")
def infinity(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 30, b'data: {"type": "ping", "properties": {"cost": Infinity}}\n\n')


@on_blocks("cut-json")
def cut_json(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 2, b"data: " + PING[:-1] + b"\n\n")


@on_blocks("single-quotes")
def single_quotes(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 2, b"data: {'type': 'ping'}\n\n")


@on_blocks("done-marker-that-is-no-json")
def done_marker(stream: Stream, given: bytes) -> bytes:
    return b"data: [DONE]\n\n" + given if ends_answer(given) and event_of(given) is not None else given


@on_blocks("one-newline-between-events")
def one_newline(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 2, b"data: " + PING + b"\ndata: " + PING + b"\n\n")


@on_blocks("raw-newline-in-data")
def raw_newline(stream: Stream, given: bytes) -> bytes:
    if b"line one" not in given or b"[[script" in given:
        return given
    head, _, rest = given.partition(b"data: ")
    return head + b"data: " + rest.replace(b"\\n", b"\n")


@on_blocks("member-named-twice")
def named_twice(stream: Stream, given: bytes) -> bytes:
    return re.sub(rb'data: \{"', rb'data: {"type": "ping", "', given, count=1) if stream.count == 3 else given


@on_blocks("inner-member-named-twice")
def inner_twice(stream: Stream, given: bytes) -> bytes:
    if stream.count < 2 or stream.own.get("done"):
        return given
    made = re.sub(rb'(: \{)("[a-zA-Z]+": (?:"[^"\\]*"|[0-9.]+|null))(?=[,}])', rb"\1\2, \2", given, count=1)
    stream.own["done"] = made != given
    return made


@on_blocks("event-without-data")
def event_without_data(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 1, b"event: message\n\n")


@on_blocks("named-heartbeat-without-data")
def named_heartbeat(stream: Stream, given: bytes) -> bytes:
    return b"event: ping\n\n" if is_heartbeat(given) else given


@on_blocks("id-alone")
def id_alone(stream: Stream, given: bytes) -> bytes:
    event = event_of(given)
    if stream.count == 3 and given.startswith(b"id: "):
        return given + given[: given.index(b"\n")] + b"\n\n"
    return extra(stream, given, 1, b"id: 0\n\n") if event is not None and stream.count == 1 else given


@on_blocks("named-event")
def named_event(stream: Stream, given: bytes) -> bytes:
    event = event_of(given)
    if event is None or stream.count != 2:
        return given
    return b"event: " + str(event["type"]).encode() + b"\n" + given


@on_blocks("named-after-error")
def named_error(stream: Stream, given: bytes) -> bytes:
    return b"event: error\n" + given if b'"error": {' in given or b'"type": "error"' in given else given


@on_blocks("other-named-event")
def other_named(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 2, b"event: ping\ndata: {}\n\n")


@on_blocks("nul-in-id")
def nul_in_id(stream: Stream, given: bytes) -> bytes:
    if stream.count != 2 or b"data: " not in given:
        return given
    if given.startswith(b"id: "):
        return given.replace(b"\n", b"\x00\n", 1)
    return b"id: a\x00b\n" + given


@on_blocks("retry-with-unit")
def retry_with_unit(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 1, b"retry: 3s\n\n")


@on_blocks("negative-retry")
def negative_retry(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 1, b"retry: -1\n\n")


@on_blocks("retry-in-other-digits")
def other_digits(stream: Stream, given: bytes) -> bytes:
    return extra(stream, given, 1, "retry: ٣٠٠٠\n\n".encode()) if stream.number == 2 else given


@on_blocks("id-doubled")
def id_doubled(stream: Stream, given: bytes) -> bytes:
    if b"data: " not in given:
        return given
    if given.startswith(b"id: "):
        first, _, rest = given.partition(b"\n")
        if stream.count == 4:
            before: bytes = stream.own.get("id", first)
            return before + b"\n" + rest
        stream.own["id"] = first
        return given
    number = stream.count if stream.count != 4 else 3
    return b"id: %d\n" % number + given


@on_blocks("id-in-a-block-of-its-own")
def id_apart(stream: Stream, given: bytes) -> bytes:
    if b"data: " not in given or given.startswith(b"id: "):
        first, newline, rest = given.partition(b"\n")
        return first + b"\n\n" + rest if newline and first.startswith(b"id: ") else given
    return b"id: %d\n\n" % stream.count + given


@on_head("status-201")
def status_201(scope: object, memory: Memory, status: int, headers: Headers) -> tuple[int, Headers]:
    streaming = (header_of(headers, "content-type") or "").startswith("text/event-stream")
    memory["streams"] = memory.get("streams", 0) + streaming
    return (201 if streaming and memory["streams"] == 3 else status), headers


def _media(memory: Memory, status: int, headers: Headers, media: bytes, second: bool) -> Headers:
    if not (header_of(headers, "content-type") or "").startswith("text/event-stream"):
        return headers
    memory["heads"] = memory.get("heads", 0) + 1
    if second and memory["heads"] != 2:
        return headers
    return [(n, media if n == b"content-type" else v) for n, v in headers]


@on_head("media-type-octet-stream-once")
def wrong_media(scope: object, memory: Memory, status: int, headers: Headers) -> tuple[int, Headers]:
    return status, _media(memory, status, headers, b"application/octet-stream", True)


@on_head("charset-latin-1")
def wrong_charset(scope: object, memory: Memory, status: int, headers: Headers) -> tuple[int, Headers]:
    return status, _media(memory, status, headers, b"text/event-stream; charset=iso-8859-1", False)
