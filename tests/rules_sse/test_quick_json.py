"""The quick reader of JSON reads what the strict one reads, or nothing: duplicates, large numbers, odd escapes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance import message as message_module
from conformance.message import Message, read_message, read_messages
from conformance.quick_json import quick_json, quick_jsons
from conformance.wire import Block, Decoder
from tests.support.generated_profile import examples

orjson = pytest.importorskip("orjson")

texts = st.text(max_size=6) | st.sampled_from(['"', '\\"', "\\", ":", '":', "\ud800", "\x00", "a", "type"])
numbers = (
    st.integers()
    | st.integers(-(2**66), 2**66)
    | st.floats(allow_nan=False)
    | st.sampled_from([2**63, 2**64, -(2**63), -(2**63) - 1, 10**400])
)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@st.composite
def json_texts(draw: st.DrawFn) -> bytes:
    """JSON as servers write it, now and then with a member twice, or spoilt."""
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")]))
    text = json.dumps(draw(values), ensure_ascii=draw(st.booleans()), separators=separators)
    if text.endswith("}") and draw(st.booleans()):
        name = json.dumps(draw(texts))
        text = f"{text[:-1]}{separators[0] if len(text) > 2 else ''}{name}{separators[1]}{json.dumps(draw(values))}}}"
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at] + draw(st.sampled_from(['"', "\\", "}", "\t", "NaN", "\\u0022", "00", "é"])) + text[at:]
        )
    return text.encode("utf-8", "replace")


def _block(data: bytes) -> Block:
    (block,) = Decoder().feed(b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n")
    return block


def _read(block: Block) -> tuple[Any, ...]:
    return _shown(read_message(block))


def _shown(read: Message) -> tuple[Any, ...]:
    # As text: NaN equals nothing, and 1 equals 1.0 and True.
    return repr(read.value), read.error, read.duplicates, read.type


@examples(400)
@given(json_texts())
def test_a_message_is_the_same_with_and_without(data: bytes) -> None:
    block = _block(data.replace(b"\r", b" "))
    with_it = _read(block)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(message_module, "quick_json", lambda data: None)
        assert _read(block) == with_it


@examples(400)
@given(st.lists(json_texts(), min_size=1, max_size=4))
def test_messages_are_the_same_together_and_alone(texts: list[bytes]) -> None:
    blocks = [_block(text.replace(b"\r", b" ")) for text in texts]
    alone = [_read(block) for block in blocks]
    assert [_shown(message) for message in read_messages(blocks)] == alone
    together = quick_jsons([block.data or b"" for block in blocks])
    assert together is None or [repr(value) for value in together] == [value for value, *_ in alone]


UNSURE = [
    b'{"a": 1, "a": 1}',
    b'{"a": {"b": "x", "c": 1, "b": "x"}}',
    b'{"a": "\\"", "a": 1}',
    b'{"a": "\\\\", "b": 1, "a": 2}',
    b'{"a": "\\u0022\\u0022", "a": 1}',
    b'[{"a": 1, "\\u0061": 2}]',
    b'{"a": 18446744073709551616}',
    b'{"a": [-9223372036854775809]}',
    b'{"a": 1e400}',
    b'{"a": "\\ud800"}',
    b'{"a": NaN}',
    b"[" * 2000 + b"]" * 2000,
    b"",
    b"1",
    b"null",
    b'\xef\xbb\xbf{"a": 1}',
    b'{"a": "\xff"}',
    b'{"a": "", "a": 1, "b": 1e5}',  # as much was dropped as would be added
]


@pytest.mark.parametrize("text", UNSURE)
def test_what_it_must_not_read(text: bytes) -> None:
    assert quick_json(text) is None
    assert quick_jsons([b'{"b": 1}', text, b'{"b": 1}']) is None


def test_several_texts_may_not_borrow_from_each_other() -> None:
    for texts in (
        [b"[1", b"2]"],
        [b"1", b"2"],
        [b'{"a": 1', b'"b": 2}'],
        [b'{"a": 1}, {"b": 2}', b""],
        [b"{}", b""],
    ):
        assert quick_jsons(texts) is None


@pytest.mark.parametrize(
    "text",
    [
        b'{"type": "chat", "content": "say \\"hi\\": now"}',
        b'{"a" : ":", "b": [1, 2.5, null, true, {"c": []}]}',
        b'{"a": 18446744073709551615, "b": -9223372036854775808}',
    ],
)
def test_what_it_reads(text: bytes) -> None:
    assert quick_json(text) == json.loads(text)


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" , ", " : ")])
def test_several_are_read_together_where_they_are_as_they_would_be_written(
    separators: tuple[str, str],
) -> None:
    made = [{"a": [1, 2.5, None, True, "x y"], "\u00e9": {"b": []}}, [], [{}], {"q": 'say "hi" \\ \n'}]
    texts = [json.dumps(value, ensure_ascii=False, separators=separators).encode() for value in made]
    assert quick_jsons(texts) == made
    assert quick_jsons([*texts, b'{"a": 1, "a": 1}']) is None
