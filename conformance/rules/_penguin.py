"""What the Penguin rules share: comparing events as JSON values, and finding a turn in its stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from conformance.findings import Finding
from conformance.http_status import successful
from conformance.message import Message
from conformance.parts import (
    SYNTHETIC,
    message_info,
    part_info,
    session_of,
    status_of,
    tells_of_sessions,
    title_of,
)
from conformance.rules.base import Case, Stream
from conformance.transcript import Action, Ended, Request


def canonical(value: Any) -> str:
    """A JSON value as one string: equal for equal values, whatever the order of their members."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def brief(message: Message) -> str:
    """An event in a few words, for findings."""
    part, info = part_info(message), message_info(message)
    about = ""
    if part is not None:
        about = f" ({part.type} part {part.id or '?'} {part.status})".replace(" )", ")")
    elif info is not None:
        about = f" ({info.role or 'message'} {info.id})"
    elif (status := status_of(message)) is not None:
        about = f" ({status[1]})"
    name = message.event.last_event_id
    return f"{message.type or 'an event without a type'}{about}" + (f" with id {name}" if name else "")


def live(stream: Stream) -> list[Message]:
    """The events of a stream without the frames that the server made for this connection.

    What is no JSON, or has no type, is no event that could be compared: SSE-FMT-06a and PG-EVT-01 accuse it.
    """
    return [message for message in stream.messages if message.type and message.type not in SYNTHETIC]


def until_common_fence(left: list[Message], right: list[Message]) -> tuple[list[Message], list[Message]]:
    """Both lists up to the last renaming that both show, with it: what came later may still be on its way.

    Where they share none, both as they are.
    """
    shared = {title_of(message) for message in left} & {title_of(message) for message in right} - {""}
    if not shared:
        return left, right
    return _until_last(left, shared), _until_last(right, shared)


def until_common(left: list[Message], right: list[Message]) -> tuple[list[Message], list[Message]]:
    """Like `until_common_fence`; where a filter lets no fence through, up to the last event of both."""
    if any(title_of(message) for message in left):
        return until_common_fence(left, right)
    shown = {identity(message) for message in left}
    last = max((i for i, message in enumerate(right) if identity(message) in shown), default=None)
    return left, right if last is None else right[: last + 1]


def id_of(value: Any) -> str:
    """The id of an object, "" where it has none (or is none)."""
    named = value.get("id") if isinstance(value, dict) else None
    return named if isinstance(named, str) else ""


def identity(message: Message) -> str:
    """What makes an event the same on two streams: its id, else its whole value."""
    return id_of(message.body) or canonical(message.body)


def joined_midway(case: Case, stream: Stream, session: str) -> bool:
    """Whether the stream was opened while a turn of the session was under way."""
    opened = stream.transcript.opened_at
    return any(action.under_way(opened) for action in scripts_of(case, session))


def _until_last(messages: list[Message], titles: set[str]) -> list[Message]:
    last = max(index for index, message in enumerate(messages) if title_of(message) in titles)
    return messages[: last + 1]


def of_session(messages: Iterable[Message], session: str) -> list[Message]:
    """The events that say that they belong to the session."""
    return [message for message in messages if session_of(message) == session]


def shown_text(message: Message) -> str:
    """What a part event says: its text and its delta, for finding words in it."""
    part = part_info(message)
    return "" if part is None else f"{part.text or ''}\n{part.delta or ''}"


def query(request: Request) -> dict[str, str]:
    """The request's query parameters; the last one of a name wins."""
    return dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))


def cursor_of(request: Request) -> str | None:
    """The cursor with which a stream was resumed: the query wins over the header (penguin/2)."""
    header = next((value for name, value in request.headers if name.lower() == "last-event-id"), None)
    return query(request).get("last_event_id") or header


def answered(action: Action) -> bool:
    """Whether a prompt was answered well: then its turn has ended."""
    return successful(action.status)


def given_up(stream: Stream) -> bool:
    """Whether we hung up while more was coming: what the stream does not show, it may yet have shown."""
    return stream.transcript.ended in (Ended.DEADLINE, Ended.CAPPED)


def dropped(stream: Stream, action: Action) -> bool:
    """Whether the server itself ended the stream before it showed the turn's end (penguin/1 never shows it).

    Such a stream has no end of its own. A server that ends it on a reader that lags, as one behind a slow link
    does, loses nothing silently: the reader connects again with its cursor (SSE-LIVE-03).
    """
    if stream.cut_by_us or not tells_of_sessions(stream.profile.protocol):
        return False
    return not any(
        status_of(message) in ((action.session, "idle"), ("", "idle")) and message.event.at >= action.at
        for message in stream.read()
    )


def turns(case: Case) -> Iterator[tuple[Action, Stream]]:
    """The prompts that were answered, each with the stream that was to show it and was there to the end."""
    for action in case.observation.actions_of("prompt"):
        stream = case.stream(action.stream) if action.stream else None
        if stream is None or not stream.transcript.is_event_stream or not answered(action):
            continue
        there = action.until is not None and action.until <= stream.transcript.ended_at
        if there and not given_up(stream) and not dropped(stream, action):
            yield action, stream


def undisturbed(case: Case, session: str) -> bool:
    """Whether nothing was done to a session that excuses gaps: no abort, no failing model."""
    for action in case.observation.actions:
        if action.session == session and (
            action.kind == "abort" or (action.script is not None and action.script.fails)
        ):
            return False
    return True


def scripts_of(case: Case, session: str) -> tuple[Action, ...]:
    """The prompts sent to a session, in order."""
    return tuple(a for a in case.observation.actions_of("prompt") if a.session == session)


def stream_of(identity: Any) -> str:
    """The name of the stream in an event's id, "" where it has none: `evt:<stream>:<number>`."""
    return identity.rpartition(":")[0] if isinstance(identity, str) else ""


def orderly(messages: list[Message]) -> bool:
    """Whether `order` (penguin/2) never falls in any stream that the ids name; True where events have none."""
    newest: dict[str, int] = {}
    for message in messages:
        order = message.body.get("order")
        if not isinstance(order, int):
            continue
        name = stream_of(message.body.get("id"))
        if order < newest.get(name, order):
            return False
        newest[name] = order
    return True


def by_order(messages: list[Message]) -> list[Message]:
    """Each stream's events by their `order`, for comparing what came where the target mixes it up live.

    That it does is said by PG-2-01a and PG-FAN-01a; a replay in the right order is not to blame for it. Events of
    other streams (what belongs to no session has one of its own) keep their places.
    """
    places: dict[str, list[int]] = {}
    for place, message in enumerate(messages):
        if not isinstance(message.body.get("order"), int):
            return messages
        places.setdefault(stream_of(message.body.get("id")), []).append(place)
    ordered = list(messages)
    for own in places.values():
        events = sorted((messages[place] for place in own), key=lambda message: int(message.body["order"]))
        for place, message in zip(own, events, strict=True):
            ordered[place] = message
    return ordered


def goes_on(stream: Stream, full: Stream) -> list[Finding]:
    """Whether a stream, once it shows live events, shows all that the uncut stream shows from there on."""
    shown = by_order(live(full))
    known = {canonical(message.body) for message in shown}
    got = by_order([message for message in live(stream) if canonical(message.body) in known])
    if not got:
        return [
            stream.finding(
                "no live events after a gap",
                expected="the events that an uncut stream shows after that",
                observed=f"{len(stream.messages)} events, none of them",
            )
        ]
    ours, theirs = until_common_fence(got, shown)
    # Without ids an event may look like one from before: what came is told by where it ended.
    due = [canonical(message.body) for message in theirs[-len(ours) :]]
    if ours and [canonical(message.body) for message in ours] == due:
        return []
    return [
        stream.finding(
            "live events are lost, doubled or reordered",
            expected="the events that an uncut stream shows from there on",
            observed=f"{len(ours)} of them, or in another order",
            at=got[0],
        )
    ]
