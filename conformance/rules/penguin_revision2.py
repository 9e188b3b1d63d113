"""PG-2: what revision 2 adds: ids that are cursors, order and time, the events of a session's life.

Source: penguin-ai 0.9, `id: evt:<stream>:<8 digits>`, `order`, `time`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from operator import le, lt
from typing import Any

from conformance.findings import Finding, Judgement
from conformance.message import Message
from conformance.parts import GAP, SYNTHETIC, title_of
from conformance.penguin import ALL_STREAMS, FAMILIES, LIFECYCLE
from conformance.rules._penguin import answered, id_of, query, stream_of
from conformance.rules.base import Case, Listener, RuleByType, Run, Stream, StreamContext, check, stream_check

STREAMS = 8_192  # event streams (sessions, mostly) whose newest order and time are remembered


@dataclass(slots=True)
class _Newest:
    """The highest order and the latest time that a stream has shown, None before any."""

    order: int | None = None
    time: int = 0


@stream_check("PG-2-01a", probes=ALL_STREAMS, families=FAMILIES)
class OrderGrows(RuleByType):
    """SSE id = JSON id; per stream, `order` grows and `time` does not go back. Remembers 8,192 streams."""

    reads_fields = True

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._streams: OrderedDict[str, _Newest] = OrderedDict()
        self._name: str | None = None  # of the stream of the event before,
        self._newest = _Newest()  # and what is newest there

    def listener(self, kind: str) -> Listener | None:
        return None if not kind or kind in SYNTHETIC else self._event

    def takes(self, run: Run) -> bool:
        if "" in run.types or not SYNTHETIC.isdisjoint(run.types):
            return False
        bodies: list[Any] = [message.body for message in run.messages]
        sent: list[Any] = [message.block.id for message in run.messages]
        ids, orders, times = ([body.get(name) for body in bodies] for name in ("id", "order", "time"))
        if [{*map(type, column)} for column in (ids, sent, orders, times)] != [{str}, {bytes}, {int}, {int}]:
            return False
        names = {*map(stream_of, ids)}
        # No id that was sent has a line feed in it: where the texts are equal, the ids are.
        if len(names) > 1 or "\n".join(ids).encode("utf-8", "surrogatepass") != b"\n".join(sent):
            return False
        newest = self._newest_of(names.pop())
        before = [] if newest.order is None else [newest.order]
        grows = all(map(lt, [*before, *orders], [*before, *orders][1:]))
        if not grows or not all(map(le, [newest.time, *times], times)):
            return False
        newest.order, newest.time = orders[-1], times[-1]
        self.judged += len(ids)
        return True

    def _event(self, message: Message) -> Iterable[Finding]:
        self.judged += 1
        body = message.body
        identity, sent = body.get("id"), message.block.id
        found: list[Finding] = []
        if (None if sent is None else sent.decode("utf-8", "replace")) != identity:
            found.append(
                self.finding(
                    message,
                    "the SSE id is not the JSON id",
                    expected=f"id: {identity}",
                    observed="no id field" if sent is None else f"id: {sent.decode('utf-8', 'replace')}",
                )
            )
        order, time = body.get("order"), body.get("time")
        if type(order) is int and type(time) is int:  # of JSON: no bool
            name = stream_of(identity)
            newest = self._newest_of(name)
            if newest.order is not None and (order <= newest.order or time < newest.time):
                found += self._not_later(message, name, newest, order, time)
                order, time = max(order, newest.order), max(time, newest.time)
            newest.order, newest.time = order, time
        elif (
            "order" in body or "time" in body
        ):  # whether it may lack them is its schema's business (PG-EVT-01)
            found.append(
                self.finding(
                    message,
                    "order or time is not a whole number",
                    expected="order and time (ms) as integers",
                    observed=f"order {order!r}, time {time!r}",
                )
            )
        return found

    def _newest_of(self, name: str) -> _Newest:
        if name == self._name:
            return self._newest
        newest = self._streams.get(name)
        if newest is None:
            newest = self._streams[name] = _Newest()
            if len(self._streams) > STREAMS:
                self._streams.popitem(last=False)
        else:
            self._streams.move_to_end(name)
        self._name, self._newest = name, newest
        return newest

    def _not_later(
        self, message: Message, name: str, before: _Newest, order: int, time: int
    ) -> Iterable[Finding]:
        if before.order is not None and order <= before.order:
            yield self.finding(
                message,
                "order does not grow",
                expected=f"an order above {before.order} in stream {name}",
                observed=str(order),
            )
        if time < before.time:
            yield self.finding(
                message,
                "time goes back",
                expected=f"a time of {before.time} or later in stream {name}",
                observed=str(time),
            )


@check("PG-2-01b", probes=ALL_STREAMS, families=FAMILIES, every=False, recorded=True)
def order_has_no_holes(case: Case) -> Judgement:
    """Under a session filter or none, `order` goes up by one per stream (a gap that is said apart)."""
    if case.request_unknown:
        return Judgement(not_applicable="the recording does not say which filter was asked for")
    findings: list[Finding] = []
    judged = 0
    for stream in case.streams:
        asked = query(stream.transcript.request)
        if asked.get("agent_id") or asked.get("directory"):
            continue
        newest: dict[str, int] = {}
        for message in stream.read():
            if message.type == GAP:
                newest.clear()
            order = message.body.get("order")
            if message.type in SYNTHETIC or not isinstance(order, int):
                continue
            name = stream_of(message.body.get("id"))
            before = newest.get(name)
            newest[name] = max(order, before or order)
            if before is None:
                continue
            judged += 1
            if order > before + 1:
                findings.append(
                    stream.finding(
                        "order leaves a hole",
                        expected=f"order {before + 1} in stream {name}",
                        observed=str(order),
                        at=message,
                    )
                )
    return Judgement(tuple(findings), judged)


@check("PG-2-02", probes=[LIFECYCLE], families=FAMILIES)
def sessions_show_their_life(case: Case) -> Judgement:
    """Making, renaming and deleting a session show as `session.created`, `…updated`, `…deleted`."""
    stream = case.stream("control")
    if stream is None or not stream.transcript.is_event_stream:
        return Judgement(inconclusive="there is no control stream")
    findings: list[Finding] = []
    judged = 0
    kinds = {"create-session": "created", "rename-session": "updated", "delete-session": "deleted"}
    for action in case.observation.actions:
        if action.kind not in kinds:
            continue
        if not answered(action):
            return Judgement(tuple(findings), judged, inconclusive=f"{action.kind}: status {action.status}")
        judged += 1
        kind = f"session.{kinds[action.kind]}"
        session = action.session or id_of(action.answer)
        title = action.note if action.kind == "rename-session" else ""
        if not any(_shows(message, kind, session, title) for message in stream.messages):
            findings.append(
                stream.finding(
                    f"{kind} does not come",
                    expected=f"{kind} of {session}" + (f" with the title {title!r}" if title else ""),
                    observed=_seen(stream, session),
                )
            )
    return Judgement(tuple(findings), judged)


def _shows(message: Message, kind: str, session: str, title: str) -> bool:
    info = message.properties.get("info")
    same = isinstance(info, dict) and info.get("id") == session
    return message.type == kind and same and (not title or title_of(message) == title)


def _seen(stream: Stream, session: str) -> str:
    kinds = [message.type for message in stream.messages if id_of(message.properties.get("info")) == session]
    return f"of that session: {', '.join(kinds) or 'nothing'}"
