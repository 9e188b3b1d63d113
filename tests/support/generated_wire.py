"""Events as bytes, in any way that the standard allows (WHATWG HTML §9.2.5): line ends, comments, fields, chunks."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from conformance.transcript import Chunk

Event = dict[str, Any]
BOM = b"\xef\xbb\xbf"


@dataclass(slots=True)
class Block:
    """The lines of one block without their ends; `event` is what its data says, None of a mere comment."""

    lines: list[bytes]
    event: Event | None = None

    @property
    def data(self) -> list[int]:
        """Where its data lines are."""
        return [n for n, line in enumerate(self.lines) if line.startswith(b"data:")]


@dataclass(frozen=True, slots=True)
class Layout:
    """How a stream is laid out. `endings` are used in turn; `cuts` are places of chunk borders, in thousandths.

    `comments` are the numbers of blocks before which a comment stands, `inside` those of blocks that hold one.
    `pretty` breaks JSON over several data lines, `seed` orders its members (None: as they are).
    """

    endings: tuple[bytes, ...] = (b"\n",)
    bom: bool = False
    ascii: bool = True
    space: bool = True
    pretty: bool = False
    seed: int | None = None
    named: bool = False
    comments: frozenset[int] = field(default_factory=frozenset)
    inside: frozenset[int] = field(default_factory=frozenset)
    cuts: tuple[int, ...] = ()
    single_bytes: bool = False


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Any legal layout; the plainest is the simplest."""
    if not draw(st.booleans()):
        return Layout()
    few = st.frozensets(st.integers(0, 12), max_size=3)
    return Layout(
        endings=draw(
            st.sampled_from([(b"\n",), (b"\r\n",), (b"\r",), (b"\n", b"\r\n", b"\r"), (b"\r", b"\n")])
        ),
        bom=draw(st.booleans()),
        ascii=draw(st.booleans()),
        space=draw(st.booleans()),
        pretty=draw(st.booleans()),
        seed=draw(st.none() | st.integers(0, 999)),
        named=draw(st.booleans()),
        comments=draw(few),
        inside=draw(few),
        cuts=tuple(draw(st.lists(st.integers(0, 1000), max_size=6))),
        single_bytes=draw(st.integers(0, 9)) == 9,
    )


def blocks(events: Sequence[Event], layout: Layout) -> list[Block]:
    """One block for each event, and those that are comments only. `_id` of an event is its `id` field."""
    made: list[Block] = []
    for number, event in enumerate(events):
        if number in layout.comments:
            made.append(Block([b": ping - \xe2\x80\xa8 " + str(number).encode()]))
        lines = [b"data:" + (b" " if layout.space else b"") + line for line in _json(event, layout)]
        if "_id" in event:
            lines.insert(0, f"id: {event['_id']}".encode())
        if layout.named:
            lines.append(b"event: message")
        if number in layout.inside:
            lines.insert(len(lines) // 2, b":")
        made.append(Block(lines, event))
    return made


def _json(event: Event, layout: Layout) -> list[bytes]:
    shown = {key: value for key, value in event.items() if not key.startswith("_")}
    if layout.seed is not None:
        shown = _shuffled(shown, random.Random(layout.seed))
    indent = 1 if layout.pretty else None
    return json.dumps(shown, ensure_ascii=layout.ascii, indent=indent).encode().split(b"\n")


def _shuffled(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict):
        names = list(value)
        chance.shuffle(names)
        return {name: _shuffled(value[name], chance) for name in names}
    return [_shuffled(item, chance) for item in value] if isinstance(value, list) else value


def join(made: Sequence[Block], layout: Layout) -> bytes:
    """The body. A lone LF never ends a blank line after a CR: the two would be one line end."""
    body = bytearray(BOM if layout.bom else b"")
    number = 0
    for block in made:
        for line in (*block.lines, b""):
            ending = layout.endings[number % len(layout.endings)]
            number += 1
            if not line and body.endswith(b"\r") and ending == b"\n":
                ending = b"\r"
            body += line + ending
    return bytes(body)


def chunks(body: bytes, layout: Layout, *, begin: float = 1.0, end: float = 2.0) -> tuple[Chunk, ...]:
    """The body cut where the layout says, its pieces spread evenly over that time (s)."""
    if layout.single_bytes and len(body) < 2_000:
        pieces = [body[at : at + 1] for at in range(len(body))]
    else:
        places = sorted(len(body) * cut // 1000 for cut in layout.cuts)
        pieces = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]
    pieces = [piece for piece in pieces if piece]
    step = (end - begin) / max(1, len(pieces))
    return tuple(Chunk(round(begin + step * number, 6), piece) for number, piece in enumerate(pieces))
