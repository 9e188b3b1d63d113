"""The catalogue of faults and variants: well formed, refused without leave, and a sample of the kill matrix."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from conformance.catalogue import catalogue, protocols
from reference_server.faults.catalogue import UnknownFaultError, entries
from reference_server.faults.hooks import build, implemented
from tests.support.proof_cells import Kept, Row, Run, again, applies, caught, cell, rows_kept
from tests.support.proof_processes import TOKEN, code_of, judge, server

# Subtle ones, from every area, in the revision that is said; each is judged by the rows that it names.
SAMPLE = (
    ("405-without-allow", "agentsmithy/1"),
    ("surrogate-breaks-the-stream", "agentsmithy/2"),
    ("reset-taken-for-the-end", "agentsmithy/2"),
    ("words-leak-between-agents", "agentsmithy/1"),
    ("any-origin-with-cookies", "penguin/1"),
    ("conversation-id-ignored", "penguin/2"),
    ("bad-arguments-completed", "penguin/2"),
    ("gap-not-told-for-own-kind", "penguin/2"),
    ("directory-leaks-under-concurrency", "opencode/1"),
    ("same-id-other-payload", "opencode/1"),
)
# Variants are judged by rows on which they could be blamed.
GREEN = (
    ("crlf", "agentsmithy/1", ("SSE-FMT-08", "AS-ERR-01a")),
    ("one-byte-per-chunk", "penguin/2", ("PG-REC-03", "PG-FLT-08")),
    ("close-delimited", "agentsmithy/2", ("SSE-HTTP-06", "AS-REQ-02a")),
    ("session-below-a-session", "penguin/2", ("PG-CONC-01", "PG-TOOL-02c")),
    ("agent-below-an-agent", "opencode/1", ("PG-CONC-01", "PG-ERR-02")),
    ("errors-as-the-original-tells-them", "opencode/1", ("PG-ERR-01", "PG-MSG-05")),
)


def test_at_least_a_hundred_and_ten_faults_and_twenty_five_variants() -> None:
    kinds = [entry.kind for entry in entries().values()]
    assert kinds.count("fault") >= 110
    assert kinds.count("variant") >= 25


def test_every_entry_is_implemented_and_everything_implemented_is_an_entry() -> None:
    assert implemented() == entries().keys()


@pytest.mark.parametrize("revision", protocols())
def test_every_requirement_that_is_named_exists_in_each_revision_that_is_named(revision: str) -> None:
    known = {row.id for row in catalogue(revision).requirements if not row.excluded}
    unknown = [
        f"{entry.name}: {name}"
        for entry in entries().values()
        if revision in entry.revisions
        for name in (entry.breaks, *applies(entry.follows + entry.warns, revision), *entry.judge)
        if name and name not in known
    ]
    assert unknown == []


# No fault of the reference server can show these: why.
NO_MODEL = (
    "told, never judged; the reference server calls no model (an agent of tests/servers does, both ways)"
)
UNPROVED = {("agentsmithy/1", "AS-CONC-05"): NO_MODEL, ("agentsmithy/2", "AS-CONC-05"): NO_MODEL}


@pytest.mark.parametrize("revision", protocols())
def test_every_requirement_has_a_fault(revision: str) -> None:
    broken = {entry.breaks for entry in entries().values() if revision in entry.revisions}
    declared = {row.id for row in catalogue(revision).requirements if not row.excluded}
    excused = {name for at, name in UNPROVED if at == revision}
    assert sorted(declared - broken - excused) == []
    assert sorted(excused & broken) == []


def test_an_unknown_name_is_said() -> None:
    with pytest.raises(UnknownFaultError, match="no fault or variant is named 'nonsense'"):
        build("nonsense")


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ("delta-lost:over=1", r"has no parameter 'over' \(it has: none\)"),
        ("loses-under-load:under=1", r"has no parameter 'under' \(it has: over, every\)"),
        ("loses-under-load:over=-1", "must be a whole number, not '-1'"),
        ("loses-under-load:over", "must be a whole number, not ''"),
        ("loses-under-load:every=0", "must be at least 1"),
    ],
)
def test_a_parameter_that_cannot_be_is_said(chosen: str, said: str) -> None:
    with pytest.raises(UnknownFaultError, match=said):
        build(chosen)


def test_what_only_load_shows_says_what_finds_it_and_is_not_judged_by_the_suite() -> None:
    loaded = [entry for entry in entries().values() if not entry.judged]
    assert len(loaded) >= 15
    assert all(entry.moves and dict(entry.parameters).get("over") for entry in loaded)
    assert not any(entry.breaks or entry.follows or entry.judge for entry in loaded)


def test_a_deviation_has_a_memory_of_its_own() -> None:
    first, second = build("delta-lost"), build("delta-lost")
    assert first is not second


@pytest.fixture
def plain_server() -> Iterator[str]:
    with server((), "/workspace") as url:
        yield url


def _status(url: str, path: str, fault: str) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 0, timeout=10)
    try:
        headers = {"X-Reference-Fault": fault, "Authorization": f"Bearer {TOKEN}"}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_fault_is_refused_without_leave(plain_server: str) -> None:
    status, body = _status(plain_server, "/session", "delta-lost")
    assert status == 400
    assert b"--allow-faults" in body


def test_a_request_chooses_its_fault_with_leave() -> None:
    with server(("--allow-faults",), "/workspace") as url:
        assert _status(url, "/penguin/2/session", "crlf")[0] == 200
        status, body = _status(url, "/penguin/2/session", "nonsense")
        assert status == 400
        assert b"nonsense" in body


def test_an_unknown_fault_is_a_usage_error() -> None:
    command = [sys.executable, "-m", "reference_server", "--port", "0", "--fault", "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 4
    assert "no fault or variant is named 'nonsense'" in done.stderr


def test_a_suite_that_comes_to_no_verdicts_is_told_with_its_own_exit_code() -> None:
    rows, trouble = judge("penguin/1", only=("NOPE-01",))
    assert rows == {}
    assert re.match(r"the suite ended with [45]: .*NOPE-01", trouble)


def test_the_code_that_a_suite_wrote_down_counts(tmp_path: Path) -> None:
    assert code_of(tmp_path / "said", 3) == 3
    (tmp_path / "said.code").write_text("1")
    assert code_of(tmp_path / "said", 255) == 1


@pytest.mark.parametrize(("name", "revision"), SAMPLE)
def test_a_sample_of_faults_is_caught_by_the_requirement_that_each_names(name: str, revision: str) -> None:
    entry = entries()[name]
    rows, trouble = judge(
        revision, fault=name, serve=entry.serve, declare=entry.declare, only=(entry.breaks,)
    )
    assert not trouble
    made = cell(entry, _run(rows_kept(rows, entry.breaks), name, revision), {})
    assert made.ok, made


@pytest.mark.parametrize(("name", "revision", "rows"), GREEN)
def test_a_sample_of_variants_stays_green(name: str, revision: str, rows: tuple[str, ...]) -> None:
    found, trouble = judge(revision, fault=name, only=rows)
    assert not trouble
    assert {row["verdict"] for row in found.values()} == {"pass"}, found


def _run(
    rows: dict[str, Row], name: str = "delta-lost", revision: str = "agentsmithy/1", trouble: str = ""
) -> Run:
    return Run(
        name, revision, rows, len(rows), whole=True, trouble=trouble, seconds=1.0, source="s", alone=True
    )


FAILED = Row("M", "fail", "a title", "something", "text", proved=True)


def test_a_catch_is_a_finding_of_the_requirement_that_is_named() -> None:
    entry = entries()["delta-lost"]
    assert cell(entry, _run({"AS-TXT-01": FAILED}), {}).clean
    assert not cell(entry, _run({}, trouble="the suite ended with 3"), {}).ok
    assert not cell(entry, _run({"AS-TXT-02": FAILED}), {}).ok
    assert not caught(Row("M", "inconclusive", said="no stream"), None)
    assert not caught(Row("M", "fail", said="without evidence"), None)
    assert caught(Row("S", "warn", "a title", "something", "text", proved=True), None)
    # What is only noted must differ from what is noted of the correct server.
    assert not caught(Row("I", "note", said="LF"), Row("I", "note", said="LF"))
    assert caught(Row("I", "note", said="LF and CRLF"), Row("I", "note", said="LF"))


def test_what_the_catalogue_does_not_foresee_is_told() -> None:
    entry = entries()["delta-lost"]
    made = cell(entry, _run({"AS-TXT-01": FAILED, "SSE-FMT-07a": FAILED, "SSE-HTTP-06": FAILED}), {})
    assert (made.ok, made.clean) == (True, False)
    assert set(made.foreseen) == {"SSE-FMT-07a"}
    assert set(made.unforeseen) == {"SSE-HTTP-06"}


def test_a_second_run_counts_and_the_first_is_told() -> None:
    entry = entries()["delta-lost"]
    first, second = cell(entry, _run({}), {}), cell(entry, _run({"AS-TXT-01": FAILED}), {})
    made = again(first, second)
    assert (made.ok, made.good, made.runs) == (True, 1, 2)
    assert made.before == "AS-TXT-01 was not judged"


def test_a_variant_with_anything_red_yellow_or_grey_is_not_green() -> None:
    entry = entries()["crlf"]
    calm = _run({}, "crlf")
    assert not cell(entry, calm, {}).ok  # nothing was judged at all
    row = Row("M", "pass")
    assert cell(entry, _run({"SSE-FMT-01": row}, "crlf"), {}).ok
    for verdict, level in (("fail", "M"), ("warn", "S"), ("inconclusive", "S")):
        assert not cell(entry, _run({"SSE-FMT-01": Row(level, verdict)}, "crlf"), {}).ok


def test_runs_are_kept_as_they_come(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "runs" / "proof.jsonl")
    assert list(kept.runs()) == []
    runs = [_run({"AS-TXT-01": FAILED}), _run({}, trouble="the suite ended with 3")]
    for run in runs:
        kept.add(run)
    with (tmp_path / "runs" / "proof.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"name": "cut o')  # the machine stopped here
    assert list(kept.runs()) == runs
