"""How the tests of the decoder feed it, and what they compare."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from conformance.wire import Block, DataDecoder, Decoder, Line, Tail
from tests.support.wire_spec import Interpretation, SpecEvent

VECTORS = Path(__file__).resolve().parents[2] / "schemas" / "vectors"


@dataclass(frozen=True)
class Read:
    """All that a block says, without the time at which it came."""

    index: int
    span: tuple[int, int]
    raw: bytes
    data: bytes | None
    event: bytes | None
    id: bytes | None
    retry: bytes | None
    lines: tuple[Line, ...]
    comments: tuple[bytes, ...]
    dispatch: tuple[int, SpecEvent] | None


@dataclass(frozen=True)
class Reading:
    """All that the decoder says of a body."""

    blocks: tuple[Read, ...]
    tail: Tail
    bom: bool


def read_block(block: Block) -> Read:
    """What the block says now."""
    event = block.dispatch
    return Read(
        block.index,
        (block.start, block.end),
        block.raw,
        block.data,
        block.event,
        block.id,
        block.retry,
        block.lines,
        block.comments,
        None if event is None else (event.index, SpecEvent(event.data, event.type, event.last_event_id)),
    )


def cut(body: bytes, cuts: Iterable[int]) -> list[bytes]:
    """The body in pieces, cut at those offsets."""
    edges = [0, *sorted(offset for offset in cuts if offset <= len(body)), len(body)]
    return [body[a:b] for a, b in pairwise(edges)]


def each_byte(body: bytes) -> list[bytes]:
    """The body byte by byte."""
    return [body[i : i + 1] for i in range(len(body))]


def read(chunks: Iterable[bytes]) -> Reading:
    """Feed them to a decoder; the blocks are looked at when all has been fed."""
    decoder = Decoder()
    blocks = [block for chunk in chunks for block in decoder.feed(chunk)]
    return Reading(tuple(read_block(block) for block in blocks), decoder.tail(), decoder.bom)


def read_data(chunks: Iterable[bytes]) -> list[bytes]:
    """Feed them to the decoder of data alone."""
    decoder = DataDecoder()
    return [data for chunk in chunks for data in decoder.feed(chunk)]


def meaning(reading: Reading) -> Interpretation:
    """What a client of the stream knows in the end."""
    made = Interpretation()
    for block in reading.blocks:
        if block.dispatch is not None:
            made.events.append(block.dispatch[1])
        if block.id is not None:
            made.last_event_id = block.id.decode("utf-8", "replace")
        if block.retry is not None:
            made.retry = int(block.retry)
    # A `retry` counts when its line ends: also in a block that never does.
    for line in reading.tail.raw.splitlines(keepends=True):
        name, _, value = line.rstrip(b"\r\n").partition(b":")
        value = value.removeprefix(b" ")
        if name == b"retry" and value.isdigit() and line.endswith((b"\r", b"\n")):
            made.retry = int(value)
    return made


@dataclass(frozen=True)
class Vector:
    """One form of one vector, and its result."""

    file: str
    name: str
    form: str
    body: bytes
    result: Interpretation

    def __str__(self) -> str:
        return f"{self.file}-{self.name}-{self.form}"


def vector_files() -> list[Path]:
    """The vector files, without their schema."""
    return sorted(path for path in VECTORS.glob("*.json") if not path.name.endswith(".schema.json"))


def as_bytes(value: Any) -> bytes:
    """The bytes that an input stands for."""
    return value.encode() if isinstance(value, str) else base64.b64decode(value["base64"], validate=True)


def vectors() -> Iterator[Vector]:
    """Every form of every vector."""
    for path in vector_files():
        for raw in json.loads(path.read_text(encoding="utf-8"))["vectors"]:
            events = [SpecEvent(e["data"], e["type"], e["lastEventId"]) for e in raw["events"]]
            result = Interpretation(events, raw["retry"], raw["lastEventId"])
            for form, body in raw["inputs"].items():
                yield Vector(path.stem, raw["name"], form, as_bytes(body), result)
