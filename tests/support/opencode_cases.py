"""OpenCode observations made by hand: what a faithful server streams for scripts, to be bent in tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from conformance.profile import Profile
from conformance.script import ModelTurn, Script, ToolCall
from tests.support.penguin_cases import Event, Events, Scene, profile_of, script_of

HERE = "/srv/work"
TOKENS = {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}


@dataclass
class OpenCode:
    """Makes the events of a faithful server, all sessions in one list, in the order in which they happen."""

    events: Events = field(default_factory=list)
    _count: int = 0

    def name(self, kind: str) -> str:
        """A fresh id."""
        self._count += 1
        return f"{kind}_{self._count:04d}"

    def emit(self, kind: str, **properties: Any) -> Event:
        """One event."""
        # The stream has no SSE ids: `encode` writes an id line unless it is told that there is none.
        event: Event = {"id": self.name("evt"), "type": kind, "properties": properties, "_sse_id": None}
        self.events.append(event)
        return event

    def status(self, session: str, kind: str, **more: Any) -> None:
        """busy, idle (said twice in two ways), retry."""
        self.emit("session.status", sessionID=session, status={"type": kind, **more})
        if kind == "idle":
            self.emit("session.idle", sessionID=session)

    def session(self, session: str, title: str, kind: str = "session.updated") -> None:
        """An event of a session's life."""
        info = {"id": session, "slug": "s", "projectID": "p", "directory": HERE, "title": title}
        info |= {"version": "1.18.33", "time": {"created": 1, "updated": 2}}
        self.emit(kind, sessionID=session, info=info)

    def user(self, session: str, message: str, text: str) -> None:
        """The user's message and its one part."""
        info = {"id": message, "sessionID": session, "role": "user", "time": {"created": 1}, "agent": "build"}
        info["model"] = {"providerID": "p", "modelID": "m"}
        self.emit("message.updated", sessionID=session, info=info)
        self.part(session, message, {"id": self.name("prt"), "type": "text", "text": text})

    def assistant(
        self, session: str, message: str, parent: str, *, completed: bool = False, error: Event | None = None
    ) -> None:
        """A `message.updated` of the agent."""
        info: Event = {"id": message, "sessionID": session, "role": "assistant", "parentID": parent}
        info |= {"time": {"created": 5, **({"completed": 9} if completed else {})}, "mode": "build"}
        info |= {"agent": "build", "modelID": "m", "providerID": "p", "path": {"cwd": HERE, "root": HERE}}
        info |= {"cost": 0, "tokens": TOKENS, **({"finish": "stop"} if completed and not error else {})}
        if error:
            info["error"] = error
        self.emit("message.updated", sessionID=session, info=info)

    def part(self, session: str, message: str, part: Event) -> None:
        """A `message.part.updated`."""
        whole = {"messageID": message, "sessionID": session, **part}
        self.emit("message.part.updated", sessionID=session, part=whole, time=7)

    def delta(self, session: str, message: str, part: str, text: str, **other: str) -> None:
        """A `message.part.delta`."""
        names = {"sessionID": session, "messageID": message, "partID": part}
        self.emit("message.part.delta", **names, field="text", delta=text, **other)

    def grow(
        self, session: str, message: str, kind: str, chunks: tuple[str, ...], *, end: bool = True
    ) -> str:
        """A text or reasoning part from its empty beginning to its end; its id."""
        part = self.name("prt")
        shown: Event = {"id": part, "type": kind, "text": "", "time": {"start": 6}}
        self.part(session, message, shown)
        for chunk in chunks:
            self.delta(session, message, part, chunk)
        if end:
            self.part(session, message, {**shown, "text": "".join(chunks), "time": {"start": 6, "end": 8}})
        return part

    def tool(self, session: str, message: str, tool: ToolCall) -> Callable[..., None]:
        """A tool part; what it returns tells its next state."""
        part, call = self.name("prt"), self.name("call")
        told: dict[str, Event] = {
            "pending": {"input": {}, "raw": ""},
            "running": {"input": dict(tool.args), "time": {"start": 6}},
            "completed": {
                "input": dict(tool.args),
                "output": "yes",
                "title": "done",
                "metadata": {},
                "time": {"start": 6, "end": 8},
            },
            "error": {"input": dict(tool.args), "error": "no", "time": {"start": 6, "end": 8}},
        }

        def tell(*states: str) -> None:
            for status in states:
                state = {"status": status, **told[status]}
                shown = {"id": part, "type": "tool", "callID": call, "tool": tool.name, "state": state}
                self.part(session, message, shown)

        return tell

    def step(self, session: str, parent: str, call: ModelTurn) -> None:
        """One call of the model: a message of its own, completed twice."""
        message = self.name("msg")
        self.assistant(session, message, parent)
        if call.error is not None and not call.error.in_stream:
            self._fails(session, message, parent)
            return
        self.part(session, message, {"id": self.name("prt"), "type": "step-start"})
        for kind, chunks in (
            ("reasoning", tuple(str(chunk) for chunk in call.reasoning)),
            ("text", call.text_chunks),
        ):
            if chunks:
                self.grow(session, message, kind, chunks, end=not fails(call))
        if fails(call):
            self._fails(session, message, parent)
            return
        tellers = [(self.tool(session, message, tool), tool) for tool in call.tools]
        for tell, _ in tellers:  # parallel tools interleave
            tell("pending")
        for tell, _ in tellers:
            tell("running", "running")
        for tell, tool in reversed(tellers):
            tell("error" if tool.fails else "completed")
        finish = {
            "id": self.name("prt"),
            "type": "step-finish",
            "reason": "stop",
            "cost": 0,
            "tokens": TOKENS,
        }
        self.part(session, message, finish)
        self.assistant(session, message, parent, completed=True)
        self.assistant(session, message, parent, completed=True)

    def _fails(self, session: str, message: str, parent: str) -> None:
        error = {"name": "APIError", "data": {"message": "no", "isRetryable": False}}
        self.emit("session.error", sessionID=session, error=error)
        self.assistant(session, message, parent, completed=True, error=error)

    def turn(self, session: str, script: Script, *, prompt: str = "") -> None:
        """A whole turn as the original plays it, with what it says of the session behind the end."""
        user = self.name("msg")
        self.user(session, user, prompt or f"Do as you are told: {script.directive()}")
        self.status(session, "busy")
        for call in script.turns:
            self.step(session, user, call)
            if fails(call):
                self.status(session, "idle")  # idle comes twice where the model failed
                break
            self.status(session, "busy")
        self.status(session, "idle")
        self.session(session, "sse-conformance 1")
        self.emit("session.diff", sessionID=session, diff=[])


def fails(call: ModelTurn) -> bool:
    """Whether the call of the model fails."""
    return call.error is not None or call.cut is not None


def connected() -> Event:
    """The handshake."""
    return {"id": "evt_0000", "type": "server.connected", "properties": {}, "_sse_id": None}


def heartbeat(number: int) -> Event:
    """A heartbeat."""
    return {"id": f"evt_h{number}", "type": "server.heartbeat", "properties": {}, "_sse_id": None}


def opencode(**changes: Any) -> Profile:
    """The default profile, with changes."""
    return profile_of("opencode/1", **changes)


def scene(
    probe: str, script: Script | None, *servers: OpenCode, profile: Profile | None = None, session: str = "s1"
) -> Scene:
    """What each server streams, under the roles "stream", "stream-1" …, and the prompt that caused it.

    A stream is one directory's: it is not known to show nothing whose beginning it did not see.
    """
    roles = [f"stream-{number}" if number else "stream" for number in range(len(servers))]
    streams = {role: [connected(), *server.events] for role, server in zip(roles, servers, strict=True)}
    made = Scene(probe, profile or opencode(), streams, joins=set(roles))
    if script is not None:
        made.prompt(session, script, "stream", agent="build")
    return made


def one_turn(name: str, profile: Profile | None = None) -> Scene:
    """The observation of a turn's probe on a faithful server."""
    profile = profile or opencode()
    server, script = OpenCode(), script_of(name, profile)
    server.turn("s1", script)
    return scene(name, script, server, profile=profile)
