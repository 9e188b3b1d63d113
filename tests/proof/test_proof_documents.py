"""The kill matrix as documents: nothing is lost, nothing is hidden, and a server's words stay words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reference_server.faults.catalogue import entries
from tests.support.proof_cells import Cell, Row, Run, again, cell
from tests.support.proof_document import FORMAT, Numbers, notes, write

FAILED = Row("M", "fail", "a title | <b>bold</b>", "observed <script>alert(1)</script>", "text", proved=True)


def _cell(name: str, revision: str, **rows: Row) -> Cell:
    found = {key.replace("_", "-"): row for key, row in rows.items()}
    run = Run(name, revision, found, 80, whole=True, trouble="", seconds=1.0, source="abc", alone=True)
    return cell(entries()[name], run, {})


@pytest.fixture
def cells() -> list[Cell]:
    """A catch, one with an unforeseen red, one that was caught when it ran again, a miss, and a variant."""
    caught = _cell("delta-lost", "agentsmithy/1", AS_TXT_01=FAILED, SSE_FMT_08=FAILED)
    more = _cell("delta-lost", "agentsmithy/2", AS_TXT_01=FAILED, SSE_HTTP_06=FAILED)
    missed = _cell("done-twice", "agentsmithy/1", AS_END_01=Row("M", "pass"))
    late = again(
        replace(missed, revision="agentsmithy/2"), _cell("done-twice", "agentsmithy/2", AS_END_01=FAILED)
    )
    return [caught, more, missed, late, _cell("crlf", "penguin/2", SSE_FMT_01=Row("M", "pass"))]


def test_the_matrix_as_data(cells: list[Cell], tmp_path: Path) -> None:
    write(tmp_path, cells)
    data = json.loads((tmp_path / "proof.json").read_text(encoding="utf-8"))
    assert data["format"] == FORMAT
    assert data["sources"] == {"abc": 5}
    numbers = data["summary"]
    assert (numbers["pairs"], numbers["caught"], numbers["clean"], numbers["again"]) == (4, 3, 2, 1)
    assert (numbers["variant_pairs"], numbers["green"]) == (1, 1)
    pairs = {(pair["name"], pair["revision"]): pair for pair in data["pairs"]}
    caught = pairs["delta-lost", "agentsmithy/1"]
    assert (caught["ok"], caught["breaks"], caught["verdict"]) == (True, "AS-TXT-01", "fail")
    assert caught["observed"] == FAILED.said
    assert caught["follows"] == {"SSE-FMT-08": "fail"}
    assert pairs["delta-lost", "agentsmithy/2"]["unforeseen"]["SSE-HTTP-06"]["verdict"] == "fail"
    assert pairs["done-twice", "agentsmithy/1"]["ok"] is False
    late = pairs["done-twice", "agentsmithy/2"]
    assert (late["runs"], late["good"], late["before"]) == (2, 1, "AS-END-01 was pass")
    assert data["entries"]["delta-lost"]["summary"] == entries()["delta-lost"].summary


def test_the_matrix_for_readers(cells: list[Cell], tmp_path: Path) -> None:
    write(tmp_path, cells)
    text = (tmp_path / "proof.md").read_text(encoding="utf-8")
    assert "3 of 4 pairs of fault and revision" in text
    assert "| done-twice | agentsmithy/1 | 0 of 1 | AS-END-01 was pass |" in text
    assert "SSE-HTTP-06 fail: a title \\| &lt;b>bold" in text


def test_the_matrix_as_a_page(cells: list[Cell], tmp_path: Path) -> None:
    write(tmp_path, cells)
    page = (tmp_path / "proof.html").read_text(encoding="utf-8")
    assert "3 of 4 faults are caught" in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert 'id="delta-lost"' in page
    assert "1 of 2 runs" in page
    assert "SSE-HTTP-06" in page.partition('id="delta-lost"')[2].partition("</details>")[0]


def test_the_few_requirements_that_no_fault_shows_are_named(cells: list[Cell]) -> None:
    numbers = Numbers.of(cells)
    assert numbers.requirements - numbers.shown == len(numbers.unseen)
    assert "agentsmithy/1 AS-CONC-05" in numbers.unseen
    assert "agentsmithy/1 AS-TXT-01" not in numbers.unseen
    assert not any("No fault shows" in note for note in notes(numbers))  # there are hundreds
    few = replace(numbers, unseen=("agentsmithy/1 AS-CONC-05", "agentsmithy/2 AS-CONC-05"))
    assert notes(few)[-1] == "No fault shows agentsmithy/1 AS-CONC-05, agentsmithy/2 AS-CONC-05."
