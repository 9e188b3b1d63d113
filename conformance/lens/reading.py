"""What is played to a client, and what the client makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of 200 to play: content-decoded body bytes in the chunks in which they arrived, and its media type."""

    chunks: tuple[bytes, ...]
    content_type: str = "text/event-stream"

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join(self.chunks)

    @property
    def charset(self) -> str:
        """What the media type names, in lower case; "" if it names none."""
        message = Message()
        message["content-type"] = self.content_type
        return message.get_content_charset("") or ""


@dataclass(frozen=True, slots=True)
class Seen:
    """An event as a client hands it on; `id` is "" where the client gives none."""

    type: str
    data: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a client made of an answer.

    `late` counts the events that came only when the body had ended. `retry` is the reconnection time in the end
    (milliseconds; None: none was set, or the client does not tell). `refused` says why the client read nothing,
    "" if it read.
    """

    events: tuple[Seen, ...]
    late: int = 0
    retry: int | None = None
    refused: str = ""


class Missing(Exception):
    """A client that cannot take part, in one line: what is missing, and how to get it."""


class Client(Protocol):
    """A client, ready while it is entered. Entering raises `Missing` where its program is not there.

    `key` is its name in the list of deviations and on command lines, `version` that of the program ("" before it
    is entered, and where it has none), `tells_retry` whether it says which reconnection time was set.
    """

    key: str
    title: str
    version: str
    tells_retry: bool

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def read(self, answer: Answer) -> Reading:
        """Play the answer to the client."""


__all__ = ["Answer", "Client", "Missing", "Reading", "Seen"]
