"""The matrix: what stands in which cell, who shares a column, where a verdict leads to. No browser."""

from __future__ import annotations

import html as markup
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from conformance import cli, exits
from conformance.catalogue import catalogue, protocols
from conformance.findings import Level, Verdict
from conformance.profile import Implementation
from conformance.report import documents, files, html_matrix, markdown_matrix
from conformance.report.matrix import Cell, families, keys
from conformance.report.merge import merge, merge_implementations
from conformance.report.model import RunResult
from tests.support.page import HOSTILE, hostile, mixed, sample
from tests.support.result_cases import row, run

P, F, W = Verdict.PASS, Verdict.FAIL, Verdict.WARN
PENGUIN = Implementation("penguin-ai", "0.9.3", "https://penguin.example")


def named(made: RunResult, name: str, version: str = "", **changes: object) -> RunResult:
    """The result of a program of that name."""
    return replace(made, implementation=Implementation(name, version), **changes)  # type: ignore[arg-type]


def cells(runs: list[RunResult], requirement: str) -> tuple[Cell, ...]:
    """What the matrix has of a requirement, of the first protocol."""
    return next(row.cells for row in families(runs)[0].rows if row.requirement == requirement)


def test_each_protocol_has_its_matrix_and_each_result_its_column() -> None:
    runs = [
        named(sample("penguin/2"), "b"),
        named(sample("agentsmithy/2"), "a"),
        named(sample("penguin/1"), "c"),
    ]
    shown = families(runs)
    assert [family.name for family in shown] == ["penguin", "agentsmithy"]
    revisions = [(revision.protocol, [c.label for c in revision.columns]) for revision in shown[0].revisions]
    assert revisions == [("penguin/2", ["b"]), ("penguin/1", ["c"])]


def test_every_requirement_of_every_revision_is_there_once_in_the_catalogues_order() -> None:
    (family,) = families([sample("penguin/1"), sample("penguin/2")])
    ids = [row.requirement for row in family.rows]
    assert len(ids) == len(set(ids))
    for protocol in ("penguin/1", "penguin/2"):
        listed = [row.id for row in catalogue(protocol).requirements if not row.excluded]
        assert set(listed) <= set(ids)
    newest = [row.id for row in catalogue("penguin/2").requirements if not row.excluded]
    assert [name for name in ids if name in newest] == newest
    areas = [area.prefix for area in family.areas]
    assert len(areas) == len(set(areas)), "no area is torn apart"


def test_what_a_revision_does_not_have_is_not_what_a_run_did_not_ask() -> None:
    old, new = sample("penguin/1"), sample("penguin/2")
    only_new = next(
        r.id for r in catalogue("penguin/2").requirements if catalogue("penguin/1").get(r.id) is None
    )
    part = replace(
        new, rows=tuple(row for row in new.rows if row.requirement != only_new), target="http://part"
    )
    present, skipped, absent = cells([old, new, part], only_new)
    assert (absent.row, absent.listed) == (None, False)
    assert present.row is not None
    assert (skipped.row, skipped.listed) == (None, True)
    page = html_matrix.render([old, new, part])
    shown = page[page.index(f'id="penguin/{only_new}"') :]
    shown = shown[: shown.index("</tr>")]
    assert "not in penguin/1" in shown
    assert "not asked" in shown
    assert "pass" in shown


def test_a_row_differs_where_the_servers_do_and_a_server_that_is_not_asked_does_not_count() -> None:
    one = run(row("PG-CON-01", P), row("PG-CON-02", P), row("PG-EVT-01", P))
    two = run(
        row("PG-CON-01", F),
        row("PG-CON-02", Verdict.NOT_APPLICABLE),
        row("PG-EVT-01", P),
        target="http://two",
    )
    (family,) = families([one, two])
    assert {entry.requirement: entry.differs for entry in family.rows} == {
        "PG-CON-01": True,
        "PG-CON-02": False,
        "PG-EVT-01": False,
    }
    assert dict(family.totals) == {F: (0, 1), P: (3, 1), Verdict.NOT_APPLICABLE: (0, 1)}


def test_why_is_told_once_for_all_who_say_the_same() -> None:
    runs = [run(row("PG-CON-01", F), target=f"http://{name}") for name in "abc"]
    runs.append(run(row("PG-CON-01", P), target="http://d"))
    (said,) = families(runs)[0].rows[0].said
    assert (said.verdict, [column.run.target for column in said.columns], said.words) == (
        F,
        ["http://a", "http://b", "http://c"],
        ("a line | with <b>",),
    )


def test_a_level_that_differs_is_said_at_the_verdict() -> None:
    milder = run(row("PG-CON-01", W, Level.SHOULD), target="http://mild")
    (family,) = families([run(row("PG-CON-01", P)), milder])
    assert family.rows[0].level is Level.MUST
    page = html_matrix.render([run(row("PG-CON-01", P)), milder])
    body = page[page.index('<tr role="row" class="row"') :]
    assert re.findall(r'<span class="level">(\w+)</span>', body) == ["MUST", "SHOULD"]


def test_runs_of_one_program_become_one_column_wherever_it_ran() -> None:
    runs = [
        replace(run(row("PG-CON-01", verdict)), implementation=PENGUIN, target=f"http://127.0.0.1:{port}")
        for port, verdict in ((1, P), (2, F), (3, P))
    ]
    assert len(merge(runs)) == 3
    (merged,) = merge_implementations(runs)
    assert merged.label == "penguin-ai 0.9.3"
    assert merged.rows[0].times == (1, 3)
    page = html_matrix.render([merged])
    assert "fail in 1 of 3 runs" not in page  # that is what a link is called, and there is none
    assert re.search(r'class="flaky">1 of 3<span class="unseen"> runs</span>', page)
    assert "Runs</dt><dd>3, 1 requirement flaky" in page
    assert "❌ fail (1 of 3)" in markdown_matrix.render([merged])


@pytest.mark.parametrize(
    "change",
    [
        {"implementation": replace(PENGUIN, version="0.9.4")},
        {"protocol": "penguin/1"},
        {"name": "another profile"},
        {"suite": "0.0.9"},
    ],
)
def test_what_was_judged_otherwise_is_a_column_of_its_own(change: dict[str, object]) -> None:
    one = replace(run(row("PG-CON-01", P)), implementation=PENGUIN)
    assert len(merge_implementations([one, replace(one, id="other", **change)])) == 2  # type: ignore[arg-type]


def test_without_a_name_the_address_tells_programs_apart() -> None:
    runs = [run(row("PG-CON-01", P), target=f"http://127.0.0.1:{port}") for port in (1, 2, 1)]
    assert [made.runs for made in merge_implementations(runs)] == [2, 1]


@pytest.mark.parametrize(
    ("made", "label"),
    [
        (run(implementation=PENGUIN), "penguin-ai 0.9.3"),
        (run(implementation=Implementation("mine")), "mine"),
        (run(name="my server"), "my server"),
        (run(name="penguin/2 default"), "http://127.0.0.1:9"),
        (run(name=""), "http://127.0.0.1:9"),
    ],
)
def test_a_column_is_called_as_its_profile_says(made: RunResult, label: str) -> None:
    assert made.label == label


def test_a_profile_is_named_where_the_program_alone_does_not_tell_columns_apart() -> None:
    made = [
        replace(run(row("PG-CON-01", P)), implementation=PENGUIN, name=name) for name in ("bare", "guarded")
    ]
    other = named(run(row("PG-CON-01", P)), "other")
    (family,) = families([*made, other])
    assert [column.profile for column in family.columns] == ["bare", "guarded", ""]
    assert "guarded" in html_matrix.render([*made, other])
    assert "penguin-ai 0.9.3<br>guarded" in markdown_matrix.render([*made, other])


def test_programs_of_one_name_and_profile_are_told_apart_by_their_address() -> None:
    runs = [run(row("PG-CON-01", P), target=f"http://127.0.0.1:{port}") for port in (1, 2)]
    (family,) = families(runs)
    assert [column.label for column in family.columns] == ["mine", "mine"]
    assert [column.profile for column in family.columns] == ["http://127.0.0.1:1", "http://127.0.0.1:2"]


def test_what_a_result_has_and_the_catalogue_has_not_is_shown_in_its_place() -> None:
    made = run(*(row(name, P) for name in ("PG-CON-01", "PG-CON-99", "PG-CON-02")))
    (family,) = families([sample(), made])
    ids = [entry.requirement for entry in family.rows]
    assert ids[ids.index("PG-CON-01") + 1] == "PG-CON-99"
    foreign = run(row("XX-A-01", P), row("XX-A-02", P), protocol="other/x")
    assert [entry.requirement for entry in families([foreign])[0].rows] == ["XX-A-01", "XX-A-02"]


def test_keys_fit_into_an_address_and_tell_labels_apart() -> None:
    made = keys(["penguin-ai 0.9.3", "penguin-ai/0.9.3", "penguin-ai 0.9.3", "…", "x" * 200])
    assert made["penguin-ai 0.9.3"] == "penguin-ai-0.9.3"
    assert made["penguin-ai/0.9.3"] == "penguin-ai-0.9.3~2"
    assert made["…"] == "unnamed"
    assert len(made["x" * 200]) == 60


def written(folder: Path, *runs: RunResult) -> None:
    """A report as a run writes it."""
    documents.write(folder, runs)


def matrix(*arguments: str) -> str:
    """`sse-conformance report matrix …`, written to a file."""
    assert cli.main(["report", "matrix", *arguments, "-o", "published/matrix.html"]) == exits.OK
    return Path("published/matrix.html").read_text(encoding="utf-8")


def links(page: str) -> dict[str, str]:
    """Where the verdicts lead to, by the name of the link."""
    found = re.findall(r'<a href="([^"]*)" aria-label="([^"]*)"', page)
    return {markup.unescape(name): markup.unescape(href) for href, name in found}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with a place for the matrix."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "published").mkdir()
    return tmp_path


def test_a_verdict_leads_into_the_report_that_the_run_has_written(here: Path) -> None:
    written(here / "a b", named(sample(PG_CON_01=F), "a"), named(sample(target="http://two"), "two"))
    written(here / "old", named(sample("penguin/1"), "old"))
    found = links(matrix("a b", "old"))
    assert found["fail: PG-CON-01 in the report of a"] == "../a%20b/index.html#penguin/2/PG-CON-01"
    assert found["pass: PG-CON-01 in the report of two"] == "../a%20b/index.html#penguin/2~2/PG-CON-01"
    assert found["pass: PG-CON-01 in the report of old"] == "../old/index.html#penguin/1/PG-CON-01"
    text = (here / "a b/index.html").read_text(encoding="utf-8")
    assert 'id="penguin/2~2/PG-CON-01"' in text


def test_a_page_of_another_run_is_no_page_of_this_one(here: Path) -> None:
    written(here / "out", named(sample(), "a"))
    again = named(sample(), "a")
    (here / "out/penguin-2.json").write_text(files.dumps(again), encoding="utf-8")
    assert links(matrix("out")) == {}


def test_a_flaky_verdict_leads_to_a_run_in_which_it_was_given(here: Path) -> None:
    for number, made in enumerate((sample(), sample(PG_CON_01=F), sample())):
        written(here / f"run{number}", replace(made, implementation=PENGUIN, target=f"http://h:{number}"))
    found = links(matrix("run0", "run1", "run2"))
    name = "fail in 1 of 3 runs: PG-CON-01 in the report of penguin-ai 0.9.3"
    assert found[name] == "../run1/index.html#penguin/2/PG-CON-01"


def test_links_survive_being_merged_into_one_file(here: Path) -> None:
    written(here / "out", named(sample(), "a"))
    (here / "deep").mkdir()
    assert cli.main(["report", "json", "out", "-o", "deep/all.json"]) == exits.OK
    raw = json.loads((here / "deep/all.json").read_text(encoding="utf-8"))
    assert raw[0]["results"][0]["page"].startswith("../out/index.html#penguin/2/")
    assert links(matrix("deep/all.json")) == links(matrix("out"))


@pytest.mark.parametrize(
    "page", ["javascript:alert(1)", "https://evil.example/", "//evil.example", "a b", "x:y"]
)
def test_a_strangers_address_is_no_link(page: str) -> None:
    made = run(row("PG-CON-01", F, page=page))
    assert links(html_matrix.render([made])) == {}
    assert "](" not in markdown_matrix.render([made])


def test_a_home_page_is_a_link_and_nothing_else_is() -> None:
    for url, linked in (("https://penguin.example", True), ("javascript:alert(1)", False)):
        made = replace(run(row("PG-CON-01", P)), implementation=replace(PENGUIN, url=url))
        assert (f'href="{url}"' in html_matrix.render([made])) is linked


def test_nothing_that_a_stranger_wrote_becomes_markup() -> None:
    strange = replace(hostile(), implementation=Implementation(HOSTILE, HOSTILE, HOSTILE))
    for runs in ([hostile()], [strange, sample()]):
        page = html_matrix.render(runs)
        assert page.encode("utf-8")
        assert page.count("<script") == page.count("</script") == 1
        assert "<img" not in page
        assert "\u202e" not in page
        assert "onerror=alert(1)>" not in page


def test_the_markdown_is_a_table_with_a_cell_for_every_column() -> None:
    runs = [named(mixed(), "a | b", "<1>"), named(sample(), "c"), named(sample("agentsmithy/1"), "d")]
    shown = markdown_matrix.render(runs)
    tokens = MarkdownIt("commonmark").enable("table").parse(shown)
    widths: list[list[int]] = []
    for token in tokens:
        if token.type == "table_open":
            widths.append([])
        elif token.type == "tr_open":
            widths[-1].append(0)
        elif token.type in ("td_open", "th_open"):
            widths[-1][-1] += 1
    assert [set(table) for table in widths] == [{13}, {5}, {4}]
    assert [len(table) for table in widths][1] == 1 + len(mixed().rows) + 7  # head, rows, totals
    assert "a \\| b &lt;1&gt;" in shown


def test_a_matrix_of_everything_is_a_page_that_opens() -> None:
    runs = [named(sample(protocol), f"server {n}") for n in range(8) for protocol in protocols()]
    page = html_matrix.render(runs)
    assert len(page.encode()) < 1_500_000
    assert html_matrix.render([]).startswith("<!doctype html>")
    assert markdown_matrix.render([]).startswith("# ")


def test_a_comparison_is_no_matter_of_a_matrix(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(here / "out", sample())
    assert cli.main(["report", "matrix", "out", "--compare", "out"]) == exits.USAGE
    assert "--compare: matrix cannot show changes" in capsys.readouterr().err
