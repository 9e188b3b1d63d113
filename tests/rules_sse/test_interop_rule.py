"""SSE-INT-01: what stock clients see of the same bytes is said, and never held against the server."""

from __future__ import annotations

import httpx
import httpx_sse
import pytest

from conformance.rules.interop import httpx_sse as offline
from tests.support.sse_cases import case, judged, transcript

CHAT = b'data: {"type": "chat", "content": "x", "dialog_id": "d"}'


def _notes(*pieces: bytes) -> tuple[str, ...]:
    judgement = judged("SSE-INT-01", case(transcript(*pieces)))
    assert judgement.findings == ()
    return judgement.notes


@pytest.mark.parametrize(
    "body",
    [CHAT + b"\n\n", b": c\n\n" + CHAT + b"\n\n", CHAT + b"\n\n" + CHAT[:9], "data: \u2028\n\n".encode()],
)
def test_plain_streams_are_the_same_to_everybody(body: bytes) -> None:
    assert _notes(body) == ()


@pytest.mark.parametrize(
    ("body", "client", "what"),
    [
        (CHAT + b"\r\n\r\n", "splits on LF LF", "no event at all"),
        (b"\xef\xbb\xbf" + CHAT + b"\n\n", "httpx-sse", "no event at all"),
        (b"id: 1\n\n" + CHAT + b"\n\n", "httpx-sse", "events without data"),
        (b"retry: 10\n\n" + CHAT + b"\n\n", "httpx-sse", "events without data"),
        (b"id: 1\n" + CHAT + b"\n\n: c\n\n", "httpx-sse", "events without data"),
    ],
)
def test_differences_are_named(body: bytes, client: str, what: str) -> None:
    assert any(client in note and what in note for note in _notes(body)), _notes(body)


def test_what_is_read_is_bounded_and_said() -> None:
    assert "the first 1048576 bytes" in _notes((CHAT + b"\n\n") * 40_000)[-1]


@pytest.mark.parametrize(
    "pieces",
    [
        (b"\xef\xbb\xbf" + CHAT + b"\n\n",),
        (b"id: 1\r", b"\n" + CHAT + b"\r\n", b"\r\n: c\r\n\r\n"),
        (b"event: x\rdata: \xf0\x9f", b"\x98\x80\r\rretry: +1\r\r"),
        (b"data\n\ndata:\ndata: y\n\n", b"", b"data: z\n"),
    ],
)
def test_our_reading_is_httpx_sses_own(pieces: tuple[bytes, ...]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=iter(pieces))

    with (
        httpx.Client(transport=httpx.MockTransport(answer)) as client,
        httpx_sse.connect_sse(client, "GET", "http://localhost/") as source,
    ):
        events = [(event.event, event.data) for event in source.iter_sse()]
    assert [(event.type, event.data) for event in offline(pieces)] == events
