"""The chat completions API: its requests, the chunks of a stream, and the object that answers without one."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from reference_server.model.answer import arguments, error_body, our_id, pieces, turn_of
from reference_server.model.conversation import BadRequestError, Due, Message, ModelRequest, text_of
from reference_server.script import ToolCall

Reasoning = Literal["both", "reasoning", "reasoning_content"]


class ChatApi:
    """`POST /v1/chat/completions`."""

    def __init__(self, reasoning: Reasoning = "both") -> None:
        self._reasoning = reasoning

    def read(self, data: object) -> ModelRequest:
        """From the parsed body. Raises `BadRequestError`."""
        if not isinstance(data, dict):
            raise BadRequestError("the body is not a JSON object")
        messages = data.get("messages")
        if not isinstance(messages, list) or not messages:
            raise BadRequestError("`messages` is not a list with at least one message")
        options = data.get("stream_options")
        return ModelRequest(
            model=str(data.get("model") or "scripted"),
            stream=data.get("stream") is True,
            include_usage=isinstance(options, dict) and options.get("include_usage") is True,
            messages=tuple(_message(item) for item in messages),
        )

    def answer(self, request: ModelRequest, due: Due, number: int) -> ChatAnswer:
        """The answer to model call `number`."""
        return ChatAnswer(number, request.model, self._reasoning, due.number, request.prompt_tokens)

    def finished(self, request: ModelRequest, due: Due, number: int) -> None:
        """Nothing is remembered: every request holds the whole conversation."""


@dataclass(slots=True)
class ChatAnswer:
    """One completion: its identity, and how much it has said so far.

    `reasoning` says in which members reasoning goes. `reasoning` is OpenRouter's name and
    `reasoning_content` DeepSeek's; clients read the one or else the other, so that both are read once.
    """

    number: int
    model: str
    reasoning: Reasoning = "both"
    turn: int = 0
    prompt_tokens: int = 0
    created: int = field(default_factory=lambda: int(time.time()))
    completion_tokens: int = 0

    def opening(self) -> bytes:
        """The frame with the role."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, kind: str, text: str) -> bytes:
        """The frame of one chunk; `kind` is "reasoning" or "text"."""
        return self._chunk({"content": text} if kind == "text" else self._reasoning(text))

    def end(self, calls: tuple[ToolCall, ...], *, usage: bool) -> list[bytes]:
        """The frames of the tool calls, and those that complete the answer."""
        frames = [each for index, call in enumerate(calls) for each in self._call(index, call)]
        frames.append(self._chunk({}, "tool_calls" if calls else "stop"))
        if usage:
            envelope = self._envelope("chat.completion.chunk")
            frames.append(_frame(envelope | {"choices": [], "usage": self.usage()}))
        return [*frames, b"data: [DONE]\n\n"]

    def failed(self, message: str) -> bytes:
        """The frame of an error."""
        return _frame(error_body(message, 500))

    def whole(
        self, text: str, reasoning: str, calls: tuple[ToolCall, ...], *, complete: bool
    ) -> dict[str, Any]:
        """The object that answers a request without a stream: its completion marker is why it finished."""
        message: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None}
        if reasoning:
            message |= self._reasoning(reasoning)
        if calls:
            message["tool_calls"] = [self._tool(i, call, arguments(call)) for i, call in enumerate(calls)]
        finish_reason = None if not complete else "tool_calls" if calls else "stop"
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
        return self._envelope("chat.completion") | {"choices": [choice], "usage": self.usage()}

    def usage(self) -> dict[str, int]:
        """Token counts: made up (a chunk, or four characters of the prompt), but the same each time."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }

    def _call(self, index: int, call: ToolCall) -> list[bytes]:
        """A head with the name, then the arguments in pieces."""
        head = {"index": index, **self._tool(index, call, "")}
        frames = [self._chunk({"tool_calls": [head]})]
        for piece in pieces(arguments(call)):
            frames.append(self._chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}))
        return frames

    def _tool(self, index: int, call: ToolCall, said: str) -> dict[str, Any]:
        identifier = our_id("call", self.number, self.turn, index)
        return {"id": identifier, "type": "function", "function": {"name": call.name, "arguments": said}}

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _frame(self._envelope("chat.completion.chunk") | {"choices": [choice]})

    def _envelope(self, kind: str) -> dict[str, Any]:
        identifier = f"chatcmpl-{self.number:08d}"
        return {"id": identifier, "object": kind, "created": self.created, "model": self.model}

    def _reasoning(self, text: str) -> dict[str, str]:
        names = ("reasoning", "reasoning_content") if self.reasoning == "both" else (self.reasoning,)
        return dict.fromkeys(names, text)


def _frame(data: object) -> bytes:
    """One server-sent event with this JSON, ASCII only."""
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def _message(item: object) -> Message:
    if not isinstance(item, Mapping):
        raise BadRequestError("a message is not a JSON object")
    calls = item.get("tool_calls")
    ids = [call.get("id") for call in calls if isinstance(call, Mapping)] if isinstance(calls, list) else []
    turns = frozenset(turn for each in ids if (turn := turn_of(each)) is not None)
    return Message(str(item.get("role")), text_of(item.get("content")), turns)
