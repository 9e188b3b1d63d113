"""PG-FAN and PG-CONC: many subscribers, and many sessions at once.

Source: Penguin SSE Endpoint Documentation, §Architecture (one EventBus, many streams).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from conformance.exchanges import STALL
from conformance.findings import Finding, Judgement
from conformance.message import Message
from conformance.parts import SYNTHETIC, message_info, part_info, session_of, tells_of_sessions
from conformance.penguin import BUSES, CONTROL, FAN_OUT, TOGETHER
from conformance.rules._penguin import brief, canonical, id_of, identity, live, scripts_of, until_common_fence
from conformance.rules.base import Case, Stream, check
from conformance.rules.said import difference, said
from conformance.transcript import Action


def _groups(case: Case) -> list[list[Stream]]:
    """The subscribers with the same filter."""
    groups: dict[str, list[Stream]] = {}
    for stream in case.streams:
        groups.setdefault(stream.role.rpartition("-")[0], []).append(stream)
    return list(groups.values())


def _value(message: Message) -> str:
    return canonical(message.body)


def _difference(
    first: Sequence[Message], other: Sequence[Message], by: Callable[[Message], str] = _value
) -> tuple[str, Message | None]:
    """Where two subscribers' events differ first, and at which event; "" where they are equal."""
    left, right = [by(message) for message in first], [by(message) for message in other]
    if left == right:
        return "", None
    index = next((i for i, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), None)
    if index is None:
        index = min(len(left), len(right))
        longer = first if len(left) > len(right) else other
        missing = "is missing" if len(left) > len(right) else "comes besides"
        at = other[min(index, len(other) - 1)] if other else None
        return f"{brief(longer[index])} {missing} (event {index} of {len(left)})", at
    return f"{brief(other[index])} instead of {brief(first[index])}", other[index]


@check("PG-FAN-01a", probes=[FAN_OUT], families=BUSES)
def same_events_of_a_session(case: Case) -> Judgement:
    """Subscribers with the same filter see each session's events alike: as JSON values, in order."""
    findings: list[Finding] = []
    judged = 0
    made = [a.answer.get("id") for a in _made(case) if isinstance(a.answer, dict)]
    for group in _groups(case):
        first, *others = group
        named = any(session_of(message) for message in live(first))
        sessions = made if named else [""]  # penguin/1 need not name them: then all events are compared
        for session in sessions:
            expected = [m for m in live(first) if session_of(m) == session]
            for other in others:
                shown = [m for m in live(other) if session_of(m) == session]
                ours, theirs = until_common_fence(expected, shown)
                if not named and first.role.startswith("all-"):
                    # Events of several sessions that nobody can tell apart: across sessions order is not promised.
                    ours, theirs = sorted(ours, key=_value), sorted(theirs, key=_value)
                judged += len(ours)
                words, at = _difference(ours, theirs)
                if words:
                    findings.append(
                        other.finding(
                            "two subscribers with the same filter see different events",
                            expected=f"the events of session {session} as {first.role} sees them",
                            observed=words,
                            at=at,
                        )
                    )
    return Judgement(tuple(findings), judged)


_SHOWN = 10  # events with two contents that are told of; there may be thousands


@check("PG-FAN-01a", probes=[STALL], families=BUSES, every=False)
def same_content_under_one_id(case: Case) -> Judgement:
    """An event has one content, also for a subscriber that reads it late; increments may be joined for that one."""
    stalled, witness = case.stream("stalled"), case.stream("witness")
    if stalled is None or witness is None or not tells_of_sessions(case.profile.protocol):
        return Judgement()  # penguin/1 has no ids: a server may count them for each connection
    told = {name: message for message in witness.read() if (name := _whole_event(message))}
    findings: list[Finding] = []
    judged = 0
    for message in stalled.read():
        other = told.get(_whole_event(message))
        if other is None:
            continue
        judged += 1
        if len(findings) < _SHOWN and (place := _apart(other.body, message.body)):
            name, early, late = place
            findings.append(
                stalled.finding(
                    "one event has two contents",
                    expected=f"event {id_of(message.body)} as another subscriber got it {_before(message, other)}: "
                    f"{name} {early}",
                    observed=f"{brief(message)} with {name} {late}",
                    at=message,
                )
            )
    return Judgement(tuple(findings), judged)


def _whole_event(message: Message) -> str:
    """The id of an event that is not about a part of a message and not of one connection alone, "" of others."""
    apart = message.type in SYNTHETIC or part_info(message) is not None
    return "" if apart else id_of(message.body)


def _apart(early: Any, late: Any, path: str = "") -> tuple[str, str, str] | None:
    """Where two JSON values differ first, and what stands there, in brief; None where they are equal."""
    if isinstance(early, dict) and isinstance(late, dict):
        for name in [*early, *(name for name in late if name not in early)]:
            if found := _apart(early.get(name), late.get(name), f"{path}.{name}" if path else name):
                return found
        return None
    return None if early == late else (path, canonical(early)[:80], canonical(late)[:80])


def _before(late: Message, early: Message) -> str:
    return f"{late.event.at - early.event.at:.1f} s before"


@check("PG-FAN-01b", probes=[FAN_OUT], families=BUSES)
def same_order_across_sessions(case: Case) -> Judgement:
    """… and across sessions in the same order, whatever an event says (PG-FAN-01a)."""
    ours = {a.answer.get("id") for a in _made(case) if isinstance(a.answer, dict)}
    findings: list[Finding] = []
    judged = 0
    for group in _groups(case):
        first, *others = group
        for other in others:
            left = [m for m in live(first) if session_of(m) in ours]
            right = [m for m in live(other) if session_of(m) in ours]
            left, right = until_common_fence(left, right)
            if any(_of(left, session) != _of(right, session) for session in ours):
                continue  # they differ within a session already, says PG-FAN-01a
            judged += len(left)
            words, at = _difference(left, right, identity)
            if words:
                findings.append(
                    other.finding(
                        "two subscribers see sessions in different order",
                        expected=f"the order in which {first.role} sees events of all sessions",
                        observed=words,
                        at=at,
                    )
                )
    return Judgement(tuple(findings), judged)


def _of(messages: Sequence[Message], session: object) -> list[str]:
    return [identity(message) for message in messages if session_of(message) == session]


def _made(case: Case) -> tuple[Action, ...]:
    return case.observation.actions_of("create-session")


@check("PG-CONC-01", probes=[TOGETHER], families=BUSES)
def sessions_do_not_mix(case: Case) -> Judgement:
    """Prompts in two sessions at once: each has its own text, messages, parts and tools only."""
    findings: list[Finding] = []
    judged = 0
    for role in ("a", "b", CONTROL):
        stream = case.stream(role)
        if stream is None or not stream.transcript.is_event_stream:
            continue
        found, compared = _mixed_ids(stream)
        findings += found
        judged += compared
        for session in dict.fromkeys(action.session for action in case.prompts()):
            other = "b-" if _role(case, session) == "a" else "a-"
            if role not in (CONTROL, _role(case, session)):
                continue
            found, compared = _own_words(case, stream, session, other)
            findings += found
            judged += compared
    return Judgement(tuple(findings), judged)


def _role(case: Case, session: str) -> str:
    return next(action.stream for action in case.prompts() if action.session == session)


def _mixed_ids(stream: Stream) -> tuple[list[Finding], int]:
    """Messages and parts that are shown in more than one session."""
    owners: dict[str, str] = {}
    findings: list[Finding] = []
    for message in stream.messages:
        info, part = message_info(message), part_info(message)
        session = session_of(message)
        # A callID is the model's: it need not be unique beyond its message.
        names = [info.id] if info is not None else [part.id] if part is not None else []
        for name in filter(None, names):
            owner = owners.setdefault(name, session)
            if owner != session:
                findings.append(
                    stream.finding(
                        "an id is used in two sessions",
                        expected=f"{name} in session {owner} alone",
                        observed=f"it is in session {session} too",
                        at=message,
                    )
                )
                owners[name] = session
    return findings, len(owners)


def _own_words(case: Case, stream: Stream, session: str, foreign: str) -> tuple[list[Finding], int]:
    """Whether the session's text is its scripts', and no tool input or text in it has the other's marks."""
    findings: list[Finding] = []
    scripts = [action.script for action in scripts_of(case, session)]
    whole = [script for script in scripts if script is not None]
    unlabelled = not any(session_of(message) for message in stream.messages if part_info(message))
    if len(whole) != len(scripts) or (unlabelled and stream.role == CONTROL):
        return [], 0  # penguin/1 names no session: then its control stream cannot be told apart
    text, heard = "".join(script.said for script in whole), said(stream, session)
    if heard.text != text:
        findings.append(
            stream.finding(
                "the text of one session is not its own",
                expected=f"the {len(text)} characters that the scripts of session {session} say",
                observed=f"the text {difference(text, heard.text)}",
            )
        )
    reasoning = "".join(script.reasoned for script in whole)
    if case.profile.capabilities.reasoning and heard.reasoning != reasoning:
        findings.append(
            stream.finding(
                "the reasoning of one session is not its own",
                expected=f"the {len(reasoning)} characters of reasoning of session {session}",
                observed=f"the reasoning {difference(reasoning, heard.reasoning)}",
            )
        )
    for message in stream.messages:
        part = part_info(message)
        if part is None or part.type != "tool" or session_of(message) not in ("", session):
            continue
        marks = canonical(part.input)
        if f"first-{foreign[0]}" in marks or f"second-{foreign[0]}" in marks:
            findings.append(
                stream.finding(
                    "a tool call of another session",
                    expected=f"the calls that session {session} was told",
                    observed=f"the input {marks[:120]}",
                    at=message,
                )
            )
            break
    return findings, 1 + len(text)
