"""Whatever is changed in a result file: it is refused in one line, or every document can be made of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from conformance.findings import Verdict
from conformance.report import files
from conformance.report.compare import compare_all
from conformance.report.files import ResultError
from conformance.report.formats import FORMATS, Rendering
from conformance.report.merge import merge
from conformance.report.model import RunResult
from tests.support.result_cases import FINDING, every_verdict, row, run

RUN = every_verdict()
DATA = files.document(RUN)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value within."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list | tuple)
        else ()
    )
    for key, item in items:
        yield (*path, key)
        yield from places(item, (*path, key))


PLACES = list(places(json.loads(json.dumps(DATA))))
STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=()), max_size=6),
    st.just([]),
    st.just({}),
    st.just([[]]),
)


def read(data: Any) -> RunResult | str:
    """The result, or why it is none."""
    try:
        return files.loads(json.dumps(data), where="r.json")
    except ResultError as error:
        return str(error)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(("results", 1, "seconds"), 1.7e305, False)  # in milliseconds it is beyond all numbers
@given(st.sampled_from(PLACES), STRANGE, st.booleans())
def test_one_strange_value(place: tuple[Any, ...], value: Any, removed: bool) -> None:
    data = json.loads(json.dumps(DATA))
    holder = data
    for key in place[:-1]:
        holder = holder[key]
    if removed:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    found = read(data)
    if isinstance(found, str):
        assert found.startswith("r.json: ")
        assert "\n" not in found
        return
    runs = merge([found, RUN])
    rendering = Rendering(runs, compare_all([RUN], runs))
    for entry in FORMATS.values():
        assert entry.render(rendering).encode("utf-8")


@pytest.mark.parametrize("text", ["\ud800", "\udfff\ud800", "\x00\x1b\u2028\u202e"])
def test_text_that_no_file_can_hold_is_carried_by_its_escape(text: str) -> None:
    finding = replace(FINDING, title=text, expected=text, observed=text, curl=text, role=text)
    made = run(row("PG-CON-01", Verdict.FAIL, finding=finding, reason=text, notes=(text,)), target=text)
    assert files.loads(files.dumps(made).encode("utf-8").decode("utf-8")) == made
    for entry in FORMATS.values():
        assert entry.render(Rendering((made,))).encode("utf-8")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_does_not_have(number: str) -> None:
    text = files.dumps(RUN).replace('"duration": 2.0', f'"duration": {number}')
    assert number in text
    with pytest.raises(ResultError, match=f"r.json: not a whole JSON document .*{number}"):
        files.loads(text, where="r.json")
