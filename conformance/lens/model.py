"""The standard, with named deviations: what a client that has exactly those would make of an answer.

This is how the list of deviations is more than prose. A client's reading is explained where some of its listed
deviations, and nothing else, give that very reading.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from conformance.lens.reading import Answer, Reading, Seen

MOST_RETRY = 2**53  # milliseconds; beyond that JavaScript counts in steps
_LINES = re.compile(r"\r\n|\n|\r")
_BYTE_LINES = re.compile(rb"\r\n|\n|\r")
_DIGITS = re.compile(r"[0-9]+\Z")
_MARK = "\ufeff"
_BYTE_MARK = _MARK.encode()
_LATIN1_MARK = "\u00ef\u00bb\u00bf"


@dataclass(frozen=True, slots=True)
class Modelled:
    """A reading that a model gave, and where in the body its parts are.

    `starts` has for each event the byte at which its block begins, `retry_at` the byte of the line that set the
    reconnection time. None where a charset leaves no way back from text to bytes.
    """

    reading: Reading
    starts: tuple[int | None, ...] = ()
    retry_at: int | None = None


def modelled(answer: Answer, listed: Collection[str] = ()) -> Modelled:
    """What a client with these deviations, by their ids, makes of the answer; without any, what the standard says."""
    if "browser-charset" in listed and answer.charset not in ("", "utf-8"):
        return Modelled(Reading((), refused="the connection fails"))
    if "browser-mark-then-line-end" in listed:
        answer = _overlooked(answer)
    try:
        text = _text(answer, listed)
    except UnicodeError as error:  # UTF-16 without a mark, say
        return Modelled(Reading((), refused=f"{type(error).__name__}: {error}"))
    lines = (text.split("\n") if "naive-lf-only" in listed else _LINES.split(text))[:-1]
    events = _Events(listed)
    for number, line in enumerate(lines):
        events.take(number, line)
    late = 0
    if "httpx-final-cr" in listed and text.endswith("\r") and lines and not lines[-1]:
        late = int(events.dispatched_at == len(lines) - 1)
    starts = _line_starts(answer, listed, len(lines))
    at = None if events.retry_at is None else starts[events.retry_at]
    return Modelled(
        Reading(tuple(events.seen), late, events.retry), tuple(starts[number] for number in events.blocks), at
    )


class _Events:
    """The interpretation of lines (§9.2.6), with what clients do otherwise where it is listed."""

    def __init__(self, listed: Collection[str]) -> None:
        self.seen: list[Seen] = []
        self.blocks: list[int] = []  # the first line of each event's block
        self.dispatched_at = -1  # the blank line of the newest event
        self.retry: int | None = None
        self.retry_at: int | None = None
        self._listed = listed
        self._own_id = bool({"node-own-id", "naive-own-id"} & {*listed})
        self._begin = 0  # the first line of the open block
        self._last_id = ""
        self._type = ""
        self._data: list[str] = []
        self._id = ""  # of the open block
        self._retry: tuple[int, int] | None = None  # the value and its line, in the open block

    def take(self, number: int, line: str) -> None:
        """The next line."""
        if not line:
            self._end(number)
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id" and ("\0" not in value or "naive-null-id" in self._listed):
            self._id = self._last_id = value
        elif name == "retry":
            self._reconnect(number, value)

    def _reconnect(self, number: int, value: str) -> None:
        if "httpx-retry-int" in self._listed:
            try:
                self._retry = (min(int(value), MOST_RETRY), number)
            except ValueError:
                return
        elif _DIGITS.match(value):
            self._retry = (milliseconds(value), number)
        else:
            return
        if "httpx-retry-with-event" not in self._listed:
            self.retry, self.retry_at = self._retry

    def _end(self, number: int) -> None:
        without_data = "httpx-event-without-data" in self._listed
        if self._data or (without_data and (self._type or self._last_id or self._retry is not None)):
            name = self._id if self._own_id else self._last_id
            self.seen.append(Seen(self._type or "message", "\n".join(self._data), name))
            self.blocks.append(self._begin)
            self.dispatched_at = number
        if self._retry is not None:
            self.retry, self.retry_at = self._retry
        self._begin = number + 1
        self._type, self._data, self._id, self._retry = "", [], "", None


def _overlooked(answer: Answer) -> Answer:
    """The answer in which a line end right after the mark is no line end."""
    body = answer.body
    if body[:3] != _BYTE_MARK or body[3:4] not in (b"\r", b"\n"):
        return answer
    return replace(answer, chunks=(body[:3], b"?", body[4:]))


def milliseconds(digits: str) -> int:
    """A reconnection time of ASCII digits, however many."""
    return MOST_RETRY if len(digits.lstrip("0")) > 16 else min(int(digits), MOST_RETRY)


def _text(answer: Answer, listed: Collection[str]) -> str:
    decoder = codecs.getincrementaldecoder(_codec(answer, listed))("replace")
    texts = [decoder.decode(chunk) for chunk in answer.chunks]
    if not {"httpx-mark-kept", "naive-mark-kept"} & {*listed}:
        _drop_mark(texts)
    if "node-latin1-mark" in listed and texts:
        texts[0] = texts[0].removeprefix(_LATIN1_MARK)
    if "node-final-cr" not in listed:
        return "".join(texts)
    # A chunk without a line ending is put aside unread, so that the CR before it still waits.
    while texts and not re.search("[\r\n]", texts[-1]):
        texts.pop()
    return "".join(texts).removesuffix("\r")


def _drop_mark(texts: list[str]) -> None:
    for index, text in enumerate(texts):
        if text:
            texts[index] = text.removeprefix(_MARK)
            return


def _codec(answer: Answer, listed: Collection[str]) -> str:
    if "httpx-charset" in listed and answer.charset:
        try:
            return codecs.lookup(answer.charset).name
        except LookupError:
            pass
    return "utf-8"


def _line_starts(answer: Answer, listed: Collection[str], lines: int) -> list[int | None]:
    """Where each line begins; in a charset that is no superset of ASCII nobody knows."""
    if "\r\n".encode(_codec(answer, listed)) != b"\r\n":
        return [None] * lines
    endings = (
        re.finditer(b"\n", answer.body) if "naive-lf-only" in listed else _BYTE_LINES.finditer(answer.body)
    )
    return [0, *(ending.end() for ending in endings)]


__all__ = ["MOST_RETRY", "Modelled", "milliseconds", "modelled"]
