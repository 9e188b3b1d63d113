"""What load reports say, without a browser: the page, the summary, the text, and the command that makes them."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from conformance import exits
from conformance.cli import main
from conformance.load_compare import compare_loads
from conformance.load_result import Generator, Integrity, LoadResult, Totals
from conformance.report import charts, html_load, load_documents, load_files, load_text
from tests.support.load_cases import hostile, measured, realistic, small, whole
from tests.support.page import HOSTILE

BAD = realistic()
PAGE = html_load.render([BAD], [compare_loads(realistic(correct=True, seed=2), BAD)])


def text_of(page: str) -> str:
    """What a reader reads, roughly."""
    body = page[page.index("<body>") : page.rindex("<script>")]
    body = re.sub(r"</?(code|em|bdi|i|b)\b[^>]*>", "", body)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_the_page_says_what_was_wrong_and_what_was_measured() -> None:
    told = text_of(PAGE)
    for expected in (
        "31 events lost, 2 leaked, 21 streams without an end, at up to 500 users",
        "lost==0 does not hold: 31",
        "Lost sent, and never came found 31 4.439 6,983,245 events sent",
        "Doubled came again none 0 0 6,983,214 events judged",
        "leaked user 402, session ses_77a1 Expected events of ses_77a1 Observed an event of ses_0c13: <b>&",
        "reset the connection was reset 21",
        "ttfe:p99<500ms holds 69.2 ms (of 3,000)",
        "Time to first event from the request, or from the prompt, to the first event 3,000 13.7 ms 34.2 ms",
        "The knee lies at 350 users",
        "knee: 350 users",
        "lost 0 31 (4.439 per million)",
        "the kernel's receive stamps",
        "offset of the fastest event of each stream",
        "the generator kept up delay of its loop p50 0.08 ms, p99 2.1 ms, at most 14 ms; 46% of one core",
    ):
        assert expected in told
    assert len(PAGE.encode()) < 200_000


def test_every_picture_says_in_words_what_it_shows() -> None:
    pictures = re.findall(r'<svg role="img" aria-labelledby="([^"]+)"', PAGE)
    assert len(pictures) == 20
    ids = re.findall(r'\bid="([^"]+)"', PAGE)
    assert len(ids) == len(set(ids))
    for named in pictures:
        assert set(named.split()) <= set(ids)
    told = [html.unescape(words) for words in re.findall(r"<desc[^>]*>([^<]+)</desc>", PAGE)]
    assert len(told) == 20
    assert re.search(
        r"350 users: p50 12\.\d ms, p90 2\d(\.\d)? ms, p99 36\.8 ms; 400 users: ", " ".join(told)
    )
    assert any(
        words.startswith("Share that took no longer, of 60,000 measured: 50 % within") for words in told
    )
    assert any(re.fullmatch(r"\d+ good, .*; 3 stalls\.", words) for words in told)


def test_nothing_but_its_own_style_and_script_may_act() -> None:
    style, script = (re.search(f"<{tag}>(.*?)</{tag}>", PAGE, re.S) for tag in ("style", "script"))
    assert style is not None
    assert script is not None
    for one in (style[1], script[1]):
        digest = base64.b64encode(hashlib.sha256(html.unescape(one).encode()).digest()).decode()
        assert f"'sha256-{digest}'" in html.unescape(PAGE)
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', PAGE)
    assert " style=" not in PAGE


@pytest.mark.parametrize("text", [HOSTILE, "\ud800", "| a | `b` \x1b[31m\u202e"])
def test_texts_stay_texts(text: str) -> None:
    result = hostile(text)
    page = html_load.render([result])
    assert "<img" not in page
    assert page.count("<script>") == 1
    assert page.count("</script>") == 1
    assert page.encode("utf-8")
    for made in (load_text.render_markdown([result]), load_text.render_text([result])):
        assert "\x1b" not in made
        assert "\u202e" not in made
        assert made.encode("utf-8")
    reader = MarkdownIt("commonmark", {"html": True}).enable("table")
    shown = reader.render(load_text.render_markdown([result]))
    assert "<img" not in shown
    assert shown.count("<table>") == 6


def test_headlines_tell_the_truth() -> None:
    def said(result: LoadResult) -> str:
        found = re.search(r"<h1>(.*?)</h1>", html_load.render([result]))
        assert found
        return html.unescape(found[1])

    assert said(small()) == "Every event arrived, and every condition holds, at up to 4 users"
    assert said(small(errors=(("reset", 1),))) == "Every event arrived, but 1 condition does not hold"
    one = small(integrity=Integrity(400, 4, 1.0, "x", lost=1))
    assert said(one) == "1 event lost, at up to 4 users"
    assert said(small(integrity=Integrity(400, 4, 1.0, "x", unfinished=1))) == (
        "1 stream without an end, at up to 4 users"
    )
    nothing = small(integrity=Integrity(), totals=Totals())
    assert said(nothing) == "Nothing was judged: no event came"
    late = Generator(late=True)
    assert said(small(generator=late)).startswith(
        "Every event arrived, but the load generator was late: its times"
    )
    assert said(replace(one, generator=late)) == "1 event lost, at up to 4 users"  # that is true all the same


def test_a_correct_run_is_all_green_and_a_late_one_is_not() -> None:
    good = html_load.render([realistic(correct=True)])
    assert "Why it does not pass" not in good
    assert 'class="verdict fail"' not in good
    late = html_load.render(
        [replace(realistic(correct=True), generator=Generator(late=True, why="its loop stood"))]
    )
    assert "the load generator was late: its loop stood" in text_of(late)


def test_what_was_not_measured_is_not_drawn() -> None:
    told = html_load.render([small()])
    assert "Concurrency" not in told
    assert "not watched" in told
    empty = html_load.render([small(distributions=(), integrity=Integrity(), totals=Totals())])
    assert '<svg role="img"' not in empty
    assert "not judged" in empty


def test_why_a_run_ended_early_is_told_where_its_levels_are() -> None:
    told = text_of(
        html_load.render([replace(BAD, ended="saturated: at 500 users only 3 of 9 streams were good")])
    )
    assert "fall. The run ended early: saturated: at 500 users only 3 of 9 streams were good." in told


def test_a_percentile_of_too_few_is_not_told() -> None:
    told = text_of(html_load.render([small(distributions=(("ttfe", measured([0.01] * 99)),))]))
    assert "99 10 ms 10 ms · too few to know · too few to know 10 ms" in told


def test_several_runs_on_one_page_keep_their_ids_apart() -> None:
    page = html_load.render([BAD, whole(), small()])
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert re.search(r"<h1>2 of 3 load runs fail</h1>", page)
    assert len(page.encode()) < 400_000


def test_the_summary_and_the_text_say_the_same() -> None:
    summary, text = load_text.render_markdown([BAD]), load_text.render_text([BAD])
    assert summary.startswith(
        "## ❌ failed: 31 events lost, 2 leaked, 21 streams without an end, at up to 500 users\n"
    )
    assert "| ❌ Lost: sent, and never came | 31 | 4.439 | 6,983,245 events sent |" in summary
    assert "| 350 (knee) | 2,100 |" in summary
    assert "  lost: 31 (4.439 per million) of 6,983,245 events sent" in text
    assert (
        "  time to first event: p50 13.7 ms, p90 34.2 ms, p99 69.2 ms, p99.9 150 ms, max 182 ms, of 3,000"
        in text
    )
    assert text.rstrip().endswith(BAD.summary_line())


def test_what_a_run_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = tmp_path / "step.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(step))
    load_documents.write(tmp_path / "out", whole(), step_summary=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "index.html",
        "load.json",
        "summary.md",
    ]
    assert load_files.read(tmp_path / "out/load.json").id == whole().id
    assert step.read_text() == (tmp_path / "out/summary.md").read_text()


def test_the_command_renders_compares_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    slow = replace(small(), distributions=(("ttfe", measured([0.5] * 1_000)),), id="slow")
    old.write_text(
        load_files.dumps(replace(slow, distributions=(("ttfe", measured([0.1] * 1_000)),), id="old"))
    )
    new.write_text(load_files.dumps(slow))
    page = tmp_path / "page.html"
    assert main(["report", "html", str(new), "-o", str(page)]) == exits.OK
    assert "Every event arrived" in page.read_text()
    arguments = ["report", "text", str(new), "--compare", str(old)]
    assert main(arguments) == exits.OK
    assert "worse: ttfe:p99: 100 ms -> 500 ms" in capsys.readouterr().out
    assert main([*arguments, "--fail-on", "worse"]) == exits.FAILED
    assert main([*arguments, "--fail-on", "worse", "--tolerance", "500%"]) == exits.OK
    assert main(["report", "json", str(new), str(old), "-o", str(tmp_path / "both.json")]) == exits.OK
    assert len(load_files.read_all(tmp_path / "both.json")) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ctrf", "load.json"], "ctrf cannot show load runs, these can: html, markdown, text, json"),
        (["text", "load.json", "--tolerance", "5%"], "--tolerance needs --compare"),
        (
            ["text", "load.json", "--compare", "load.json", "--fail-on", "broken"],
            "--fail-on broken: expected some of",
        ),
        (["text", "load.json", "run.json"], "load.json: the result of a load run, and "),
        (
            ["text", "run.json", "--compare", "run.json", "--tolerance", "1"],
            "--tolerance: verdicts have none",
        ),
        (["text", "other.json"], "not the result of a load run: expected a header with format"),
        (
            ["text", "load.json", "--compare", "load.json", "--tolerance", "x"],
            "expected a share such as 10% or 0.1",
        ),
    ],
)
def test_usage_errors_are_one_line(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from conformance.report import files
    from tests.support.page import sample

    monkeypatch.chdir(tmp_path)
    Path("load.json").write_text(load_files.dumps(small()))
    Path("run.json").write_text(files.dumps(sample()))
    Path("other.json").write_text(load_files.dumps(small()).replace("load/1", "load/9"))
    assert main(["report", *arguments]) == exits.USAGE
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.0021, 0.013, ["2 ms", "5 ms", "10 ms", "20 ms"]),
        (1e-6, 10, ["1 ms", "10 ms", "100 ms", "1 s", "10 s"]),
        (1.04, 1.08, ["1.04 s", "1.06 s", "1.08 s"]),
        (3, 3, ["3 s"]),
        (0, 0, ["100 ns", "1 µs"]),
    ],
)
def test_axes_of_times(low: float, high: float, words: list[str]) -> None:
    axis = charts.seconds_axis(low, high)
    shown = [tick.word for tick in axis.ticks]
    assert set(words) <= set(shown)
    assert len(shown) <= 7
    assert axis.low <= max(low, high / 10_000, 1e-10)
    assert axis.high >= high
    assert axis.place(axis.low) == 0
    assert axis.place(axis.high) == 1


@pytest.mark.parametrize("high", [0, 0.3, 1, 7, 49, 50, 51, 999, 1e6, 1e15])
def test_linear_axes_hold_what_they_are_for_in_round_numbers(high: float) -> None:
    axis = charts.linear(0, high)
    assert axis.low == 0
    assert axis.high >= high
    assert axis.high <= max(high * 2, 1)
    assert 2 <= len(axis.ticks) <= 7
    assert axis.ticks[0].at == 0
    assert axis.ticks[-1].at == 1


def test_thinning_keeps_the_shape() -> None:
    x, y = charts.linear(0, 1), charts.linear(0, 1)
    points = [(number / 10_000, number / 10_000) for number in range(10_001)]
    kept = charts.thinned(points, x, y)
    assert 150 < len(kept) < 400
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    jump = [(0.5, 0.0), (0.5001, 1.0)]
    assert charts.thinned(jump, x, y) == tuple(jump)
