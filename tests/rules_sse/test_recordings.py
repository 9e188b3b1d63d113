"""Recordings of real servers get the verdicts that an expert gives: known defects red, all else green."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from conformance.findings import Level, Verdict
from conformance.offline import judge_observation
from conformance.recorded import read_recording
from conformance.transcript import from_json, to_json

FOLDER = Path(__file__).parents[1] / "recordings"
EXPECTED = yaml.safe_load((FOLDER / "expected.yaml").read_text(encoding="utf-8"))
GREEN = {Verdict.PASS, Verdict.NOTE, Verdict.NOT_APPLICABLE}


def _rows() -> Iterator[tuple[str, str, dict[str, str]]]:
    for group in EXPECTED:
        accused = {name: {i: said[0] for i, said in red.items()} for name, red in group["accused"].items()}
        for name, red in (accused | {name: {} for name in group["green"]}).items():
            yield str(FOLDER / group["files"] / f"{name}.sse"), group["protocol"], red


ROWS = [pytest.param(*row, id=f"{row[1]} {Path(row[0]).stem}") for row in _rows()]
PLAIN, ELSEWHERE = (
    [
        (str(FOLDER / group["files"] / f"{name}.sse"), group["protocol"])
        for group in EXPECTED
        for name in group.get(kind, ())
    ]
    for kind in ("plain", "elsewhere")
)


@pytest.mark.parametrize(("path", "protocol", "red"), ROWS)
def test_each_verdict_is_the_experts(path: str, protocol: str, red: dict[str, str]) -> None:
    results = judge_observation(read_recording(path, protocol))
    seen = {r.requirement.id: r.verdict.value for r in results if r.verdict not in GREEN}
    assert seen == red
    for result in results:
        if result.requirement.id in red:
            assert all(evidence.finding.span for evidence in result.evidence)
    # What was judged at all: the stream's form is green because it was looked at.
    passed = {r.requirement.id for r in results if r.verdict is Verdict.PASS}
    assert {"SSE-FMT-01", "SSE-FMT-02", "SSE-FMT-04a", "SSE-FMT-04b", "SSE-FMT-06a", "SSE-EVT-02a"} <= passed


@pytest.mark.parametrize(("path", "protocol"), ELSEWHERE)
def test_another_stream_of_such_a_server_is_judged_as_a_stream_alone(path: str, protocol: str) -> None:
    results = judge_observation(read_recording(path, protocol))
    assert all(result.verdict in GREEN for result in results)
    own = [result for result in results if not result.requirement.id.startswith("SSE-")]
    assert own
    assert {result.verdict for result in own} == {Verdict.NOT_APPLICABLE}
    assert {result.reason for result in own} == {
        f"recorded from /api/event, whose events have an envelope of their own: {protocol} does not describe it"
    }
    passed = {result.requirement.id for result in results if result.verdict is Verdict.PASS}
    assert {"SSE-FMT-01", "SSE-FMT-06a", "SSE-CON-01", "SSE-HTTP-04a"} <= passed


@pytest.mark.parametrize(("path", "protocol"), PLAIN)
def test_plain_answers_are_told_from_streams(path: str, protocol: str) -> None:
    observation = read_recording(path, protocol)
    assert not observation.transcripts[0][1].is_event_stream
    for result in judge_observation(observation):
        assert result.verdict is Verdict.NOT_APPLICABLE or result.level is not Level.MUST


def test_every_recording_is_expected_to_be_something() -> None:
    said = {Path(path) for path, _, _ in _rows()} | {Path(path) for path, _ in (*PLAIN, *ELSEWHERE)}
    assert said == set(FOLDER.rglob("*.sse"))


@pytest.mark.parametrize(("path", "protocol", "red"), ROWS)
def test_a_saved_observation_is_judged_the_same(path: str, protocol: str, red: dict[str, str]) -> None:
    observation = read_recording(path, protocol)
    again = from_json(to_json(observation))
    assert [(r.requirement.id, r.verdict, r.evidence) for r in judge_observation(again)] == [
        (r.requirement.id, r.verdict, r.evidence) for r in judge_observation(observation)
    ]


@pytest.mark.parametrize(("path", "protocol", "red"), ROWS)
def test_a_recording_cut_anywhere_is_accused_of_nothing_new(
    path: str, protocol: str, red: dict[str, str], tmp_path: Path
) -> None:
    body = Path(path).read_bytes()
    copy = tmp_path / "cut.sse"
    for cut in sorted({1, 40, *range(7, len(body), max(1, len(body) // 12)), len(body) - 1}):
        copy.write_bytes(body[:cut])
        results = judge_observation(read_recording(str(copy), protocol))
        seen = {r.requirement.id for r in results if r.verdict not in GREEN}
        assert seen <= set(red), f"cut at {cut}"


@pytest.mark.parametrize(("path", "protocol", "red"), ROWS)
@pytest.mark.parametrize("form", ["as it is", "CRLF", "CR", "comments", "BOM"])
def test_a_body_alone_in_any_legal_form_is_accused_of_nothing_new(
    path: str, protocol: str, red: dict[str, str], form: str, tmp_path: Path
) -> None:
    body = Path(path).read_bytes().replace(b"\r\n", b"\n")
    match form:
        case "CRLF":
            body = body.replace(b"\n", b"\r\n")
        case "CR":
            body = body.replace(b"\n", b"\r")
        case "comments":
            body = b": hi\n\n" + body.replace(b"\n\n", b"\n: c\n\n:\n\n")
        case "BOM":
            body = b"\xef\xbb\xbf" + body
    copy = tmp_path / "bare.sse"
    copy.write_bytes(body)
    results = judge_observation(read_recording(str(copy), protocol))
    assert {r.requirement.id for r in results if r.verdict not in GREEN} <= set(red)
