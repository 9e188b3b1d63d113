"""A lens that a run takes: in its result, in its page, merged, moved, and never held against the server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from conformance import cli, exits
from conformance.findings import Level, Verdict
from conformance.lens.in_process import HttpxSse, Naive
from conformance.lens.result import Glimpse, Lens, Viewer, notes, with_saved, with_texts
from conformance.lens.taking import take
from conformance.report import files, html, html_lens, lens_text
from conformance.report.merge import merge
from conformance.report.model import RunResult
from tests.support.commands import conformance
from tests.support.lens_clients import NODE_FOLDER, browser, node, there
from tests.support.page import HOSTILE, chromium
from tests.support.reference import reference_server
from tests.support.result_cases import row, run
from tests.support.sse_cases import case, transcript

BODY = b'id: 1\ndata: {"a": 1}\n\n: ping\n\ndata: b\r\n\r\n'


def lens(*bodies: bytes) -> Lens:
    """What the clients that are always there see of these streams."""
    return take([case(*map(transcript, bodies)).observation], [HttpxSse(), Naive()])


def with_lens(made: Lens) -> RunResult:
    """A result whose run has taken that lens."""
    return run(row("SSE-INT-01", Verdict.NOTE, Level.INFO, notes=tuple(notes(made)), lens=made))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run on a server that writes CRLF, through all four clients."""
    with there(browser()), there(node()):
        pass
    folder = tmp_path_factory.mktemp("run")
    with reference_server("--fault", "line-ends-that-simple-clients-miss") as url:
        ran = conformance(
            *("test", f"{url}/agentsmithy/2", "--sse-protocol", "agentsmithy/2", "--sse-only", "SSE-INT-01"),
            *("--sse-lens", "all", "--sse-node-folder", str(NODE_FOLDER), "--sse-report", "report", "-q"),
            cwd=folder,
        )
    assert ran.code == 0, ran.all
    return folder / "report"


def test_the_result_has_what_every_client_saw_and_only_notes(report: Path) -> None:
    result = files.read(report / "agentsmithy-2.json")
    (only,) = result.rows
    assert only.verdict is Verdict.NOTE
    assert not only.red
    seen = only.lens
    assert seen is not None
    assert [viewer.missing for viewer in seen.viewers] == [""] * 4
    assert len(seen.streams) > 10
    for stream in seen.streams:
        assert stream.events > 0 or stream.size < 200
        for glimpse in stream.glimpses:
            if glimpse.client != "naive":
                assert glimpse.difference is None, (stream.role, glimpse)
    assert any("(naive-lf-only)" in note for note in only.notes)
    assert not any("Chromium" in note or "httpx-sse" in note for note in only.notes)


def test_the_exchange_in_which_it_shows_first_is_kept_and_shows_it_again(report: Path) -> None:
    result = files.read(report / "agentsmithy-2.json")
    seen = result.rows[0].lens
    assert seen is not None
    stream, found = next(seen.differences("naive"))
    assert (report / stream.saved).is_file()
    ran = conformance("lens", stream.saved, "--client", "naive", "--stream", stream.role, cwd=report)
    assert ran.code == 0, ran.all
    assert found.client in ran.out
    assert "naive-lf-only" in ran.out


def test_the_page_shows_it_in_a_section_of_its_own(report: Path) -> None:
    with chromium() as made:
        page = made.new_page()  # type: ignore[attr-defined]
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto((report / "index.html").as_uri())
        section = page.locator("[id='agentsmithy/2/lens']")
        assert section.get_by_role("heading", name="What clients see").is_visible()
        assert section.locator(".eye").count() == 4
        told = section.inner_text()
        assert "Sees the same as the standard says, in all" in told
        assert "sees no event at all where lines do not end in LF" in told
        assert "End lines in LF: in CRLF such clients see no event at all." in told
        assert "sse-conformance lens observations/" in told
        section.locator("details > summary").click()
        assert section.get_by_role("row").count() > 10
        page.set_viewport_size({"width": 320, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        page.set_viewport_size({"width": 1100, "height": 800})
        page.click(".area > summary")
        page.click("[id='agentsmithy/2/SSE-INT-01'] > summary")
        page.click("text=What clients see of the same bytes")
        assert section.bounding_box()["y"] < 800
        page.fill("#search", "int-01")
        assert section.is_hidden()  # who searches for requirements does not look for it
        assert said == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--sse-lens", "netscape"), "--sse-lens netscape: expected all, or some of httpx-sse, browser, "),
        (
            ("--sse-lens", "all", "--sse-only", "AS-END"),
            "--sse-lens: it belongs to SSE-INT-01, which --sse-only",
        ),
    ],
)
def test_a_lens_that_cannot_be_taken_is_a_usage_error(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    ran = conformance("test", "-q", *arguments, cwd=tmp_path)
    assert ran.code == exits.USAGE
    assert words in ran.all


def test_without_the_option_there_is_no_lens(tmp_path: Path) -> None:
    result = run(row("SSE-INT-01", Verdict.NOTE, Level.INFO, notes=("LF",)))
    assert files.loads(files.dumps(result)).rows[0].lens is None
    body = html.render([result]).partition("<body>")[2]
    assert "What clients see" not in body
    assert 'class="lens"' not in body


def test_a_result_with_a_lens_is_written_and_read_back() -> None:
    result = with_lens(lens(BODY, b"data: a\n\n"))
    assert files.loads(files.dumps(result)) == result


def test_a_merged_result_keeps_it_and_a_moved_one_moves_its_exchanges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    saved = with_saved(lens(BODY), lambda _: "observations/x.json")
    one, two = with_lens(saved), run(row("SSE-INT-01", Verdict.NOTE, Level.INFO, notes=("LF",)))
    (merged,) = merge([two, one])
    assert merged.rows[0].lens == saved
    (tmp_path / "out").mkdir()
    (tmp_path / "out/penguin-2.json").write_text(files.dumps(one), encoding="utf-8")
    assert cli.main(["report", "json", "out", "-o", "all.json"]) == exits.OK
    (moved,) = files.read_all(tmp_path / "all.json")
    assert moved.rows[0].lens is not None
    assert moved.rows[0].lens.streams[0].saved == "out/observations/x.json"


def test_each_way_of_reading_otherwise_is_noted_once() -> None:
    assert list(notes(lens(BODY, BODY, b"data: a\n\n"))) == [
        "httpx-sse: sees events without data where blocks dispatch nothing (after an `id`, `event` or `retry`)"
        " (httpx-event-without-data)",
        "a client that splits on LF LF: sees no event at all where lines do not end in LF (naive-lf-only)",
    ]


def test_a_difference_on_no_list_is_shown_as_such() -> None:
    made = lens(b"data: a\n\ndata: b\r\n\r\n")
    (stream,) = made.streams
    unlisted = tuple(
        Glimpse(g.client, g.events, g.difference and replace(g.difference, causes=()))
        for g in stream.glimpses
    )
    odd = replace(made, streams=(replace(stream, glimpses=unlisted),))
    assert list(notes(odd)) == [
        "a client that splits on LF LF: sees no event instead of 'message' with data 'b': on no list of deviations"
    ]
    assert "(on no list of deviations: please report it)" in lens_text.render(odd)
    assert "on no list of deviations" in html_lens.render(odd, "x")
    assert "on no list of deviations" in html.render([with_lens(odd)])


def test_a_name_that_this_version_does_not_know_is_shown_as_it_is() -> None:
    made = lens(b"data: b\r\n\r\n")
    (stream,) = made.streams
    later = tuple(
        replace(g, difference=replace(d, causes=(replace(d.causes[0], deviation="naive-later"),)))
        if (d := g.difference) is not None
        else g
        for g in stream.glimpses
    )
    newer = replace(made, streams=(replace(stream, glimpses=later),))
    assert "naive-later" in html.render([with_lens(newer)])
    assert "naive-later" in lens_text.render(newer)


def test_nothing_that_a_stranger_wrote_becomes_markup() -> None:
    made = with_texts(lens(BODY), lambda _: HOSTILE)
    viewers = (Viewer("x", HOSTILE, HOSTILE, HOSTILE), *made.viewers)
    (stream,) = made.streams
    hostile = Lens(
        viewers, (replace(stream, probe=HOSTILE, role=HOSTILE, content_type=HOSTILE, saved=HOSTILE),)
    )
    for page in (html_lens.render(hostile, HOSTILE), html.render([with_lens(hostile)])):
        assert page.encode("utf-8")
        assert page.count("<script") == page.count("</script") == 1
        assert "<img" not in page
        assert "\u202e" not in page
    text = lens_text.render(hostile)
    assert "\u202e" not in text
    assert "\0" not in text


def test_a_long_stream_is_played_in_part_and_that_is_said() -> None:
    made = lens(b"data: " + b"x" * 1_000 + b"\n\n" + b": c\n\n" * 900_000)
    (stream,) = made.streams
    assert stream.read == 4 * 1_048_576 < stream.size
    assert "of which the first 4,194,304 were played" in lens_text.render(made)
    assert "first 4,194,304 played" in html_lens.render(made, "x")
