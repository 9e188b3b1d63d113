"""The clients of the lens for tests: real ones, skipped by name where their program is missing; and tricky answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.lens.browser import Browser
from conformance.lens.node import Node
from conformance.lens.reading import Answer, Client, Missing

NODE_FOLDER = Path(__file__).resolve().parents[1] / "node"  # where `make test` installs eventsource-parser


@contextlib.contextmanager
def there(client: Client) -> Iterator[Client]:
    """The client, ready; skips the test where it is missing."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(client)
        except Missing as error:
            pytest.skip(str(error))
        yield client


def browser() -> Client:
    """Chromium."""
    return Browser()


def node() -> Client:
    """Node, with the parser that the tests' own folder has."""
    return Node(NODE_FOLDER)


# What is tricky in a stream, by what it is; the second entry of a pair is the media type.
TRICKY: dict[str, Answer] = {
    "plain": Answer((b"data: a\n\ndata: b\n\n",)),
    "byte order mark": Answer((b"\xef\xbb\xbfdata: a\n\ndata: b\n\n",)),
    "byte order mark in pieces": Answer((b"\xef", b"\xbb", b"\xbfdata: a\n\ndata: b\n\n")),
    "second byte order mark": Answer((b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n",)),
    "line end after a byte order mark": Answer((b"\xef\xbb\xbf\ndata: a\n\ndata: b\n\n",)),
    "CR": Answer((b"data: a\r\rdata: b\r\r",)),
    "CR, a chunk for each event": Answer((b"data: a\r\r", b"data: b\r\r")),
    "CRLF": Answer((b"data: a\r\n\r\ndata: b\r\n\r\n",)),
    "CRLF in pieces": Answer((b"data: a\r", b"\n\r", b"\ndata: b\r\n\r", b"\n")),
    "all line ends": Answer((b"data: a\n\rdata: b\r\n\ndata: c\r\r\n",)),
    "id with NUL": Answer((b"id: 1\ndata: a\n\nid: 2\x003\ndata: b\n\n",)),
    "NUL in data and type": Answer((b"event: x\x00y\ndata: a\x00b\n\n",)),
    "empty data": Answer((b"data:\n\ndata\n\ndata:\ndata:\n\n",)),
    "id without data": Answer((b"id: 1\n\ndata: a\n\n: ping\n\ndata: b\n\n",)),
    "id given up": Answer((b"id: 1\ndata: a\n\nid\ndata: b\n\ndata: c\n\n",)),
    "odd reconnection times": Answer((b"retry: 10\nretry: +5\nretry: 1_0\nretry: -1\nretry:\ndata: a\n\n",)),
    "endless reconnection time": Answer((b"retry: " + b"9" * 40 + b"\ndata: a\n\n",)),
    "reconnection time alone": Answer((b"retry: 10\n\ndata: a\n\n",)),
    "reconnection time in an unfinished block": Answer((b"data: a\n\nretry: 10\n",)),
    "odd types": Answer(
        (b"event: error\ndata: a\n\nevent: open\ndata: b\n\nevent:\ndata: c\n\nevent:  two\ndata: d\n\n",)
    ),
    "type without data": Answer((b"event: e\n\ndata: a\n\n",)),
    "latin-1": Answer(("data: é\n\n".encode(),), "text/event-stream; charset=latin-1"),
    "UTF-16": Answer(("data: é\n\n".encode(),), "text/event-stream; charset=utf-16"),
    "utf8": Answer(("data: é\n\n".encode(),), "text/event-stream; charset=utf8"),
    "UTF-8 in quotes": Answer(("data: é\n\n".encode(),), 'text/event-stream;Charset="UTF-8";x=y'),
    "unknown charset": Answer((b"data: a\n\n",), "text/event-stream; charset=bogus"),
    "other separators": Answer(("data: a\u2028b\u2029c\x85d\x0be\x0cf\n\n".encode(),)),
    "not UTF-8": Answer((b"data: \xff\xe2\x82 \xed\xa0\x80\n\n",)),
    "character in pieces": Answer((b"data: \xf0\x9f", b"\x98\x80\n\n")),
    "unfinished block": Answer((b"data: a\n\ndata: b\n",)),
    "comment only": Answer((b": hello\n\n: world\n\n",)),
    "nothing": Answer(()),
    "mark in Latin-1": Answer(("\u00ef\u00bb\u00bfdata: a\n\ndata: b\n\n".encode(),)),
}
# What every client sees otherwise of them, by the list; of the others nobody sees anything otherwise.
OTHERWISE: dict[str, dict[str, tuple[str, ...]]] = {
    "byte order mark": {"httpx-sse": ("httpx-mark-kept",), "naive": ("naive-mark-kept",)},
    "byte order mark in pieces": {"httpx-sse": ("httpx-mark-kept",), "naive": ("naive-mark-kept",)},
    "second byte order mark": {"httpx-sse": ("httpx-mark-kept",), "naive": ("naive-mark-kept",)},
    "line end after a byte order mark": {"browser": ("browser-mark-then-line-end",)},
    "CR": {
        "httpx-sse": ("httpx-final-cr",),
        "eventsource-parser": ("node-final-cr",),
        "naive": ("naive-lf-only",),
    },
    "CR, a chunk for each event": {
        "httpx-sse": ("httpx-final-cr",),
        "eventsource-parser": ("node-final-cr",),
        "naive": ("naive-lf-only",),
    },
    "CRLF": {"naive": ("naive-lf-only",)},
    "CRLF in pieces": {"naive": ("naive-lf-only",)},
    "all line ends": {"naive": ("naive-lf-only",)},
    "id with NUL": {"eventsource-parser": ("node-own-id",), "naive": ("naive-null-id",)},
    "id without data": {
        "httpx-sse": ("httpx-event-without-data",),
        "eventsource-parser": ("node-own-id",),
        "naive": ("naive-own-id",),
    },
    "odd reconnection times": {"httpx-sse": ("httpx-retry-int",)},
    "reconnection time alone": {"httpx-sse": ("httpx-event-without-data",)},
    "reconnection time in an unfinished block": {"httpx-sse": ("httpx-retry-with-event",)},
    "type without data": {"httpx-sse": ("httpx-event-without-data",)},
    "latin-1": {"httpx-sse": ("httpx-charset",), "browser": ("browser-charset",)},
    "UTF-16": {"httpx-sse": ("httpx-charset",), "browser": ("browser-charset",)},
    "utf8": {"browser": ("browser-charset",)},
    "unknown charset": {"browser": ("browser-charset",)},
    "mark in Latin-1": {"eventsource-parser": ("node-latin1-mark",)},
}

__all__ = ["NODE_FOLDER", "OTHERWISE", "TRICKY", "browser", "node", "there"]
