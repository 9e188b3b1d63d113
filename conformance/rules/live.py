"""Clients that vanish or stop reading: SSE-LIVE-01, 02, 03."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from conformance import exchanges
from conformance.findings import Finding, Judgement
from conformance.message import Message
from conformance.parts import SYNTHETIC, part_info, session_of, tells_of_sessions
from conformance.penguin import BUSES
from conformance.rules._penguin import canonical, id_of
from conformance.rules.base import Case, Stream, check
from conformance.rules.http_requests import how
from conformance.rules.said import difference, said
from conformance.script import Script
from conformance.transcript import Ended

# Words by which a server says that events were left out; the documents name `server.replay_gap` only.
_GAP_WORDS = ("gap", "overflow", "lagged", "dropped", "resync", "too_slow")
_SERVER_ENDED = (Ended.COMPLETE, Ended.TRUNCATED, Ended.RESET)


@check("SSE-LIVE-01", probes=(exchanges.VANISH,))
def vanishing_clients(case: Case) -> Judgement:
    """After them, the next client is served and its turn ends."""
    fact = case.observation.fact
    if not (fact("served_before") and fact("turn_before")):
        return Judgement(inconclusive="the target did not serve before either")
    if not fact("vanished"):
        return Judgement(inconclusive="no client could vanish: none was let in")
    tried = [entry for entry in case.exchanges if entry.role == "after" or entry.role.startswith("after-")]
    after = tried[-1] if tried else None
    head = None if after is None else after.transcript.head
    limit = case.profile.capabilities.rate_limit
    if limit and head is not None and head.status in (429, 503):
        return Judgement(not_applicable=f"still limited, answered {head.status}")
    trouble = fact("trouble", "")
    if trouble or not fact("served_after"):
        observed = trouble or ("no stream" if after is None else how(after.transcript))
    elif not limit and not fact("turn_after"):
        observed = "a stream, but its turn does not end"
    else:
        return Judgement(judged=fact("vanished"))
    role = "" if after is None else after.role
    found = Finding("clients that vanished harm the next", "service as before", observed, role)
    return Judgement((found,), fact("vanished"))


@check("SSE-LIVE-02", probes=(exchanges.STALL,))
def nobody_waits(case: Case) -> Judgement:
    """While one client does not read, another's turn ends."""
    fact = case.observation.fact
    if not fact("before_final"):
        return Judgement(inconclusive="a turn did not end before anybody stalled")
    if fact("backlog_final") is False:
        if fact("held"):
            return Judgement((_held("backlog", "a turn stood still until the client read on"),), 1)
        if fact("beside_final"):
            return Judgement(inconclusive="the turns of the backlog did not end, with or without the stall")
    if fact("beside_final") is None:
        return Judgement(inconclusive="no turn was tried beside the stalled client")
    if not fact("beside_final"):
        return Judgement((_held("beside", "a turn beside it did not end"),), 1)
    return Judgement(judged=1)


def _held(role: str, observed: str) -> Finding:
    return Finding("a client that does not read holds up others", "turns that end meanwhile", observed, role)


def _stalled(case: Case) -> Stream | Judgement:
    """The stalled stream, or what is said where it cannot be judged (or needs not be)."""
    stream = case.stream("stalled")
    if stream is None:
        return Judgement()
    if not stream.transcript.is_event_stream:
        return Judgement(inconclusive=f"the stalled stream got {how(stream.transcript)}")
    return stream


def _too_small(case: Case, scripts: Iterable[Script]) -> tuple[str, str]:
    """Why the backlog passes no buffers ("" if it does), and a note where it was said in fewer events than chunks.

    How text is cut into events is the server's business. One that joins chunks cannot be made to send more
    events, so it is asked for the bytes, of as many chunks.
    """
    size, count = case.observation.fact("backlog_bytes", 0), case.observation.fact("backlog_events", 0)
    chunks = sum(len(turn.text_chunks) for script in scripts for turn in script.turns)
    if size >= exchanges.BACKLOG_BYTES and max(count, chunks) > exchanges.BACKLOG_EVENTS:
        joined = count <= exchanges.BACKLOG_EVENTS
        return "", f"the server joined {chunks} chunks of the model into {count} events" if joined else ""
    return f"the backlog was {size} bytes in {count} events, too little to pass the buffers", ""


def _mute(case: Case, stream: Stream) -> Finding | None:
    """A stream that neither goes on nor ends."""
    if case.observation.fact("read_on") != "silent":
        return None
    return stream.finding(
        "the stalled reader reads on, and nothing comes",
        expected="the rest, an explicit gap, or an end",
        observed="an open stream that is silent",
    )


@check("SSE-LIVE-03", probes=(exchanges.STALL,), families=("agentsmithy",))
def whole_answer(case: Case) -> Judgement:
    """A stalled answer is whole when it is read on, or it ends without pretending to be."""
    stream = _stalled(case)
    if isinstance(stream, Judgement):
        return stream
    if (mute := _mute(case, stream)) is not None:
        return Judgement((mute,), 1)
    prompts = case.prompts("stalled")
    script = prompts[0].script if prompts else None
    if script is None:
        return Judgement(inconclusive="the stalled answer's script is not known")
    spoken = said(stream)
    if spoken.text != script.said:
        finished = any(message.type == "done" for message in stream.read())
        whole_so_far = script.said.startswith(spoken.text)
        if not finished and whole_so_far and stream.transcript.ended in _SERVER_ENDED:
            return Judgement(judged=1, notes=("the stalled stream was ended by the server",))
        if spoken.errors:
            return Judgement(judged=1, notes=("the stalled stream ended with an error",))
        if not finished and whole_so_far:
            return Judgement(inconclusive="the stalled answer was not read to its end in time")
        found = stream.finding(
            "a silent hole",
            expected="the whole answer, or an end without `done`",
            observed=difference(script.said, spoken.text),
        )
        return Judgement((found,), 1)
    small, joined = _too_small(case, (script,))
    if small:
        return Judgement(inconclusive=small)
    return Judgement(judged=1, notes=(joined,) if joined else ())


_Key = tuple[bytes, int]  # an event's id or its content, and its number among those of the same


@dataclass(slots=True)
class _Seen:
    """What a subscriber saw of one session up to the fence: events in order, and what parts amount to."""

    order: list[_Key] = field(default_factory=list)
    places: dict[_Key, Message] = field(default_factory=dict)
    deltas: dict[_Key, str] = field(default_factory=dict)  # event to the part whose delta it carries
    joined: dict[str, str] = field(default_factory=dict)  # part to its joined deltas
    text: dict[str, str] = field(default_factory=dict)  # part to its newest text
    gap: bool = False
    fenced: bool = False


@check("SSE-LIVE-03", probes=(exchanges.STALL,), families=BUSES)
def whole_backlog(case: Case) -> Judgement:
    """A stalled subscriber gets what one that reads got, or is told of the gap, or is disconnected."""
    stream, witness = _stalled(case), case.stream("witness")
    if isinstance(stream, Judgement):
        return stream
    if witness is None:
        return Judgement()
    session = case.observation.fact("session", "")
    backlog = [a.script for a in case.prompts() if a.stream.startswith("backlog-") and a.script is not None]
    small, joined = _too_small(case, backlog)
    if (mute := _mute(case, stream)) is not None:
        return Judgement((mute,), 1)
    # An event that came with another content is no hole: that subscribers see the same is PG-FAN-01a's business.
    # Ids tell events apart only where they are the events' own, and not numbers of each connection.
    by_id = tells_of_sessions(case.profile.protocol)
    got, had = _seen(stream, session, by_id), _seen(witness, session, by_id)
    if by_id and not got.places.keys() & had.places.keys():
        got, had = _seen(stream, session, False), _seen(witness, session, False)
    note = ""
    if got.gap:
        note = "it was told of a gap"
    elif stream.transcript.ended in _SERVER_ENDED:
        # A client that is disconnected comes again, with a cursor that is behind whatever it missed before.
        had.order = _until(had.order, got.order)
        note = f"it was disconnected after {len(had.order)} events of the backlog"
    elif not (got.fenced and had.fenced):
        return Judgement(inconclusive="the fence after the stall did not arrive in time")
    found = () if got.gap else tuple(_holes(stream, got, had))
    if found:
        return Judgement(found, len(had.order))
    if small:
        return Judgement(inconclusive=small)
    return Judgement(judged=len(had.order) or 1, notes=tuple(said for said in (note, joined) if said))


def _until(order: list[_Key], seen: list[_Key]) -> list[_Key]:
    """The order up to its last event that was seen."""
    known = set(seen)
    return order[: max((end for end, key in enumerate(order, 1) if key in known), default=0)]


def _seen(stream: Stream, session: str, by_id: bool) -> _Seen:
    seen = _Seen()
    # penguin/1 shows no sessions: what names none may be the backlog's, and nothing else is asked meanwhile.
    ours = {session} if tells_of_sessions(stream.profile.protocol) else {session, ""}
    times: Counter[bytes] = Counter()
    for message in stream.read():
        if any(word in message.type.lower() for word in _GAP_WORDS):
            seen.gap = True
        if seen.fenced or message.type in SYNTHETIC or session_of(message) not in ours:
            continue
        if exchanges.carries(message.value, exchanges.FENCE_MARK):
            seen.fenced = True
            continue
        part = part_info(message)
        name = (id_of(message.body).encode() if by_id else b"") or _content(message)
        times[name] += 1
        key = (name, times[name])
        seen.order.append(key)
        seen.places[key] = message
        if part is not None:
            if part.delta:
                seen.deltas[key] = part.id
                seen.joined[part.id] = seen.joined.get(part.id, "") + part.delta
            if part.text is not None:
                seen.text[part.id] = part.text
            elif part.delta:
                seen.text.pop(part.id, None)  # it has grown since its text was told
    return seen


def _content(message: Message) -> bytes:
    """A digest of the event's content; cursors, counters and times of the frame may differ."""
    content = {name: value for name, value in message.body.items() if name not in ("id", "order", "time")}
    return hashlib.sha256(canonical(content).encode()).digest()


def _holes(stream: Stream, got: _Seen, had: _Seen) -> Iterator[Finding]:
    lost = [key for key in had.order if key not in got.places and not _coalesced(key, got, had)]
    if lost:
        place = had.places[lost[0]]
        yield stream.finding(
            "a silent hole",
            expected="every event that another subscriber got, an explicit gap, or an end",
            observed=(
                f"{len(lost)} of {len(had.order)} events never came, the first a {place.type} "
                f"(event {place.event.index} of the other subscriber), and nothing said so"
            ),
        )
        return
    common = set(got.order) & set(had.order)
    ours = [key for key in got.order if key in common]
    theirs = [key for key in had.order if key in common]
    if ours != theirs:
        at = next(key for key, other in zip(ours, theirs, strict=True) if key != other)
        yield stream.finding(
            "the backlog comes in another order",
            expected="the order in which another subscriber got it",
            observed=f"{got.places[at].type} out of its place",
            at=got.places[at],
        )


def _coalesced(key: _Key, got: _Seen, had: _Seen) -> bool:
    """Whether a missing delta is contained in others: a server may join increments for a slow reader."""
    part = had.deltas.get(key)
    if part is None:
        return False
    joined, text = got.joined.get(part, ""), got.text.get(part)
    if got.fenced:
        return had.joined[part] == joined and had.text.get(part) == text
    # Cut off before the end: what was joined until then begins the whole, and agrees with the text.
    return had.joined[part].startswith(joined) and text in (joined, None)
