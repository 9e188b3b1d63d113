"""The agent: plays a script into abstract events that every protocol can show in its own words.

It behaves as an agent should: a refused model call that is announced as passing is tried again, one that
breaks off is an error, tools run inside the workspace, and it stops by itself after so many calls.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reference_server.script import Failure, Script, ToolCall
from reference_server.workspace import Workspace

MAX_CALLS = 25  # model calls in one prompt
MAX_ATTEMPTS = 6  # of one model call that is refused
BACKOFF = 0.05  # seconds before the first retry; it doubles
MAX_BACKOFF = 30.0  # seconds, whatever a model asks for


@dataclass(frozen=True, slots=True)
class CallBegan:
    """The model is called."""


@dataclass(frozen=True, slots=True)
class Reasoned:
    """A chunk of reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """A chunk of text."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolBegan:
    """A tool is about to run. `call` is unique within the prompt."""

    call: int
    name: str
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolEnded:
    """A tool has run: `error` is None or why it failed; `edited` the absolute path of the file it changed."""

    call: int
    output: str
    error: str | None = None
    edited: str | None = None
    diff: str | None = None  # unified


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The model has answered, and its tools have run. `tools`: whether it asked for any."""

    tools: bool


@dataclass(frozen=True, slots=True)
class Retrying:
    """A model call was refused and is tried again in `seconds`; `attempt` counts from 1."""

    attempt: int
    message: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The agent gives up; nothing follows."""

    message: str
    status: int | None = None


AgentEvent = CallBegan | Reasoned | Said | ToolBegan | ToolEnded | CallEnded | Retrying | Failed


async def play(script: Script, workspace: Workspace) -> AsyncGenerator[AgentEvent, None]:
    """What the agent does on a prompt, as it happens. `Failed` is always the last event."""
    calls = 0
    pace = script.pace_ms / 1000
    # a script that ends by itself is played to its end
    bound = max(MAX_CALLS, len(script.turns)) if script.repeat else len(script.turns) + 1
    for number in range(bound):
        turn = script.turn(number)
        yield CallBegan()
        failure = turn.error
        if failure is not None and failure.status is not None:
            for attempt in range(1, MAX_ATTEMPTS + 1):
                if failure.times is None or attempt == MAX_ATTEMPTS:
                    yield Failed(_clean(failure.message) or "the model refused the call", failure.status)
                    return
                if attempt > failure.times:
                    break
                seconds = _backoff(failure, attempt)
                yield Retrying(attempt, _clean(failure.message), seconds)
                await asyncio.sleep(seconds)
        if turn.stall_ms:
            await asyncio.sleep(turn.stall_ms / 1000)
        for kind, chunks in ((Reasoned, turn.reasoning_chunks()), (Said, turn.text_chunks())):
            for text in chunks:
                if text:  # an empty chunk says nothing, and no protocol shows it
                    if pace:
                        await asyncio.sleep(pace)
                    yield kind(_clean(text))
        if failure is not None and failure.in_stream:
            yield Failed(_clean(failure.message) or "the model failed in its answer")
            return
        if turn.cut is not None:
            how = "was reset" if turn.cut == "reset" else "ended without its completion marker"
            yield Failed(f"the connection to the model {how}")
            return
        started = [(calls + index, _clean_tool(tool)) for index, tool in enumerate(turn.tools)]
        calls += len(started)
        for call, tool in started:
            yield ToolBegan(call, tool.name, tool.args)
        for call, tool in started:
            done = workspace.run(tool)
            yield ToolEnded(call, done.output, done.error, done.edited, done.diff)
        yield CallEnded(bool(turn.tools))
        if not turn.tools:
            return
    yield Failed(f"the agent stopped after {bound} model calls")


def _backoff(failure: Failure, attempt: int) -> float:
    asked = failure.retry_after if failure.retry_after is not None else BACKOFF * 2 ** (attempt - 1)
    return min(float(asked), MAX_BACKOFF)


def _clean(text: str) -> str:
    # a lone surrogate is no character: no UTF-8 stream can carry it
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _clean_tool(tool: ToolCall) -> ToolCall:
    args = json.loads(_clean(json.dumps(tool.args, ensure_ascii=False)), parse_constant=_no_number)
    return replace(
        tool,
        name=_clean(tool.name),
        args=args,
        result=tool.result and _clean(tool.result),
        edits=tool.edits and _clean(tool.edits),
    )


def _no_number(name: str) -> None:
    """JSON's 1e999 is read as infinity, which JSON cannot write."""
