"""Five real readers of the same bytes: each reads what the standard says, but for its listed deviations.

The list is schemas/deviations.json; `conformance.lens.model` is what it says, as code. Without any deviation that is
our decoder's reading, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from conformance.lens.compare import difference, same
from conformance.lens.deviations import Deviation, deviations, of
from conformance.lens.in_process import HttpxSse, Naive, Referee
from conformance.lens.model import modelled
from conformance.lens.reading import Answer, Client, Reading, Seen
from tests.support.commands import ROOT
from tests.support.lens_clients import OTHERWISE, TRICKY, browser, node, there
from tests.support.wire_reading import cut, vectors
from tests.support.wire_streams import cuts, streams

REFEREE, HTTPX, NAIVE = Referee(), HttpxSse(), Naive()
CHARSETS = st.sampled_from(["", "; charset=utf-8", "; charset=latin-1", "; charset=utf8", "; charset=cp1252"])


@pytest.fixture(scope="module")
def clients() -> Iterator[dict[str, Client]]:
    """Those that are always there, and the two that need a program."""
    with there(browser()) as chromium, there(node()) as parser:
        yield {client.key: client for client in (HTTPX, chromium, parser, NAIVE)}


@pytest.fixture(scope="module")
def parser() -> Iterator[Client]:
    with there(node()) as made:
        yield made


def as_listed(client: Client, answer: Answer) -> None:
    """The client reads exactly what its list says."""
    read = client.read(answer)
    assert same(read, modelled(answer, of(client.key)).reading, client), read


def answer_of(body: bytes, where: Sequence[int], charset: str = "") -> Answer:
    return Answer(tuple(cut(body, where)), f"text/event-stream{charset}")


@settings(max_examples=400, deadline=None)
@given(streams, cuts)
@example(b"data: a\r\rdata: b", [9])
def test_node_reads_the_standard_but_for_its_list(parser: Client, body: bytes, where: list[int]) -> None:
    as_listed(parser, answer_of(body, where))


@settings(max_examples=400, deadline=None)
@given(streams, cuts, CHARSETS)
def test_httpx_sse_reads_the_standard_but_for_its_list(body: bytes, where: list[int], charset: str) -> None:
    as_listed(HTTPX, answer_of(body, where, charset))


@settings(max_examples=100, deadline=None)
@given(streams, cuts)
def test_a_browser_reads_the_standard_but_for_its_list(
    clients: dict[str, Client], body: bytes, where: list[int]
) -> None:
    as_listed(clients["browser"], answer_of(body, where))


@settings(max_examples=400, deadline=None)
@given(streams, cuts)
def test_the_naive_client_reads_the_standard_but_for_its_list(body: bytes, where: list[int]) -> None:
    as_listed(NAIVE, answer_of(body, where))


@settings(max_examples=400, deadline=None)
@given(streams, cuts)
@example(b"id: 1\ndata: a\n\n\xef\xbb\xbf\n", [3])
@example(b"data: a\n\nretry: 1\rretry: +2\n", [])
def test_without_a_list_the_model_reads_what_the_referee_reads(body: bytes, where: list[int]) -> None:
    answer = answer_of(body, where)
    assert modelled(answer).reading == REFEREE.read(answer)


def test_the_vectors_through_a_browser(clients: dict[str, Client]) -> None:
    chromium = clients["browser"]
    for vector in vectors():
        if len(vector.body) > 65_536:
            continue
        as_listed(chromium, answer_of(vector.body, range(0, len(vector.body), 7)))


def test_the_vectors_through_the_others(clients: dict[str, Client]) -> None:
    for vector in vectors():
        answer = answer_of(vector.body, range(0, len(vector.body), 7))
        for key in ("httpx-sse", "eventsource-parser", "naive"):
            as_listed(clients[key], answer)


@pytest.mark.parametrize("name", TRICKY)
def test_a_tricky_stream_is_read_otherwise_as_listed(clients: dict[str, Client], name: str) -> None:
    answer = TRICKY[name]
    truth = REFEREE.read(answer)
    found = {}
    for key, client in clients.items():
        seen = difference(client, answer, client.read(answer), truth)
        if seen is not None:
            assert seen.deviations, f"{key} sees {seen.client}, not {seen.standard}: on no list"
            found[key] = seen.deviations
    assert found == OTHERWISE.get(name, {})


def test_what_is_tricky_shows_every_deviation() -> None:
    """The tricky streams are enough to see each entry of the list at work."""
    shown = {name for by_client in OTHERWISE.values() for names in by_client.values() for name in names}
    assert shown == {*deviations()}


@pytest.mark.parametrize("deviation", deviations().values(), ids=lambda deviation: deviation.id)
def test_each_deviation_still_shows_in_its_example(clients: dict[str, Client], deviation: Deviation) -> None:
    client, listed = clients[deviation.client], of(deviation.client)
    read = client.read(deviation.example)
    assert same(read, modelled(deviation.example, listed).reading, client)
    assert not same(read, modelled(deviation.example, {*listed} - {deviation.id}).reading, client)


def test_a_known_reading_of_each_client(clients: dict[str, Client]) -> None:
    """What the comparison rests on, spelled out once."""
    answer = Answer((b"retry: 5\nid: 1\ndata: a\n\nev", b"ent: e\ndata: b\ndata\n\n: c\n\n"))
    a, b, own = Seen("message", "a", "1"), Seen("e", "b\n", "1"), Seen("e", "b\n", "")
    assert REFEREE.read(answer) == Reading((a, b), retry=5)
    assert clients["httpx-sse"].read(answer) == Reading((a, b, Seen("message", "", "1")), retry=5)
    assert clients["browser"].read(answer) == Reading((a, b))
    assert clients["eventsource-parser"].read(answer) == Reading((a, own), retry=5)
    assert clients["naive"].read(answer) == Reading((a, own))


def test_an_event_that_is_held_back_is_seen_to_be(clients: dict[str, Client]) -> None:
    answer = Answer((b"data: a\r\r", b"data: b\r\r"))
    assert [clients[key].read(answer).late for key in ("httpx-sse", "browser")] == [1, 0]


@pytest.mark.parametrize(
    ("body", "key", "at"),
    [
        (
            b"data: a\n\n: x\n\nid: 1\ndata: b\n\n: ping\n\ndata: c\n\n",
            "httpx-sse",
            29,  # the block of the ping
        ),
        (b"data: a\n\ndata: b\r\n\r\ndata: c\n\n", "naive", 9),
        (b"\xef\xbb\xbfdata: a\n\n", "httpx-sse", 0),
        (b"data: a\n\ndata: b\r\r", "httpx-sse", 9),
        (b"data: a\n\ndata: b\r\r", "eventsource-parser", 9),
        ("data: é\n\nid: 1\ndata: b\n\ndata: c\n\n".encode(), "naive", 25),
        (b"data: a\n\n: x\nretry: +5\ndata: b\n\n", "httpx-sse", 13),
    ],
)
def test_the_first_difference_is_where_it_begins(
    clients: dict[str, Client], body: bytes, key: str, at: int
) -> None:
    answer, client = Answer((body,)), clients[key]
    found = difference(client, answer, client.read(answer), REFEREE.read(answer))
    assert found is not None
    assert found.at == at
    assert body[: found.at].endswith((b"\n", b"\r")) or found.at == 0


def test_a_reading_on_no_list_is_said_to_be() -> None:
    class Odd(Naive):
        key = "naive"

        def read(self, answer: Answer) -> Reading:
            return Reading((Seen("message", "made up"),))

    answer, odd = Answer((b"data: a\n\n",)), Odd()
    found = difference(odd, answer, odd.read(answer), REFEREE.read(answer))
    assert found is not None
    assert found.causes == ()
    assert (found.client, found.standard) == ("'message' with data 'made up'", "'message' with data 'a'")


def test_the_document_lists_the_same() -> None:
    document = (ROOT / "docs" / "deviations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| ", document, re.MULTILINE)
    assert sorted(rows) == sorted(deviations())
