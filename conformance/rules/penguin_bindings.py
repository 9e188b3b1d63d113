"""PG-FLT-06, PG-FLT-08: which directory a session is bound to, and that looking changes nothing.

Source: Penguin SSE Endpoint Documentation, §Query Parameters (`directory`); OpenCode server API, GET /event.
"""

from __future__ import annotations

import re
from typing import Any

from conformance.findings import Finding, Judgement
from conformance.penguin import BUSES, DIRECTORIES, FAMILIES, SUBSCRIBING
from conformance.rules._penguin import canonical, id_of
from conformance.rules._penguin_filters import foreign, passed
from conformance.rules._penguin_marks import Ledger
from conformance.rules.base import Case, check


def _directories(case: Case) -> tuple[list[Finding], int, str]:
    ledger = Ledger(
        case, instead=("in-a", "in-b")
    )  # a stream that is always one directory's shows its own turn
    findings: list[Finding] = []
    judged = 0
    for role, other in (("in-a", ledger.b), ("in-b", ledger.a)):
        stream = case.stream(role)
        if not passed(stream) or not case.observation.fact("bound"):
            continue
        judged += ledger.count(other)
        findings += foreign(
            stream,
            lambda message, other=other: ledger.whose(message) == other,  # type: ignore[misc]
            "an event of another directory passes the directory filter",
            f"nothing of session {other}, which is bound to another directory",
            ledger,
        )
    return findings, judged, ledger.problem


def _unbound(case: Case) -> str:
    return str(
        case.observation.fact("unbound", "the target binds no session to a directory that is asked for")
    )


@check("PG-FLT-06a", probes=[DIRECTORIES], families=BUSES)
def nothing_of_another_directory(case: Case) -> Judgement:
    """A filter by directory shows nothing of a session that is bound to another one."""
    findings, judged, problem = _directories(case)
    if not case.observation.fact("bound"):
        return Judgement(not_applicable=_unbound(case))
    return Judgement(tuple(findings), judged, inconclusive="" if findings else problem)


@check("PG-FLT-06b", probes=[DIRECTORIES], families=FAMILIES)
def does_directory_filter(case: Case) -> Judgement:
    """Whether `directory` filters at all."""
    findings, judged, _ = _directories(case)
    if not judged:
        return Judgement(not_applicable=_unbound(case))
    note = "directory does not filter" if findings else "directory filters"
    return Judgement(judged=judged, notes=(note,))


@check("PG-FLT-08", probes=[SUBSCRIBING], families=FAMILIES)
def subscribing_changes_nothing(case: Case) -> Judgement:
    """The list of sessions is the same before and after subscribing, access times apart."""
    lists = {action.note: action.answer for action in case.observation.actions_of("call")}
    before, after = lists.get("sessions before"), lists.get("sessions after")
    if not isinstance(before, list) or not isinstance(after, list):
        return Judgement(not_applicable="the target gives no list of sessions")
    old, new = _sessions(before), _sessions(after)
    ours = {id_of(action.answer) for action in case.observation.actions_of("create-session")}
    findings = []
    for name in sorted(set(old) | set(new)):
        # Other people use the target too: what is not ours may come and go, unless it is what we asked for.
        if name not in ours and "sse_conformance" not in name:
            continue
        if old.get(name) != new.get(name):
            findings.append(
                Finding(
                    "subscribing changes a session",
                    expected=f"session {name} as before: {old.get(name) or 'not there'}",
                    observed=new.get(name) or "not there",
                )
            )
    return Judgement(tuple(findings), len(old))


def _sessions(listed: list[Any]) -> dict[str, str]:
    return {id_of(entry): canonical(_timeless(entry)) for entry in listed}


# Members that being looked at may change, whatever they are: times of access, who is connected.
_OF_ACCESS = re.compile(r"time|date|last|access|seen|active|view|client|connect|subscri|listen|watch", re.I)


def _timeless(value: Any) -> Any:
    """A session without its times and counters: being looked at may change them."""
    if not isinstance(value, dict):
        return value
    return {
        key: _timeless(item)
        for key, item in value.items()
        if not _OF_ACCESS.search(key) and (isinstance(item, bool) or not isinstance(item, int | float))
    }
