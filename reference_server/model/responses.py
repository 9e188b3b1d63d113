"""The Responses API: its requests, the events of a stream, and the object that answers without one.

Shapes as in OpenAI's reference ("Responses", "Streaming events"); what a client may leave unread (logprobs, tools
echoed back) is there and empty.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from reference_server.model.answer import arguments, our_id, pieces, turn_of
from reference_server.model.conversation import BadRequestError, Due, Message, ModelRequest, text_of
from reference_server.script import ToolCall

MAX_REMEMBERED = 1_000  # responses that a later request may continue by `previous_response_id`
_SPOKEN = ("function_call", "custom_tool_call", "reasoning")  # items that are parts of an answer of the model


class ResponsesApi:
    """`POST /v1/responses`. The newest responses are remembered, for requests that continue one."""

    def __init__(self) -> None:
        self._remembered: OrderedDict[str, tuple[Message, ...]] = OrderedDict()

    def read(self, data: object) -> ModelRequest:
        """From the parsed body. Raises `BadRequestError`."""
        if not isinstance(data, dict):
            raise BadRequestError("the body is not a JSON object")
        before: tuple[Message, ...] = ()
        if (previous := data.get("previous_response_id")) is not None:
            if previous not in self._remembered:
                raise BadRequestError(
                    f"`previous_response_id`: no response {str(previous)[:80]!r} is remembered"
                )
            before = self._remembered[previous]
        if isinstance(instructions := data.get("instructions"), str):
            before = (Message("system", instructions), *before)
        return ModelRequest(
            model=str(data.get("model") or "scripted"),
            stream=data.get("stream") is True,
            include_usage=True,
            messages=before + _messages(data.get("input")),
        )

    def answer(self, request: ModelRequest, due: Due, number: int) -> ResponsesAnswer:
        """The answer to model call `number`."""
        return ResponsesAnswer(number, request.model, due.number, request.prompt_tokens)

    def finished(self, request: ModelRequest, due: Due, number: int) -> None:
        """Remember the conversation. Instructions hold for one response only (as OpenAI's reference says)."""
        said = Message("assistant", "".join(due.turn.text_chunks()), frozenset({due.number}))
        conversation = tuple(message for message in request.messages if message.role != "system")
        self._remembered[_response_id(number)] = (*conversation, said)
        while len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)


@dataclass(slots=True)
class _Item:
    """An item of the output that is being said: its finished form without the text, and the text so far."""

    kind: str  # "reasoning" or "text"
    data: dict[str, Any]
    index: int
    said: list[str] = field(default_factory=list)


@dataclass(slots=True)
class ResponsesAnswer:
    """One response: its identity, and what it has said so far."""

    number: int
    model: str
    turn: int = 0
    prompt_tokens: int = 0
    created: int = field(default_factory=lambda: int(time.time()))
    completion_tokens: int = 0
    _sequence: int = 0
    _output: list[dict[str, Any]] = field(default_factory=list)
    _open: _Item | None = None

    def opening(self) -> bytes:
        """The response is created, and in progress."""
        response = self._response("in_progress")
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def piece(self, kind: str, text: str) -> bytes:
        """One chunk of reasoning (its summary) or text; the first of a kind opens its item."""
        frames = b""
        if self._open is None or self._open.kind != kind:
            frames = self._close() + self._begin(kind)
        assert self._open is not None
        self._open.said.append(text)
        if kind == "text":
            return frames + self._part_event("response.output_text.delta", delta=text, logprobs=[])
        return frames + self._part_event("response.reasoning_summary_text.delta", delta=text)

    def end(self, calls: tuple[ToolCall, ...], *, usage: bool) -> list[bytes]:
        """The tool calls, and the completed response. An answer that says nothing is an empty message."""
        frames = [self._close()]
        if not self._output and not calls:
            frames += [self._begin("text"), self._close()]
        frames += [self._call(index, call) for index, call in enumerate(calls)]
        frames.append(self._event("response.completed", response=self._response("completed")))
        return frames

    def failed(self, message: str) -> bytes:
        """The error, and the failed response: the API sends both."""
        error = {"code": "server_error", "message": message, "param": None}
        detail = {**error, "type": "server_error"}
        response = self._response("failed") | {"error": {"code": "server_error", "message": message}}
        return self._event("error", **error, error=detail) + self._event("response.failed", response=response)

    def whole(
        self, text: str, reasoning: str, calls: tuple[ToolCall, ...], *, complete: bool
    ) -> dict[str, Any]:
        """The object that answers a request without a stream; an incomplete one is still "in_progress"."""
        for kind, said in (("reasoning", reasoning), ("text", text)):
            if said:
                self.piece(kind, said)
        self.end(calls, usage=True)  # its output is what a stream's would be
        return self._response("completed" if complete else "in_progress")

    # --- items of the output

    def _begin(self, kind: str) -> bytes:
        index = len(self._output)
        if kind == "text":
            identifier = our_id("msg", self.number, self.turn, index)
            data = {
                "id": identifier,
                "type": "message",
                "role": "assistant",
                "status": "in_progress",
                "content": [],
            }
        else:
            data = {"id": our_id("rs", self.number, self.turn, index), "type": "reasoning", "summary": []}
        self._open = _Item(kind, data, index)
        added = self._event("response.output_item.added", output_index=index, item=data)
        if kind == "text":
            return added + self._part_event("response.content_part.added", part=_output_text(""))
        return added + self._part_event("response.reasoning_summary_part.added", part=_summary_text(""))

    def _close(self) -> bytes:
        """Finish the item that is being said, if one is."""
        item = self._open
        if item is None:
            return b""
        text = "".join(item.said)
        if item.kind == "text":
            part = _output_text(text)
            frames = self._part_event("response.output_text.done", text=text, logprobs=[])
            frames += self._part_event("response.content_part.done", part=part)
            done = item.data | {"status": "completed", "content": [part]}
        else:
            part = _summary_text(text)
            frames = self._part_event("response.reasoning_summary_text.done", text=text)
            frames += self._part_event("response.reasoning_summary_part.done", part=part)
            done = item.data | {"summary": [part]}
        self._open = None
        self._output.append(done)
        return frames + self._event("response.output_item.done", output_index=item.index, item=done)

    def _call(self, index: int, call: ToolCall) -> bytes:
        at = len(self._output)
        said = arguments(call)
        done = {
            "id": our_id("fc", self.number, self.turn, index),
            "type": "function_call",
            "status": "completed",
            "call_id": our_id("call", self.number, self.turn, index),
            "name": call.name,
            "arguments": said,
        }
        item = {"item_id": done["id"], "output_index": at}
        begun = done | {"status": "in_progress", "arguments": ""}
        frames = [self._event("response.output_item.added", output_index=at, item=begun)]
        for piece in pieces(said):
            frames.append(self._event("response.function_call_arguments.delta", **item, delta=piece))
        frames.append(
            self._event("response.function_call_arguments.done", **item, name=call.name, arguments=said)
        )
        frames.append(self._event("response.output_item.done", output_index=at, item=done))
        self._output.append(done)
        return b"".join(frames)

    # --- events

    def _part_event(self, kind: str, **members: Any) -> bytes:
        """An event about the one part of the item that is being said."""
        assert self._open is not None
        within = "content_index" if self._open.kind == "text" else "summary_index"
        where = {"item_id": self._open.data["id"], "output_index": self._open.index, within: 0}
        return self._event(kind, **where, **members)

    def _event(self, kind: str, **members: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._sequence, **members}
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps(data, separators=(",", ":")).encode())

    def _response(self, status: str) -> dict[str, Any]:
        """The response as it is now; token counts are made up, but the same each time."""
        usage = {
            "input_tokens": self.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": self.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }
        return {
            "id": _response_id(self.number),
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": self.model,
            "output": list(self._output),
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": usage if status != "in_progress" else None,
        }


def _response_id(number: int) -> str:
    return f"resp_{number:08d}"


def _output_text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _summary_text(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}


def _messages(given: object) -> tuple[Message, ...]:
    """The conversation in `input`: a string, or a list of items.

    An answer of the model is several items (reasoning, a message, function calls); they make one message, so that
    answers can be counted. Its items may come back as references by id.
    """
    if isinstance(given, str):
        return (Message("user", given),)
    if not isinstance(given, list) or not given:
        raise BadRequestError("`input` is not a string or a list with at least one item")
    messages: list[Message] = []
    for item in given:
        if not isinstance(item, Mapping):
            raise BadRequestError("an item of `input` is not a JSON object")
        message = _item(item)
        if message is None:
            continue
        last = messages[-1] if messages else None
        if (
            last is not None
            and message.role == last.role == "assistant"
            and _same_answer(last, message, item)
        ):
            text = "\n".join(text for text in (last.text, message.text) if text)
            messages[-1] = replace(last, text=text, turns=last.turns | message.turns)
        else:
            messages.append(message)
    return tuple(messages)


def _same_answer(last: Message, message: Message, item: Mapping[str, Any]) -> bool:
    """Whether an item goes on with the answer before it: by its turn, else because a call follows its text."""
    if last.turns and message.turns:
        return last.turns == message.turns
    return item.get("type") in _SPOKEN


def _item(item: Mapping[str, Any]) -> Message | None:
    """One item as a message; None for what says nothing about the conversation."""
    kind = item.get("type", "message")
    turns = frozenset(turn for name in ("id", "call_id") if (turn := turn_of(item.get(name))) is not None)
    if kind == "message":
        return Message(str(item.get("role")), text_of(item.get("content")), turns)
    if kind in _SPOKEN or kind == "item_reference":
        spoken = kind in ("function_call", "custom_tool_call") or turns
        return Message("assistant", "", turns) if spoken else None
    if str(kind).endswith("_output"):
        return Message("tool", text_of(item.get("output")))
    return None
