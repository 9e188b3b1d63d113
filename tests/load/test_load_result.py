"""Percentiles, shares and per-million figures of a load result, what makes it pass, and its file."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conformance.load_compare import compare_loads
from conformance.load_result import (
    DISTRIBUTIONS,
    ERRORS,
    INTEGRITY,
    OUTCOMES,
    Distribution,
    Example,
    Gate,
    Generator,
    Integrity,
    LoadResult,
    Totals,
    redacted,
)
from conformance.profile_file import default_profile
from conformance.redact import Redactor
from conformance.report import load_files
from conformance.report.files import ResultError
from conformance.report.formats import FORMATS, LoadRendering
from conformance.schema_store import read_schema, schema_root
from tests.support.load_cases import measured, realistic, small, whole


def exact(values: list[float], percent: float) -> float:
    """The nearest-rank percentile, from the values themselves."""
    kept = sorted(values)
    return next(value for number, value in enumerate(kept, 1) if number * 100 >= percent * len(kept))


@pytest.mark.parametrize("percent", [1, 50, 90, 99, 99.9, 100])
@pytest.mark.parametrize("count", [1, 2, 10, 999])
def test_percentiles_are_exact_to_a_bucket(percent: float, count: int) -> None:
    dice = random.Random(count)
    values = [dice.lognormvariate(-4, 2) for _ in range(count)]
    found = measured(values).percentile(percent)
    assert found is not None
    truth = exact(values, percent)
    assert truth <= found <= truth * 1.011
    assert min(values) <= found <= max(values)


def test_what_was_not_measured_has_no_percentile() -> None:
    assert Distribution().percentile(50) is None
    assert Distribution().share(1.0) == 0.0


def test_shares() -> None:
    of = Distribution(4, 0.01, 0.04, ((0.01, 1), (0.02, 3), (0.041, 4)))
    assert [of.share(at) for at in (0.0, 0.01, 0.015, 0.02, 0.039, 0.04, 9)] == [
        0,
        0.25,
        0.25,
        0.75,
        0.75,
        1,
        1,
    ]


def test_per_million_is_of_what_there_was() -> None:
    found = Integrity(
        999_999,
        1_000,
        0.25,
        "x",
        lost=1,
        doubled=2,
        invalid=1,
        unfinished=1,
        leaked=3,
        reordered=0,
        altered=0,
    )
    assert found.per_million("lost") == 1.0  # of the million that was sent
    assert found.per_million("doubled") == pytest.approx(2.000002)
    assert found.per_million("invalid") == pytest.approx(4.000004)  # of the quarter that was looked at
    assert found.per_million("unfinished") == 1_000.0  # of streams
    assert Integrity().per_million("lost") == 0.0


def test_a_run_passes_only_if_it_showed_something() -> None:
    assert small().passed
    assert small().why_not == ()
    late = small(generator=Generator(late=True, why="its loop was 1.2 s late"))
    assert not late.passed
    assert late.why_not == ("the load generator was late: its loop was 1.2 s late",)
    nothing = small(integrity=Integrity(), totals=Totals(), gates=())
    assert nothing.why_not == ("no event was judged",)
    assert "nothing lost" not in nothing.summary_line()  # nothing was there to be lost
    missed = small(gates=(Gate("ttfe:p99<5ms", "40 ms (of 4)", False),))
    assert missed.why_not == ("ttfe:p99<5ms does not hold: 40 ms (of 4)",)
    assert missed.summary_line().startswith("FAILED · 4 users · 4 of 4 streams good · 400 events judged · ")


@pytest.mark.parametrize("result", [whole(), realistic()], ids=["whole", "realistic"])
def test_what_is_written_is_valid_and_read_back(result: Any) -> None:
    text = load_files.dumps(result)  # which holds it against the schema
    again = load_files.loads(text)
    # Times are kept to a nanosecond.
    assert json.loads(json.dumps(load_files.document(again))) == json.loads(text)
    assert replace(again, distributions=()) == replace(result, distributions=())


def test_several_results_are_one_list() -> None:
    one, two = (load_files.loads(load_files.dumps(result)) for result in (whole(), small()))
    assert load_files.loads_all(load_files.dumps_all([one, two])) == (one, two)


def test_the_schema_knows_every_kind() -> None:
    members = read_schema(schema_root() / "own/load.schema.json")["properties"]
    assert set(members["errors"]["properties"]) == set(ERRORS)
    assert set(members["distributions"]["properties"]) == set(DISTRIBUTIONS)
    assert set(members["raster"]["items"]["properties"]["outcome"]["enum"]) == set(OUTCOMES)
    assert set(INTEGRITY) < set(members["integrity"]["properties"])


DATA = load_files.document(whole())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.pop("footer"), "r.json: truncated: there is no footer"),
        (
            lambda d: d["header"].pop("format"),
            "r.json: not the result of a load run: expected a header with format",
        ),
        (
            lambda d: d["footer"].update(passed=True),
            "r.json: a damaged result: `passed` is true, what was measured",
        ),
        (
            lambda d: d["distributions"]["gap"].update(count=5),
            "r.json: a damaged result: the last point of 'gap' does",
        ),
        (
            lambda d: d["distributions"]["gap"].update(low=3),
            "r.json: a damaged result: the least of 'gap' is above",
        ),
        (
            lambda d: d["distributions"]["ttfe"]["points"].reverse(),
            "r.json: a damaged result: the points of 'ttfe' do not rise",
        ),
        (
            lambda d: d["integrity"].update(lost="1"),
            "r.json: a damaged result: /integrity/lost: '1' is not of type",
        ),
    ],
)
def test_damage_is_told_in_one_line(change: Any, said: str) -> None:
    data = json.loads(json.dumps(DATA))
    change(data)
    with pytest.raises(ResultError) as caught:
        load_files.loads(json.dumps(data), where="r.json")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", '{"header": NaN}', "[]", "3"])
def test_what_is_no_result_is_told_in_one_line(text: str) -> None:
    with pytest.raises(ResultError, match=r"\Ar\.json: [^\n]+\Z"):
        load_files.loads_all(text, where="r.json")


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value within."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


def read(data: Any) -> LoadResult | str:
    """The result, or why it is none."""
    try:
        return load_files.loads(json.dumps(data), where="r.json")
    except ResultError as error:
        return str(error)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(list(places(json.loads(json.dumps(DATA))))),
    st.one_of(
        st.none(), st.booleans(), st.integers(-9, 2**70), st.floats(0, 9), st.text(max_size=3), st.just([])
    ),
)
def test_one_strange_value_is_refused_in_one_line_or_read(place: tuple[Any, ...], value: Any) -> None:
    data = json.loads(json.dumps(DATA))
    holder = data
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    found = read(data)
    if isinstance(found, str):
        assert found.startswith("r.json: ")
        assert "\n" not in found
        return
    rendering = LoadRendering((found,), (compare_loads(whole(), found),))
    for entry in FORMATS.values():
        assert entry.render_load is None or entry.render_load(rendering).encode("utf-8")


def test_a_result_that_cannot_be_read_back_is_not_written() -> None:
    with pytest.raises(ResultError, match=r"/errors: .*bad luck"):
        load_files.dumps(small(errors=(("bad luck", 1),)))


def test_secrets_are_taken_out() -> None:
    profile = replace(
        default_profile("penguin/2", "http://h"), headers=(("authorization", "Bearer s3cr3t-t0k3n-9f8e7d"),)
    )
    found = Example("leaked", "s3cr3t-t0k3n-9f8e7d", "s3cr3t-t0k3n-9f8e7d", "a s3cr3t-t0k3n-9f8e7d")
    told = small(
        target="http://me:pass@h",
        command="load http://me:pass@h -H s3cr3t-t0k3n-9f8e7d",
        ended="s3cr3t-t0k3n-9f8e7d",
        integrity=Integrity(1, 1, leaked=1, examples=(found,)),
        generator=Generator(why="s3cr3t-t0k3n-9f8e7d"),
    )
    text = load_files.dumps(redacted(told, Redactor(profile).text))
    assert "s3cr3t" not in text
    assert "pass@" not in text
    assert "http://*******@h" in text
