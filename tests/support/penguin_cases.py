"""Penguin observations made by hand: what a faithful server streams for scripts and filters, to be bent in tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import conformance.rules  # noqa: F401  (registers every rule)
from conformance.catalogue import catalogue
from conformance.findings import Finding
from conformance.profile import Profile
from conformance.profile_file import default_profile
from conformance.rules.base import Case, checks
from conformance.script import Script
from conformance.transcript import Action, Chunk, Ended, Head, Observation, Request, Transcript
from conformance.turns import TURNS

Event = dict[str, Any]
Events = list[Event]
HEADERS = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))
HERE = "/srv/work"


def profile_of(protocol: str = "penguin/2", **changes: Any) -> Profile:
    """The revision's default profile, with changes."""
    return replace(default_profile(protocol, "http://127.0.0.1:1"), **changes)


def script_of(name: str, profile: Profile) -> Script:
    """The script of a turn's probe."""
    script = next(turn for turn in TURNS if turn.name == name).script(profile)
    assert script is not None
    return script


@dataclass
class Server:
    """Makes the events of a faithful server, all sessions in one list, in the order in which they happen."""

    revision: int = 2
    events: Events = field(default_factory=list)
    _orders: dict[str, int] = field(default_factory=dict)
    _count: int = 0

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}_{self._count:03d}"

    def emit(self, session: str, kind: str, properties: Event, *, agent: str = "") -> Event:
        """One event of a session, with the members that the revision has; `agent` is for filters only."""
        documented = kind in ("message.updated", "message.part.updated")
        event: Event = {"type": kind, "properties": properties, "_session": session, "_agent": agent}
        if self.revision >= 2:
            order = self._orders[session] = self._orders.get(session, 0) + 1
            event |= {
                "id": f"evt:session:{session}:{order:08d}",
                "order": order,
                "time": 1_000 + len(self.events),
            }
        if self.revision >= 2 or documented:
            self.events.append(event)
        return event

    def status(self, session: str, kind: str) -> None:
        """busy, idle …"""
        self.emit(session, "session.status", {"sessionID": session, "status": {"type": kind}})

    def updated(self, session: str, title: str, kind: str = "session.updated") -> None:
        """An event of a session's life."""
        times = {"created": 1, "updated": 2}
        info = {"id": session, "title": title, "directory": HERE, "time": times}
        self.emit(session, kind, {"sessionID": session, "info": info})

    def message(
        self, session: str, name: str, role: str, completed: bool, *, parent: str = "", agent: str = "default"
    ) -> None:
        """A `message.updated`."""
        created = 500 + self._count
        times = {"created": created, "completed": created + 9 if completed else None}
        body: Event = {"id": name, "sessionID": session, "role": role, "time": times, "agent": agent}
        if role == "assistant":
            body |= {"parentID": parent, "modelID": "m", "providerID": "p", "mode": "build"}
            body |= {"path": {"cwd": HERE, "root": HERE}, "cost": 0.0}
            body |= {"tokens": {"input": 0, "output": 0, "reasoning": 0, "cache": {"read": 0, "write": 0}}}
        self.emit(session, "message.updated", body, agent=agent if role == "assistant" else "")

    def part(
        self, session: str, message: str, part: Event, delta: str | None = None, *, agent: str = ""
    ) -> None:
        """A `message.part.updated`."""
        body: Event = {"part": {"messageID": message, "sessionID": session, **part}, "sessionID": session}
        if delta is not None:
            body["delta"] = delta
        self.emit(session, "message.part.updated", body, agent=agent)

    def turn(self, session: str, script: Script, *, agent: str = "default") -> None:
        """A whole turn; a failing model call ends it with an error on the message."""
        self.status(session, "busy")
        user = self._name("msg")
        self.message(session, user, "user", False)
        text = f"Do as you are told: {script.directive()}"
        self.part(session, user, {"id": self._name("part"), "type": "text", "text": text})
        self.message(session, user, "user", True)
        for call in script.turns:
            name = self._name("msg")
            self.message(session, name, "assistant", False, parent=user, agent=agent)
            reasoned = tuple(str(chunk) for chunk in call.reasoning)
            for kind, chunks in (("reasoning", reasoned), ("text", call.text_chunks)):
                part, said = self._name("part"), ""
                for chunk in chunks:
                    said += chunk
                    self.part(session, name, {"id": part, "type": kind, "text": said}, chunk, agent=agent)
            for tool in call.tools:
                part, ident = self._name("part"), self._name("call")
                states: Iterable[Event] = (
                    {"status": "running", "input": dict(tool.args), "time": {"start": 1}},
                    {
                        "status": "error" if tool.fails else "completed",
                        "input": dict(tool.args),
                        "time": {"start": 1, "end": 2},
                        **({"error": "no"} if tool.fails else {"output": "yes"}),
                    },
                )
                for state in states:
                    shown = {"id": part, "type": "tool", "callID": ident, "tool": tool.name, "state": state}
                    self.part(session, name, shown, agent=agent)
            failed = call.error is not None or call.cut is not None
            self.message(session, name, "assistant", True, parent=user, agent=agent)
            if failed:
                self.events[-1]["properties"]["error"] = {"name": "UnknownError", "data": {"message": "x"}}
                break
        self.status(session, "idle")


def connected(**echo: str | None) -> Event:
    """The handshake."""
    return {"type": "server.connected", "properties": {"sessionID": None, **echo}}


def gap(cursor: str) -> Event:
    """An explicit gap."""
    named = {"lastEventID": cursor, "oldestEventID": "o", "newestEventID": "n"}
    return {"type": "server.replay_gap", "properties": {**named, "reason": "last_event_id_not_available"}}


def copy(events: Iterable[Event]) -> Events:
    """Events that may be bent without bending others."""
    return [json.loads(json.dumps(event)) for event in events]


def encode(events: Iterable[Event]) -> bytes:
    """Events as a body. `_sse_id` replaces the id line; other members that begin with _ are left out."""
    blocks = []
    for event in events:
        named = event.get("_sse_id", event.get("id"))
        body = {key: value for key, value in event.items() if not key.startswith("_")}
        blocks.append((f"id: {named}\n" if named else "") + f"data: {json.dumps(body)}\n\n")
    return "".join(blocks).encode()


@dataclass
class Scene:
    """An observation in the making: streams by role as lists of events, actions, facts."""

    probe: str
    profile: Profile
    streams: dict[str, Events] = field(default_factory=dict)
    actions: list[Action] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=dict)
    cursors: dict[str, str] = field(default_factory=dict)
    spans: dict[str, tuple[float, float]] = field(default_factory=dict)
    joins: set[str] = field(default_factory=set)

    def prompt(
        self, session: str, script: Script, role: str, *, at: float = 1.0, agent: str = "default"
    ) -> None:
        """Record a prompt that was answered when its turn had ended."""
        self.actions.append(
            Action(
                at,
                "prompt",
                session=session,
                agent=agent,
                stream=role,
                script=script,
                prompt=script.directive(),
                status=200,
                answer={},
                until=at + 0.5,
            )
        )

    def case(self) -> Case:
        """As rules see it."""
        transcripts = []
        for role, events in self.streams.items():
            opened, ended = self.spans.get(role, (0.0, 100.0))
            url = f"http://127.0.0.1:1/api/v1/events/sse{self.queries.get(role, '')}"
            cursor = self.cursors.get(role)
            headers = () if cursor is None else (("Last-Event-ID", cursor),)
            transcripts.append(
                (
                    role,
                    Transcript(
                        Request("GET", url, headers),
                        opened,
                        Head(opened, 200, "OK", "1.1", HEADERS),
                        (Chunk(opened + 0.1, encode(events)),),
                        Ended.CLOSED_BY_US,
                        ended,
                        from_start=cursor is None and role not in self.joins,
                    ),
                )
            )
        return Case(
            Observation(
                self.probe, self.profile, tuple(transcripts), tuple(self.actions), tuple(self.facts.items())
            )
        )


def one_turn(name: str, profile: Profile | None = None) -> Scene:
    """The observation of a turn's probe on a faithful server."""
    profile = profile or profile_of()
    server, script = Server(profile.revision), script_of(name, profile)
    server.turn("s1", script)
    server.updated("s1", "sse-conformance 1")
    scene = Scene(name, profile, {"stream": [connected(sessionID="s1"), *server.events]})
    scene.prompt("s1", script, "stream")
    return scene


def findings(case: Case) -> dict[str, list[Finding]]:
    """What the rules of the PG rows find, by requirement; rows that the revision does not have left out."""
    rows = {row.id for row in catalogue(case.profile.protocol).requirements if not row.excluded}
    found: dict[str, list[Finding]] = {}
    for check in checks(case.profile.family):
        if not check.requirement.startswith("PG-") or check.requirement not in rows:
            continue
        if case.observation.probe in check.probes:
            found.setdefault(check.requirement, []).extend(check.judge(case).findings)
    return {name: list(each) for name, each in found.items() if each}


def judged(case: Case, requirement: str) -> int:
    """How much the checks of a requirement looked at."""
    return sum(
        check.judge(case).judged
        for check in checks(case.profile.family)
        if check.requirement == requirement and case.observation.probe in check.probes
    )


def red(scene: Scene) -> set[str]:
    """The rows with findings."""
    return set(findings(scene.case()))


def where(events: Events, test: Callable[[Event], bool]) -> int:
    """The index of the first event that passes a test."""
    return next(index for index, event in enumerate(events) if test(event))


def part_of(event: Event) -> Event:
    """The part that an event shows, {} where it shows none."""
    part = event["properties"].get("part", {})
    assert isinstance(part, dict)
    return part
