"""Stock clients as they are, and as the list of deviations says they are: the standard with named changes."""

from __future__ import annotations

import base64
import codecs
import json
import re
import subprocess
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from httpx_sse import EventSource

NODE = Path(__file__).resolve().parents[1] / "node"


@dataclass(frozen=True)
class ClientEvent:
    """An event as a client hands it on. `id` and `retry`: None where the client gives none."""

    type: str
    data: str
    id: str | None
    retry: int | None = None


@dataclass(frozen=True)
class ClientReading:
    """What a client made of a body: events before the body's end was known, those that its end added."""

    events: tuple[ClientEvent, ...]
    at_end: tuple[ClientEvent, ...] = ()
    retries: tuple[int, ...] = ()


@dataclass(frozen=True)
class Deviation:
    """An entry of the list; its text is in docs/deviations.md too."""

    id: str
    client: str
    example: bytes


def deviations() -> tuple[Deviation, ...]:
    """The written list."""
    raw = json.loads((NODE / "deviations.json").read_text(encoding="utf-8"))
    return tuple(Deviation(d["id"], d["client"], d["example"].encode()) for d in raw["deviations"])


def names(client: str) -> frozenset[str]:
    """All deviations of a client."""
    return frozenset(deviation.id for deviation in deviations() if deviation.client == client)


def _lines(text: str) -> list[str]:
    return re.split("\r\n|\n|\r", text)[:-1]


def node_by_list(chunks: Sequence[bytes], listed: Collection[str]) -> ClientReading:
    """The standard with those of Node's deviations."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    texts = [decoder.decode(chunk) for chunk in chunks]
    if "node-latin1-mark" in listed and texts:
        texts[0] = texts[0].removeprefix("\u00ef\u00bb\u00bf")
    if "node-final-cr" in listed:
        # A chunk without a line ending is put aside unread, so that the CR before it still waits.
        while texts and not re.search("[\r\n]", texts[-1]):
            texts.pop()
        text = "".join(texts).removesuffix("\r")
    else:
        text = "".join(texts)
    events: list[ClientEvent] = []
    retries: list[int] = []
    kind, data, own_id, last_id = "", "", None, None
    for line in _lines(text):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            last_id = own_id if own_id is not None or "node-own-id" in listed else last_id
            if data:
                events.append(ClientEvent(kind or "message", data[:-1], last_id))
            kind, data, own_id = "", "", None
        elif name == "data":
            data += value + "\n"
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            own_id = value
        elif name == "retry" and re.fullmatch("[0-9]+", value):
            retries.append(int(value))
    return ClientReading(tuple(events), (), tuple(retries))


def httpx_by_list(chunks: Sequence[bytes], listed: Collection[str]) -> ClientReading:
    """The standard with those of httpx-sse's deviations."""
    text = b"".join(chunks).decode("utf-8", "replace")
    if "httpx-mark-kept" not in listed:
        text = text.removeprefix("\ufeff")
    now = text.removesuffix("\r") if "httpx-final-cr" in listed else text
    before = _httpx_events(_lines(now), listed)
    return ClientReading(tuple(before), tuple(_httpx_events(_lines(text), listed)[len(before) :]))


def _httpx_events(lines: list[str], listed: Collection[str]) -> list[ClientEvent]:
    events: list[ClientEvent] = []
    kind, data, last_id = "", "", ""
    retry: int | None = None
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data or ("httpx-event-without-data" in listed and (kind or last_id or retry is not None)):
                events.append(ClientEvent(kind or "message", data[:-1], last_id, retry))
            kind, data, retry = "", "", None
        elif name == "data":
            data += value + "\n"
        elif name == "event":
            kind = value
        elif name == "id" and "\0" not in value:
            last_id = value
        elif name == "retry" and (re.fullmatch("[0-9]+", value) or "httpx-retry-int" in listed):
            try:
                retry = int(value)
            except ValueError:
                continue
    return events


def httpx_as_it_is(chunks: Sequence[bytes]) -> ClientReading:
    """What `httpx_sse.EventSource` yields."""
    events: list[ClientEvent] = []
    before_end = 0

    def body() -> Iterator[bytes]:
        nonlocal before_end
        yield from chunks
        before_end = len(events)

    response = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body())
    for event in EventSource(response).iter_sse():
        events.append(ClientEvent(event.event, event.data, event.id, event.retry))
    return ClientReading(tuple(events[:before_end]), tuple(events[before_end:]))


class NodeReader:
    """One Node process that reads stream after stream; killed if it takes longer than `seconds` in all."""

    def __init__(self, seconds: float) -> None:
        self._process = subprocess.Popen(
            ["node", "reader.js"], cwd=NODE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._watchdog = threading.Timer(seconds, self._process.kill)
        self._watchdog.daemon = True
        self._watchdog.start()

    def __enter__(self) -> NodeReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watchdog.cancel()
        self._process.kill()
        self._process.communicate()

    def read(self, chunks: Sequence[bytes]) -> ClientReading:
        """What eventsource-parser calls back with."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"chunks": [base64.b64encode(chunk).decode("ascii") for chunk in chunks]}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        events = tuple(ClientEvent(event["type"], event["data"], event["id"]) for event in answer["events"])
        return ClientReading(events, (), tuple(answer["retries"]))
