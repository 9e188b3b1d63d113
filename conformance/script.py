"""Scripts: what an agent is told to do, written inside the prompt (docs/scripts.md).

This is the harness's own reading of the grammar: it builds directives and says what a faithful server
must then stream. The reference server has a reader of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

OPENING, CLOSING = "[[script ", "]]"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Fill:
    """`times` chunks of `size` ASCII bytes; the i-th (from 0) is i in eight digits, a space, then a to z repeated."""

    size: int
    times: int

    def chunks(self) -> tuple[str, ...]:
        """The chunks, each exactly `size` characters long."""
        tail = _LETTERS * (self.size // len(_LETTERS) + 1)
        return tuple(f"{i:08d} {tail}"[: self.size] for i in range(self.times))


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One tool call; `result`, `fails` and `edits` are for servers that play themselves."""

    name: str
    args: Mapping[str, Any]
    result: str | None = None
    fails: bool = False
    edits: str | None = None  # absolute path of the file that the tool edits

    def to_data(self) -> dict[str, Any]:
        """The call as the grammar writes it."""
        data: dict[str, Any] = {"name": self.name, "args": dict(self.args)}
        if self.result is not None:
            data["result"] = self.result
        if self.fails:
            data["fails"] = True
        if self.edits is not None:
            data["edits"] = self.edits
        return data


@dataclass(frozen=True, slots=True)
class Failure:
    """A model call that fails: before any chunk with `status`, or after the chunks with `in_stream`."""

    message: str
    status: int | None = None
    in_stream: bool = False
    retry_after: int | None = None  # seconds
    times: int | None = None  # how often it fails before the chunks come; None: always

    def to_data(self) -> dict[str, Any]:
        """The error as the grammar writes it."""
        data: dict[str, Any] = {"message": self.message}
        if self.status is not None:
            data["status"] = self.status
        if self.in_stream:
            data["in_stream"] = True
        if self.retry_after is not None:
            data["retry_after"] = self.retry_after
        if self.times is not None:
            data["times"] = self.times
        return data


@dataclass(frozen=True, slots=True)
class ModelTurn:
    """One model call: reasoning, then text, then tools. `cut` is "reset" or "close"; `stall_ms` in milliseconds."""

    text: tuple[str | Fill, ...] = ()
    reasoning: tuple[str | Fill, ...] = ()
    tools: tuple[ToolCall, ...] = ()
    error: Failure | None = None
    cut: str | None = None
    stall_ms: int = 0

    def to_data(self) -> dict[str, Any]:
        """The turn as the grammar writes it; absent members are omitted."""
        data: dict[str, Any] = {}
        if self.reasoning:
            data["reasoning"] = [_chunk_to_data(chunk) for chunk in self.reasoning]
        if self.text:
            data["text"] = [_chunk_to_data(chunk) for chunk in self.text]
        if self.tools:
            data["tools"] = [tool.to_data() for tool in self.tools]
        if self.error is not None:
            data["error"] = self.error.to_data()
        if self.cut is not None:
            data["cut"] = self.cut
        if self.stall_ms:
            data["stall_ms"] = self.stall_ms
        return data

    @property
    def text_chunks(self) -> tuple[str, ...]:
        """The text chunks with fills written out."""
        return _expand(self.text)

    @property
    def said(self) -> str:
        """The text that this turn says when nothing fails."""
        return "".join(self.text_chunks)

    @property
    def reasoned(self) -> str:
        """The reasoning of this turn when nothing fails."""
        return "".join(_expand(self.reasoning))


@dataclass(frozen=True, slots=True)
class Script:
    """What the agent is to do in one prompt: model turns in order. `pace_ms` is the pause before every chunk."""

    turns: tuple[ModelTurn, ...]
    pace_ms: int = 0
    repeat: bool = False

    def to_data(self) -> dict[str, Any]:
        """The script as the grammar's JSON object."""
        data: dict[str, Any] = {"turns": [turn.to_data() for turn in self.turns]}
        if self.pace_ms:
            data["pace_ms"] = self.pace_ms
        if self.repeat:
            data["repeat"] = True
        return data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Script:
        """Read back what `to_data` wrote. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        return cls(
            tuple(_turn_from_data(turn) for turn in data["turns"]),
            pace_ms=data.get("pace_ms", 0),
            repeat=data.get("repeat", False),
        )

    def directive(self) -> str:
        """The `[[script {…}]]` to put into a prompt: ASCII only, so that no transport changes it."""
        return f"{OPENING}{json.dumps(self.to_data())}{CLOSING}"

    @property
    def said(self) -> str:
        """All text of all turns, joined, when nothing fails."""
        return "".join(turn.said for turn in self.turns)

    @property
    def reasoned(self) -> str:
        """All reasoning of all turns, joined, when nothing fails."""
        return "".join(turn.reasoned for turn in self.turns)

    @property
    def tools(self) -> tuple[ToolCall, ...]:
        """All tool calls of all turns, in order."""
        return tuple(tool for turn in self.turns for tool in turn.tools)

    @property
    def fails(self) -> bool:
        """Whether a model call in it fails or is cut."""
        return any(turn.error is not None or turn.cut is not None for turn in self.turns)

    @property
    def keeps_failing(self) -> bool:
        """Whether a model call in it fails or is cut however often it is tried again."""
        return any(
            turn.cut is not None or (turn.error is not None and turn.error.times is None)
            for turn in self.turns
        )


def say(*chunks: str | Fill, pace_ms: int = 0) -> Script:
    """A script of one text turn."""
    return Script((ModelTurn(text=chunks),), pace_ms=pace_ms)


def _expand(chunks: tuple[str | Fill, ...]) -> tuple[str, ...]:
    out: list[str] = []
    for chunk in chunks:
        out.extend(chunk.chunks() if isinstance(chunk, Fill) else (chunk,))
    return tuple(out)


def _chunk_to_data(chunk: str | Fill) -> Any:
    return {"fill": chunk.size, "times": chunk.times} if isinstance(chunk, Fill) else chunk


def _chunk_from_data(raw: Any) -> str | Fill:
    return raw if isinstance(raw, str) else Fill(raw["fill"], raw["times"])


def _turn_from_data(raw: Mapping[str, Any]) -> ModelTurn:
    error = raw.get("error")
    return ModelTurn(
        text=tuple(_chunk_from_data(chunk) for chunk in raw.get("text", ())),
        reasoning=tuple(_chunk_from_data(chunk) for chunk in raw.get("reasoning", ())),
        tools=tuple(
            ToolCall(t["name"], t["args"], t.get("result"), t.get("fails", False), t.get("edits"))
            for t in raw.get("tools", ())
        ),
        error=None if error is None else Failure(**error),
        cut=raw.get("cut"),
        stall_ms=raw.get("stall_ms", 0),
    )
