"""The result model: it survives the way to disk and back, and a truncated or damaged file is recognised."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conformance.catalogue import own_validator
from conformance.findings import Level, Verdict
from conformance.report import files
from conformance.report.files import ResultError
from tests.support.result_cases import every_verdict, row, run

RUN = every_verdict()
TEXT = files.dumps(RUN)


def test_a_result_survives_the_way_to_disk_and_back(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(TEXT, encoding="utf-8")
    assert files.read(path) == RUN
    both = (RUN, run(row("PG-CON-01", Verdict.PASS)))
    path.write_text(files.dumps_all(both), encoding="utf-8")
    assert files.read_all(path) == both


def test_a_result_obeys_its_schema() -> None:
    assert [error.message for error in own_validator("result").iter_errors(json.loads(TEXT))] == []


def test_the_last_line_counts_every_verdict() -> None:
    assert RUN.summary_line() == (
        f"1 pass · 1 fail · 1 warn · 1 note · 1 n/a · 1 inconclusive · 1 expected · suite {RUN.suite} · penguin/2 · "
        "http://127.0.0.1:9"
    )
    stale = run(row("PG-CON-01", Verdict.PASS, baseline="stale", red=True))
    assert " · 0 inconclusive · 1 stale in the baseline · suite " in stale.summary_line()


def test_what_is_counted() -> None:
    assert RUN.hidden == 1
    assert RUN.coverage == (5, 7)  # not the open two
    assert replace(RUN, testable=83).coverage == (5, 83)
    assert RUN.counts_by_level[Level.MUST][Verdict.FAIL] == 1
    assert RUN.counts_by_level[Level.SHOULD][Verdict.WARN] == 1
    assert sum(RUN.counts_by_level[Level.INFO].values()) == 1
    assert run().id != run().id


def test_a_file_that_is_cut_anywhere_gives_one_line() -> None:
    whole = TEXT.rstrip("\n")
    for keep in {*range(0, len(whole), 97), *range(len(whole) - 40, len(whole))}:
        with pytest.raises(ResultError) as caught:
            files.loads(whole[:keep], where="r.json")
        assert str(caught.value).startswith("r.json: "), keep
        assert "\n" not in str(caught.value), keep
    assert files.loads(whole) == RUN


def test_bytes_that_are_cut_within_a_character_give_one_line(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    raw = files.dumps(replace(RUN, target="http://h/é")).encode()
    path.write_bytes(raw[: raw.index(b"\xc3\xa9") + 1])
    with pytest.raises(ResultError, match=r"r\.json: not UTF-8 text: "):
        files.read(path)


def without_a_row(data: Any) -> None:
    del data["results"][1]


def without_the_footer(data: Any) -> None:
    del data["footer"]


def another_count(data: Any) -> None:
    data["footer"]["counts"]["pass"] += 1


def a_word_for_seconds(data: Any) -> None:
    data["results"][0]["seconds"] = "long"


def a_mark_beyond_the_bytes(data: Any) -> None:
    data["results"][0]["findings"][0]["excerpt"]["marked"] = [6, 80]


def no_base64(data: Any) -> None:
    data["results"][0]["findings"][0]["excerpt"]["data"] = "%%%%"


def a_mark_that_is_not_there(data: Any) -> None:
    data["results"][0]["findings"][0]["timeline"]["lanes"][1]["marked"] = 7


def another_version(data: Any) -> None:
    data["header"]["format"] = "sse-conformance/result/2"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (without_a_row, "r.json: truncated: the footer counts 7 results, 6 are there"),
        (without_the_footer, "r.json: truncated: there is no footer"),
        (another_count, "r.json: a damaged result: the footer's counts are not those of the results"),
        (a_word_for_seconds, "r.json: a damaged result: /results/0/seconds: 'long' is not of type 'number'"),
        (
            a_mark_beyond_the_bytes,
            "r.json: a damaged result: an excerpt whose mark lies outside of its bytes",
        ),
        (no_base64, "r.json: a damaged result: "),
        (a_mark_that_is_not_there, "r.json: a damaged result: a lane without its marked event"),
        (another_version, "r.json: not a result: expected a header with format 'sse-conformance/result/1'"),
    ],
)
def test_damage_is_said_in_one_line(damage: Callable[[Any], None], words: str) -> None:
    data = json.loads(TEXT)
    damage(data)
    with pytest.raises(ResultError) as caught:
        files.loads(json.dumps(data), where="r.json")
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "[1]", "7", '"x"', '{"header": 3}', '{"format": "x"}', "[" * 5000]
)
def test_other_json_is_no_result(text: str) -> None:
    with pytest.raises(ResultError, match=r"^r\.json") as caught:
        files.loads_all(text, where="r.json")
    assert "\n" not in str(caught.value)
