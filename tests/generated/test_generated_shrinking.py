"""The test of the test: what fails is printed as the smallest `[[script …]]`, and both properties can fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from conformance.findings import Finding, Verdict
from conformance.judge import Evidence, Result
from conformance.transcript import Observation
from reference_server.script import ModelTurn, Script, ToolCall, read_directive
from tests.support.generated_checks import always_caught, never_accused
from tests.support.generated_faults import Fault
from tests.support.generated_judging import verdicts
from tests.support.generated_scripts import Wanted


def script_in(failure: pytest.ExceptionInfo[AssertionError]) -> Script:
    """The script of the failure's message, read as a server reads it from a prompt."""
    script = read_directive(str(failure.value))
    assert script is not None
    return script


def test_a_rule_that_accuses_the_innocent_is_shown_by_the_smallest_script() -> None:
    """A rule that takes a line end for the end of the text accuses a text of that one character, nothing smaller."""

    def wrong(observation: Observation, probes: Sequence[str], only: Sequence[str]) -> Mapping[str, Result]:
        results = verdicts(observation, probes, ("AS-TXT-01",))
        script = observation.actions_of("prompt")[0].script
        if script is None or "\n" not in script.said:
            return results
        finding = Finding("a line breaks off", "no line end", "one")
        row = results["AS-TXT-01"]
        return {"AS-TXT-01": replace(row, verdict=Verdict.FAIL, evidence=(Evidence("mixed", finding),))}

    with pytest.raises(AssertionError, match="a valid stream is accused") as failure:
        never_accused("agentsmithy/1", 50, wrong)
    assert "AS-TXT-01 fail: a line breaks off" in str(failure.value)
    assert script_in(failure) == Script((ModelTurn(text=("\n",)),))


def test_a_fault_that_no_rule_sees_is_shown_by_the_smallest_script() -> None:
    fault = Fault("nothing-wrong", "AS-TXT-01", ("agentsmithy/2",), events=lambda draw, draft, events: events)
    with pytest.raises(AssertionError, match="nothing-wrong is not caught by AS-TXT-01") as failure:
        always_caught(fault, "agentsmithy/2", 5)
    assert script_in(failure) == Script((ModelTurn(),))


def test_the_smallest_script_has_what_the_fault_needs() -> None:
    fault = Fault(
        "nothing-wrong",
        "PG-TOOL-03",
        ("penguin/2",),
        Wanted(tools=1, fails=""),
        events=lambda draw, draft, events: events,
    )
    with pytest.raises(AssertionError, match="nothing-wrong is not caught by PG-TOOL-03") as failure:
        always_caught(fault, "penguin/2", 5)
    call = ToolCall("read_file", {"path": "a.txt"}, result="a")
    assert script_in(failure) == Script((ModelTurn(tools=(call,)),))
