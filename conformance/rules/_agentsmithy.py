"""What the AgentSmithy rules share: which streams can be judged, and whether a script was heard at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from conformance.http_status import successful
from conformance.message import Message
from conformance.rules.base import Case, Stream
from conformance.rules.said import Said, said
from conformance.script import Script, ToolCall
from conformance.transcript import Action, Ended

# Of a script's text, the least share that must be heard before a difference is the stream's fault: below
# it, the target's model has not read the script at all.
_HEARD = 0.3


@dataclass(frozen=True, slots=True)
class Play:
    """A scripted prompt and the stream that answered it; `problem` says why there is nothing to judge."""

    action: Action
    script: Script
    stream: Stream | None
    problem: str = ""


def answered(exchange: Stream | None) -> str:
    """Why an exchange is no event stream, in words; "" if it is one."""
    if exchange is None:
        return "nothing was sent"
    head = exchange.transcript.head
    if head is None:
        return f"no answer ({exchange.transcript.ended})"
    if not successful(head.status):
        return f"the prompt was answered with HTTP {head.status}"
    if not exchange.transcript.is_event_stream:
        return f"the prompt was answered with {head.media_type or 'no media type'}, not with an event stream"
    return ""


def plays(case: Case, role: str | None = None) -> Iterator[Play]:
    """Every scripted prompt of the observation, in order; with `role`, those answered there."""
    for action in case.prompts(role):
        if action.script is None:
            continue
        stream = case.stream(action.stream)
        problem = answered(stream)
        yield Play(action, action.script, None if problem else stream, problem)


def events(stream: Stream, *types: str) -> Iterator[Message]:
    """The stream's events of these types, in order."""
    return (message for message in stream.read() if message.type in types)


def first(stream: Stream, kind: str) -> Message | None:
    """The stream's first event of that type."""
    return next(events(stream, kind), None)


def ended_early(stream: Stream) -> str:
    """Why the stream is exempt from completeness, in words; "" if it is not.

    A stream without `done` that we left, or that its deadline or cap ended, was still going on.
    """
    ended = stream.transcript.ended
    if ended in (Ended.CLOSED_BY_US, Ended.DEADLINE, Ended.CAPPED) and first(stream, "done") is None:
        return f"the stream had not come to its end ({ended})"
    return ""


def unheard(script: Script, text: str) -> str:
    """Why the target cannot have read the script, judging by its text; "" if it has or nobody can tell."""
    chunks = [chunk for turn in script.turns for chunk in turn.text_chunks if chunk.strip()]
    if not chunks or not text.strip():
        return ""
    heard = sum(len(chunk) for chunk in chunks if chunk.strip() in text)
    if heard >= _HEARD * sum(map(len, chunks)):
        return ""
    return "nothing of the script was heard: is its model the scripted one (script = false if it is not)?"


def whole(play: Play) -> tuple[Said, str]:
    """What was said in a turn that should have gone well, and why that cannot be judged ("" if it can)."""
    assert play.stream is not None
    heard = said(play.stream)
    if heard.errors:
        return heard, f"the target reported an error: {error_text(heard.errors[0])}"
    return heard, ended_early(play.stream) or unheard(play.script, heard.text)


def is_call(message: Message, call: ToolCall) -> bool:
    """Whether a `tool_call` event tells of that call: its name, and args that hold the scripted ones."""
    args = message.body.get("args")
    if message.body.get("name") != call.name or not isinstance(args, dict):
        return False
    return all(key in args and args[key] == value for key, value in call.args.items())


def error_text(message: Message) -> str:
    """The message of an `error` event, cut to a line."""
    return repr(message.body.get("error"))[:200]


def shown(value: Any, limit: int = 160) -> str:
    """A value as short JSON for a finding."""
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= limit else f"{text[:limit]}…"
