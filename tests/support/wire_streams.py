"""Hypothesis strategies for bodies of event streams: from almost right to plain bytes."""

from __future__ import annotations

from hypothesis import strategies as st

NAMES = [b"data", b"event", b"id", b"retry", b"", b"foo", b"Data", b" data", b"\xef\xbb\xbfdata", b"dat\x00a"]
VALUES = [
    b"",
    b" ",
    b"a",
    b"  b ",
    b"12",
    b"+1",
    b" 7",
    b"1\x002",
    b"x:y: z",
    b'{"type": "chat"}',
    b"data: q",
    "é€😀\u2028\u0085".encode(),
    b"\xff\xe2\x82",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"y" * 1500,  # longer than what the decoder treats as a long line
]
ENDINGS = [b"\n", b"\r\n", b"\r"]

values = st.sampled_from(VALUES) | st.binary(max_size=8).map(lambda b: b.translate(None, b"\r\n"))
fields = st.builds(
    lambda name, separator, value: name + separator + value,
    st.sampled_from(NAMES),
    st.sampled_from([b": ", b":", b""]),
    values,
)
plain = values.map(lambda value: b"data: " + value)
lines = st.one_of(plain, fields, st.just(b""))
contents = st.lists(
    st.one_of(plain.map(lambda line: [line, b""]), lines.map(lambda line: [line])), max_size=12
)
"""Lines without endings, blocks of one data line among them."""


def _joined(groups: list[list[bytes]], endings: list[bytes], mark: bytes, rest: bytes) -> bytes:
    flat = [line for group in groups for line in group]
    return mark + b"".join(line + endings[n % len(endings)] for n, line in enumerate(flat)) + rest


marks = st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf", b"\xef\xbb", b"\xef"])
rests = st.one_of(st.just(b""), lines, plain)
streams = st.one_of(
    # One kind of ending, as servers do it, or several.
    st.builds(_joined, contents, st.sampled_from(ENDINGS).map(lambda ending: [ending]), marks, rests),
    st.builds(_joined, contents, st.lists(st.sampled_from(ENDINGS), min_size=1, max_size=6), marks, rests),
    st.binary(max_size=40),
    st.lists(
        st.sampled_from([b"\n", b"\r", b":", b" ", b"data", b"id", b"\xef\xbb\xbf", b"a"]), max_size=30
    ).map(b"".join),
)


def _repeated(pattern: list[bytes], ending: bytes, times: int, odd: bytes, where: int, mark: bytes) -> bytes:
    block = b"".join(line + ending for line in pattern) + ending
    return mark + block * (where % times) + odd + block * (times - where % times)


regular = st.builds(
    _repeated,
    st.lists(
        st.one_of(plain, st.sampled_from([b"id: 7", b"event: e", b": c", b"data: b", b"x"])), max_size=3
    ),
    st.sampled_from(ENDINGS),
    st.integers(20, 200),
    st.one_of(streams, st.sampled_from([b"\n", b"\r\n", b"\r", b"data: q\n", b"data: q\r", b"data: q\r\n"])),
    st.integers(0, 200),
    marks,
)
"""Bodies of some kilobytes, of blocks that are all alike but for something odd in between."""

far_cuts = st.lists(st.integers(min_value=0, max_value=9000), max_size=5)
cuts = st.lists(st.integers(min_value=0, max_value=400), max_size=12)
