"""What holds of every check: of nothing it says nothing, and what it is asked of is what it can answer."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

import conformance.rules  # noqa: F401  (registers every rule)
from conformance.catalogue import protocols
from conformance.findings import Judgement
from conformance.profile_file import default_profile
from conformance.rules.base import Case, Check, StreamContext, checks, stream_rules
from conformance.rules.one_pass import judge_streams
from conformance.transcript import Observation
from conformance.turns import TURN_PROBES
from tests.support.sse_cases import case

FAMILIES = {protocol.partition("/")[0] for protocol in protocols()}
# What a recorded stream answers without any stimulus known, beside the rules that pass over streams event by event:
# these read bytes and heads …
BYTES = """
SSE-CON-01 SSE-CON-03 SSE-FMT-01 SSE-FMT-02 SSE-FMT-03 SSE-FMT-04a SSE-FMT-04b SSE-FMT-05 SSE-EVT-03a SSE-EVT-03b
SSE-HTTP-01a SSE-HTTP-01b SSE-HTTP-01c SSE-HTTP-04a SSE-HTTP-04b SSE-HTTP-09c SSE-HTTP-12 SSE-INT-01
""".split()  # noqa: SIM905
# … these the prompt that is recorded with a chat …
PROMPTS = """
SSE-FMT-07a SSE-FMT-07b SSE-FMT-08 AS-TXT-01 AS-TXT-02 AS-TOOL-01a AS-TOOL-01b AS-2-01 PG-FLT-01
""".split()  # noqa: SIM905
# … and these its events.
EVENTS = """
SSE-FMT-06a SSE-FMT-06b SSE-EVT-01a SSE-EVT-01b SSE-EVT-02a SSE-EVT-02b SSE-EVT-04
AS-EVT-01 AS-EVT-02 AS-EVT-03 AS-END-01 AS-END-02 AS-END-03 AS-TOOL-03 AS-2-01 AS-2-02a AS-2-02b AS-2-03 AS-2-04
PG-CON-01 PG-EVT-01 PG-EVT-02 PG-EVT-03 PG-MSG-01 PG-MSG-02 PG-MSG-04 PG-MSG-05 PG-TOOL-01 PG-2-01a PG-2-01b
""".split()  # noqa: SIM905
# Judged over whatever streams there are: it is enough that some could be judged (PG-FAN-01a: also of a late reader).
GENERIC = """
AS-EVT-03 AS-TOOL-04 PG-CON-01 PG-CON-02 PG-ERR-02 PG-FAN-01a PG-FLT-01 PG-FLT-05 PG-FLT-07a PG-MSG-03 PG-MSG-04
PG-REC-05a PG-TOOL-02a PG-TOOL-02b PG-TOOL-03 PG-WIRE-01
""".split()  # noqa: SIM905
# Judged by two checks: over different probes, families, or parts of what is shown.
SEVERAL = """
AS-2-01 AS-END-03 AS-EVT-03 AS-TOOL-04 PG-CON-01 PG-CON-02 PG-FAN-01a PG-FLT-01 PG-MSG-04 PG-REC-05a SSE-HTTP-02
SSE-LIVE-03
""".split()  # noqa: SIM905


def every_check() -> list[Check]:
    return list(dict.fromkeys(check for family in sorted(FAMILIES) for check in checks(family)))


def case_of(protocol: str, probe: str) -> Case:
    profile = replace(default_profile(protocol, "http://127.0.0.1:1"), workspace="/srv/work")
    return Case(Observation(probe, profile, ()))


@pytest.mark.parametrize("protocol", protocols())
def test_where_nothing_came_nothing_is_judged(protocol: str) -> None:
    for check in checks(protocol.partition("/")[0]):
        for probe in check.probes:
            judgement = check.judge(case_of(protocol, probe))
            assert (judgement.judged, judgement.findings) == (0, ()), f"{check.requirement} of {probe}"


def test_what_a_recorded_stream_answers() -> None:
    answering = [check.requirement for check in every_check() if check.recorded]
    expected = [*BYTES, *PROMPTS, *EVENTS]
    assert sorted(name for name in answering if not name.startswith("OC-")) == sorted(expected)


def test_what_must_be_judged_in_each_probe_and_what_in_any() -> None:
    any_will_do = [check.requirement for check in every_check() if not check.every]
    expected = [*BYTES, *EVENTS, *GENERIC, "AS-2-01"]
    expected.remove("SSE-CON-03")
    assert sorted(name for name in any_will_do if not name.startswith("OC-")) == sorted(expected)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_rows_of_a_family_are_its_own(family: str) -> None:
    own = {"agentsmithy": "AS-", "penguin": "PG-"}
    others = tuple(prefix for name, prefix in own.items() if name != family)
    found = {check.requirement for check in checks(family)}
    assert found
    assert family not in own or not [name for name in found if name.startswith(others)]


def test_every_turn_is_held_to_its_head() -> None:
    (head,) = (check for check in every_check() if check.requirement == "SSE-CON-01")
    assert head.probes == set(TURN_PROBES)


def test_which_requirements_several_checks_judge() -> None:
    times = Counter(check.requirement for check in every_check())
    several = {name: count for name, count in times.items() if count > 1}
    assert several == {**dict.fromkeys(SEVERAL, 2), "PG-REC-02": 3}


def test_a_rule_that_is_told_nothing_else_has_seen_its_stream_from_the_start() -> None:
    assert StreamContext("stream", default_profile("penguin/2", "http://127.0.0.1:1")).from_start


@pytest.mark.parametrize(
    ("protocol", "known"),
    [("agentsmithy/2", b"chat"), ("penguin/2", b"session.status"), ("opencode/1", b"session.status")],
)
def test_rules_say_whether_they_read_other_fields_than_data(protocol: str, known: bytes) -> None:
    kinds = (known, b"x", b"x")
    data = [
        b'{"type": "%b", "id": "evt:x:%08d", "order": %d, "time": 1}' % (kind, n, n)
        for n, kind in enumerate(kinds)
    ]
    fields = (b"id: 1\nevent: odd\n", b"id: 1\n", b"event: other\n")
    full = b"".join(b"%bdata: %b\n\n" % pair for pair in zip(fields, data, strict=True))
    full += b"id: 2\n\nevent: x\n\n"
    bare = b"".join(b"data: %b\n\n" % value for value in data)
    rules = list(dict.fromkeys(rule for _, rule in stream_rules(protocol.partition("/")[0])))
    with_fields, without = (
        {
            rule: _told(judgement)
            for rule, judgement in judge_streams(case(body, protocol=protocol).streams, rules).items()
        }
        for body in (full, bare)
    )
    differ = {rule for rule in rules if with_fields[rule] != without[rule]}
    assert differ == {rule for rule in rules if rule.reads_fields}


def _told(judgement: Judgement | Exception) -> object:
    assert isinstance(judgement, Judgement)
    return judgement.judged, judgement.notes, [(found.event, found.observed) for found in judgement.findings]
