"""PG-EVT: envelopes, known types, and ids.

Source: Penguin SSE Endpoint Documentation, §Response and §Event Types; OpenCode server, GET /doc; schemas/penguin/ and
schemas/opencode/.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from conformance.catalogue import event_schemas
from conformance.findings import Finding
from conformance.message import Message
from conformance.parts import PART, SYNTHETIC, part_of
from conformance.penguin import ALL_STREAMS, BUSES
from conformance.rules._newest import Newest
from conformance.rules.base import Listener, RuleByType, Run, StreamContext, stream_check

WINDOW = 65_536  # ids remembered per connection
KINDS = 256  # different problems remembered per connection, each reported once


@stream_check("PG-EVT-01", probes=ALL_STREAMS, families=BUSES)
class EventsMatchTheirSchemas(RuleByType):
    """Every event has the envelope, and a known type its members. A problem is reported once a stream."""

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._schemas = event_schemas(context.protocol, strict=context.profile.strict)
        self._reported: set[tuple[str, str, str]] = set()

    def listener(self, kind: str) -> Listener:
        matches = self._schemas.of(kind).check

        def judge(message: Message) -> Iterable[Finding]:
            if message.error:
                return ()  # not JSON at all: SSE-FMT-06a says so
            self.judged += 1
            return () if matches(message.value) else self._problems(message)

        return judge

    def takes(self, run: Run) -> bool:
        matches = {kind: self._schemas.of(kind).check for kind in run.types}
        for message, kind in zip(run.messages, run.kinds, strict=True):
            if message.error or not matches[kind](message.value):
                return False
        self.judged += len(run.messages)
        return True

    def _problems(self, message: Message) -> Iterable[Finding]:
        for problem in self._schemas.problems(message.value):
            kind = (message.type, problem.pointer, problem.expected)
            if kind in self._reported or len(self._reported) >= KINDS:
                continue
            self._reported.add(kind)
            yield self.finding(
                message,
                f"{message.type or 'an event'} is not as its schema says",
                expected=f"at {problem.pointer or '/'}: {problem.expected}",
                observed=problem.observed,
            )


@stream_check("PG-EVT-02", probes=ALL_STREAMS, families=BUSES)
class KnownTypes(RuleByType):
    """No event type and no part type that the revision does not list; each unknown one is reported once."""

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._schemas = event_schemas(context.protocol)
        self._reported: set[str] = set()

    def listener(self, kind: str) -> Listener | None:
        if not kind:
            return None
        if not self._schemas.knows(kind):
            return self._unknown_event
        return self._part if kind == PART else self._known

    def takes(self, run: Run) -> bool:
        shown = {part_of(message).type for message in run.messages if message.type == PART}
        known = all(map(self._schemas.knows, run.types)) and shown <= self._schemas.parts
        self.judged += len(run.messages) if known else 0
        return known

    def _known(self, message: Message) -> Iterable[Finding]:
        self.judged += 1
        return ()

    def _unknown_event(self, message: Message) -> Iterable[Finding]:
        self.judged += 1
        return self._unknown(message, "event", message.type)

    def _part(self, message: Message) -> Iterable[Finding]:
        self.judged += 1
        kind = part_of(message).type
        return () if kind in self._schemas.parts or not kind else self._unknown(message, "part", kind)

    def _unknown(self, message: Message, what: str, name: str) -> Iterable[Finding]:
        key = f"{what} {name}"
        if key not in self._reported and len(self._reported) < KINDS:
            self._reported.add(key)
            yield self.finding(
                message,
                f"an unknown {what} type",
                expected=f"a {what} type that {self.context.protocol} lists",
                observed=name,
            )


@stream_check("PG-EVT-03", probes=ALL_STREAMS, families=BUSES)
class IdsUnique(RuleByType):
    """A JSON `id` names one event of a connection, among the last 65,536 (synthetic frames apart)."""

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._seen: Newest[str] = Newest(WINDOW)

    def listener(self, kind: str) -> Listener | None:
        return None if kind in SYNTHETIC else self._event

    def takes(self, run: Run) -> bool:
        ids: list[Any] = [message.body.get("id") for message in run.messages]
        if not SYNTHETIC.isdisjoint(run.types) or {*map(type, ids)} != {str} or not ids[0]:
            return False
        new = self._seen.extend(ids, run.numbers)
        self.judged += len(ids) if new else 0
        return new

    def _event(self, message: Message) -> Iterable[Finding]:
        identity = message.body.get("id")
        if not isinstance(identity, str) or not identity:
            return ()
        self.judged += 1
        before = self._seen.add(identity, message.block.number)
        if before is None:
            return ()
        return (
            self.finding(
                message,
                "an event id is used twice",
                expected=f"the id {identity} once in a connection",
                observed=f"event {before} has it too",
            ),
        )
