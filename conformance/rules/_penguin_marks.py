"""Whose an event is: by the labels it carries, by the message it belongs to, by the words it says.

Every script of the filter probes marks its words ("a-first one, …"), so that an event can be told to be a
session's even where the protocol shows no ids, and even where a filter has changed its labels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from conformance.findings import Finding, Judgement
from conformance.message import Message
from conformance.parts import MessageInfo, message_info, part_info, session_of
from conformance.penguin import CONTROL, FULL
from conformance.rules._penguin import answered, id_of, live, shown_text
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
        self._messages: dict[str, MessageInfo] = {}
        self._events: dict[str, str] = {}  # id of an event: its session, as the control stream says
        shown = [message for stream in there for message in live(stream)]
        for message in shown:
            info = message_info(message)
            if info is not None and info.id:
                self._messages[info.id] = info
            if named := id_of(message.body):
                self._events[named] = session_of(message)
        self._counts = self._count(shown)
        self.total = self._counts.total()
        both = self.count(self.a) and (self.count(self.b) or self.b not in self._speaks)
        self.problem = "" if both else "no control stream shows the turns of both sessions"

    def whose(self, message: Message) -> str:
        """The session that an event is of: by what the control stream says of it, its labels, its words."""
        if known := self._events.get(id_of(message.body)):
            return known
        part = part_info(message)
        spoken = None if part is None else self._messages.get(part.message)
        if spoken is not None and spoken.session:
            return spoken.session
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
            return self._messages.get(info.id, info).agent or self._speaker(message)
        if part is None:
            return ""
        if (spoken := self._messages.get(part.message)) is not None:
            return "" if spoken.role == "user" else spoken.agent or self._speaker(message)
        text = shown_text(message)
        return self._speaker(message) if _MARK.search(text) and "[[script" not in text else ""

    def count(self, session: str) -> int:
        """How many events of the session the control stream shows."""
        return self._counts[session]

    def count_agent(self, agent: str) -> int:
        """How many events of the sessions in which the agent speaks the control stream shows."""
        return sum(self.count(session) for session, name in self._speaks.items() if name == agent)

    def judge(self, findings: Iterable[Finding], judged: int) -> Judgement:
        """The judgement; inconclusive where nothing was found on a control stream that shows too little."""
        found = tuple(findings)
        return Judgement(found, judged, inconclusive="" if found else self.problem)

    def _speaker(self, message: Message) -> str:
        return self._speaks.get(self.whose(message), "")

    def _count(self, shown: Iterable[Message]) -> Counter[str]:
        owners = (self.whose(message) for message in shown)
        return Counter(session for session in owners if session in (self.a, self.b))
