"""Runs become one result without losing a verdict, and two results say what changed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conformance.catalogue import own_validator
from conformance.findings import Level, Verdict
from conformance.report import files
from conformance.report.compare import HOLDS, VIOLATED, Kind, compare, compare_all
from conformance.report.merge import merge
from conformance.report.model import ATTENTION, Declared
from tests.support.result_cases import FINDING, every_verdict, row, run

P, F, W, E = Verdict.PASS, Verdict.FAIL, Verdict.WARN, Verdict.EXPECTED
N, I, NA = Verdict.NOTE, Verdict.INCONCLUSIVE, Verdict.NOT_APPLICABLE  # noqa: E741


def test_one_run_stays_as_it_is() -> None:
    single = every_verdict()
    assert merge([single]) == (single,)
    assert merge([single, single]) == (single,)  # the same run, twice


def test_the_same_verdict_in_all_runs_is_that_verdict() -> None:
    (merged,) = merge([run(row("PG-CON-01", F)), run(row("PG-CON-01", F)), run(row("PG-CON-01", F))])
    assert merged.runs == 3
    assert merged.rows[0].verdict is F
    assert merged.rows[0].times == (3, 3)
    assert not merged.rows[0].flaky
    assert len(merged.rows[0].findings) == 1  # the same finding, three times
    assert merged.flaky == 0


def test_differing_verdicts_are_flaky_with_the_worst_shown() -> None:
    other = replace(FINDING, title="another defect")
    runs = [
        run(row("PG-CON-01", P)),
        run(row("PG-CON-01", F)),
        run(row("PG-CON-01", P)),
        run(row("PG-CON-01", F, finding=other)),
        run(row("PG-CON-01", I)),
    ]
    (merged,) = merge(runs)
    only = merged.rows[0]
    assert only.verdict is F
    assert only.flaky
    assert only.times == (2, 5)
    assert only.tally == ((F, 2), (I, 1), (P, 2))
    assert [finding.title for finding in only.findings] == [FINDING.title, "another defect"]
    assert only.red
    assert " · 1 flaky · 5 runs · " in merged.summary_line()


def test_what_only_some_runs_judged_is_not_lost() -> None:
    """--sse-only in pieces: the rows come together in the catalogue's order."""
    first = run(row("PG-EVT-01", P), row("SSE-FMT-01", P), testable=83)
    second = run(row("PG-CON-01", W, Level.SHOULD), testable=83, gave_up="it went away")
    (merged,) = merge([first, second])
    assert [entry.requirement for entry in merged.rows] == ["SSE-FMT-01", "PG-CON-01", "PG-EVT-01"]
    assert [entry.times for entry in merged.rows] == [(1, 1), (1, 1), (1, 1)]
    assert merged.flaky == 0
    assert merged.coverage == (3, 83)
    assert merged.gave_up == "it went away"


def test_runs_of_other_targets_stay_apart() -> None:
    base = run(row("PG-CON-01", P))
    others = [
        base,
        replace(base, id="b", target="http://127.0.0.1:10"),
        replace(base, id="c", name="another profile"),
        replace(base, id="d", suite="9.9.9"),
        replace(base, id="e", declared=Declared((("resume", "yes"),))),
        replace(base, id="f", protocol="penguin/1"),
    ]
    assert merge(others) == tuple(others)


def test_merging_by_steps_says_the_same_as_merging_at_once() -> None:
    runs = [run(row("PG-CON-01", verdict)) for verdict in (P, F, P, P)]
    (at_once,) = merge(runs)
    (half,) = merge(runs[:2])
    (by_steps,) = merge([half, *runs[2:]])
    assert replace(by_steps, id="") == replace(at_once, id="")


def test_a_merged_result_survives_the_way_to_disk_and_back() -> None:
    (merged,) = merge([every_verdict(), run(row("PG-CON-01", P), exit_status=None)])
    assert own_validator("result").is_valid(json.loads(files.dumps(merged)))
    assert files.loads(files.dumps(merged)) == merged


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["PG-CON-01", "PG-EVT-01"]), st.sampled_from(list(Verdict))),
        min_size=1,
    )
)
def test_no_verdict_of_any_run_is_dropped(said: list[dict[str, Verdict]]) -> None:
    (merged,) = merge(
        [run(*(row(name, verdict) for name, verdict in one.items()), testable=2) for one in said]
    )
    for name in ("PG-CON-01", "PG-EVT-01"):
        given_verdicts = [one[name] for one in said if name in one]
        rows = [entry for entry in merged.rows if entry.requirement == name]
        assert len(rows) == (1 if given_verdicts else 0)
        if given_verdicts:
            assert rows[0].times == (given_verdicts.count(rows[0].verdict), len(given_verdicts))
            assert rows[0].verdict is min(given_verdicts, key=ATTENTION.index)
            assert rows[0].flaky == (len(set(given_verdicts)) > 1)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        (P, F, Kind.BROKEN),
        (P, W, Kind.BROKEN),
        (NA, F, Kind.BROKEN),
        (I, F, Kind.BROKEN),
        (N, E, Kind.BROKEN),
        (F, P, Kind.FIXED),
        (W, P, Kind.FIXED),
        (E, P, Kind.FIXED),
        (F, N, Kind.FIXED),
        (F, E, Kind.CHANGED),
        (E, F, Kind.CHANGED),
        (F, NA, Kind.CHANGED),
        (P, I, Kind.CHANGED),
        (W, F, Kind.CHANGED),
        (NA, P, Kind.CHANGED),
        (P, P, None),
        (F, F, None),
    ],
)
def test_what_a_change_is_called(before: Verdict, after: Verdict, kind: Kind | None) -> None:
    made = compare(run(row("PG-CON-01", before)), run(row("PG-CON-01", after)))
    assert [change.kind for change in made.changes] == ([] if kind is None else [kind])
    assert made.same == (1 if kind is None else 0)


@pytest.mark.parametrize("before", list(Verdict))
@pytest.mark.parametrize("after", list(Verdict))
def test_nothing_is_fixed_that_is_violated_and_nothing_broken_that_holds(
    before: Verdict, after: Verdict
) -> None:
    for change in compare(run(row("PG-CON-01", before)), run(row("PG-CON-01", after))).changes:
        assert (change.kind is Kind.FIXED) == (before in VIOLATED and after in HOLDS)
        assert (change.kind is Kind.BROKEN) == (before not in VIOLATED and after in VIOLATED)


def test_a_comparison_names_new_removed_and_flaky_rows() -> None:
    old = run(row("PG-CON-01", P), row("PG-CON-02", P), row("PG-EVT-01", F))
    (new,) = merge(
        [run(row("PG-CON-01", P), row("PG-EVT-01", P), row("PG-EVT-02", F)), run(row("PG-CON-01", F))]
    )
    made = compare(old, new)
    assert [(change.requirement, change.kind) for change in made.changes] == [
        ("PG-CON-01", Kind.FLAKY),
        ("PG-EVT-01", Kind.FIXED),
        ("PG-EVT-02", Kind.NEW),
        ("PG-CON-02", Kind.REMOVED),
    ]
    assert made.same == 0
    assert made.summary_line() == (
        "1 fixed · 0 broken · 0 changed · 1 flaky · 1 new · 1 removed · 0 the same · penguin/2 · http://127.0.0.1:9"
    )


def test_results_find_their_counterparts() -> None:
    base = run(row("PG-CON-01", P))
    one, two = replace(base, target="http://a", name="a"), replace(base, target="http://b", name="b")
    moved = replace(one, target="http://a:99")  # another port, the same profile
    found = compare_all([two, one], [moved, two])
    assert [(pair.old, pair.new) for pair in found.comparisons] == [(one, moved), (two, two)]
    # Another address and another profile: the only one of its protocol is meant.
    found = compare_all([one], [two])
    assert [(pair.old, pair.new) for pair in found.comparisons] == [(one, two)]
    # Where there is a choice nothing is guessed.
    third = replace(base, target="http://c", name="c")
    found = compare_all([one, two], [third])
    assert found.comparisons == ()
    assert found.alone_old == (one, two)
    assert found.alone_new == (third,)
