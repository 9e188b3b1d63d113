"""The JSON of OpenAI's chat completions: chunks of a stream, and the object that answers without one."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from reference_server.script import ToolCall

DONE = b"data: [DONE]\n\n"
_CALL_ID = re.compile(r"call_\d{8,}_(\d+)_\d+")
Reasoning = Literal["both", "reasoning", "reasoning_content"]


def frame(data: object) -> bytes:
    """One server-sent event with this JSON, ASCII only."""
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def error_body(message: str, status: int) -> dict[str, Any]:
    """An error as OpenAI's API words it."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": status}}


def tool_call(call: ToolCall, identifier: str) -> dict[str, Any]:
    """A whole tool call; its arguments are JSON in a string."""
    function = {"name": call.name, "arguments": json.dumps(dict(call.args))}
    return {"id": identifier, "type": "function", "function": function}


def turn_of_call(identifier: object) -> int | None:
    """The script's turn that made the tool call with this id, or None for ids that are not ours."""
    match = _CALL_ID.fullmatch(identifier) if isinstance(identifier, str) else None
    return int(match[1]) if match else None


@dataclass(slots=True)
class Completion:
    """One answer: its identity, and what it has said so far.

    `turn` is the number of the script's turn; it stands in the ids of the tool calls (`turn_of_call`).
    `reasoning` says in which members reasoning goes. `reasoning` is OpenRouter's name and
    `reasoning_content` DeepSeek's; clients read the one or else the other, so that both are read once.
    """

    identifier: str
    model: str
    reasoning: Reasoning = "both"
    turn: int = 0
    prompt_tokens: int = 0
    created: int = field(default_factory=lambda: int(time.time()))
    completion_tokens: int = 0

    def role(self) -> bytes:
        """The frame that opens the answer."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, kind: str, text: str) -> bytes:
        """The frame of one chunk; `kind` is "reasoning" or "text"."""
        self.completion_tokens += 1
        if kind == "text":
            return self._chunk({"content": text})
        return self._chunk(self._reasoning(text))

    def tools(self, calls: tuple[ToolCall, ...]) -> list[bytes]:
        """The frames of the tool calls: a head with the name, then the arguments in up to three pieces."""
        frames = []
        for index, call in enumerate(calls):
            whole = tool_call(call, self._call_id(index))
            arguments = whole["function"]["arguments"]
            head = {"index": index, **whole, "function": {"name": call.name, "arguments": ""}}
            frames.append(self._chunk({"tool_calls": [head]}))
            size = len(arguments) // 3 + 1
            for start in range(0, len(arguments), size):
                function = {"arguments": arguments[start : start + size]}
                frames.append(self._chunk({"tool_calls": [{"index": index, "function": function}]}))
                self.completion_tokens += 1
        return frames

    def end(self, finish_reason: str, *, usage: bool) -> list[bytes]:
        """The frames that complete the answer."""
        frames = [self._chunk({}, finish_reason)]
        if usage:
            frames.append(
                frame(self._envelope("chat.completion.chunk") | {"choices": [], "usage": self.usage()})
            )
        return [*frames, DONE]

    def whole(
        self, text: str, reasoning: str, calls: tuple[ToolCall, ...], finish_reason: str | None
    ) -> dict[str, Any]:
        """The object that answers a request without a stream."""
        message: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None}
        if reasoning:
            message |= self._reasoning(reasoning)
        if calls:
            message["tool_calls"] = [tool_call(call, self._call_id(i)) for i, call in enumerate(calls)]
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason}
        return self._envelope("chat.completion") | {"choices": [choice], "usage": self.usage()}

    def usage(self) -> dict[str, int]:
        """Token counts: made up (a chunk, or four characters of the prompt), but the same each time."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return frame(self._envelope("chat.completion.chunk") | {"choices": [choice]})

    def _envelope(self, kind: str) -> dict[str, Any]:
        return {"id": self.identifier, "object": kind, "created": self.created, "model": self.model}

    def _reasoning(self, text: str) -> dict[str, str]:
        names = ("reasoning", "reasoning_content") if self.reasoning == "both" else (self.reasoning,)
        return dict.fromkeys(names, text)

    def _call_id(self, index: int) -> str:
        number = self.identifier.removeprefix("chatcmpl-")
        return f"call_{number}_{self.turn}_{index}"
