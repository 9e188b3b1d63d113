"""SSE-INT-01: what stock clients see of the same bytes is said, and never held against the server."""

from __future__ import annotations

import pytest

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
    ("body", "client", "what", "name"),
    [
        (CHAT + b"\r\n\r\n", "splits on LF LF", "no event at all", "naive-lf-only"),
        (b"\xef\xbb\xbf" + CHAT + b"\n\n", "httpx-sse", "byte order mark", "httpx-mark-kept"),
        (b"id: 1\n\n" + CHAT + b"\n\n", "httpx-sse", "events without data", "httpx-event-without-data"),
        (b"retry: 10\n\n" + CHAT + b"\n\n", "httpx-sse", "events without data", "httpx-event-without-data"),
        (b"id: 1\n" + CHAT + b"\n\n: c\n\n", "httpx-sse", "events without data", "httpx-event-without-data"),
        (
            b"id: 1\n" + CHAT + b"\n\n" + CHAT + b"\n\n",
            "splits on LF LF",
            "id of its own block",
            "naive-own-id",
        ),
        (CHAT + b"\r\r", "httpx-sse", "holds an event back", "httpx-final-cr"),
    ],
)
def test_differences_are_named_with_their_deviation(body: bytes, client: str, what: str, name: str) -> None:
    assert any(client in note and what in note and f"({name})" in note for note in _notes(body)), _notes(body)


def test_each_is_named_once_whatever_the_stream() -> None:
    two = case(
        transcript(b"id: 1\n" + CHAT + b"\n\n: c\n\n"), transcript(b"id: 7\n" + CHAT + b"\n\n: d\n\n: e\n\n")
    )
    notes = judged("SSE-INT-01", two).notes
    assert len(notes) == 1


def test_what_is_read_is_bounded_and_said() -> None:
    assert "the first 1048576 bytes" in _notes((CHAT + b"\n\n") * 40_000)[-1]


def test_streams_without_events_are_passed_over() -> None:
    odd = b"id: 1\n" + CHAT + b"\n\n: c\n\n"
    found = judged("SSE-INT-01", case(b"", b": c\n\n", CHAT + b"\n\n", odd))
    assert found.judged == 2
    assert len(found.notes) == 1


def test_clients_read_the_first_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    one = CHAT + b"\n\n"
    monkeypatch.setattr("conformance.rules.interop.READ", 2 * len(one))
    assert _notes(one * 2) == _notes(one, one) == ()
    (note,) = _notes(one * 2 + b"\n")
    assert f"{2 * len(one)} bytes of {2 * len(one) + 1}" in note
    # What comes after is not compared.
    odd = b"id: 1\n" + CHAT + b"\n\n: c\n\n"
    assert len(_notes(one, one, odd)) == 1
    monkeypatch.setattr("conformance.rules.interop.READ", len(odd))
    assert len(_notes(odd, one)) == 2
