"""The clients that need no other program: the referee, httpx-sse, and one of the kind that people write themselves."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from types import TracebackType
from typing import Self

import httpx
from httpx_sse import EventSource, SSEError

from conformance.lens.model import MOST_RETRY, milliseconds
from conformance.lens.reading import Answer, Reading, Seen
from conformance.wire import Decoder, WireError


class _Here:
    """A client that is always there."""

    version = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return


class Referee(_Here):
    """Our own decoder: the standard."""

    key = "referee"
    title = "the standard"
    tells_retry = True

    def read(self, answer: Answer) -> Reading:
        """Every event that has come when the body ends; the decoder stops at its caps."""
        decoder = Decoder()
        seen: list[Seen] = []
        retry = None
        for chunk in answer.chunks:
            try:
                blocks = decoder.feed(chunk)
            except WireError:
                break
            for block in blocks:
                event = block.dispatch
                if event is not None:
                    seen.append(Seen(event.type, event.data, event.last_event_id))
                retry = retry if block.retry is None else milliseconds(block.retry.decode("ascii"))
        # What an unfinished block says of the reconnection time holds at once (§9.2.6).
        for line in decoder.tail().raw.splitlines(keepends=True):
            name, _, value = line.rstrip(b"\r\n").partition(b":")
            value = value.removeprefix(b" ")
            if name == b"retry" and line.endswith((b"\r", b"\n")) and value.isdigit():
                retry = milliseconds(value.decode("ascii"))
        return Reading(tuple(seen), retry=retry)


class HttpxSse(_Here):
    """`httpx_sse.EventSource` over httpx, as it is."""

    key = "httpx-sse"
    title = "httpx-sse"
    tells_retry = True
    version = version("httpx-sse")

    def read(self, answer: Answer) -> Reading:
        """What `iter_sse` yields; each event is asked for before the next chunk comes."""
        seen: list[Seen] = []
        retry = None
        before = 0

        def body() -> Iterator[bytes]:
            nonlocal before
            yield from answer.chunks
            before = len(seen)

        response = httpx.Response(200, headers={"content-type": answer.content_type}, content=body())
        try:
            for event in EventSource(response).iter_sse():
                seen.append(Seen(event.event or "message", event.data, event.id))
                retry = retry if event.retry is None else min(event.retry, MOST_RETRY)
        except (SSEError, UnicodeError) as error:
            return Reading(tuple(seen), retry=retry, refused=f"{type(error).__name__}: {error}")
        return Reading(tuple(seen), len(seen) - before, retry)


class Naive(_Here):
    r"""A client of ten lines: it splits at "\n\n", and joins what follows `data:`, as home-made ones do."""

    key = "naive"
    title = "a client that splits on LF LF"
    tells_retry = False

    def read(self, answer: Answer) -> Reading:
        """The events of all whole blocks."""
        seen: list[Seen] = []
        for block in answer.body.decode("utf-8", "replace").split("\n\n")[:-1]:
            fields = [line.partition(":") for line in block.split("\n")]
            said = {
                name: [v.removeprefix(" ") for n, _, v in fields if n == name]
                for name in ("data", "event", "id")
            }
            if said["data"]:
                last = {name: (values or [""])[-1] for name, values in said.items()}
                seen.append(Seen(last["event"] or "message", "\n".join(said["data"]), last["id"]))
        return Reading(tuple(seen))


__all__ = ["HttpxSse", "Naive", "Referee"]
