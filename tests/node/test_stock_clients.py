"""The same random streams, read by us, by Node's eventsource-parser and by httpx-sse.

Each client must read exactly what the standard says, changed by the deviations on its list and nothing else; and
without any deviation, that reading is our decoder's.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings

from tests.support.wire_clients import (
    NODE,
    ClientEvent,
    ClientReading,
    Deviation,
    NodeReader,
    deviations,
    httpx_as_it_is,
    httpx_by_list,
    names,
    node_by_list,
)
from tests.support.wire_reading import cut, meaning, read, vectors
from tests.support.wire_streams import cuts, streams

NODE_NAMES, HTTPX_NAMES = names("eventsource-parser"), names("httpx-sse")
EXAMPLES = [deviation for deviation in deviations() if deviation.client == "eventsource-parser"]
HTTPX_EXAMPLES = [deviation for deviation in deviations() if deviation.client == "httpx-sse"]


@pytest.fixture(scope="module")
def node() -> Iterator[NodeReader]:
    if shutil.which("node") is None or not (NODE / "node_modules" / "eventsource-parser").is_dir():
        pytest.skip(
            "Node's eventsource-parser is not installed: run `npm ci` in tests/node (Node 18 or later)"
        )
    with NodeReader(seconds=300) as reader:
        yield reader


@settings(max_examples=400, deadline=None)
@given(streams, cuts)
@example(b"data: a\r\rdata: b", [9])
def test_node_reads_the_standard_but_for_its_list(node: NodeReader, body: bytes, where: list[int]) -> None:
    chunks = cut(body, where)
    assert node.read(chunks) == node_by_list(chunks, NODE_NAMES)


@settings(max_examples=400, deadline=None)
@given(streams, cuts)
def test_httpx_sse_reads_the_standard_but_for_its_list(body: bytes, where: list[int]) -> None:
    chunks = cut(body, where)
    assert httpx_as_it_is(chunks) == httpx_by_list(chunks, HTTPX_NAMES)


@settings(max_examples=300, deadline=None)
@given(streams, cuts)
@example(b"id: 1\ndata: a\n\n\xef\xbb\xbf\n", [3])
def test_without_the_lists_both_read_what_we_read(body: bytes, where: list[int]) -> None:
    chunks = cut(body, where)
    reading = read(chunks)
    ours = [block.dispatch[1] for block in reading.blocks if block.dispatch is not None]
    by_httpx = httpx_by_list(chunks, ())
    assert [(e.type, e.data, e.id) for e in by_httpx.events] == [
        (e.type, e.data, e.last_event_id) for e in ours
    ]
    assert by_httpx.at_end == ()
    by_node = node_by_list(chunks, ())
    assert [(e.type, e.data, e.id or "") for e in by_node.events] == [
        (e.type, e.data, e.last_event_id) for e in ours
    ]
    assert (by_node.retries or (None,))[-1] == meaning(reading).retry


def test_the_vectors_through_node(node: NodeReader) -> None:
    for vector in vectors():
        chunks = cut(vector.body, range(0, len(vector.body), 7))
        assert node.read(chunks) == node_by_list(chunks, NODE_NAMES), vector


def test_the_vectors_through_httpx_sse() -> None:
    for vector in vectors():
        chunks = cut(vector.body, range(0, len(vector.body), 7))
        assert httpx_as_it_is(chunks) == httpx_by_list(chunks, HTTPX_NAMES), vector


@pytest.mark.parametrize("deviation", EXAMPLES, ids=lambda deviation: deviation.id)
def test_each_of_nodes_deviations_still_shows(node: NodeReader, deviation: Deviation) -> None:
    chunks = [deviation.example]
    assert node.read(chunks) == node_by_list(chunks, NODE_NAMES)
    assert node.read(chunks) != node_by_list(chunks, NODE_NAMES - {deviation.id})


@pytest.mark.parametrize("deviation", HTTPX_EXAMPLES, ids=lambda deviation: deviation.id)
def test_each_of_httpx_sses_deviations_still_shows(deviation: Deviation) -> None:
    chunks = [deviation.example]
    assert httpx_as_it_is(chunks) == httpx_by_list(chunks, HTTPX_NAMES)
    assert httpx_as_it_is(chunks) != httpx_by_list(chunks, HTTPX_NAMES - {deviation.id})


def test_a_known_reading_of_each_client(node: NodeReader) -> None:
    """What the comparison rests on, spelled out once."""
    chunks = [b"retry: 5\nid: 1\ndata: a\n\nev", b"ent: e\ndata: b\ndata\n\n"]
    assert node.read(chunks) == ClientReading(
        (ClientEvent("message", "a", "1"), ClientEvent("e", "b\n", None)), (), (5,)
    )
    assert httpx_as_it_is(chunks) == ClientReading(
        (ClientEvent("message", "a", "1", 5), ClientEvent("e", "b\n", "1"))
    )


def test_the_document_lists_the_same() -> None:
    document = (NODE.parents[1] / "docs" / "deviations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| ([a-z-]+) ", document, re.MULTILINE)
    assert sorted(rows) == sorted((deviation.id, deviation.client) for deviation in deviations())
