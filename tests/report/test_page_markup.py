"""The page as text: what it says, what it escapes, how large it may become. No browser."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from dataclasses import replace

import pytest

from conformance.catalogue import catalogue, protocols
from conformance.findings import Level, Verdict
from conformance.report.compare import compare_all
from conformance.report.excerpt import Excerpt
from conformance.report.html import MOST_BYTES, render
from conformance.report.html_bytes import first_shown, markup, narrowed
from conformance.report.html_evidence import href
from conformance.report.html_text import count, plain, prose, seconds, visible
from conformance.report.html_timeline import draw
from conformance.report.model import FoundFinding, ResultRow, RunResult
from conformance.report.timeline import Lane, Mark, MarkKind, Timeline
from tests.support.page import AWKWARD_CURL, BODY, MARKED, finding, hostile, mixed, row, sample


def text_of(page: str) -> str:
    """What a reader reads, roughly."""
    body = page[page.index("<body>") : page.rindex("<script>")]
    body = re.sub(r"</?(code|em|bdi|i|b)\b[^>]*>", "", body)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def section(page: str, name: str) -> str:
    """The markup of one requirement."""
    start = page.index(f'id="{name}"')
    return page[start : page.find('<details class="row', start)]


def test_the_page_says_who_was_judged_and_how_it_went() -> None:
    run = mixed()
    page = render([run])
    told = text_of(page)
    assert "2 requirements fail; the baseline hides 1 failure" in told
    for expected in (
        run.target,
        "penguin/2",
        run.title,
        run.document,
        "a profile",
        "21 Nov 2026, 02:43 UTC",
        "24.0 s",
        "Judged 89 of 91 requirements",
        f"Suite {run.suite}",
        "resume, heartbeat 15",
        "1 failure named by the baseline does not redden this run.",
    ):
        assert expected in told
    musts = run.counts_by_level[Level.MUST]
    assert f"MUST 2 fail 1 inconclusive 1 expected {musts[Verdict.PASS]} pass" in told


@pytest.mark.parametrize("protocol", protocols())
def test_every_requirement_is_there_once_with_all_that_is_known(protocol: str) -> None:
    page = render([sample(protocol)])
    for requirement in catalogue(protocol).requirements:
        name = f"{protocol}/{requirement.id}"
        assert page.count(f'id="{name}"') == 1
        told = text_of(f"<body>{section(page, name)}<script>")
        for text in (requirement.statement, requirement.source, requirement.judged):
            assert re.sub(r"[`*\s]", "", text) in re.sub(r"[*\s]", "", told)
        assert {Level.MUST: "MUST", Level.SHOULD: "SHOULD", Level.INFO: "INFO"}[requirement.level] in told
        assert "3 things in 2 probes: plain, tools , 0.2 s" in told
        assert requirement.group
        assert html.escape(requirement.group) in page


def test_failures_come_first_and_passes_are_folded() -> None:
    page = render([mixed()])
    order = re.findall(r'<details class="row[^>]*id="penguin/2/([^"]+)"', page)
    assert order[:5] == ["PG-CON-01", "PG-FLT-01", "PG-FLT-02", "SSE-CON-03", "PG-REC-02"]
    assert " open" not in "".join(re.findall(r"<details[^>]*>", page))


def test_a_failure_shows_its_evidence() -> None:
    shown = section(render([mixed()]), "penguin/2/PG-CON-01")
    told = text_of(f"<body>{shown}<script>")
    assert "Expected a user event first Observed an event of type 'usex' first" in told
    assert "probe plain · stream stream · event #1 · bytes 31–66 (35 bytes)" in told
    assert 'href="observations/penguin-2.plain.json"' in shown
    assert "<mark>" in shown
    assert "<svg role=" in shown
    assert "The offending one is in stream, at 0.50 s." in html.unescape(shown)
    assert "curl -N -i" in told
    assert "sse-conformance test http://127.0.0.1:8000 --sse-protocol penguin/2 --sse-only PG-CON-01" in told


def test_several_targets_of_one_revision_keep_their_links_apart() -> None:
    page = render([sample(), sample(target="http://127.0.0.1:9"), sample("agentsmithy/1")])
    assert page.count('id="penguin/2/PG-CON-01"') == 1
    assert page.count('id="penguin/2~2/PG-CON-01"') == 1
    assert 'href="#penguin/2~2"' in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_the_headline_tells_the_truth() -> None:
    def said(*runs: RunResult) -> str:
        found = re.search(r"<h1>(.*?)</h1>", render(runs))
        assert found
        return html.unescape(found[1])

    assert said(sample()) == "Everything that was judged holds"
    assert said(sample(SSE_CON_03=Verdict.WARN)) == "Every MUST holds, with 1 warning"
    assert (
        said(sample(PG_CON_01=Verdict.INCONCLUSIVE))
        == "Nothing failed, but 1 requirement could not be judged"
    )
    assert said(mixed(), sample()) == "1 of 2 targets fails"
    assert said(mixed(), mixed()) == "2 of 2 targets fail"
    assert said(sample(), sample()) == "All 2 targets hold"
    assert said(sample(), sample(SSE_CON_03=Verdict.WARN)) == "No target fails, but 1 needs a look"


def test_what_changed_comes_first() -> None:
    old, new = sample(PG_CON_01=Verdict.FAIL), sample(PG_FLT_01=Verdict.FAIL)
    page = render([new], compare_all([old], [new]))
    told = text_of(page)
    assert "broken PG-FLT-01 pass → then fail" in told
    assert "fixed PG-CON-01 fail → then pass" in told
    assert 'href="#penguin/2/PG-FLT-01"' in page
    assert page.index("broken") < page.index('id="penguin/2"')


def test_flaky_rows_and_stale_entries_of_the_baseline_need_a_look_too() -> None:
    run = sample()
    rows = list(run.rows)
    flaky = replace(rows[0], tally=((Verdict.PASS, 2), (Verdict.NOTE, 1)))
    stale = replace(rows[1], baseline="stale", red=True)
    told = text_of(render([replace(run, rows=(flaky, stale, *rows[2:]), runs=3)]))
    assert "Nothing failed, but the baseline is out of date" in told
    assert "To look at 2" in told
    assert "Over several runs: 2 × pass, 1 × note." in told
    assert "Baseline: stale, remove its entry." in told
    assert "1 entry of the baseline must go: it passes now or has expired." in told
    assert "Runs 3, 1 requirement flaky" in told


def test_a_part_of_a_run_does_not_look_like_a_whole_one() -> None:
    run = sample()
    part = replace(run, rows=run.rows[:3], exit_status=0)
    told = text_of(render([part]))
    assert f"Not the whole protocol: 3 of {len(run.rows)} requirements were selected." in told
    assert f"Judged 3 of {len(run.rows)} requirements" in told
    assert "Exit status 0" in told
    assert "Not the whole protocol" not in text_of(render([run]))


def test_what_was_declared_is_said() -> None:
    run = sample()
    declared = replace(run.declared, strict=True, script=False)
    told = text_of(render([replace(run, declared=declared, gave_up="it hung")]))
    assert "Strict schemas closed, warnings fail Prompts plain, without scripts" in told
    assert "The target was not probed to the end: it hung" in told


def test_nothing_that_a_stranger_wrote_becomes_markup() -> None:
    page = render([hostile()])
    assert page.encode("utf-8")  # the lone surrogate did not get through
    assert page.count("<script") == page.count("</script") == 1
    assert "<img" not in page
    assert "onerror=alert(1)>" not in page
    assert "\u202e" not in page
    assert "\0" not in page
    assert "49" not in re.findall(r"<h4>.*?</h4>", page)[0]
    assert "\\u202e" in page


def test_the_policy_allows_our_own_style_and_script_and_nothing_else() -> None:
    page = render([mixed()])
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1])  # type: ignore[index]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        (inside,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.S)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    markup_alone = page[page.index("<body>") : page.rindex("<script>")]
    assert not re.search(r"\s(style|on\w+)=", markup_alone)
    assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)


@pytest.mark.parametrize(
    ("saved", "expected"),
    [
        ("observations/a.json", "observations/a.json"),
        ("javascript:alert(1)", "javascript%3Aalert%281%29"),
        ("a b#c?d.json", "a%20b%23c%3Fd.json"),
        ("/etc/passwd", ""),
        ("../../x", ""),
        ("//host/x", ""),
        ("a\\..\\b", ""),
        ("", ""),
    ],
)
def test_links_stay_beside_the_page(saved: str, expected: str) -> None:
    assert href(saved) == expected


def test_a_million_characters_are_cut_and_counted() -> None:
    run = sample()
    long = finding("t" * 1_000_000, expected="e" * 1_000_000, curl="c" * 100_000)
    page = render([replace(run, rows=(row(catalogue("penguin/2").requirements[0], Verdict.FAIL, [long]),))])
    assert len(page) < 120_000
    assert "(1,000,000 characters)" in page


def test_four_full_runs_in_which_everything_fails_stay_below_a_megabyte() -> None:
    lanes = tuple(
        Lane(
            f"role-{n}",
            "GET /api/v1/events/sse?session_id=abcdefgh",
            0.0,
            9.0,
            head=0.1,
            how="closed by the probe",
            marks=tuple(Mark(0.05 * k, MarkKind.EVENT, "message.part.updated") for k in range(150)),
            events=2_000,
            marked=149 if n == 9 else None,
        )
        for n in range(12)
    )
    big = finding(
        expected="e" * 900,
        observed="ö" * 900,
        curl=f"curl -N -i 'http://h/{'a' * 1500}'",
        excerpt=Excerpt("role-9", 10**6, b"\xff\n" * 768, (700, 1400), True, True),
        timeline=Timeline(9.0, lanes, at=7.45),
    )
    runs = [
        replace(
            sample(protocol),
            rows=tuple(row(entry, Verdict.FAIL, [big] * 50) for entry in catalogue(protocol).requirements),
        )
        for protocol in ("agentsmithy/1", "agentsmithy/2", "penguin/1", "penguin/2")
    ]
    page = render(runs)
    assert len(page.encode()) <= MOST_BYTES
    for run in runs:  # and none of them is without its evidence
        for entry in run.rows:
            told = section(page, f"{run.protocol}/{entry.requirement}")
            assert "<dt>Expected</dt>" in told
            assert "more findings, in the result file" in told
            assert 'href="observations/penguin-2.plain.json"' in told


def test_a_single_failure_among_passes_is_shown_whole() -> None:
    shown = section(render([mixed()]), "penguin/2/PG-FLT-01")
    assert AWKWARD_CURL.split("\u202e")[0] in html.unescape(shown)
    assert "cut" not in re.findall(r'class="(cut)"', shown)


def bytes_of(made: str) -> bytes:
    """Read the bytes back from the markup, as the page's script does."""
    out = b""
    for element, inside, text in re.findall(r"<([ib])>(.*?)</\1>|([^<]+)|</?mark>", made):
        if element == "b":
            out += bytes([int(inside[2:], 16)])
        elif element == "i":
            out += inside.encode().decode("unicode_escape").encode()
        else:
            out += html.unescape(text).replace("\n", "").encode()
    return out


@pytest.mark.parametrize("marked", [MARKED, (0, 0), (0, len(BODY)), (len(BODY), len(BODY)), (49, 50)])
def test_bytes_can_be_read_back_exactly(marked: tuple[int, int]) -> None:
    made = str(markup(Excerpt("stream", 0, BODY, marked)))
    assert bytes_of(made) == BODY
    assert bytes_of(re.search("<mark>(.*)</mark>", made, re.S)[1]) == BODY[slice(*marked)]  # type: ignore[index]
    assert made.isascii() or "é" in made
    assert "\u202e" not in made


def test_an_excerpt_is_not_blamed_for_where_it_was_cut() -> None:
    whole = "ö€ 🎉 ü".encode()
    for start in range(4):
        for end in range(len(whole) - 3, len(whole) + 1):
            part = Excerpt(
                "s", 100 + start, whole[start:end], (5 - start, 5 - start), cut_before=True, cut_after=True
            )
            assert "<b>" not in markup(part)
            skipped = first_shown(part) - 100
            assert bytes_of(str(markup(part))).startswith(whole[skipped : skipped + 2])
            endless = replace(part, marked=(5 - start, len(part.data)))
            assert "<b>" not in markup(endless)
    real = Excerpt("s", 0, whole[1:], (0, 1))  # what the body begins with is the server's doing
    assert "<b>\\xb6</b>" in markup(real)


@pytest.mark.parametrize("marked", [(0, 10), (500, 520), (0, 1000), (990, 1000), (300, 900), (1000, 1000)])
def test_a_narrowed_excerpt_keeps_the_start_of_what_is_marked(marked: tuple[int, int]) -> None:
    data = bytes(range(32, 127)) * 10 + b"." * 50
    small = narrowed(Excerpt("s", 7, data, marked), 100)
    assert len(small.data) == 100
    start, end = small.marked
    assert small.offset + start == 7 + marked[0]
    assert data[small.offset - 7 :][:100] == small.data
    assert 0 <= start <= end <= 100
    assert end - start >= min(marked[1] - marked[0], 70)
    assert small.cut_before == (small.offset > 7)
    assert small.cut_after == (small.offset - 7 + 100 < len(data))


def test_the_picture_draws_and_tells_every_lane() -> None:
    timeline = finding().timeline
    assert timeline is not None
    picture = str(draw(timeline, name="n"))
    assert picture.count('class="tick') == 3  # events, heartbeats, comments
    assert 'class="hit" href="#m-hit" x="25.75%"' in picture  # 1.5 + 97 * 0.5 / 2
    assert "#m-broken" in picture
    assert "stream, GET /api/v1/events/sse?session_id=abc, opened at 0.02 s: 200 · 2 events" in picture
    assert "The probe did: prompt at 0.30 s." in picture


def test_a_picture_that_is_thinned_keeps_the_offending_mark_and_its_lane() -> None:
    marks = tuple(Mark(k / 1000, MarkKind.EVENT, "e") for k in range(1000))
    plain_lanes = [Lane(f"r{n}", "GET /", 0, 1, marks=marks, events=1000) for n in range(10)]
    lanes = (*plain_lanes, Lane("guilty", "GET /", 0, 1, marks=marks, events=1000, marked=777))
    picture = str(draw(Timeline(1.0, lanes, at=0.777, hidden=2), name="n", most_lanes=3, most_marks=20))
    assert ">guilty<" in picture
    assert "M777 1v14" in picture
    assert picture.count("1v14") <= 3 * 21
    assert "10 more connections not drawn" in picture


def test_texts_are_made_visible() -> None:
    assert plain("a\u202eb\x00\ud800\U000e0001\n") == "a\\u202eb\\x00\\ud800\\U000e0001\\n"
    assert visible("<\u200b>") == '&lt;<i class="esc">\\u200b</i>&gt;'
    assert visible("abc", 2) == 'ab<span class="cut">… (3 characters)</span>'
    assert prose("`<a>` and *not* 2*3*4") == "<code>&lt;a&gt;</code> and <em>not</em> 2*3*4"


def test_numbers_are_for_people() -> None:
    assert [seconds(value) for value in (0.04, 0.1, 5.34, 59.94, 60, 125.2)] == [
        "0.04 s",
        "0.1 s",
        "5.3 s",
        "59.9 s",
        "1 min 0 s",
        "2 min 5 s",
    ]
    assert [count(n, "event") for n in (0, 1, 2104)] == ["0 events", "1 event", "2,104 events"]


def test_an_unsaved_finding_of_an_unknown_protocol_is_shown_too() -> None:
    bare = FoundFinding("p", "t", "e", "o")
    entry = ResultRow("XX-1", Level.SHOULD, Verdict.WARN, "s", "src", findings=(bare,))
    page = render([RunResult("http://h", "other/9", (entry,))])
    assert 'id="other/9/XX-1"' in page
    assert render([]).startswith("<!doctype html>")
