"""PG-CON: the handshake, and that nothing is missed after it.

Source: Penguin SSE Endpoint Documentation, §Event Types ("Initial connection handshake").
"""

from __future__ import annotations

from collections.abc import Iterable

from conformance.findings import Finding, Judgement
from conformance.message import Message
from conformance.parts import CONNECTED, message_info, part_info, title_of
from conformance.penguin import ALL_STREAMS, BUSES, CONNECT, CONTROL, TURN_STREAMS
from conformance.rules._penguin import answered, turns
from conformance.rules.base import Case, Run, StreamContext, StreamRule, check, stream_check


@stream_check("PG-CON-01", probes=ALL_STREAMS, families=BUSES)
class ConnectedFirstAndOnce(StreamRule):
    """`server.connected` is the first event of every connection and comes once, on resumed ones too."""

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._first = True

    def takes(self, run: Run) -> bool:
        return not self._first and CONNECTED not in run.types

    def feed(self, message: Message) -> Iterable[Finding]:
        first, self._first = self._first, False
        connected = message.type == CONNECTED
        self.judged += 1 if first or connected else 0
        if first and not connected:
            yield self.finding(
                message,
                "the stream does not begin with server.connected",
                expected="server.connected as the first event",
                observed=message.type or "an event without a type",
            )
        if connected and not first:
            yield self.finding(
                message,
                "server.connected comes again",
                expected="server.connected once per connection",
                observed=f"another one as event {message.event.index}",
            )


@check("PG-CON-01", probes=ALL_STREAMS, families=BUSES, every=False)
def connected_at_all(case: Case) -> Judgement:
    """A stream that was answered and then says nothing for the whole deadline has no handshake."""
    findings: list[Finding] = []
    patience = case.profile.limits.settle * case.profile.timeout_scale
    for stream in case.streams:
        head = stream.transcript.head
        assert head is not None  # of an event stream
        waited = stream.transcript.ended_at - head.at
        if not stream.messages and waited >= patience:
            findings.append(
                stream.finding(
                    "the stream does not begin with server.connected",
                    expected="server.connected as the first event",
                    observed=f"no event within {waited:.1f} s",
                )
            )
    return Judgement(tuple(findings))


@check("PG-CON-02", probes=[CONNECT], families=BUSES)
def nothing_missed_after_connecting(case: Case) -> Judgement:
    """A title given the moment `server.connected` was seen shows on that connection, if it shows on any.

    The control stream is held to it, too, up to the last title that it shows.
    """
    findings: list[Finding] = []
    judged, unseen = 0, 0
    shown = {stream.role: {title_of(message) for message in stream.messages} for stream in case.streams}
    everyone = set().union(*shown.values())
    control = case.stream(CONTROL)
    renamings = case.observation.actions_of("rename-session")
    last = max((n for n, action in enumerate(renamings) if action.note in shown.get(CONTROL, ())), default=-1)
    for number, action in enumerate(renamings):
        stream = case.stream(action.stream) if action.stream else None
        if stream is None or not stream.messages or not answered(action):
            continue
        if action.note not in everyone:
            unseen += 1  # nobody saw it: then the renaming is not what this connection missed
            continue
        for each in (stream, control) if control is not None and number < last else (stream,):
            judged += 1
            if action.note not in shown[each.role]:
                findings.append(
                    each.finding(
                        "an event caused after server.connected is missing",
                        expected=f"session.updated with the title {action.note!r}, as another subscriber saw it",
                        observed=f"{len(each.messages)} events without it",
                    )
                )
    reason = "renaming a session showed on no stream" if unseen and not judged else ""
    return Judgement(tuple(findings), judged, inconclusive=reason)


@check("PG-CON-02", probes=TURN_STREAMS, families=BUSES, every=False)
def turn_shows(case: Case) -> Judgement:
    """A turn that was prompted after `server.connected` shows on the connection."""
    findings: list[Finding] = []
    judged = 0
    for action, stream in turns(case):
        if action.script is None or action.script.fails or not action.script.said:
            continue
        judged += 1
        if not any(message_info(message) or part_info(message) for message in stream.messages):
            findings.append(
                stream.finding(
                    "a turn caused after server.connected is missing",
                    expected="events of the turn's messages and parts",
                    observed=f"{len(stream.messages)} events, none of a message",
                )
            )
    return Judgement(tuple(findings), judged)
