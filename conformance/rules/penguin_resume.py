"""PG-REC-02 to 05: what a client gets for a cursor.

Source: HTML standard §9.2.3 (`Last-Event-ID` on reconnection); penguin-ai 0.9 (replay, `server.replay_gap`).
"""

from __future__ import annotations

from collections.abc import Sequence

from conformance.findings import Finding, Judgement
from conformance.message import Message
from conformance.parts import CONNECTED, GAP, SYNTHETIC, message_info, part_info, session_of
from conformance.penguin import (
    ALL_STREAMS,
    FAMILIES,
    FOREIGN_CURSOR,
    FULL,
    GAPS,
    RESUME,
    RESUME_LIVE,
    RETENTION,
)
from conformance.rules._penguin import (
    brief,
    by_order,
    canonical,
    cursor_of,
    goes_on,
    live,
    of_session,
    orderly,
    until_common_fence,
)
from conformance.rules._penguin_marks import Ledger
from conformance.rules.base import Case, Stream, check


def _follows(
    stream: Stream, expected: Sequence[Message], *, whole: bool, what: str
) -> tuple[list[Finding], int]:
    """Hold a resumed stream's events against those that were due, as JSON values.

    `whole`: up to the last fence that both show; else the stream was cut on purpose and may end earlier.
    """
    got, due = live(stream), list(expected)
    if not orderly(due):
        got, due = by_order(got), by_order(due)
    if whole:
        got, due = until_common_fence(got, due)
    for index, message in enumerate(got):
        if index >= len(due):
            return [_wrong(stream, "a replay has an event too many", "nothing more", message, what)], index
        if canonical(message.body) != canonical(due[index].body):
            return [_unequal(stream, message, got, due, index, what)], index + 1
    if whole and len(got) < len(due):
        lost = due[len(got)]
        return [
            stream.finding(
                "a replay loses events",
                expected=f"{what}: {len(due)} events",
                observed=f"{len(got)} of them; the first that is missing is {brief(lost)}",
                at=got[-1] if got else None,
            )
        ], len(due)
    return [], len(got)


def _unequal(
    stream: Stream, message: Message, got: Sequence[Message], due: Sequence[Message], index: int, what: str
) -> Finding:
    key, wanted = canonical(message.body), due[index]
    if any(canonical(before.body) == key for before in got[:index]):
        return _wrong(stream, "a replay doubles an event", brief(wanted), message, what)
    if any(canonical(later.body) == key for later in due[index:]):
        return _wrong(stream, "a replay loses or reorders events", brief(wanted), message, what)
    if message.body.get("id") == wanted.body.get("id"):
        return stream.finding(
            "a replayed event has another value",
            expected=f"{what}: {brief(wanted)} as it was sent before",
            observed=f"it differs in {', '.join(_changed(wanted.body, message.body))}",
            at=message,
        )
    return _wrong(stream, "a replay has an event that was not missed", brief(wanted), message, what)


def _wrong(stream: Stream, title: str, wanted: str, message: Message, what: str) -> Finding:
    return stream.finding(title, expected=f"{what}: {wanted}", observed=brief(message), at=message)


def _changed(old: object, new: object, path: str = "") -> list[str]:
    """The pointers at which two JSON values differ (at most five)."""
    if isinstance(old, dict) and isinstance(new, dict):
        found: list[str] = []
        for key in sorted(set(old) | set(new)):
            if key not in old or key not in new:
                found.append(f"{path}/{key} ({'gone' if key in old else 'new'})")
            elif canonical(old[key]) != canonical(new[key]):
                found += _changed(old[key], new[key], f"{path}/{key}")
        return found[:5]
    return [path or "/"]


def _after(full: Stream, cursor: str) -> list[Message] | None:
    """What the uncut stream shows after the event with that cursor; None where it has no such event."""
    events = live(full)
    events = events if orderly(events) else by_order(events)
    at = next((i for i, m in enumerate(events) if m.event.last_event_id == cursor), None)
    return None if at is None else events[at + 1 :]


def _resumed(case: Case, roles: Sequence[Stream]) -> Judgement:
    """Every resumed stream, by its own cursor, against the uncut stream."""
    full = case.stream(FULL)
    if full is None or not full.transcript.is_event_stream:
        return Judgement(inconclusive="there is no uncut stream")
    findings: list[Finding] = []
    judged = 0
    session = str(case.observation.fact("session", ""))
    for stream in roles:
        cursor = cursor_of(stream.transcript.request)
        expected = _after(full, cursor or "")
        if expected is None:
            continue
        gap = next((message for message in stream.messages if message.type == GAP), None)
        if gap is not None:
            judged += 1
            kept = case.profile.capabilities.retention
            if kept is None or len(expected) <= kept:
                findings.append(
                    stream.finding(
                        "a cursor that was just given out is answered with a gap",
                        expected=f"exactly what followed {cursor}",
                        observed=f"server.replay_gap: {canonical(gap.properties)[:200]}",
                        at=gap,
                    )
                )
            continue
        if stream.role == "all":  # unfiltered: other sessions' events are nobody's loss
            found, compared = _among(stream, expected, session)
        else:
            until = case.observation.fact(f"until:{stream.role}")
            whole = until is None and not stream.role.startswith("chain-")
            found, compared = _follows(stream, expected, whole=whole, what=f"exactly what followed {cursor}")
        findings += found
        judged += compared
    return Judgement(tuple(findings), judged)


def _among(stream: Stream, expected: Sequence[Message], session: str) -> tuple[list[Finding], int]:
    """Like `_follows`, of one session's events on an unfiltered stream."""
    got, due = of_session(live(stream), session), of_session(expected, session)
    got, due = until_common_fence(by_order(got), by_order(due))
    if [canonical(m.body) for m in got] == [canonical(m.body) for m in due]:
        return [], len(due)
    return [
        stream.finding(
            "an unfiltered replay is not what was missed",
            expected=f"the {len(due)} events of session {session} that followed the cursor",
            observed=f"{len(got)} events of it, or others",
            at=got[0] if got else None,
        )
    ], len(due)


def _streams(case: Case, *prefixes: str) -> list[Stream]:
    return [stream for stream in case.streams if stream.role.startswith(prefixes)]


@check("PG-REC-02", probes=[RESUME, RESUME_LIVE], families=FAMILIES)
def resuming_gives_what_was_missed(case: Case) -> Judgement:
    """The header's cursor gives exactly what followed it: at any cut, repeatedly, while events arrive."""
    roles = _streams(case, "cut-", "again-", "chain-", "all")
    return _resumed(case, [s for s in roles if cursor_of(s.transcript.request) is not None])


@check("PG-REC-02", probes=[RESUME_LIVE], families=FAMILIES)
def nothing_between_the_cuts(case: Case) -> Judgement:
    """A stream that was cut and resumed while events arrived is, put together, the uncut one."""
    full = case.stream(FULL)
    first = case.stream("cut-0")
    if full is None or first is None:
        return Judgement(inconclusive="there is no uncut stream")
    if not orderly(live(full)) or any(m.type == GAP for s in _streams(case, "cut-") for m in s.messages):
        return Judgement()  # no order uncut, none cut (PG-2-01a); and what a gap swallowed is said above
    joined: list[str] = []
    for stream in sorted(_streams(case, "cut-"), key=lambda s: int(s.role.removeprefix("cut-"))):
        until = case.observation.fact(f"until:{stream.role}")
        for message in live(stream):
            joined.append(canonical(message.body))
            if until is not None and message.event.last_event_id == until:
                break
    uncut = [canonical(message.body) for message in live(full)]
    # The uncut stream subscribed first: it may have more before, and at the very end.
    start = uncut.index(joined[0]) if joined and joined[0] in uncut else 0
    wanted = uncut[start : start + len(joined)]
    if joined == wanted:
        return Judgement(judged=len(joined))
    at = next(
        (i for i, pair in enumerate(zip(joined, wanted, strict=False)) if pair[0] != pair[1]), len(wanted)
    )
    return Judgement(
        (
            full.finding(
                "a stream that was cut and resumed is not the uncut one",
                expected=f"the {len(wanted)} events of the uncut stream, in order",
                observed=f"{len(joined)} events; they part at event {at}",
            ),
        ),
        len(joined),
    )


@check("PG-REC-02", probes=[RETENTION], families=FAMILIES)
def resuming_within_the_retention(case: Case) -> Judgement:
    """A cursor from within the declared retention still gives exactly what followed it."""
    return _resumed(case, _streams(case, "cut-recent"))


@check("PG-REC-02b", probes=[RESUME], families=FAMILIES)
def query_cursor(case: Case) -> Judgement:
    """The query `last_event_id` does what the header does, and wins over it."""
    return _resumed(case, _streams(case, "query-", "both"))


def _gap_first(stream: Stream, full: Stream) -> list[Finding]:
    """A gap before the first live event, then all that the uncut stream shows from the first one on."""
    kinds = [message.type for message in stream.messages if message.type != CONNECTED]
    if not kinds or kinds[0] != GAP:
        return [
            stream.finding(
                "a cursor that cannot be replayed gives no gap",
                expected="server.replay_gap before anything else, after server.connected",
                observed=kinds[0] if kinds else "nothing but server.connected",
                at=next((m for m in stream.messages if m.type != CONNECTED), None),
            )
        ]
    return goes_on(stream, full)


@check("PG-REC-03", probes=[GAPS], families=FAMILIES)
def unknown_cursor_gives_a_gap(case: Case) -> Judgement:
    """An unknown cursor: server.connected, an explicit gap, then live events."""
    full = case.stream(FULL)
    if full is None:
        return Judgement(inconclusive="there is no uncut stream")
    findings: list[Finding] = []
    streams = [stream for stream in case.exchanges if stream.role.startswith("unknown-")]
    for stream in streams:
        head = stream.transcript.head
        if not stream.transcript.is_event_stream:
            findings.append(
                stream.finding(
                    "an unknown cursor is refused",
                    expected="an event stream with server.replay_gap",
                    observed="no answer" if head is None else f"status {head.status}",
                )
            )
            continue
        findings += _gap_first(stream, full)
        seen = [m for m in live(stream) if any(canonical(m.body) == canonical(f.body) for f in live(full))]
        if seen and not any(message_info(m) or part_info(m) for m in seen):
            findings.append(
                stream.finding(
                    "a turn after the gap is missing",
                    expected="the turn that was prompted after the gap",
                    observed="no event of a message",
                )
            )
    return Judgement(tuple(findings), len(streams))


@check("PG-REC-03b", probes=[RETENTION], families=FAMILIES)
def old_cursor_gives_a_gap(case: Case) -> Judgement:
    """A cursor beyond the declared retention gives an explicit gap, or still everything that followed it."""
    full, stream = case.stream(FULL), case.stream("old")
    if full is None or stream is None:
        return Judgement(inconclusive="there is no stream with an old cursor")
    if any(message.type == GAP for message in stream.messages):
        return Judgement(tuple(_gap_first(stream, full)), 1)
    exact = _resumed(case, [stream])
    if not exact.findings and exact.judged:
        return Judgement(judged=1, notes=("it keeps more than its profile declares",))
    return Judgement(tuple(_gap_first(stream, full)), 1)


@check("PG-REC-04", probes=[FOREIGN_CURSOR], families=FAMILIES)
def replay_obeys_the_filter(case: Case) -> Judgement:
    """A replay shows nothing that its filter would not let through live."""
    ledger = Ledger(case)
    findings: list[Finding] = []
    judged = 0
    for role, own in (("b-from-a", ledger.b), ("a-from-a", ledger.a), ("nobody-from-a", ledger.a)):
        stream = case.stream(role)
        if stream is None or not stream.transcript.is_event_stream:
            continue
        other = ledger.b if own == ledger.a else ledger.a
        judged += ledger.count(other)
        for message in live(stream):
            leaks = ledger.whose(message) == other
            spoken = role == "nobody-from-a" and bool(ledger.agent_of(message))
            if leaks or spoken:
                findings.append(
                    stream.finding(
                        "a replay does not obey its filter",
                        expected="an agent that never spoke: no output"
                        if spoken
                        else f"nothing but session {own}",
                        observed=f"{brief(message)} of {ledger.whose(message)}",
                        at=message,
                    )
                )
                break
    return ledger.judge(findings, judged)


@check("PG-REC-05a", probes=ALL_STREAMS, families=FAMILIES, every=False)
def ids_name_one_event(case: Case) -> Judgement:
    """An SSE id names one event over all connections of an observation."""
    seen: dict[str, tuple[str, str]] = {}
    findings: list[Finding] = []
    for stream in case.streams:
        for message in stream.read():
            named = (message.block.id or b"").decode("utf-8", "replace")
            if not named or message.type in SYNTHETIC:
                continue
            what = _event_of(message)
            role, before = seen.setdefault(named, (stream.role, what))
            if before != what:
                findings.append(
                    stream.finding(
                        "an id names two events",
                        expected=f"{named} to name {before}, as on {role}",
                        observed=what,
                        at=message,
                    )
                )
    return Judgement(tuple(findings[:10]), len(seen))


def _event_of(message: Message) -> str:
    """What tells one event from another, whatever a filter or a late serialisation makes of its content."""
    info, part = message_info(message), part_info(message)
    owner = info.id if info is not None else part.id if part is not None else session_of(message)
    return f"{message.type} of {owner or 'nothing'} at {message.body.get('time')}"


def _cursor_at(full: Stream, index: int) -> str:
    """The cursor after the uncut stream's event of that number, "" for -1: before all of them."""
    return "" if index < 0 else live(full)[index].event.last_event_id


@check("PG-REC-05a", probes=[RESUME, GAPS], families=FAMILIES)
def synthetic_ids_replay(case: Case) -> Judgement:
    """The id of a synthetic frame, where it has one, replays exactly when it is used as a cursor."""
    full = case.stream(FULL)
    if full is None:
        return Judgement(inconclusive="there is no uncut stream")
    findings: list[Finding] = []
    judged = 0
    for stream in _streams(case, "connected-", "after-gap"):
        if any(message.type == GAP for message in stream.messages):
            judged += 1  # explicit: its client knows that it must read everything again
            continue
        if stream.role == "after-gap":
            origin = case.stream("unknown-word")
            due = [] if origin is None else live(origin)
            what = "a cursor taken from server.replay_gap: what followed that gap"
        else:
            since = case.observation.fact(f"since:{stream.role}", -1)
            due = _after(full, _cursor_at(full, since)) or live(full)
            what = "a cursor taken from server.connected: what its client had not seen yet"
        found, compared = _follows(stream, due, whole=True, what=what)
        findings += found
        judged += max(1, compared)
    if judged:
        return Judgement(tuple(findings), judged)
    named = [m for s in case.streams for m in s.messages if m.type in SYNTHETIC and m.block.id]
    return Judgement(judged=0 if named else sum(1 for s in case.streams if s.messages))
