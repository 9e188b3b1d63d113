"""Penguin's words for what the agent does: abstract events in, protocol events out. No I/O but the clock.

The shapes are those of penguin-ai 0.9: messages are flat in `message.updated`, texts cumulative with their
increment in `delta`, and each model call has an assistant message of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
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
from reference_server.session import Event, Json, Session, now

PROVIDER, MODEL = "reference", "scripted"


def info(session: Session) -> Json:
    """The session as `POST /session` answers and `session.*` events carry it."""
    return {
        "id": session.id,
        "slug": session.id,
        "projectID": "penguin",
        "directory": session.directory,
        "title": session.title,
        "message_count": session.messages,
        "version": "reference",
        "time": {"created": session.created, "updated": session.updated},
    }


@dataclass(slots=True)
class _Part:
    id: str
    kind: str
    text: str = ""


@dataclass(slots=True)
class _Tool:
    part_id: str
    call_id: str
    name: str
    args: Json
    started: int


class Turn:
    """The events of one prompt, in order."""

    def __init__(self, session: Session, agent: str, prompt: str) -> None:
        self._session = session
        self._agent = agent
        self._prompt = prompt
        self._user_id = ""
        self._message: Json | None = None
        self._part: _Part | None = None
        self._tools: dict[int, _Tool] = {}
        self.text: list[str] = []  # all that was said, for the answer to the prompt
        self.results: list[Json] = []  # of tools, likewise
        self.error: str | None = None
        self._over = False  # the agent has said its last word

    def begin(self) -> Iterator[Event]:
        """Busy, and the user's message."""
        yield self._status({"type": "busy"})
        created = now()
        self._user_id = self._new_id("msg")
        message = {
            "id": self._user_id,
            "sessionID": self._session.id,
            "role": "user",
            "time": {"created": created, "completed": None},
            "agent": self._agent,
            "model": {"providerID": PROVIDER, "modelID": MODEL},
        }
        self._session.messages += 1
        yield Event("message.updated", message)
        part = _Part(self._new_id("part"), "text", text=self._prompt)
        yield self._text_part(part, self._user_id)
        yield Event("message.updated", message | {"time": {"created": created, "completed": now()}})

    def show(self, event: AgentEvent) -> Iterator[Event]:
        """The protocol's events for one of the agent's."""
        match event:
            case CallBegan():
                self._message = self._new_message()
                self._part = None
                yield Event("message.updated", self._message)
            case Reasoned(text):
                yield self._chunk("reasoning", text)
            case Said(text):
                self.text.append(text)
                yield self._chunk("text", text)
            case ToolBegan(call, name, args):
                tool = _Tool(self._new_id("part"), self._new_id("call"), name, dict(args), now())
                self._tools[call] = tool
                yield self._tool_part(tool, {"status": "running"}, {"start": tool.started})
            case ToolEnded(call=call, output=output, error=error):
                yield self._end_tool(self._tools.pop(call), output, error)
            case CallEnded(tools):
                self._over = not tools
                yield self._end_message(finish="tool-calls" if tools else "stop")
            case Retrying(attempt, message, seconds):
                status = {"type": "retry", "attempt": attempt, "message": message}
                yield self._status({**status, "next": now() + round(seconds * 1000)})
                yield self._status({"type": "busy"})
            case Failed(message, status=code):
                data = {"message": message} if code is None else {"message": message, "statusCode": code}
                yield from self.fail("APIError", data)

    def fail(self, name: str, data: Json) -> Iterator[Event]:
        """The turn breaks off: what is open ends in error. Nothing, if the agent had come to its end."""
        if self._over:
            return
        self._over = True
        self.error = data["message"]
        for tool in self._tools.values():
            yield self._end_tool(tool, "", data["message"])
        self._tools.clear()
        error = {"name": name, "data": data}
        if self._message is None:
            # nothing has been said yet: the error needs a message to be seen on
            self._message = self._new_message()
            yield Event("message.updated", self._message)
        yield self._end_message(error=error)

    def end(self) -> Iterator[Event]:
        """Idle, always last."""
        yield self._status({"type": "idle"})

    def _new_id(self, kind: str) -> str:
        """An id for a message or a part, unique in time and place."""
        self._session.made += 1
        return f"{kind}_{self._session.id}_{now()}_{self._session.made:02d}"

    def _new_message(self) -> Json:
        self._session.messages += 1
        return {
            "id": self._new_id("msg"),
            "sessionID": self._session.id,
            "role": "assistant",
            "time": {"created": now(), "completed": None},
            "parentID": self._user_id,
            "modelID": MODEL,
            "providerID": PROVIDER,
            "mode": "build",
            "agent": self._agent,
            "path": {"cwd": self._session.directory, "root": self._session.directory},
            "cost": 0.0,
            "tokens": {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}},
        }

    def _end_message(self, **members: Any) -> Event:
        assert self._message is not None
        message = self._message
        self._message = None
        created = message["time"]["created"]
        return Event(
            "message.updated", {**message, "time": {"created": created, "completed": now()}, **members}
        )

    def _chunk(self, kind: str, text: str) -> Event:
        assert self._message is not None
        part = self._part
        if part is None or part.kind != kind:
            part = self._part = _Part(self._new_id("part"), kind)
        part.text += text
        return self._text_part(part, self._message["id"], text)

    def _text_part(self, part: _Part, message_id: str, delta: str | None = None) -> Event:
        shown = {
            "id": part.id,
            "messageID": message_id,
            "sessionID": self._session.id,
            "type": part.kind,
            "text": part.text,
        }
        return self._part_event(shown, delta)

    def _end_tool(self, tool: _Tool, output: str, error: str | None) -> Event:
        times = {"start": tool.started, "end": now()}
        if error is None:
            self.results.append({"action": tool.name, "status": "completed", "result": output})
            return self._tool_part(tool, {"status": "completed", "output": output}, times)
        self.results.append({"action": tool.name, "status": "error", "result": error})
        return self._tool_part(tool, {"status": "error", "error": error}, times)

    def _tool_part(self, tool: _Tool, state: Json, times: Json) -> Event:
        assert self._message is not None
        shown = {
            "id": tool.part_id,
            "messageID": self._message["id"],
            "sessionID": self._session.id,
            "type": "tool",
            "callID": tool.call_id,
            "tool": tool.name,
            "state": {"input": tool.args, "time": times, **state},
        }
        return self._part_event(shown, None)

    def _part_event(self, part: Json, delta: str | None) -> Event:
        increment = {} if delta is None else {"delta": delta}
        return Event("message.part.updated", {"part": part, **increment, "sessionID": self._session.id})

    def _status(self, status: Json) -> Event:
        return Event("session.status", {"sessionID": self._session.id, "status": status})
