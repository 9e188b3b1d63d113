"""What the APIs of the scripted model share: how errors are worded, the ids of calls, and what an answer can do."""

from __future__ import annotations

import json
import re
from typing import Any, Protocol

from reference_server.model.conversation import Due, ModelRequest
from reference_server.script import ToolCall

_OUR_ID = re.compile(r"(?:call|fc|msg|rs)_\d{8,}_(\d+)_\d+")


def our_id(kind: str, call: int, turn: int, index: int) -> str:
    """The id of a part of an answer: `kind` ("call", "msg", …), the number of the model call, the script's turn, and
    which of its kind it is. From it the turn is known again when the client sends the part back."""
    return f"{kind}_{call:08d}_{turn}_{index}"


def turn_of(identifier: object) -> int | None:
    """The script's turn that made the part with this id, or None for ids that are not ours."""
    match = _OUR_ID.fullmatch(identifier) if isinstance(identifier, str) else None
    return int(match[1]) if match else None


def arguments(call: ToolCall) -> str:
    """A tool call's arguments: JSON in a string, as every API of OpenAI has them."""
    return json.dumps(dict(call.args))


def pieces(text: str) -> list[str]:
    """Up to three pieces."""
    size = len(text) // 3 + 1
    return [text[start : start + size] for start in range(0, len(text), size)]


def error_body(message: str, status: int) -> dict[str, Any]:
    """An error as OpenAI's API words it; its `code` is a string there."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": str(status)}}


class Answer(Protocol):
    """One answer of the model: its frames in a stream, or one object. The player counts its chunks in
    `completion_tokens`."""

    completion_tokens: int

    def opening(self) -> bytes:
        """What is sent at once, before the first chunk."""

    def piece(self, kind: str, text: str) -> bytes:
        """One chunk; `kind` is "reasoning" or "text"."""

    def end(self, calls: tuple[ToolCall, ...], *, usage: bool) -> list[bytes]:
        """The tool calls, and what completes the answer."""

    def failed(self, message: str) -> bytes:
        """An error in the stream."""

    def whole(
        self, text: str, reasoning: str, calls: tuple[ToolCall, ...], *, complete: bool
    ) -> dict[str, Any]:
        """The object that answers a request without a stream; `complete`: with its completion marker."""


class Api(Protocol):
    """One of the APIs: how its requests are read and answered."""

    def read(self, data: object) -> ModelRequest:
        """From the parsed body. Raises `BadRequestError`."""

    def answer(self, request: ModelRequest, due: Due, number: int) -> Answer:
        """The answer to model call `number`, nothing said yet."""

    def finished(self, request: ModelRequest, due: Due, number: int) -> None:
        """The client has the whole answer."""
