"""How the page looks: contrast in light and dark, narrow screens, print, and without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.findings import Verdict
from conformance.report.compare import compare_all
from conformance.report.html import render
from tests.support.page import CONTRASTS, chromium, finding, hostile, mixed, sample


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page from the disk, as people open it."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    new = mixed()
    compared = compare_all([sample(PG_FLT_03=Verdict.WARN)], [new])
    path.write_text(render([sample("agentsmithy/2"), new], compared), encoding="utf-8")
    return path.as_uri()


def opened(browser: Any, address: str, **options: Any) -> Any:
    """The page in a context of its own, everything unfolded."""
    page = browser.new_context(**options).new_page()
    page.goto(address)
    if options.get("java_script_enabled", True):
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(browser: Any, address: str, scheme: str) -> None:
    page = opened(browser, address, color_scheme=scheme)
    page.locator(".hex").first.click()
    page.evaluate(
        "document.querySelectorAll('[data-filter]').forEach(b => b.setAttribute('aria-pressed', 'true'))"
    )
    seen = page.evaluate(CONTRASTS)
    assert len(seen) > 2_000
    assert [entry for entry in seen if entry[0] < 4.5] == []
    paper = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (sum(int(part) for part in paper[4:-1].split(",")) > 380) is (scheme == "light")
    page.context.close()


@pytest.mark.parametrize("width", [320, 500, 768, 1100])
def test_nothing_is_wider_than_the_screen(browser: Any, address: str, width: int) -> None:
    page = opened(browser, address, viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = page.evaluate(
        "[...document.querySelectorAll('main *, header *')].filter(e => e.checkVisibility() "
        "&& !e.closest('.unseen, pre, svg') && e.getBoundingClientRect().right > innerWidth + 1)"
        ".map(e => e.outerHTML.slice(0, 80))"
    )
    assert outside == []
    page.context.close()


def test_a_long_word_does_not_widen_the_page(browser: Any, tmp_path: Path) -> None:
    run = sample(target="http://" + "a" * 250)
    rows = list(run.rows)
    long = finding("t" * 300, expected="e" * 900, probe="p" * 90, role="r" * 90, curl="curl " + "c" * 700)
    first = run.rows[0]
    rows[0] = type(first)(
        first.requirement, first.level, Verdict.FAIL, "s" * 300, "o" * 300, findings=(long,)
    )
    path = tmp_path / "report.html"
    path.write_text(render([type(run)(run.target, run.protocol, tuple(rows))]), encoding="utf-8")
    page = opened(browser, path.as_uri(), viewport={"width": 320, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    page.context.close()


def test_a_hostile_server_gets_no_script_into_the_page(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(render([hostile()]), encoding="utf-8")
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: said.append(request.url))
    page.goto(path.as_uri())
    page.locator(".copy").first.click()
    page.locator(".hex").first.click()
    page.fill("#search", "</script>")
    assert page.locator(".row:visible").count() == 1
    assert page.evaluate("[document.scripts.length, document.images.length]") == [1, 0]
    assert [entry for entry in said if not entry.startswith(("file:", "data:"))] == []
    page.close()


def test_the_policy_stops_what_would_get_in_all_the_same(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    smuggled = (
        "<script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\"></main>"
    )
    path.write_text(render([mixed()]).replace("</main>", smuggled), encoding="utf-8")
    page = browser.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(path.as_uri())
    assert page.title() != "taken"
    assert any("Content Security Policy" in text for text in refused)
    page.close()


def test_without_scripts_everything_can_be_read(browser: Any, address: str) -> None:
    page = opened(browser, address, java_script_enabled=False)
    assert page.locator("#search").is_hidden()
    assert page.locator(".copy:visible").count() == 0
    row = page.locator("[id='penguin/2/PG-CON-01']")
    row.locator("> summary").click()
    for part in (".pair", ".timeline svg", ".bytes pre mark", ".command code", ".facts"):
        assert row.locator(part).first.is_visible()
    area = page.locator(".area").first
    area.locator("> summary").click()
    area.locator(".row > summary").first.click()
    assert area.locator(".row .facts").first.is_visible()
    page.goto(address + "#penguin/2/PG-FLT-01")
    assert 0 <= page.locator("[id='penguin/2/PG-FLT-01']").bounding_box()["y"] < 800
    page.context.close()


@pytest.mark.parametrize("scripts", [True, False])
def test_print_unfolds_failures_and_lists_the_rest(browser: Any, address: str, scripts: bool) -> None:
    page = browser.new_context(java_script_enabled=scripts, color_scheme="dark").new_page()
    page.goto(address)
    page.emulate_media(media="print", color_scheme="dark")

    def visible(what: str) -> bool:
        return bool(page.locator(what).first.is_visible())

    assert visible("[id='penguin/2/PG-CON-01'] .pair")
    assert visible("[id='penguin/2/PG-CON-01'] .timeline")
    assert visible("[id='penguin/2/PG-CON-02'] > summary")  # of an area that is folded on the screen
    assert not visible("[id='penguin/2/PG-CON-02'] .facts")
    for gone in ("#search", "#theme", ".copy", ".hex", ".more"):
        assert not visible(gone)
    assert page.locator("html").evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(255, 255, 255)"
    assert len(page.pdf()) > 10_000
    page.context.close()


def test_what_print_unfolded_is_folded_again(browser: Any, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".row[open]").count() == 5
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    page.close()


def test_everything_has_a_name_and_a_place(browser: Any, address: str) -> None:
    page = opened(browser, address)
    for role in ("banner", "main", "contentinfo", "search"):
        assert page.get_by_role(role).count() == 1
    assert page.get_by_role("searchbox", name="Search the requirements").count() == 1
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("region").count() >= 4  # each target, what needs a look, the areas
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, a, input')].filter(e => !(e.innerText || e.textContent || '').trim() "
        "&& !e.getAttribute('aria-label') && !e.labels?.length).map(e => e.outerHTML)"
    )
    assert nameless == []
    for picture in page.locator("svg[role=img]").all():
        named = picture.evaluate(
            "e => e.getAttribute('aria-label') ?? e.getAttribute('aria-labelledby').split(' ')"
            ".map(i => document.getElementById(i).textContent).join(' ')"
        )
        assert len(named) > 10
    page.context.close()


def test_no_verdict_is_told_by_colour_alone(browser: Any, address: str) -> None:
    page = opened(browser, address)
    told = page.locator(".row > summary .verdict").evaluate_all(
        "all => all.map(e => [e.closest('.row').dataset.verdict, e.textContent.trim(), "
        "e.querySelector('use').getAttribute('href')])"
    )
    words = {(name, word) for name, word, _ in told}
    assert words == {(v.value, "n/a" if v is Verdict.NOT_APPLICABLE else v.value) for v in Verdict}
    assert all(shape == f"#v-{name}" for name, _, shape in told)
    drawn = page.evaluate("[...document.querySelectorAll('symbol')].map(s => s.innerHTML)")
    assert len(set(drawn)) == len(drawn) == len(Verdict)
    page.context.close()


def test_forced_colours_leave_the_page_readable(browser: Any, address: str) -> None:
    page = opened(browser, address, forced_colors="active")
    assert page.locator("[id='penguin/2/PG-CON-01'] .pair").first.is_visible()
    page.context.close()
