"""The matrix in a headless Chromium: search, filters, chosen columns, keys, narrow screens, contrast, print."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conformance.findings import Verdict
from conformance.profile import Implementation
from conformance.report import html_matrix
from conformance.report.merge import merge_implementations
from conformance.report.model import RunResult
from tests.support.page import CONTRASTS, Site, chromium, hostile, mixed, sample, site

SECONDS = 30_000  # milliseconds; only keeps a broken page from hanging the tests
F, W = Verdict.FAIL, Verdict.WARN


def program(made: RunResult, name: str, version: str = "") -> RunResult:
    """The result of that program, with links into a report of its own."""
    rows = tuple(
        replace(row, page=f"{name}/index.html#{made.protocol}/{row.requirement}") for row in made.rows
    )
    return replace(made, rows=rows, implementation=Implementation(name, version, f"https://{name}.example"))


def everything() -> tuple[RunResult, ...]:
    """Three programs of Penguin, one of them flaky, in two revisions; two of AgentSmithy."""
    flaky = [program(sample(PG_MSG_01=verdict), "flaky", "2") for verdict in (Verdict.PASS, F, Verdict.PASS)]
    return merge_implementations(
        [
            program(mixed(), "mixed", "1.0"),
            *flaky,
            program(sample("penguin/1", SSE_CON_03=W), "old"),
            program(sample("agentsmithy/2"), "smith"),
            replace(
                sample("agentsmithy/2", AS_END_01=F),
                target="http://127.0.0.1:8001",
                name="agentsmithy/2 default",
            ),
        ]
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with site() as made:
        made.put(html_matrix.render(everything()))
        yield made


@pytest.fixture
def page(browser: Any, served: Site) -> Iterator[Any]:
    """The matrix, opened; whatever it says on the console, or asks of the network, fails the test."""
    context = browser.new_context(viewport={"width": 1200, "height": 900})
    context.set_default_timeout(SECONDS)
    made = context.new_page()
    said: list[str] = []
    made.on("console", lambda message: said.append(message.text))
    made.on("pageerror", lambda error: said.append(str(error)))
    served.asked.clear()
    made.goto(f"{served.url}/report.html")
    yield made
    context.close()
    assert said == []
    assert set(served.asked) == {"/report.html"}


def opened(browser: Any, served: Site, **options: Any) -> Any:
    """The page in a context of its own, everything unfolded."""
    page = browser.new_context(**options).new_page()
    page.goto(f"{served.url}/report.html")
    if options.get("java_script_enabled", True):
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    return page


def shown(page: Any) -> list[str]:
    return list(
        page.evaluate(
            "[...document.querySelectorAll('.row')].filter(r => r.checkVisibility()).map(r => r.id)"
        )
    )


def heads(page: Any) -> list[str]:
    """The columns that are shown, of all protocols."""
    return list(page.locator("thead th[data-column]:visible .label").all_inner_texts())


def focused_row(page: Any) -> str:
    return str(page.evaluate("document.activeElement.closest('.row')?.id ?? ''"))


def fresh(page: Any, hash_: str) -> None:
    address = page.url.partition("#")[0]
    page.goto("about:blank")
    page.goto(address + hash_)


def test_everything_is_there_at_once(page: Any) -> None:
    assert page.inner_text("h1") == "5 implementations of 2 protocols"
    assert heads(page) == ["mixed 1.0", "flaky 2", "old", "smith", "http://127.0.0.1:8001"]
    assert len(shown(page)) == page.locator(".row").count() > 150
    cards = page.locator(".top .targets li")
    assert cards.count() == 5
    told = cards.nth(0).inner_text()
    for expected in (
        "mixed 1.0",
        "penguin/2",
        "https://mixed.example",
        "21 Nov 2026",
        "2 fail",
        "1 inconclusive",
    ):
        assert expected in told


def test_search_finds_ids_statements_and_reasons(page: Any) -> None:
    page.fill("#search", "byte order MARK")
    assert "penguin/SSE-FMT-02" in shown(page)
    assert "agentsmithy/SSE-FMT-02" in shown(page)
    page.fill("#search", "pg-con-01")
    assert shown(page) == ["penguin/PG-CON-01"]
    assert page.locator("#agentsmithy .none").is_visible()
    page.fill("#search", "does not begin so")  # the title of every finding here
    assert len(shown(page)) == 6
    page.fill("#search", "fail")  # a verdict is no word: there is a filter for it
    assert "penguin/PG-FLT-01" not in shown(page)


def test_verdicts_and_levels_filter_the_rows_that_somebody_got_them_on(page: Any) -> None:
    page.click("[data-value='fail']")
    assert shown(page) == [
        "penguin/PG-CON-01",
        "penguin/PG-MSG-01",
        "penguin/PG-FLT-01",
        "agentsmithy/AS-END-01",
    ]
    page.click("[data-value='warn']")
    assert "penguin/SSE-CON-03" in shown(page)
    page.click("[data-value='SHOULD']")
    assert shown(page) == ["penguin/SSE-CON-03"]
    assert page.inner_text("#found span") == f"1 of {page.locator('.row').count()} match"
    page.click("#clear")
    assert len(shown(page)) == page.locator(".row").count()


def test_only_chosen_columns_are_shown_and_counted(page: Any) -> None:
    page.click(".choose summary")
    page.click("[data-value='flaky-2']")
    assert heads(page) == ["flaky 2"]
    assert page.inner_text("#chosen") == "1 of 5"
    assert page.locator(".top .targets li:visible").count() == 1
    assert page.locator("#agentsmithy .none").is_visible()
    page.click("[data-value='fail']")
    assert shown(page) == ["penguin/PG-MSG-01"]
    page.click("[data-value='mixed-1.0']")
    assert heads(page) == ["mixed 1.0", "flaky 2"]
    assert shown(page) == ["penguin/PG-CON-01", "penguin/PG-MSG-01", "penguin/PG-FLT-01"]
    spans = page.locator("thead th.protocol:visible").evaluate_all(
        "all => all.map(e => [e.innerText, e.colSpan])"
    )
    assert spans == [["penguin/2", 2]]


def test_differing_rows_are_those_of_the_shown_columns(page: Any) -> None:
    page.click("[data-value='differing']")
    differing = shown(page)
    assert {"penguin/PG-CON-01", "penguin/PG-MSG-01", "penguin/SSE-CON-03", "agentsmithy/AS-END-01"} <= set(
        differing
    )
    assert "penguin/PG-CON-02" not in differing
    page.click(".choose summary")
    page.click("[data-value='flaky-2']")
    assert shown(page) == ["penguin/PG-MSG-01"]  # it differs from itself


def test_what_is_chosen_is_kept_in_the_address(page: Any) -> None:
    page.fill("#search", "the")
    page.click("[data-value='MUST']")
    page.click("[data-value='differing']")
    page.click(".choose summary")
    page.click("[data-value='mixed-1.0']")
    page.click("[data-value='old']")
    kept, before = page.evaluate("location.hash"), shown(page)
    assert kept == "#?q=the&level=MUST&only=differing&column=mixed-1.0,old"
    assert before
    fresh(page, kept)
    assert shown(page) == before
    assert heads(page) == ["mixed 1.0", "old"]


def test_a_deep_link_shows_focuses_and_explains_its_row(page: Any) -> None:
    fresh(page, "#penguin/PG-FLT-01?level=SHOULD")
    assert "penguin/PG-FLT-01" in shown(page)
    page.locator("[id='penguin/PG-FLT-01'] a.id:focus").wait_for()
    row = page.locator("[id='penguin/PG-FLT-01']")
    assert row.locator("details li").first.is_visible()
    covered = page.evaluate(
        "(() => { const box = document.activeElement.getBoundingClientRect();"
        " return document.elementFromPoint(box.x + 3, box.y + box.height / 2)?.closest('.row')?.id; })()"
    )
    assert covered == "penguin/PG-FLT-01"  # neither the bar nor the heads of the columns lie over it


def test_the_heads_of_the_columns_stay_in_sight(page: Any) -> None:
    page.locator("[id='penguin/PG-FLT-01']").scroll_into_view_if_needed()
    page.mouse.wheel(0, 1500)
    page.wait_for_function("scrollY > 1500")
    head = page.locator("#penguin thead").bounding_box()
    bar = page.locator(".tools-bar").bounding_box()
    assert head["y"] == pytest.approx(bar["y"] + bar["height"], abs=1.5)


def test_keys_search_step_and_clear(page: Any) -> None:
    page.click("[data-value='fail']")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert focused_row(page) == "penguin/PG-MSG-01"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Tab")  # why
    page.keyboard.press("Enter")
    assert page.locator("[id='penguin/PG-MSG-01'] details li").first.is_visible()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.press("Escape")
    assert len(shown(page)) == page.locator(".row").count()


def test_tab_goes_through_the_verdicts_of_a_row(page: Any) -> None:
    fresh(page, "#penguin/PG-CON-01")
    page.locator("[id='penguin/PG-CON-01'] a.id:focus").wait_for()
    names = []
    for _ in range(4):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate(
                "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
            )
        )
    assert names == [
        "Why PG-CON-01 was judged so",
        "fail: PG-CON-01 in the report of mixed 1.0",
        "pass: PG-CON-01 in the report of flaky 2",
        "pass: PG-CON-01 in the report of old",
    ]


def test_a_verdict_leads_to_the_report(page: Any) -> None:
    link = page.locator("[id='penguin/PG-MSG-01'] td[data-column='flaky-2'] a")
    assert link.get_attribute("href") == "flaky/index.html#penguin/2/PG-MSG-01"
    assert link.inner_text().split() == ["fail", "1", "of", "3", "runs"]
    assert link.get_attribute("aria-label") == "fail in 1 of 3 runs: PG-MSG-01 in the report of flaky 2"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1200])
def test_every_text_has_enough_contrast(browser: Any, served: Site, scheme: str, width: int) -> None:
    page = opened(browser, served, color_scheme=scheme, viewport={"width": width, "height": 800})
    page.evaluate(
        "document.querySelectorAll('[data-filter]').forEach(b => b.setAttribute('aria-pressed', 'true'))"
    )
    seen = page.evaluate(CONTRASTS)
    assert len(seen) > 1_000
    assert [entry for entry in seen if entry[0] < 4.5] == []
    page.context.close()


@pytest.mark.parametrize("width", [320, 500, 768, 1200])
def test_nothing_is_wider_than_the_screen(browser: Any, served: Site, width: int) -> None:
    page = opened(browser, served, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = page.evaluate(
        "[...document.querySelectorAll('main *, header *')].filter(e => e.checkVisibility() "
        "&& !e.closest('.unseen, thead, svg, .scroll:not(.fits)') && e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert outside == []
    page.context.close()


def test_a_wide_matrix_scrolls_in_its_own_frame_with_the_requirement_in_sight(browser: Any) -> None:
    many = [program(sample(), f"server-with-a-long-name-{number}") for number in range(20)]
    many += [program(sample("penguin/1"), "old")]  # whose cells say out of sight what they have not
    with site() as served:
        served.put(html_matrix.render(many))
        page = opened(browser, served, viewport={"width": 1100, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") == 1100
        frame = page.locator("#penguin .scroll")
        assert frame.evaluate("e => e.scrollWidth > e.clientWidth")
        frame.evaluate("e => { e.scrollLeft = 400; }")
        left = page.locator("[id='penguin/PG-CON-01'] th").bounding_box()["x"]
        assert left == pytest.approx(frame.bounding_box()["x"], abs=2)
        fresh(page, "#penguin/PG-FLT-01")
        row = page.locator("[id='penguin/PG-FLT-01']")
        row.locator("a.id:focus").wait_for()
        top, head = row.bounding_box()["y"], frame.locator("thead").bounding_box()
        assert head["y"] >= 0
        assert head["y"] + head["height"] <= top + 1 < 800
        page.context.close()


def test_on_a_narrow_screen_every_verdict_names_its_server_and_the_table_stays_one(
    browser: Any, served: Site
) -> None:
    page = opened(browser, served, viewport={"width": 320, "height": 800})
    row = page.locator("[id='penguin/PG-CON-01']")
    told = [" ".join(text.split()) for text in row.locator("td").all_inner_texts()]
    assert told == ["mixed 1.0 penguin/2 fail", "flaky 2 penguin/2 pass", "old penguin/1 pass"]
    table = page.get_by_role("table", name="penguin")
    assert table.get_by_role("row").count() > 90
    assert row.get_by_role("rowheader").count() == 1
    assert row.get_by_role("cell").count() == 3
    page.context.close()


def test_no_verdict_is_told_by_colour_alone(browser: Any, served: Site) -> None:
    page = opened(browser, served)
    told = page.locator(".row td[data-verdict]").evaluate_all(
        "all => all.map(e => [e.dataset.verdict, e.querySelector('.verdict').textContent.trim(), "
        "e.querySelector('use').getAttribute('href')])"
    )
    assert {(name, word) for name, word, _ in told} == {
        (v.value, "n/a" if v is Verdict.NOT_APPLICABLE else v.value) for v in Verdict
    }
    assert all(shape == f"#v-{name}" for name, _, shape in told)
    page.context.close()


def test_everything_has_a_name_and_a_place(browser: Any, served: Site) -> None:
    page = opened(browser, served)
    for role in ("banner", "main", "contentinfo", "search"):
        assert page.get_by_role(role).count() == 1
    assert page.get_by_role("searchbox", name="Search the requirements").count() == 1
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("table").count() == 2
    assert page.get_by_role("columnheader", name="mixed 1.0").count() == 1
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, a, input, summary')].filter(e => !(e.textContent || '').trim() "
        "&& !e.getAttribute('aria-label') && !e.labels?.length).map(e => e.outerHTML)"
    )
    assert nameless == []
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    page.context.close()


def test_without_scripts_everything_can_be_read(browser: Any, served: Site) -> None:
    page = opened(browser, served, java_script_enabled=False)
    assert page.locator("#search").is_hidden()
    row = page.locator("[id='penguin/PG-CON-01']")
    row.locator("summary").click()
    assert row.locator("details li").first.is_visible()
    assert row.locator("td a").count() == 3
    page.context.close()


@pytest.mark.parametrize("scripts", [True, False])
def test_print_has_every_row_and_every_reason(browser: Any, served: Site, scripts: bool) -> None:
    page = browser.new_context(java_script_enabled=scripts, color_scheme="dark").new_page()
    page.goto(f"{served.url}/report.html")
    page.emulate_media(media="print", color_scheme="dark")
    for seen in ("[id='penguin/PG-CON-01'] td .verdict", "[id='penguin/PG-CON-01'] details li", "tfoot td"):
        assert page.locator(seen).first.is_visible(), seen
    for gone in ("#search", "#theme", ".choose"):
        assert not page.locator(gone).first.is_visible(), gone
    assert page.locator("html").evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(255, 255, 255)"
    assert len(page.pdf()) > 10_000
    page.context.close()


def test_a_hostile_server_gets_no_script_into_the_page(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "matrix.html"
    path.write_text(html_matrix.render([hostile(), *everything()]), encoding="utf-8")
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: said.append(request.url))
    page.goto(path.as_uri())
    page.fill("#search", "</script>")
    assert page.locator(".row:visible").count() == 1
    assert [entry for entry in said if not entry.startswith(("file:", "data:"))] == []
    page.close()
