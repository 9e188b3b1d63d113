"""AgentSmithy: the shape of single events (AgentSmithy protocol 1, §Event Types)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from conformance.agentsmithy import STREAM_PROBES
from conformance.catalogue import event_schemas
from conformance.findings import Finding, Judgement
from conformance.http_status import successful
from conformance.message import Message
from conformance.rules._agentsmithy import shown
from conformance.rules.base import (
    Case,
    Listener,
    RuleByType,
    Run,
    StreamContext,
    StreamRule,
    check,
    stream_check,
)
from conformance.transcript import Action

_FAMILY = ("agentsmithy",)
_SHOWN = 4  # problems of one event


@stream_check("AS-EVT-01", probes=STREAM_PROBES, families=_FAMILY)
class EventShape(RuleByType):
    """Each event is an object with a string `type`, and known types have their members.

    Events that are not JSON at all are the business of SSE-FMT-06a, `dialog_id` that of AS-EVT-03.
    """

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._schemas = event_schemas(context.protocol, strict=context.profile.strict)

    def listener(self, kind: str) -> Listener:
        schema = self._schemas.of(kind)

        def judge(message: Message) -> Iterable[Finding]:
            if message.error:
                return ()
            self.judged += 1
            value = message.value
            if isinstance(value, dict) and not isinstance(value.get("dialog_id"), str):
                value = {**value, "dialog_id": "-"}
            return () if schema.check(value) else self._problems(message, value)

        return judge

    def _problems(self, message: Message, value: Any) -> Iterable[Finding]:
        return [
            self.finding(
                message,
                f"An event of type {message.type!r} is not what its schema says"
                if message.type
                else "An event is not an object with a string type",
                expected=f"{problem.pointer or 'the event'}: {problem.expected}",
                observed=problem.observed,
            )
            for problem in self._schemas.problems(value)[:_SHOWN]
        ]


@stream_check("AS-EVT-02", probes=STREAM_PROBES, families=_FAMILY)
class KnownTypes(StreamRule):
    """No type beyond those that the revision documents."""

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._schemas = event_schemas(context.protocol)
        self._told: set[str] = set()

    def feed(self, message: Message) -> Iterable[Finding]:
        kind = message.type
        if not kind:
            return ()
        self.judged += 1
        if self._schemas.knows(kind) or kind in self._told:
            return ()
        if len(self._told) < 64:  # each type is told once; what the server invents is not kept without bound
            self._told.add(kind)
        return [
            self.finding(
                message,
                "An event has a type that the protocol does not know",
                expected=f"one of the types that {self.context.protocol} documents",
                observed=f"type {kind[:80]!r}",
            )
        ]

    def takes(self, run: Run) -> bool:
        known = all(map(self._schemas.knows, run.types))
        self.judged += len(run.messages) if known else 0
        return known


@stream_check("AS-EVT-03", probes=STREAM_PROBES, families=_FAMILY)
class DialogId(StreamRule):
    """`dialog_id` on every event, a string, and the same throughout the stream."""

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._dialog: str | None = None

    def feed(self, message: Message) -> Iterable[Finding]:
        value = message.value
        if not isinstance(value, dict):
            return ()
        self.judged += 1
        dialog = value.get("dialog_id")
        if not isinstance(dialog, str):
            return [
                self.finding(
                    message,
                    f"A {message.type or 'nameless'} event has no dialog_id that is text",
                    expected="dialog_id, a string, on every event",
                    observed="no dialog_id" if "dialog_id" not in value else f"dialog_id {shown(dialog)}",
                )
            ]
        if self._dialog is None:
            self._dialog = dialog
        if dialog != self._dialog:
            return [
                self.finding(
                    message,
                    "The dialog_id changes within a stream",
                    expected=f"dialog_id {shown(self._dialog)}, as before in this stream",
                    observed=f"dialog_id {shown(dialog)} on a {message.type} event",
                )
            ]
        return ()


@check("AS-EVT-03", probes=STREAM_PROBES, families=_FAMILY, every=False)
def given_dialog_id(case: Case) -> Judgement:
    """A request's own `dialog_id`, where the server knows it, is that of its stream."""
    findings: list[Finding] = []
    judged = 0
    known: set[str] = set()
    for action in case.observation.actions_of("create-session"):
        known |= _texts(action)
    for stream in case.streams:
        given = _given(stream.transcript.request.body)
        told = next((m for m in stream.read() if isinstance(m.body.get("dialog_id"), str)), None)
        if told is not None and given is not None and given in known:
            judged += 1
            if told.body["dialog_id"] != given:
                findings.append(
                    stream.finding(
                        "The stream has another dialog_id than its request",
                        expected=f"dialog_id {shown(given)}, as the request named it",
                        observed=f"dialog_id {shown(told.body['dialog_id'])}",
                        at=told,
                    )
                )
        if told is not None:
            known.add(told.body["dialog_id"])
    return Judgement(tuple(findings), judged)


def _texts(action: Action) -> set[str]:
    """The strings in the answer to a successful creation: one of them is the new dialog's id."""
    if not successful(action.status):
        return set()
    found: set[str] = set()
    left: list[Any] = [action.answer]
    while left:
        value = left.pop()
        if isinstance(value, str):
            found.add(value)
        elif isinstance(value, dict):
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
    return found


def _given(body: bytes | None) -> str | None:
    """The `dialog_id` of a chat request."""
    try:
        value = json.loads(body or b"")
    except (ValueError, RecursionError):
        return None
    dialog = value.get("dialog_id") if isinstance(value, dict) else None
    return dialog if isinstance(dialog, str) else None
