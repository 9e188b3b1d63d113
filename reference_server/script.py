"""Scripts: what the agent is to do in one prompt, written inside that prompt (docs/scripts.md).

This is the reference server's own reader of the grammar, used by the agent that it plays and by the
scripted model. The conformance harness has another one: neither imports the other's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, NoReturn, TypeVar

OPENING, CLOSING = "[[script ", "]]"
MAX_FILL = 64 * 1024 * 1024  # bytes of one chunk: a mistyped number must not take all memory
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_T = TypeVar("_T")

Path = tuple[str | int, ...]  # where in a script: ("turns", 0, "text", 2)


class ScriptError(ValueError):
    """A script that cannot be played. One line: where, what was expected, what was found.

    `path` leads to the offending value (empty for what is not JSON at all), so that a reader of YAML can
    name its line.
    """

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"script{_pointer(path)}: {problem}")


@dataclass(frozen=True, slots=True)
class Fill:
    """`times` chunks of `size` ASCII characters.

    The i-th (from 0) is i in eight digits, a space, then a to z repeated, cut to length.
    """

    size: int
    times: int

    def chunks(self) -> Iterator[str]:
        """The chunks one by one, each exactly `size` long; none is kept."""
        tail = " " + _LETTERS * (self.size // len(_LETTERS) + 1)
        for number in range(self.times):
            yield f"{number:08d}{tail}"[: self.size]


Chunk = str | Fill


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One tool call. `result`, `fails` and `edits` (an absolute path) are for a server that plays itself."""

    name: str
    args: Mapping[str, Any]
    result: str | None = None
    fails: bool = False
    edits: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A model call that fails: with `status` before any chunk, or `in_stream` after the turn's chunks.

    `retry_after` is in seconds. `times`: how often it fails before the turn's chunks come; None: always.
    """

    message: str
    status: int | None = None
    in_stream: bool = False
    retry_after: int | None = None
    times: int | None = None


@dataclass(frozen=True, slots=True)
class ModelTurn:
    """One model call: silence for `stall_ms`, then reasoning, then text, then tools.

    `cut` is "reset" (the connection is reset after the chunks), "close" (it ends without its marker) or None.
    """

    reasoning: tuple[Chunk, ...] = ()
    text: tuple[Chunk, ...] = ()
    tools: tuple[ToolCall, ...] = ()
    error: Failure | None = None
    cut: str | None = None
    stall_ms: int = 0

    def reasoning_chunks(self) -> Iterator[str]:
        """The reasoning as strings, fills written out one chunk at a time."""
        return expand(self.reasoning)

    def text_chunks(self) -> Iterator[str]:
        """The text as strings, fills written out one chunk at a time."""
        return expand(self.text)


# What a model says to a prompt without a script, and past a script's end.
CONSTANT = ModelTurn(text=("This is ", "a constant ", "answer."))
# The answer after a last turn with tools: nothing at all, which ends the agent's work.
EMPTY = ModelTurn()


@dataclass(frozen=True, slots=True)
class Script:
    """What the agent is to do in one prompt. `pace_ms`: pause before every chunk."""

    turns: tuple[ModelTurn, ...]
    pace_ms: int = 0
    repeat: bool = False

    def turn(self, number: int) -> ModelTurn:
        """What the model answers to its call `number` (from 0) of this prompt, also past the script's end."""
        if number < len(self.turns):
            return self.turns[number]
        if self.repeat:
            return self.turns[-1]
        return EMPTY if number == len(self.turns) and self.turns[-1].tools else CONSTANT


PLAIN = Script((CONSTANT,))


def expand(chunks: tuple[Chunk, ...]) -> Iterator[str]:
    """The chunks as strings, in order and lazily."""
    for chunk in chunks:
        if isinstance(chunk, Fill):
            yield from chunk.chunks()
        else:
            yield chunk


def read_directive(text: str) -> Script | None:
    """The script in a prompt, or None where there is no `[[script `. Raises `ScriptError` for a bad one.

    The first directive counts. The JSON may itself contain `]]`: one JSON value is decoded, then `]]` is
    expected.
    """
    start = text.find(OPENING)
    if start < 0:
        return None
    start += len(OPENING)
    while text[start : start + 1] in {" ", "\t", "\n", "\r"}:
        start += 1
    try:
        data, end = _decoder.raw_decode(text, start)
    except ScriptError:
        raise
    except RecursionError:
        raise ScriptError((), "the JSON is nested too deeply") from None
    except json.JSONDecodeError as error:
        at = error.pos - start
        raise ScriptError((), f"not JSON at character {at} after {OPENING!r}: {error.msg}") from None
    except ValueError as error:
        raise ScriptError((), f"not JSON: {' '.join(str(error).split())[:200]}") from None
    if not text[end:].lstrip(" \t\r\n").startswith(CLOSING):
        found = text[end : end + 20]
        raise ScriptError((), f"expected {CLOSING!r} after the JSON, found {found!r}")
    return parse_script(data)


def parse_script(data: object) -> Script:
    """A script from plain data (JSON or YAML). Raises `ScriptError`."""
    members = _object(data, (), required={"turns"}, optional={"pace_ms", "repeat"})
    turns = tuple(_list(members, (), "turns", _turn))
    if not turns:
        _fail(("turns",), "expected at least one turn")
    for index, turn in enumerate(turns[:-1]):
        if not turn.tools:
            _fail(("turns", index + 1), "a turn without tools is the last one, but this one follows it")
    return Script(turns, _whole(members, (), "pace_ms") or 0, _flag(members, (), "repeat"))


def _turn(data: object, path: Path) -> ModelTurn:
    names = {"reasoning", "text", "tools", "error", "cut", "stall_ms"}
    members = _object(data, path, required=set(), optional=names)
    cut = members.get("cut")
    if "cut" in members and cut not in ("reset", "close"):
        _fail((*path, "cut"), f'expected "reset" or "close", found {_show(cut)}')
    error = _failure(members["error"], (*path, "error")) if "error" in members else None
    turn = ModelTurn(
        reasoning=tuple(_list(members, path, "reasoning", _chunk)),
        text=tuple(_list(members, path, "text", _chunk)),
        tools=tuple(_list(members, path, "tools", _tool)),
        error=error,
        cut=cut,
        stall_ms=_whole(members, path, "stall_ms") or 0,
    )
    if error is not None and error.status is not None and error.times is None and len(members) > 1:
        other = sorted(set(members) - {"error"})[0]
        _fail((*path, other), 'a turn that always fails with a status has nothing beside "error"')
    if error is not None and error.in_stream and cut is not None:
        _fail((*path, "cut"), "a turn fails in its stream or is cut, not both")
    if turn.tools and (cut is not None or (error is not None and error.in_stream)):
        _fail((*path, "tools"), "a turn that breaks off after its chunks never comes to its tools")
    return turn


def _failure(data: object, path: Path) -> Failure:
    optional = {"status", "in_stream", "retry_after", "times"}
    members = _object(data, path, required={"message"}, optional=optional)
    message = _string(members, path, "message")
    status = _whole(members, path, "status", low=400, high=599)
    in_stream = _flag(members, path, "in_stream")
    if status is None and not in_stream:
        _fail(path, 'expected "status" or "in_stream"')
    if in_stream:
        for name in ("status", "retry_after", "times"):
            if name in members:
                _fail((*path, name), 'belongs to a refusal before the stream, not beside "in_stream"')
    retry_after = _whole(members, path, "retry_after")
    return Failure(message, status, in_stream, retry_after, _whole(members, path, "times", low=1))


def _tool(data: object, path: Path) -> ToolCall:
    members = _object(data, path, required={"name", "args"}, optional={"result", "fails", "edits"})
    name = _string(members, path, "name")
    if not name:
        _fail((*path, "name"), "expected a name, found an empty string")
    args = members["args"]
    if not isinstance(args, dict):
        _fail((*path, "args"), f"expected an object, found {_show(args)}")
    result = _string(members, path, "result") if "result" in members else None
    edits = _string(members, path, "edits") if "edits" in members else None
    if edits is not None and not (PurePosixPath(edits).is_absolute() or PureWindowsPath(edits).is_absolute()):
        _fail((*path, "edits"), f"expected an absolute path, found {_show(edits)}")
    return ToolCall(name, args, result, _flag(members, path, "fails"), edits)


def _chunk(data: object, path: Path) -> Chunk:
    if isinstance(data, str):
        return data
    if not isinstance(data, dict):
        _fail(path, f"expected a string or a fill, found {_show(data)}")
    members = _object(data, path, required={"fill", "times"}, optional=set())
    size = _whole(members, path, "fill", low=1, high=MAX_FILL)
    times = _whole(members, path, "times", low=1)
    assert size is not None
    assert times is not None
    return Fill(size, times)


def _object(data: object, path: Path, *, required: set[str], optional: set[str]) -> dict[str, Any]:
    if not isinstance(data, dict):
        _fail(path, f"expected an object, found {_show(data)}")
    allowed = required | optional
    for key in data:
        if key not in allowed:
            _fail(path, f"unknown key {_show(key)}; known: {', '.join(sorted(allowed))}")
    for key in sorted(required - data.keys()):
        _fail(path, f'"{key}" is missing')
    return data


def _list(
    members: Mapping[str, Any], path: Path, name: str, read: Callable[[object, Path], _T]
) -> Iterator[_T]:
    items = members.get(name, [])
    if not isinstance(items, list):
        _fail((*path, name), f"expected a list, found {_show(items)}")
    for index, item in enumerate(items):
        yield read(item, (*path, name, index))


def _string(members: Mapping[str, Any], path: Path, name: str) -> str:
    value = members[name]
    if not isinstance(value, str):
        _fail((*path, name), f"expected a string, found {_show(value)}")
    return value


def _flag(members: Mapping[str, Any], path: Path, name: str) -> bool:
    value = members.get(name, False)
    if not isinstance(value, bool):
        _fail((*path, name), f"expected true or false, found {_show(value)}")
    return value


def _whole(
    members: Mapping[str, Any], path: Path, name: str, *, low: int = 0, high: int | None = None
) -> int | None:
    if name not in members:
        return None
    value = members[name]
    # bool is an int in Python, not in JSON
    if (
        not isinstance(value, int)
        or isinstance(value, bool)
        or value < low
        or (high is not None and value > high)
    ):
        bounds = f"of at least {low}" if high is None else f"from {low} to {high}"
        _fail((*path, name), f"expected a whole number {bounds}, found {_show(value)}")
    return value


def _show(value: object) -> str:
    """A value in an error message: one line, and short."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        return f"a {type(value).__name__}"
    return text if len(text) <= 40 else text[:37] + "…"


def _pointer(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def _fail(path: Path, problem: str) -> NoReturn:
    raise ScriptError(path, problem)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ScriptError((), f"the key {_show(key)} stands twice in one object")
            seen.add(key)
    return members


def _no_constant(name: str) -> NoReturn:
    raise ScriptError((), f"{name} is not JSON")


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)
