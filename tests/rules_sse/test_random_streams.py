"""Any valid stream, in any chunking, is accused of nothing, and every chunking gets the same judgement."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from conformance.transcript import Ended
from tests.support.generated_profile import examples
from tests.support.sse_cases import case, judged, transcript

GENERIC = (
    *(f"SSE-FMT-{number}" for number in ("01", "02", "03", "04a", "04b", "05", "06a", "06b")),
    *(f"SSE-EVT-{number}" for number in ("01a", "01b", "02a", "02b", "03a", "03b", "04")),
    "SSE-CON-03",
    "SSE-INT-01",
)

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
words = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=("Cs",)), max_size=8)


@st.composite
def blocks(draw: st.DrawFn, number: int) -> list[str]:
    """The lines of one legal block."""
    lines = []
    if draw(st.booleans()):
        text = json.dumps(draw(values), ensure_ascii=draw(st.booleans()), allow_nan=False)
        cut = draw(st.integers(0, len(text)))
        # A line end is white space between JSON's tokens only; elsewhere the text stays on one line.
        pieces = [text[:cut], text[cut:]] if text[cut - 1 : cut] in ("[", "{", ",") and cut else [text]
        if len(pieces) == 2 and not _is_json("\n".join(pieces), text):
            pieces = [text]
        lines += [draw(st.sampled_from(["data: ", "data:"])) + piece for piece in pieces]
        if draw(st.booleans()):
            lines.append(f"id: {number}{draw(words)}")
        if draw(st.booleans()):
            lines.append(draw(st.sampled_from(["event: message", "event:", "event"])))
    if draw(st.booleans()):
        lines.append(f"retry:{draw(st.integers(0, 10**9))}")
    if draw(st.booleans()):
        lines.insert(draw(st.integers(0, len(lines))), ":" + draw(words))
    return lines


def _is_json(text: str, like: str) -> bool:
    try:
        return bool(json.loads(text) == json.loads(like))
    except ValueError:
        return False


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A legal event stream: any line endings, an optional byte order mark."""
    body = draw(st.sampled_from(["", "\ufeff"]))
    endings = draw(st.sampled_from([["\n"], ["\r\n"], ["\r"], ["\n", "\r\n", "\r"]]))
    for number in range(draw(st.integers(0, 6))):
        # A CR before an LF is one line ending, so what follows a CR here never begins with an LF alone.
        for line in [*draw(blocks(number)), ""]:
            ending = draw(st.sampled_from(endings))
            if not line and body.endswith("\r") and ending == "\n":
                ending = "\r"
            body += line + ending
    return body.encode()


@st.composite
def chunkings(draw: st.DrawFn) -> list[bytes]:
    """A legal stream cut anywhere."""
    body = draw(streams())
    cuts = sorted(draw(st.lists(st.integers(0, len(body)), max_size=8)))
    return [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]


@examples(300)
@given(chunkings())
def test_valid_streams_are_never_accused(pieces: list[bytes]) -> None:
    of = case(transcript(*pieces))
    for requirement in GENERIC:
        assert judged(requirement, of).findings == (), requirement


@examples(150)
@given(chunkings(), st.integers(0, 400), st.sampled_from([e for e in Ended if e is not Ended.COMPLETE]))
def test_valid_streams_cut_anywhere_are_never_accused(pieces: list[bytes], cut: int, ended: Ended) -> None:
    body = b"".join(pieces)[:cut]
    of = case(transcript(body, ended=ended))
    for requirement in GENERIC:
        assert judged(requirement, of).findings == (), requirement


@examples(200)
@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_any_bytes_in_any_chunking_get_the_same_judgement(body: bytes, cuts: list[int]) -> None:
    cuts = sorted(min(cut, len(body)) for cut in cuts)
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    whole, cut = case(transcript(body)), case(transcript(*pieces))
    for requirement in GENERIC:
        if requirement != "SSE-INT-01":  # httpx-sse itself is not the same under every chunking
            assert judged(requirement, whole) == judged(requirement, cut), requirement
