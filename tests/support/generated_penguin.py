"""Penguin streams at random, valid by its documents: a model of its own, written from the protocol alone.

What the documents leave open is drawn: how text is cut, which states a tool shows, whether a snapshot comes again,
what other events stand between, how much revision 1 says of messages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from conformance.script import ModelTurn, Script, ToolCall
from tests.support.generated_agentsmithy import pieces
from tests.support.generated_scripts import WORKSPACE
from tests.support.generated_wire import Event

SESSION = "session_1"
EPOCH = 1_795_210_920_000  # ms


@dataclass(frozen=True, slots=True)
class Liberty:
    """What a server does in its own way, throughout a stream.

    `lean` (revision 1): parts and messages show no more than the document does. `ends`: parts carry times.
    `single`: one assistant's message for the whole turn instead of one for each model call. `pending`: tools
    are pending first. `chatter`: events of other kinds stand between. `again`: snapshots come again without a delta.
    """

    lean: bool = False
    ends: bool = False
    single: bool = False
    pending: bool = False
    chatter: bool = False
    again: bool = False
    recut: bool = False


@st.composite
def liberties(draw: st.DrawFn, revision: int) -> Liberty:
    """Any of them; none is the simplest."""
    flag = st.booleans()
    lean = revision < 2 and draw(flag)
    return Liberty(lean, draw(flag), draw(flag), draw(flag), draw(flag), draw(flag), draw(flag))


@dataclass
class Bus:
    """Numbers the events of sessions as a server does: an id, an order for each session, one clock."""

    revision: int
    events: list[Event] = field(default_factory=list)
    _orders: dict[str, int] = field(default_factory=dict)
    _names: int = 0
    _clock: int = EPOCH

    def name(self, kind: str) -> str:
        """A fresh id."""
        self._names += 1
        return f"{kind}_{self._names:03d}"

    def now(self) -> int:
        """The next millisecond."""
        self._clock += 1
        return self._clock

    def emit(self, session: str, kind: str, properties: dict[str, Any], *, told: str = "") -> Event:
        """Publish an event; `told` is the session it is sent to where it does not name one."""
        event: Event = {"type": kind, "properties": properties, "_session": told or session}
        if self.revision >= 2:
            order = self._orders[session] = self._orders.get(session, 0) + 1
            named = f"evt:session:{session}:{order:08d}"
            event |= {"id": named, "order": order, "time": self.now(), "_id": named}
        self.events.append(event)
        return event


class Turn:
    """One prompt's events on the bus."""

    def __init__(self, bus: Bus, liberty: Liberty, session: str, draw: st.DrawFn) -> None:
        self.bus = bus
        self.liberty = liberty
        self.session = session
        self.draw = draw
        self.user = bus.name("msg")

    def play(self, script: Script, prompt: str) -> None:
        """Busy, the user's message, the agent's, idle."""
        self._status("busy")
        created = self.bus.now()
        self._message(self.user, "user", created, None)
        self._text(self.user, "text", [prompt], whole=True)
        if self.draw(st.booleans()):
            self._message(self.user, "user", created, self.bus.now())
        message = ""
        created = 0
        for number, turn in enumerate(script.turns):
            if not message:
                message, created = self.bus.name("msg"), self.bus.now()
                self._message(message, "assistant", created, None)
            failing = (turn.error is not None and turn.error.times is None) or turn.cut is not None
            if turn.error is not None and turn.error.times is not None:
                self._status("retry", attempt=1, message=turn.error.message)
                self._status("busy")
            self._call(message, turn)
            ends = failing or number == len(script.turns) - 1
            if ends or not self.liberty.single:
                error = {"name": "APIError", "data": {"message": "the model failed"}}
                self._message(
                    message, "assistant", created, self.bus.now(), **({"error": error} if failing else {})
                )
                message = ""
            self._between()
        self._status("idle")

    def _call(self, message: str, turn: ModelTurn) -> None:
        for kind, chunks in (("reasoning", turn.reasoning), ("text", turn.text)):  # a refused turn has none
            cut = self.draw(pieces(chunks, plain=not self.liberty.recut))
            if cut:
                self._text(message, kind, cut)
        if self.draw(st.booleans()):
            for tool in turn.tools:
                for step in self._states(message, tool):
                    self._part(step)
            return
        # In parallel: all begin before the first ends.
        running = [self._states(message, tool) for tool in turn.tools]
        for number in range(max(map(len, running), default=0)):
            for steps in running:
                if number < len(steps):
                    self._part(steps[number])

    def _text(self, message: str, kind: str, cut: list[str], *, whole: bool = False) -> None:
        shown = self._shown(message, kind)
        began = self.bus.now()
        text = ""
        for number, piece in enumerate(cut):
            text += piece
            times: Event = {"time": {"start": began}} if self.liberty.ends else {}
            if self.liberty.ends and number == len(cut) - 1 and not self.liberty.again:
                times = {"time": {"start": began, "end": self.bus.now()}}
            self._part({**shown, "text": text, **times}, None if whole else piece)
        if self.liberty.again:
            times = {"time": {"start": began, "end": self.bus.now()}} if self.liberty.ends else {}
            delta = None if whole else self.draw(st.sampled_from([None, ""]))
            self._part({**shown, "text": text, **times}, delta)

    def _states(self, message: str, tool: ToolCall) -> list[Event]:
        shown = {**self._shown(message, "tool"), "callID": self.bus.name("call"), "tool": tool.name}
        began = {"input": {**tool.args}, "time": {"start": self.bus.now()}}
        ended = {"input": {**tool.args}, "time": {"start": EPOCH, "end": self.bus.now()}}
        states: list[Event] = [{"status": "pending", **began}] if self.liberty.pending else []
        states.append({"status": "running", **began})
        if self.liberty.again:
            states.append({"status": "running", **began, "metadata": {"seen": 1}})
        if tool.fails:
            states.append({"status": "error", "error": tool.result or "no such file", **ended})
        else:
            states.append({"status": "completed", "output": tool.result or "", **ended})
        if self.liberty.lean:
            shown = {"type": "tool", "id": shown["id"], "tool": tool.name}
            states = [{"status": state["status"]} for state in states]
        return [{**shown, "state": state} for state in states]

    def _shown(self, message: str, kind: str) -> Event:
        ids = {"id": self.bus.name("part"), "messageID": message, "sessionID": self.session}
        return {"type": kind} if self.liberty.lean and kind != "tool" else {**ids, "type": kind}

    def _part(self, part: Event, delta: str | None = None) -> None:
        properties: Event = {"part": part} | ({} if delta is None else {"delta": delta})
        if not self.liberty.lean:
            properties["sessionID"] = self.session
        self.bus.emit(self.session, "message.part.updated", properties)

    def _message(self, name: str, role: str, created: int, completed: int | None, **more: Any) -> None:
        if self.liberty.lean:
            error = {"error": more["error"]} if "error" in more else {}
            self.bus.emit(self.session, "message.updated", {"id": name, "role": role, **error})
            return
        body: Event = {"id": name, "sessionID": self.session, "role": role, "agent": "default", **more}
        body["time"] = {"created": created, "completed": completed}
        if role == "assistant":
            body |= {"parentID": self.user, "modelID": "m", "providerID": "p", "mode": "build", "cost": 0.0}
            body |= {"path": {"cwd": WORKSPACE, "root": WORKSPACE}}
            body["tokens"] = {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}
        self.bus.emit(self.session, "message.updated", body)

    def _status(self, kind: str, **more: Any) -> None:
        if self.bus.revision >= 2:
            self.bus.emit(
                self.session, "session.status", {"sessionID": self.session, "status": {"type": kind, **more}}
            )

    def _between(self) -> None:
        if not self.liberty.chatter or self.bus.revision < 2:
            return
        self._status("busy")
        updated(self.bus, self.session, "a title")
        self.bus.emit(self.session, "session.diff", {"sessionID": self.session, "diff": []})
        self.bus.emit(self.session, "todo.updated", {"sessionID": self.session, "todos": []})


def updated(bus: Bus, session: str, title: str) -> None:
    """A renamed session (revision 2)."""
    if bus.revision >= 2:
        times = {"created": EPOCH, "updated": bus.now()}
        info = {"id": session, "title": title, "directory": WORKSPACE, "time": times}
        bus.emit(session, "session.updated", {"sessionID": session, "info": info})


def connected(session: str | None = None) -> Event:
    """The handshake, which echoes the filter."""
    return {"type": "server.connected", "properties": {"sessionID": session}}
