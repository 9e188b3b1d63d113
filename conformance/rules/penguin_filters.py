"""PG-FLT: what a filter lets through, held against an unfiltered control stream of the same moment.

Source: Penguin SSE Endpoint Documentation, §Query Parameters.
"""

from __future__ import annotations

from collections.abc import Iterable

from conformance.findings import Finding, Judgement
from conformance.message import Message
from conformance.parts import SYNTHETIC, session_of
from conformance.penguin import (
    AGENTS,
    ALL_STREAMS,
    CONTROL,
    DIRECTORIES,
    FAMILIES,
    FILTERS,
    FOREIGN_CURSOR,
    OTHER_AGENT,
)
from conformance.rules._penguin import brief, live, query
from conformance.rules._penguin_filters import foreign, missing, passed, unlabelled
from conformance.rules._penguin_marks import Ledger
from conformance.rules.base import Case, check


@check("PG-FLT-01", probes=[FILTERS], families=FAMILIES)
def nothing_of_another_session(case: Case) -> Judgement:
    """Streams filtered by session show no event, part or word of the other session."""
    ledger = Ledger(case)
    findings: list[Finding] = []
    judged = 0
    for role, own in (("only-a", ledger.a), ("only-b", ledger.b)):
        stream = case.stream(role)
        if not passed(stream):
            continue
        other = ledger.b if own == ledger.a else ledger.a
        judged += ledger.count(other)
        findings += foreign(
            stream,
            lambda message, own=own: ledger.whose(message) not in ("", own),  # type: ignore[misc]
            "an event of another session passes the session filter",
            f"nothing but events of session {own}",
            ledger,
        )
    return ledger.judge(findings, judged)


@check("PG-FLT-01", probes=ALL_STREAMS, families=FAMILIES, every=False, recorded=True)
def no_other_label(case: Case) -> Judgement:
    """Of any stream that asked for one session, also a recorded one: no event names another."""
    findings: list[Finding] = []
    judged = 0
    for stream in case.streams:
        own = query(stream.transcript.request).get("session_id")
        if not own:
            continue
        for message in stream.read():
            if message.type in SYNTHETIC:
                continue
            judged += 1
            session = session_of(message)
            if session not in ("", own):
                findings.append(
                    stream.finding(
                        "an event of another session passes the session filter",
                        expected=f"nothing but events of session {own}",
                        observed=f"{brief(message)} of {session}",
                        at=message,
                    )
                )
                break
    return Judgement(tuple(findings), judged)


@check("PG-FLT-02", probes=[FILTERS], families=FAMILIES)
def everything_of_its_session(case: Case) -> Judgement:
    """A stream filtered by session shows all that the control stream shows of it, with the same content."""
    ledger = Ledger(case)
    return _everything(ledger, (("only-a", ledger.a), ("only-b", ledger.b)), "session_id")


@check("PG-FLT-09", probes=[FILTERS], families=FAMILIES)
def alias(case: Case) -> Judgement:
    """`conversation_id` shows what `session_id` shows, and nothing of another session."""
    ledger = Ledger(case)
    judgement = _everything(ledger, (("alias-a", ledger.a),), "conversation_id")
    stream = case.stream("alias-a")
    if not passed(stream):
        return Judgement(not_applicable="only penguin/2 has the alias")
    leaks = foreign(
        stream,
        lambda message: ledger.whose(message) not in ("", ledger.a),
        "an event of another session passes the filter by conversation_id",
        f"nothing but events of session {ledger.a}",
        ledger,
    )
    return ledger.judge([*judgement.findings, *leaks], judgement.judged)


def _everything(ledger: Ledger, sessions: Iterable[tuple[str, str]], name: str) -> Judgement:
    findings: list[Finding] = []
    judged = 0
    for role, session in sessions:
        stream, control = ledger.case.stream(role), ledger.case.stream(CONTROL)
        if not passed(stream) or not passed(control):
            continue
        found, compared = missing(
            stream,
            control,
            lambda message, session=session: ledger.whose(message) == session,  # type: ignore[misc]
            f"the filter by {name} does not show its session's events",
            f"every event of session {session}, as the unfiltered stream shows them",
        )
        findings += found
        judged += compared
    return ledger.judge(findings, judged)


@check("PG-FLT-03", probes=[AGENTS], families=FAMILIES)
def agent_filter(case: Case) -> Judgement:
    """A filter by agent shows all assistant output of its agent, and none of another's."""
    ledger = Ledger(case)
    control = case.stream(CONTROL)
    findings: list[Finding] = []
    judged = 0
    for role, own in (("agent", case.profile.agent), ("other-agent", OTHER_AGENT)):
        stream = case.stream(role)
        if control is None or not passed(stream):
            continue
        if role == "other-agent" and not ledger.count_agent(OTHER_AGENT):
            continue  # the target has no second agent: PG-FLT-04 judges such a stream
        judged += sum(ledger.count_agent(agent) for agent in ledger.agents if agent != own)
        findings += foreign(
            stream,
            lambda message, own=own: ledger.agent_of(message) not in ("", own),  # type: ignore[misc]
            "another agent's output passes the agent filter",
            f"assistant output of agent {own!r} alone",
            ledger,
        )
        found, compared = missing(
            stream,
            control,
            lambda message, own=own: ledger.agent_of(message) == own,  # type: ignore[misc]
            "the filter by agent does not show its agent's output",
            f"all assistant output of agent {own!r}, as the unfiltered stream shows it",
        )
        findings += found
        judged += compared
    return ledger.judge(findings, judged)


@check("PG-FLT-04", probes=[FILTERS, AGENTS], families=FAMILIES)
def unknown_filter_shows_nothing(case: Case) -> Judgement:
    """An unknown session shows nothing of anyone, an unknown agent nobody's assistant output; or a 404."""
    ledger = Ledger(case)
    findings: list[Finding] = []
    judged = 0
    for role, is_foreign in (
        ("unknown-session", lambda message: bool(ledger.whose(message))),
        ("unknown-agent", lambda message: bool(ledger.agent_of(message))),
        # What the other agent says is its own, also where the control stream broke off before it was heard.
        ("other-agent", lambda message: ledger.agent_of(message) not in ("", OTHER_AGENT)),
    ):
        stream = case.stream(role)
        if stream is None or (role == "other-agent" and ledger.count_agent(OTHER_AGENT)):
            continue
        if not passed(stream):
            head = stream.transcript.head
            judged += 1 if head is not None and head.status == 404 else 0
            continue
        judged += ledger.total
        findings += foreign(
            stream,
            is_foreign,
            "an unknown filter lets events through",
            "server.connected and then nothing of anyone's",
            ledger,
        )
    return ledger.judge(findings, judged)


@check("PG-FLT-05", probes=[FILTERS, AGENTS, DIRECTORIES, FOREIGN_CURSOR], families=FAMILIES, every=False)
def filters_never_relabel(case: Case) -> Judgement:
    """An event has the same session and agent on a filtered stream as on the unfiltered one."""
    control = case.stream(CONTROL) or case.stream("full")
    if not passed(control):
        return Judgement(inconclusive="there is no control stream")
    ledger = Ledger(case)
    known: dict[str, list[Message]] = {}
    for message in live(control):
        known.setdefault(unlabelled(message), []).append(message)
    findings: list[Finding] = []
    judged = 0
    for stream in case.streams:
        if stream is control:
            continue
        for message in live(stream):
            own = known.get(unlabelled(message))
            if own is None:
                continue  # what only this stream shows, the other rows judge
            judged += 1
            if all(_relabelled(message, other, ledger) for other in own):
                session, agent = _labels(message)
                findings.append(
                    stream.finding(
                        "a filter relabels an event",
                        expected="the labels that an unfiltered client sees: "
                        + " or ".join(sorted({_shown(_labels(other)) for other in own})),
                        observed=f"{_shown((session, agent))} on {brief(message)}",
                        at=message,
                    )
                )
                break  # one such event a stream says it
    return Judgement(tuple(findings), judged)


def _relabelled(message: Message, control: Message, ledger: Ledger) -> bool:
    """Whether a label is another one than on the control stream, or claims what belongs to nobody or another.

    A label that only one of the two carries is no lie where it is true.
    """
    truth = (ledger.whose(control), ledger.agent_of(control))
    pairs = zip(_labels(message), _labels(control), truth, strict=True)
    return any(shown and shown != (known or true) for shown, known, true in pairs)


def _labels(message: Message) -> tuple[str, str]:
    agent = message.properties.get("agentID") or message.properties.get("agent")
    return session_of(message), agent if isinstance(agent, str) else ""


def _shown(labels: tuple[str, str]) -> str:
    return f"session {labels[0] or 'none'}, agent {labels[1] or 'none'}"


@check("PG-FLT-07a", probes=[AGENTS, DIRECTORIES], families=FAMILIES, every=False)
def filters_combine_by_and(case: Case) -> Judgement:
    """Two filters show what both let through, and nothing that one of them does not."""
    ledger = Ledger(case)
    findings: list[Finding] = []
    judged = 0
    if case.observation.probe == AGENTS:
        stream, control = case.stream("a-and-agent"), case.stream(CONTROL)
        if control is not None and passed(stream):
            found, compared = missing(
                stream,
                control,
                lambda message: ledger.whose(message) == ledger.a and bool(ledger.agent_of(message)),
                "session and agent together do not show what both let through",
                "the assistant output of that agent in that session",
            )
            findings += found
            judged += compared
    for role, is_foreign, expected in (
        ("a-and-agent", lambda m: ledger.whose(m) == ledger.b, "nothing of another session"),
        ("a-and-other", lambda m: bool(ledger.agent_of(m)), "no output: that agent said nothing there"),
        # what is of the other session passes the directory alone: that is "or", or the last filter only
        (
            "a-in-b",
            lambda m: ledger.whose(m) in (ledger.a, ledger.b),
            "nothing: that session is of another directory",
        ),
    ):
        stream = case.stream(role)
        directory = role == "a-in-b"
        if not passed(stream):
            continue
        if directory and (case.profile.revision < 2 or not case.observation.fact("bound")):
            continue  # penguin/1 does not say that `directory` filters
        judged += ledger.count(ledger.a)
        findings += foreign(stream, is_foreign, "filters do not combine by and", expected, ledger)
    return ledger.judge(findings, judged)


@check("PG-FLT-07b", probes=[FILTERS], families=FAMILIES)
def empty_and_unknown_parameters(case: Case) -> Judgement:
    """An empty value is no filter, an unknown parameter changes nothing: both see what the control sees."""
    ledger = Ledger(case)
    findings: list[Finding] = []
    judged = 0
    control = case.stream(CONTROL)
    for role in ("empty", "unknown-parameter"):
        stream = case.stream(role)
        if stream is None or control is None:
            continue
        if not passed(stream):
            head = stream.transcript.head
            findings.append(
                stream.finding(
                    "an empty or unknown parameter is refused",
                    expected="the stream, as without it",
                    observed="no answer" if head is None else f"status {head.status}",
                )
            )
            continue
        found, compared = missing(
            stream,
            control,
            lambda message: ledger.whose(message) in (ledger.a, ledger.b),
            "an empty or unknown parameter filters",
            f"with {role.replace('-', ' ')} values, all that an unfiltered client sees",
        )
        findings += found
        judged += compared
    return ledger.judge(findings, judged)
