"""CTRF and the badge: valid by the rules of those who read them, and in agreement with the run."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema import Draft7Validator, FormatChecker

from conformance.findings import Level, Verdict
from conformance.report import badge, ctrf
from conformance.report.merge import merge
from conformance.report.model import RunResult
from tests.support.result_cases import FINDING, every_verdict, row, run

RUN = every_verdict()
STATUS = {"enum": ["passed", "failed", "skipped", "pending", "other"]}
TEXT, NUMBER, TEXTS = {"type": "string"}, {"type": "integer"}, {"type": "array", "items": {"type": "string"}}


def closed(required: str, **properties: Any) -> dict[str, Any]:
    """An object that has these members and no others."""
    return {
        "type": "object",
        "required": required.split(),
        "properties": properties,
        "additionalProperties": False,
    }


# The members that we use, as ctrf.io specifies them (ctrf.schema.json, specification version 0.0.0).
ATTACHMENT = closed("name contentType path", name=TEXT, contentType=TEXT, path=TEXT)
TEST = closed(
    "name status duration",
    name={"type": "string", "minLength": 1},
    status=STATUS,
    duration=NUMBER,
    suite=TEXTS | {"minItems": 1},
    message=TEXT,
    trace=TEXT,
    rawStatus=TEXT,
    tags=TEXTS,
    type=TEXT,
    flaky={"type": "boolean"},
    retries=NUMBER,
    attachments={"type": "array", "items": ATTACHMENT},
    extra={"type": "object"},
)
COUNTS = ("tests", "passed", "failed", "skipped", "pending", "other")
SUMMARY = closed(
    " ".join((*COUNTS, "start", "stop")),
    **dict.fromkeys((*COUNTS, "flaky", "suites", "start", "stop", "duration"), NUMBER),
)
DOCUMENT = closed(
    "results reportFormat specVersion",
    reportFormat={"const": "CTRF"},
    specVersion={"type": "string", "pattern": r"^[0-9]+\.[0-9]+\.[0-9]+$"},
    reportId={"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
    timestamp={"type": "string", "format": "date-time"},
    generatedBy=TEXT,
    results=closed(
        "tool summary tests",
        tool=closed("name", name={"type": "string", "minLength": 1}, version=TEXT),
        summary=SUMMARY,
        tests={"type": "array", "items": TEST},
        extra={"type": "object"},
    ),
)


def rendered(*runs: RunResult) -> Any:
    """The document, valid."""
    document = json.loads(ctrf.render(runs))
    validator = Draft7Validator(DOCUMENT, format_checker=FormatChecker())
    assert [error.message for error in validator.iter_errors(document)] == []
    return document


def test_every_verdict_has_its_status_and_the_sums_are_right() -> None:
    results = rendered(RUN)["results"]
    assert {test["rawStatus"]: test["status"] for test in results["tests"]} == {
        "pass": "passed",
        "fail": "failed",
        "warn": "passed",
        "note": "passed",
        "not-applicable": "skipped",
        "inconclusive": "failed",  # a MUST
        "expected": "skipped",
    }
    summary = results["summary"]
    assert summary["tests"] == len(results["tests"]) == 7
    assert summary["passed"] + summary["failed"] + summary["skipped"] == 7
    assert (summary["failed"], summary["skipped"]) == (2, 2)
    assert summary["start"] == 1_767_225_600_000
    assert summary["stop"] == summary["start"] + 2_000


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (row("PG-CON-01", Verdict.INCONCLUSIVE, Level.SHOULD), "skipped"),
        (row("PG-CON-01", Verdict.INCONCLUSIVE, red=False), "skipped"),  # the profile allows it
        (row("PG-CON-01", Verdict.PASS, baseline="stale", red=True), "failed"),
        (row("PG-CON-01", Verdict.WARN, Level.SHOULD), "passed"),
    ],
)
def test_a_test_is_failed_where_it_turned_the_run_red(made: Any, status: str) -> None:
    assert rendered(run(made))["results"]["tests"][0]["status"] == status


def test_a_failure_says_what_where_and_how_to_repeat_it() -> None:
    failed = rendered(RUN)["results"]["tests"][0]
    assert failed["message"] == FINDING.title
    for words in ("expected: x", "observed: y", "probe: text", f"again: {FINDING.curl}"):
        assert words in failed["trace"]
    assert failed["attachments"] == [
        {
            "name": "penguin-2.text.json",
            "contentType": "application/json",
            "path": "observations/penguin-2.text.json",
        }
    ]
    assert failed["suite"] == ["penguin/2", "http://127.0.0.1:9", "Events"]


def test_several_targets_and_merged_runs() -> None:
    (merged,) = merge([run(row("PG-CON-01", Verdict.PASS)), run(row("PG-CON-01", Verdict.FAIL))])
    results = rendered(merged, replace(RUN, started="", target="http://b"))["results"]
    assert results["summary"]["flaky"] == 1
    assert results["summary"]["suites"] == 2
    assert results["tests"][0]["flaky"] is True
    assert results["tests"][0]["retries"] == 1
    assert results["tests"][0]["extra"]["tally"] == {"fail": 1, "pass": 1}


PASSED = row("PG-CON-01", Verdict.PASS)


@pytest.mark.parametrize(
    ("made", "message", "color"),
    [
        (run(PASSED), "1 pass", "brightgreen"),
        (run(PASSED, testable=83), "1 pass, partial", "yellow"),
        (run(PASSED, gave_up="it went away"), "1 pass, partial", "yellow"),
        (run(PASSED, row("PG-CON-02", Verdict.EXPECTED)), "1 pass, 1 expected to fail", "yellow"),
        (run(PASSED, row("PG-CON-02", Verdict.FAIL)), "1 fail", "red"),
        (run(PASSED, row("PG-CON-02", Verdict.INCONCLUSIVE)), "1 inconclusive", "orange"),
        (run(PASSED, row("PG-CON-02", Verdict.INCONCLUSIVE, red=False)), "1 pass", "brightgreen"),
        (run(row("PG-CON-01", Verdict.PASS, baseline="stale", red=True)), "1 stale in the baseline", "red"),
        (run(row("PG-CON-02", Verdict.NOT_APPLICABLE)), "nothing judged", "orange"),
    ],
)
def test_a_badge_is_green_only_where_all_of_it_is(made: RunResult, message: str, color: str) -> None:
    data = json.loads(badge.render([made]))
    assert data["schemaVersion"] == 1
    assert (data["label"], data["message"], data["color"]) == ("penguin/2", message, color)
    assert data.get("isError", False) is (color == "red")
    assert set(data) <= {"schemaVersion", "label", "message", "color", "isError"}


def test_one_badge_for_several_targets_says_the_worst() -> None:
    data = json.loads(badge.render([run(PASSED), RUN]))
    assert (data["label"], data["message"]) == ("event streams", "1 fail")
    (flaky,) = merge([run(PASSED), run(replace(PASSED, verdict=Verdict.WARN, findings=(FINDING,)))])
    assert json.loads(badge.render([flaky]))["message"] == "1 flaky"


def test_the_picture_is_named_for_those_who_do_not_see_it() -> None:
    space = "{http://www.w3.org/2000/svg}"
    picture = ElementTree.fromstring(badge.render_svg([RUN]))
    assert picture.attrib["role"] == "img"
    assert picture.attrib["aria-label"] == "penguin/2: 1 fail"
    assert [title.text for title in picture.iter(f"{space}title")] == ["penguin/2: 1 fail"]
    assert [text.text for text in picture.iter(f"{space}text")] == ["penguin/2", "1 fail"]
    assert not list(picture.iterfind(".//*[@id]"))  # two badges in one page would share it
    for part in picture.iter(f"{space}text"):
        assert 0 < int(part.attrib["textLength"]) < int(picture.attrib["width"])


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", badge._COLOURS.values())
def test_white_text_can_be_read_on_every_colour(colour: str) -> None:
    assert 1.05 / (luminance(colour) + 0.05) >= 4.5
