"""Evidence of requirements: made of what runs emitted, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conformance.catalogue import catalogue, protocols
from conformance.evidence import Evidence, assembled, dumped, evidence, loaded, sentence
from conformance.faults import faults
from conformance.findings import Level, Verdict
from conformance.report.files import dumps
from conformance.report.model import FoundFinding, ResultRow, RunResult
from conformance.schema_store import SchemaError
from tests.proof import collect_evidence
from tests.support.commands import ROOT

PAIR: dict[str, Any] = {
    "name": "connected-twice",
    "revision": "penguin/2",
    "breaks": "PG-CON-01",
    "verdict": "fail",
    "ok": True,
}


def result(verdict: Verdict) -> ResultRow:
    found = (FoundFinding("text", "t", "e", "o"),) if verdict in (Verdict.FAIL, Verdict.WARN) else ()
    judged = 0 if verdict is Verdict.NOT_APPLICABLE else 3
    return ResultRow(
        "PG-CON-01", Level.MUST, verdict, "s", "s", "why", found, judged=judged, red=verdict is Verdict.FAIL
    )


def collected(tmp_path: Path, pairs: list[dict[str, Any]], *runs: RunResult) -> dict[str, Evidence]:
    proof, out = tmp_path / "proof.json", tmp_path / "evidence.json"
    proof.write_text(json.dumps({"pairs": pairs}), encoding="utf-8")
    files = []
    for number, run in enumerate(runs):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(dumps(run), encoding="utf-8")
    assert collect_evidence.main(["--proof", str(proof), *map(str, files), "-o", str(out)]) == 0
    rows = loaded(json.loads(out.read_text(encoding="utf-8")))
    return {row.requirement: row for row in rows if row.protocol == "penguin/2"}


def test_what_was_caught_and_what_held(tmp_path: Path) -> None:
    missed = {**PAIR, "name": "deaf-stream", "breaks": "PG-CON-02", "verdict": "pass", "ok": False}
    variant = {**PAIR, "name": "crlf", "breaks": ""}
    run = RunResult("http://a", "penguin/2", (result(Verdict.PASS),), "a server")
    unnamed = RunResult("http://b", "penguin/2", (result(Verdict.PASS),))
    rows = collected(tmp_path, [PAIR, missed, variant], run, unnamed)
    assert rows["PG-CON-01"].failed_under == ("connected-twice",)
    assert rows["PG-CON-01"].passed_on == ("a server", "http://b")
    assert rows["PG-CON-02"] == Evidence("PG-CON-02", "penguin/2")


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.NOT_APPLICABLE, Verdict.WARN])
def test_what_was_not_seen_to_hold_is_no_evidence(tmp_path: Path, verdict: Verdict) -> None:
    rows = collected(tmp_path, [], RunResult("http://a", "penguin/2", (result(verdict),)))
    assert rows["PG-CON-01"].passed_on == ()


def test_the_published_matrix_can_be_read() -> None:
    found = set(collect_evidence.caught(ROOT / "reports/published/proof.json"))
    assert ("agentsmithy/2", "AS-END-01", "done-twice") in found
    assert {"agentsmithy/2", "penguin/2"} <= {protocol for protocol, _, _ in found} <= set(protocols())


def test_every_testable_requirement_has_a_row() -> None:
    rows = assembled([], [])
    wanted = {(p, row.id) for p in protocols() for row in catalogue(p).requirements if not row.excluded}
    assert {(row.protocol, row.requirement) for row in rows} == wanted
    assert loaded(dumped(rows)) == rows


def test_a_damaged_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SchemaError, match="expected"):
        loaded({"format": "sse-conformance/evidence/1", "requirements": {"penguin/2": {"PG-CON-01": {}}}})
    cut = tmp_path / "cut.json"
    cut.write_text('{"header": {', encoding="utf-8")
    assert collect_evidence.main([str(cut), "-o", str(tmp_path / "out.json")]) == 4
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "out.json").exists()


def test_sentences() -> None:
    assert sentence(None) == sentence(Evidence("X", "p/1")) == ""
    one = Evidence("X", "p/1", ("a",), ("b", "c"))
    assert sentence(one) == "Seen to fail under 1 fault (a); seen to pass on 2 servers (b, c)."
    many = Evidence("X", "p/1", tuple("abcdefgh"))
    assert sentence(many) == "Seen to fail under 8 faults (a, b, c, d, e, f, …)."


def test_what_is_published_names_faults_that_exist() -> None:
    known = {fault.name: fault for row in faults().values() for fault in row}
    for protocol in protocols():
        for name, row in evidence(protocol).items():
            assert catalogue(protocol).get(name) is not None
            for fault in row.failed_under:
                assert known[fault].breaks == name
                assert protocol in known[fault].protocols
