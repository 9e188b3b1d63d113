"""Every testable requirement has a good and a bad example in bytes, and the rules themselves say which is which."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from conformance import transcript
from conformance.catalogue import catalogue, own_validator, protocols
from conformance.example_notation import Words, observed, overlaid
from conformance.examples import Example, example_for, examples
from conformance.findings import Level, Verdict
from conformance.judge import Result
from conformance.offline import judge_observation
from conformance.recorded import read_recording
from conformance.rules.base import Case
from conformance.schema_store import schema_root
from conformance.transcript import Observation
from conformance.visible import NotationError, read_visible, visible

ALL = [pytest.param(p, name, id=f"{p}-{name}") for p in protocols() for name in examples(p)]
TESTABLE = sorted({row.id for p in protocols() for row in catalogue(p).requirements if not row.excluded})
SHOWN = {Level.MUST: Verdict.FAIL, Level.SHOULD: Verdict.WARN, Level.INFO: Verdict.NOTE}
RED = (Verdict.FAIL, Verdict.WARN, Verdict.INCONCLUSIVE)


def judged(observation: Observation) -> dict[str, Result]:
    return {result.requirement.id: result for result in judge_observation(observation)}


@cache
def verdicts(protocol: str, name: str) -> tuple[dict[str, Result], dict[str, Result]]:
    example = examples(protocol)[name]
    return judged(example.good), judged(example.bad)


def red(results: dict[str, Result], name: str) -> dict[str, Result]:
    return {key: result for key, result in results.items() if result.verdict in RED and key != name}


def test_every_testable_requirement_has_an_example() -> None:
    found = {name for protocol in protocols() for name in examples(protocol)}
    assert found == set(TESTABLE)


def test_most_requirements_have_an_example_in_each_revision_that_has_them() -> None:
    lacking = {
        f"{protocol} {row.id}"
        for protocol in protocols()
        for row in catalogue(protocol).requirements
        if not row.excluded and row.id not in examples(protocol)
    }
    # What a revision leaves to a capability or a condition that its document does not know.
    assert {entry.partition(" ")[0] for entry in lacking} <= {"penguin/1", "penguin/2"}
    for entry in lacking:
        protocol, name = entry.split()
        stand_in = example_for(protocol, name)
        assert stand_in is not None
        assert stand_in.protocol.partition("/")[0] == "penguin"


@pytest.mark.parametrize(("protocol", "name"), ALL)
def test_the_good_example_is_judged_and_nothing_in_it_is_red(protocol: str, name: str) -> None:
    good, _ = verdicts(protocol, name)
    assert name in good, "no check of the requirement reads this observation"
    assert good[name].verdict in (Verdict.PASS, Verdict.NOTE), good[name]
    assert good[name].judged > 0
    assert good[name].evidence == ()
    assert red(good, name) == {}


@pytest.mark.parametrize(("protocol", "name"), ALL)
def test_the_bad_example_fails_by_this_requirement_and_no_other(protocol: str, name: str) -> None:
    good, bad = verdicts(protocol, name)
    result = bad[name]
    assert result.verdict is SHOWN[result.level], result
    if result.level is not Level.INFO:
        assert result.evidence
    assert result.evidence or result.notes != good[name].notes, "the report says the same of both"
    assert set(red(bad, name)) <= set(examples(protocol)[name].follows)


@pytest.mark.parametrize("name", TESTABLE)
def test_what_is_said_to_follow_does_follow_somewhere(name: str) -> None:
    where = [p for p in protocols() if name in examples(p)]
    said = {other for p in where for other in examples(p)[name].follows}
    seen = {other for p in where for other in red(verdicts(p, name)[1], name)}
    assert said == seen


PLACES = yaml.safe_load(Path(__file__).with_name("example_places.yaml").read_text(encoding="utf-8"))
PLACED = [pytest.param(p, name, id=f"{p}-{name}") for p, rows in PLACES.items() for name in rows]


@pytest.mark.parametrize(("protocol", "name"), PLACED)
def test_the_evidence_is_where_it_belongs(protocol: str, name: str) -> None:
    good, bad = verdicts(protocol, name)
    found = [evidence.finding for evidence in bad[name].evidence]
    said = [(f.role or "none") if f.event is None else f"{f.role or 'none'} {f.event}" for f in found]
    assert {"judged": [good[name].judged, bad[name].judged], "bad": said} == PLACES[protocol][name]


@pytest.mark.parametrize(("protocol", "name"), ALL)
def test_the_bytes_of_evidence_are_those_of_its_event(protocol: str, name: str) -> None:
    bad, (_, results) = examples(protocol)[name].bad, verdicts(protocol, name)
    exchanges = Case(bad)
    for evidence in (each for result in results.values() for each in result.evidence):
        finding, stream = evidence.finding, exchanges.stream(evidence.finding.role)
        if finding.span is None:
            continue
        assert stream is not None
        start, end = finding.span
        assert 0 <= start <= end <= stream.size
        if finding.event is not None:
            block = stream.events[finding.event].block
            assert block.start <= start < end <= block.end


def alone(example: Example) -> bool:
    return bool(example.good.fact("head") == "assumed")


BODIES = [
    pytest.param(p, name, id=f"{p}-{name}")
    for p in protocols()
    for name, entry in examples(p).items()
    if alone(entry)
]


@pytest.mark.parametrize(("protocol", "name"), BODIES)
def test_a_body_in_a_file_gets_the_same_verdicts(protocol: str, name: str, tmp_path: Path) -> None:
    example = examples(protocol)[name]
    for observation, said in zip((example.good, example.bad), verdicts(protocol, name), strict=True):
        file = tmp_path / "example.sse"
        file.write_bytes(observation.transcripts[0][1].body)
        read = judged(read_recording(str(file), protocol))
        assert {key: result.verdict for key, result in read.items()} == {
            key: result.verdict for key, result in said.items()
        }


@pytest.mark.parametrize("ending", [b"\r\n", b"\r"])
@pytest.mark.parametrize(
    ("protocol", "name"), [case for case in BODIES if case.values[1] not in ("SSE-FMT-03", "SSE-INT-01")]
)
def test_other_line_ends_change_no_verdict(protocol: str, name: str, ending: bytes, tmp_path: Path) -> None:
    example = examples(protocol)[name]
    for observation, said in zip((example.good, example.bad), verdicts(protocol, name), strict=True):
        file = tmp_path / "example.sse"
        file.write_bytes(observation.transcripts[0][1].body.replace(b"\n", ending))
        assert judged(read_recording(str(file), protocol))[name].verdict is said[name].verdict


@pytest.mark.parametrize(("protocol", "name"), ALL)
def test_an_example_is_an_observation_that_can_be_saved(protocol: str, name: str) -> None:
    validator: Draft202012Validator = own_validator("observation")
    example = examples(protocol)[name]
    for observation, said in zip((example.good, example.bad), verdicts(protocol, name), strict=True):
        saved = transcript.to_json(observation)
        assert next(validator.iter_errors(json.loads(saved)), None) is None
        assert judged(transcript.from_json(saved))[name].verdict is said[name].verdict


# ---- the notation


@given(st.binary(max_size=200))
def test_visible_text_loses_nothing(data: bytes) -> None:
    text = visible(data)
    assert read_visible(text) == data
    assert all(character.isprintable() or character == "\n" for character in text)


def test_visible_text_shows_what_nobody_would_see() -> None:
    assert visible(b"\xef\xbb\xbfa\r\nb\x00\xe9\xff\xe2\x80\xa8") == "⟨EF BB BF⟩a␍\nb␀⟨E9 FF E2 80 A8⟩"
    assert visible("Größe 日本 😀".encode()) == "Größe 日本 😀"


@pytest.mark.parametrize("text", ["⟨E9", "E9⟩", "⟨e9⟩", "⟨E⟩", "⟨⟩"])
def test_stray_brackets_are_an_error(text: str) -> None:
    with pytest.raises(NotationError, match="hex digits"):
        read_visible(text)


WORDS = Words("penguin/1", {"two": "data: $1 then $2\n", "nothing": ""})


def test_words() -> None:
    assert WORDS.spelled_out("‹two a b c›\n\nx") == "data: a then b c\n\nx"
    assert WORDS.spelled_out("a\n‹nothing›\n\nb\n") == "a\nb\n"
    assert WORDS.spelled_out("‹nothing with arguments›") == ""


@pytest.mark.parametrize("text", ["‹three›", "‹two a›", "‹two›"])
def test_words_that_are_used_wrongly(text: str) -> None:
    with pytest.raises(NotationError, match=r"no word|takes"):
        WORDS.spelled_out(text)


def test_a_bad_example_says_what_differs() -> None:
    good = {"a": {"b": 1, "c": [1, 2]}, "d": "x"}
    assert overlaid(good, {"a": {"c": [3]}, "d": None}) == {"a": {"b": 1, "c": [3]}}
    assert overlaid("text", "other") == "other"
    assert good == {"a": {"b": 1, "c": [1, 2]}, "d": "x"}


def test_what_is_written_becomes_an_observation() -> None:
    made = observed(
        {
            "probe": "text",
            "declares": {"cors": ["https://a.example"]},
            "exchanges": {
                "none": {"answer": "none", "ended": "deadline", "until": 5},
                "late": {"request": "GET /x?last_event_id=7", "body": [[2, "a"], [3, "⟨FF⟩"]]},
            },
            "actions": [{"do": "prompt", "stream": "late", "script": {"turns": [{"text": ["Hi"]}]}}],
        },
        WORDS,
    )
    assert made.profile.capabilities.cors == ("https://a.example",)
    silent, late = made.transcript("none"), made.transcript("late")
    assert silent is not None
    assert late is not None
    assert silent.head is None
    assert late.body == b"a\xff"
    assert not late.from_start
    (prompt,) = made.actions_of("prompt")
    assert prompt.script is not None
    assert prompt.script.said == "Hi"


def test_words_are_known_in_the_revisions_that_are_shipped() -> None:
    import yaml

    text = (schema_root() / "examples" / "words.yaml").read_text(encoding="utf-8")
    assert set(yaml.safe_load(text)["words"]) <= set(protocols())
