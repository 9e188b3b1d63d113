"""PG-REC-01, 06: what a client gets on a new connection without a cursor.

Source: Penguin SSE Endpoint Documentation, §Differences from WebSocket ("Reconnection: automatic").
"""

from __future__ import annotations

from conformance.findings import Finding, Judgement
from conformance.message import Message
from conformance.parts import CONNECTED, part_info
from conformance.penguin import BUSES, FULL, LOST
from conformance.rules._penguin import brief, canonical, goes_on, live, scripts_of
from conformance.rules.base import Case, Stream, check
from conformance.rules.said import difference, said

_BEGINNING = 8  # characters by which a turn's text is found


@check("PG-REC-01", probes=[LOST], families=BUSES)
def new_connection_sees_what_follows(case: Case) -> Judgement:
    """After a lost connection a new one gets `server.connected` and everything that follows."""
    full = case.stream(FULL)
    if full is None:
        return Judgement(inconclusive="there is no uncut stream")
    findings: list[Finding] = []
    judged = 0
    for role in ("second", "third"):
        stream = case.stream(role)
        if stream is None:
            continue
        judged += 1
        if not stream.messages or stream.messages[0].type != CONNECTED:
            findings.append(
                stream.finding(
                    "a new connection does not begin with server.connected",
                    expected="server.connected",
                    observed=stream.messages[0].type if stream.messages else "nothing",
                )
            )
    third = case.stream("third")
    if third is not None and third.messages:
        judged += 1
        findings += goes_on(third, full)
        findings += _last_turn(case, third)
    return Judgement(tuple(findings), judged)


def _last_turn(case: Case, stream: Stream) -> list[Finding]:
    action = case.prompts(stream.role)[-1] if case.prompts(stream.role) else None
    if action is None or action.script is None or action.until is None:
        return []
    expected, text = action.script.said, said(stream, action.session).text
    if text.endswith(expected):
        return []
    # the rest of a turn before it may be shown, too: the difference is told from where this one begins
    text = text[max(0, text.rfind(expected[:_BEGINNING])) :]
    return [
        stream.finding(
            "a turn after the reconnection is not whole",
            expected=f"the {len(expected)} characters that the script says",
            observed=f"the text {difference(expected, text)}",
        )
    ]


@check("PG-REC-06", probes=[LOST], families=BUSES)
def nothing_old_comes_again(case: Case) -> Judgement:
    """A new connection without a cursor shows nothing that the one before had shown."""
    if case.profile.capabilities.resume:
        return Judgement(not_applicable="the profile declares resume")
    findings: list[Finding] = []
    judged = 0
    for before, after in (("first", "second"), ("second", "third"), ("first", "third")):
        old, new = case.stream(before), case.stream(after)
        if old is None or new is None or not live(old) or not scripts_of(case, _session(case)):
            continue
        judged += 1
        had = {canonical(message.body) for message in live(old) if _tells(message)}
        again = next((m for m in live(new) if _tells(m) and canonical(m.body) in had), None)
        if again is not None:
            findings.append(
                new.finding(
                    "an old event comes again",
                    expected="only what happens after the new connection",
                    observed=f"{brief(again)}, which {before} had shown",
                    at=again,
                )
            )
    return Judgement(tuple(findings), judged)


def _session(case: Case) -> str:
    return next((action.session for action in case.prompts()), "")


def _tells(message: Message) -> bool:
    # Without ids only an event with words of its own can be told from a repetition that is legal.
    part = part_info(message)
    return bool(message.body.get("id")) or (part is not None and bool(part.delta))
