"""Whose an event is: by the labels it carries, by the message it belongs to, by the words it says.

Every script of the filter probes marks its words ("a-first one, …"), so that an event can be told to be a
session's even where the protocol shows no ids, and even where a filter has changed its labels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from conformance.findings import Finding, Judgement
from conformance.message import Message
from conformance.parts import message_info, part_info, session_of
from conformance.penguin import CONTROL, FULL
from conformance.rules._penguin import answered, live, shown_text
from conformance.rules.base import Case

_MARK = re.compile(r"\b([ab])-(?:first|second)\b")


class Ledger:
    """Sessions "a" and "b" of a probe, and what the control stream says belongs to them and their agents.

    Where nothing shows everything, the streams of the roles `instead` are that together.
    """

    def __init__(self, case: Case, instead: tuple[str, ...] = ()) -> None:
        self.case = case
        self.a = str(case.observation.fact("session-a", ""))
        self.b = str(case.observation.fact("session-b", ""))
        prompts = case.observation.actions_of("prompt")
        # The agent that speaks in each session, as the prompts said (a refused prompt spoke to nobody).
        self._speaks = {action.session: action.agent for action in prompts if answered(action)}
        self.agents = tuple(dict.fromkeys(self._speaks.values()))
        control = case.stream(CONTROL) or case.stream(FULL)
        witnesses = [control] if control is not None else [case.stream(role) for role in instead]
        there = [stream for stream in witnesses if stream is not None and stream.transcript.is_event_stream]
        self._messages: dict[str, tuple[str, str, str]] = {}  # id: session, role, agent
        self._events: dict[str, str] = {}  # id of an event: its session, as the control stream says
        shown = [message for stream in there for message in live(stream)]
        for message in shown:
            info = message_info(message)
            if info is not None and info.id:
                self._messages[info.id] = (info.session, info.role, info.agent)
            named = message.body.get("id")
            if isinstance(named, str) and named:
                self._events[named] = session_of(message)
        self._counts = self._count(shown)
        self.total = sum(self._counts.values())
        self.problem = ""
        if not there:
            self.problem = "there is no control stream"
        elif not self._counts.get(self.a) or (self.b in self._speaks and not self._counts.get(self.b)):
            self.problem = "the control stream does not show the turns of both sessions"

    def whose(self, message: Message) -> str:
        """The session that an event is of: by what the control stream says of it, its labels, its words."""
        named = message.body.get("id")
        if isinstance(named, str) and (known := self._events.get(named)):
            return known
        part = part_info(message)
        if part is not None and part.message in self._messages and self._messages[part.message][0]:
            return self._messages[part.message][0]
        marks = set(_MARK.findall(shown_text(message)))
        if len(marks) == 1:
            return self.a if marks == {"a"} else self.b
        return session_of(message)

    def agent_of(self, message: Message) -> str:
        """The agent whose assistant output an event is, "" where it is no such output."""
        info, part = message_info(message), part_info(message)
        if info is not None:
            if info.role != "assistant":
                return ""
            known = self._messages.get(info.id)
            return (known[2] if known is not None else info.agent) or self._speaker(message)
        if part is None:
            return ""
        if part.message in self._messages:
            _, role, agent = self._messages[part.message]
            return "" if role == "user" else agent or self._speaker(message)
        text = shown_text(message)
        return self._speaker(message) if _MARK.search(text) and "[[script" not in text else ""

    def count(self, session: str) -> int:
        """How many events of the session the control stream shows."""
        return self._counts.get(session, 0)

    def count_agent(self, agent: str) -> int:
        """How many events of the sessions in which the agent speaks the control stream shows."""
        return sum(self.count(session) for session, name in self._speaks.items() if name == agent)

    def judge(self, findings: Iterable[Finding], judged: int) -> Judgement:
        """The judgement; inconclusive where nothing was found on a control stream that shows too little."""
        found = tuple(findings)
        return Judgement(found, judged, inconclusive="" if found else self.problem)

    def _speaker(self, message: Message) -> str:
        return self._speaks.get(self.whose(message), "")

    def _count(self, shown: Iterable[Message]) -> dict[str, int]:
        counts: dict[str, int] = {}
        for message in shown:
            session = self.whose(message)
            if session in (self.a, self.b):
                counts[session] = counts.get(session, 0) + 1
        return counts
