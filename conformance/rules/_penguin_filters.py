"""Holding a filtered stream against the unfiltered control stream of the same moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, TypeGuard

from conformance.findings import Finding
from conformance.message import Message
from conformance.parts import session_of
from conformance.rules._penguin import brief, canonical, id_of, identity, live, until_common
from conformance.rules._penguin_marks import Ledger
from conformance.rules.base import Stream

Test = Callable[[Message], bool]


def passed(stream: Stream | None) -> TypeGuard[Stream]:
    """Whether the filter was accepted: an event stream came."""
    return stream is not None and stream.transcript.is_event_stream


def foreign(
    stream: Stream, is_foreign: Test, title: str, expected: str, ledger: Ledger | None = None
) -> list[Finding]:
    """A finding for every event of the stream that does not belong there (the first ten)."""
    found = []
    for message in live(stream):
        if is_foreign(message):
            whose = ledger.whose(message) if ledger is not None else session_of(message)
            observed = f"{brief(message)} of {whose or 'an unknown session'}"
            found.append(stream.finding(title, expected=expected, observed=observed, at=message))
    return found[:10]


def missing(
    stream: Stream, control: Stream, belongs: Test, title: str, what: str
) -> tuple[list[Finding], int]:
    """What the control stream shows and this stream lacks, doubles or changes; and how much was compared.

    What comes twice on the control stream, too, is not the filter's doing. Labels are PG-FLT-05's business, the order
    of events PG-FAN-01's and PG-2-01's.
    """
    ours, theirs = until_common(live(stream), live(control))
    due = {identity(message): message for message in theirs if belongs(message)}
    times = Counter(identity(message) for message in theirs if belongs(message))
    got: dict[str, Message] = {}
    for message in ours:
        key = identity(message)
        times[key] -= 1
        if key in got and key in due and times[key] < 0:
            return [stream.finding(title, expected=what, observed=f"{brief(message)} twice", at=message)], 1
        got[key] = message
    lost = [message for key, message in due.items() if key not in got]
    if lost:
        observed = f"{len(lost)} of {len(due)} are missing, the first: {brief(lost[0])}"
        return [stream.finding(title, expected=what, observed=observed)], len(due)
    for key, message in due.items():
        if canonical(strip(got[key].body)) != canonical(strip(message.body)):
            observed = f"{brief(message)} with another content"
            return [stream.finding(title, expected=what, observed=observed, at=got[key])], len(due)
    return [], len(due)


_LABELS = frozenset({"sessionID", "session_id", "agentID", "agent_id", "agent", "directory"})


def unlabelled(message: Message) -> str:
    """What an event is apart from its labels; its id where it has one."""
    return id_of(message.body) or canonical(strip(message.body))


def strip(value: Any) -> Any:
    """A JSON value without the labels that say whose it is."""
    if isinstance(value, dict):
        return {key: strip(item) for key, item in value.items() if key not in _LABELS}
    return [strip(item) for item in value] if isinstance(value, list) else value
