"""OpenCode's words for what the agent does: abstract events in, protocol events out. No I/O but the clock.

The shapes are those of OpenCode 1.18: messages are nested in `message.updated`, a part comes whole in
`message.part.updated` when it begins and when it ends, and `message.part.delta` says what was added in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from reference_server.agent import (
    AgentEvent,
    CallBegan,
    CallEnded,
    Failed,
    Reasoned,
    Retrying,
    Said,
    ToolBegan,
    ToolEnded,
)
from reference_server.ids import Ids
from reference_server.session import Event, Json, Prompt, Session, now

PROVIDER, MODEL = "reference", "scripted"
VERSION = "1.18.33"  # of the server whose shapes these are
PROJECT = "reference"


def info(session: Session) -> Json:
    """The session as routes answer it and `session.*` events carry it."""
    parent = {} if session.parent is None else {"parentID": session.parent}
    return {
        "id": session.id,
        "slug": f"session-{session.created}",
        "version": VERSION,
        "projectID": PROJECT,
        "directory": session.directory,
        "path": "",
        **parent,
        "title": session.title,
        "cost": 0,
        "tokens": _tokens(),
        "time": {"created": session.created, "updated": session.updated},
    }


@dataclass(slots=True)
class _Text:
    """A text or reasoning part that is being said."""

    id: str
    kind: str
    started: int
    pieces: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Tool:
    part_id: str
    call_id: str
    name: str
    args: Json
    started: int


class Turn:
    """The events of one prompt, in order. Each model call is an assistant message of its own."""

    def __init__(self, session: Session, prompt: Prompt, ids: Ids) -> None:
        self._session = session
        self._prompt = prompt
        self._ids = ids
        self._user_id = prompt.message_id or ""
        self._message: Json | None = None
        self._stepping = False  # the model has begun to answer
        self._part: _Text | None = None
        self._tools: dict[int, _Tool] = {}
        self._over = False  # the agent has said its last word
        self.error: str | None = None

    def begin(self) -> Iterator[Event]:
        """The user's message, and busy."""
        self._user_id = self._user_id or self._ids.make("msg")
        message = {
            "id": self._user_id,
            "sessionID": self._session.id,
            "role": "user",
            "time": {"created": now()},
            "agent": self._prompt.agent,
            "model": {"providerID": PROVIDER, "modelID": MODEL},
        }
        yield self._message_event(message)
        for text in self._prompt.texts:
            yield self._part_event(self._user_id, self._ids.make("prt"), "text", text=text)
        yield self._changed()
        yield self._status({"type": "busy"})

    def show(self, event: AgentEvent) -> Iterator[Event]:
        """The protocol's events for one of the agent's."""
        match event:
            case CallBegan():
                self._message, self._stepping = self._new_message(), False
                yield self._message_event(self._message)
            case Reasoned(text):
                yield from self._say("reasoning", text)
            case Said(text):
                yield from self._say("text", text)
            case ToolBegan(call, name, args):
                yield from self._begin_tool(call, name, dict(args))
            case ToolEnded(call, output, error, edited):
                yield from self._end_tool(call, output, error, edited)
            case CallEnded(tools):
                self._over = not tools
                yield from self._end_call("tool-calls" if tools else "stop")
            case Retrying(attempt, message, seconds):
                # what a failed attempt said stays open, as the original leaves it, and what follows is new
                self._part, self._stepping = None, False
                status = {"type": "retry", "attempt": attempt, "message": message}
                yield self._status({**status, "next": now() + round(seconds * 1000)})
                yield self._status({"type": "busy"})
            case Failed(message, status=code):
                status_code = {} if code is None else {"statusCode": code}
                yield from self.fail("APIError", {"message": message, **status_code, "isRetryable": False})

    def fail(self, name: str, data: Json) -> Iterator[Event]:
        """The turn breaks off: what is open ends in error. Nothing, if the agent had come to its end."""
        if self._over:
            return
        self._over = True
        self.error = data["message"]
        error = {"name": name, "data": data}
        yield from self._end_part()
        for call in tuple(self._tools):
            yield from self._end_tool(call, "", data["message"], None)
        if self._message is not None:
            yield self._end_message(error=error)
        yield Event("session.error", {"sessionID": self._session.id, "error": error})

    def end(self) -> Iterator[Event]:
        """Idle; what follows it is about the session alone."""
        yield self._status({"type": "idle"})
        yield Event("session.idle", {"sessionID": self._session.id})
        yield self._changed()
        yield Event("session.diff", {"sessionID": self._session.id, "diff": []})

    # ---------------------------------------------------------------- messages

    def _new_message(self) -> Json:
        return {
            "id": self._ids.make("msg"),
            "sessionID": self._session.id,
            "role": "assistant",
            "time": {"created": now()},
            "parentID": self._user_id,
            "modelID": MODEL,
            "providerID": PROVIDER,
            "mode": self._prompt.agent,
            "agent": self._prompt.agent,
            "path": {"cwd": self._session.directory, "root": self._session.directory},
            "cost": 0,
            "tokens": _tokens(),
        }

    def _end_call(self, reason: str) -> Iterator[Event]:
        yield from self._step()
        yield from self._end_part()
        assert self._message is not None
        part_id, tokens = self._ids.make("prt"), {"total": 0, **_tokens()}
        yield self._part_event(
            self._message["id"], part_id, "step-finish", reason=reason, cost=0, tokens=tokens
        )
        yield self._end_message(finish=reason, tokens=tokens)

    def _end_message(self, **members: Any) -> Event:
        assert self._message is not None
        message, self._message = self._message, None
        return self._message_event({**message, "time": {**message["time"], "completed": now()}, **members})

    def _message_event(self, message: Json) -> Event:
        return Event("message.updated", {"sessionID": self._session.id, "info": message})

    # ---------------------------------------------------------------- parts

    def _step(self) -> Iterator[Event]:
        """The model begins to answer: once in a message, after the retries of its call."""
        if not self._stepping:
            self._stepping = True
            assert self._message is not None
            yield self._part_event(self._message["id"], self._ids.make("prt"), "step-start")

    def _say(self, kind: str, text: str) -> Iterator[Event]:
        yield from self._step()
        assert self._message is not None
        part = self._part
        if part is None or part.kind != kind:
            yield from self._end_part()
            part = self._part = _Text(self._ids.make("prt"), kind, now())
            yield self._text_event(part, "", {"start": part.started})
        part.pieces.append(text)
        delta = {
            "sessionID": self._session.id,
            "messageID": self._message["id"],
            "partID": part.id,
            "field": "text",
            "delta": text,
        }
        yield Event("message.part.delta", delta)

    def _end_part(self) -> Iterator[Event]:
        if self._part is not None:
            part, self._part = self._part, None
            yield self._text_event(part, "".join(part.pieces), {"start": part.started, "end": now()})

    def _text_event(self, part: _Text, text: str, times: Json) -> Event:
        assert self._message is not None
        return self._part_event(self._message["id"], part.id, part.kind, text=text, time=times)

    def _part_event(self, message_id: str, part_id: str, kind: str, **members: Any) -> Event:
        part = {
            "id": part_id,
            "messageID": message_id,
            "sessionID": self._session.id,
            "type": kind,
            **members,
        }
        return Event("message.part.updated", {"sessionID": self._session.id, "part": part, "time": now()})

    # ---------------------------------------------------------------- tools

    def _begin_tool(self, call: int, name: str, args: Json) -> Iterator[Event]:
        yield from self._step()
        yield from self._end_part()
        tool = _Tool(self._ids.make("prt"), self._ids.make("call"), name, args, now())
        self._tools[call] = tool
        yield self._tool_event(tool, {"status": "pending", "input": {}, "raw": ""})
        yield self._tool_event(tool, {"status": "running", "input": args, "time": {"start": tool.started}})

    def _end_tool(self, call: int, output: str, error: str | None, edited: str | None) -> Iterator[Event]:
        tool = self._tools.pop(call)
        if edited is not None:
            yield Event("file.edited", {"file": edited})
        state: Json = {"input": tool.args, "time": {"start": tool.started, "end": now()}}
        if error is None:
            state = {"status": "completed", **state, "output": output, "title": tool.name, "metadata": {}}
        else:
            state = {"status": "error", **state, "error": error}
        yield self._tool_event(tool, state)

    def _tool_event(self, tool: _Tool, state: Json) -> Event:
        assert self._message is not None
        return self._part_event(
            self._message["id"], tool.part_id, "tool", callID=tool.call_id, tool=tool.name, state=state
        )

    # ---------------------------------------------------------------- the session

    def _changed(self) -> Event:
        self._session.updated = max(now(), self._session.updated)
        return Event("session.updated", {"sessionID": self._session.id, "info": info(self._session)})

    def _status(self, status: Json) -> Event:
        return Event("session.status", {"sessionID": self._session.id, "status": status})


def _tokens() -> Json:
    return {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}
