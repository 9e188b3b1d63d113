"""Which share of events is held against its schema, and times that count from when a prompt was due."""

from __future__ import annotations

import pytest

from conformance.catalogue import event_schemas
from loadtests import validation
from loadtests.validation import EVERY, Sampled, Whole
from tests.support.load_runs import Small, run_all
from tests.support.reference import reference_server

_GOOD = {"type": "chat", "content": "a", "dialog_id": "d"}
_BAD = {"type": "chat", "content": 1, "dialog_id": "d"}


def test_jsonschema_rs_looks_at_every_event_and_its_refusals_are_explained() -> None:
    whole = Whole(event_schemas("agentsmithy/2"))
    assert whole.problems("chat", _GOOD) == ()
    (problem,) = whole.problems("chat", _BAD) or ()
    assert (problem.pointer, problem.observed) == ("/content", "1")
    assert whole.problems("no such type", {"type": "no such type", "dialog_id": "d"}) == ()


def test_without_it_a_sample_of_each_type_is_looked_at() -> None:
    sampled = Sampled(event_schemas("agentsmithy/2"))
    looked = [sampled.problems("chat", _GOOD) is not None for _ in range(10 * EVERY)]
    assert all(looked[:EVERY])  # what is wrong with every event of a type shows at once
    assert sum(looked) == EVERY + 9
    assert [bool(sampled.problems("chat", _BAD)) for _ in range(EVERY)].count(True) == 1


def test_a_run_says_which_share_was_validated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "jsonschema_rs", None)
    validation.validation_for.cache_clear()
    try:
        with reference_server() as url:
            (result,) = run_all(url, {"": Small("agentsmithy/2")}).values()
    finally:
        validation.validation_for.cache_clear()
    assert result.integrity.validator == "sampled"
    assert 0 < result.integrity.validated < 1


def test_a_prompt_that_is_sent_late_is_counted_from_when_it_was_due() -> None:
    # Each answer takes a tenth of a second, and a prompt is due every hundredth: the sixth waits for half a second.
    with reference_server() as url:
        (result,) = run_all(url, {"": Small("agentsmithy/2", users=1, every=0.01)}).values()
    assert result.distribution("ttfe").high > 0.4
    assert result.passed
