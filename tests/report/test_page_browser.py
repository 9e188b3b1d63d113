"""The page in a headless Chromium: search, filters, deep links, keys, copying."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from conformance.findings import Verdict
from conformance.report.html import render
from tests.support.page import AWKWARD_CURL, BODY, MARKED, Site, chromium, mixed, sample, site

SECONDS = 30_000  # milliseconds; only keeps a broken page from hanging the tests


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    with site() as made:
        made.put(render([sample("agentsmithy/2"), mixed()]))
        yield made


@pytest.fixture
def page(browser: Any, served: Site) -> Iterator[Any]:
    """The report, opened; whatever it says on the console, or asks of the network, fails the test."""
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=served.url)
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


def shown(page: Any) -> list[str]:
    """The ids of the requirements that can be seen."""
    return list(
        page.evaluate(
            "[...document.querySelectorAll('.row')].filter(r => r.checkVisibility()).map(r => r.id)"
        )
    )


def fresh(page: Any, hash_: str) -> None:
    """Open the page anew at a hash."""
    address = page.url.partition("#")[0]
    page.goto("about:blank")
    page.goto(address + hash_)


def hash_of(page: Any) -> str:
    """What the page keeps in its address."""
    return str(page.evaluate("location.hash")).removeprefix("#")


def heard(page: Any, words: str) -> None:
    """Wait until that is told to those who listen to the page."""
    page.locator("#said", has_text=words).wait_for(state="attached")


def focused_row(page: Any) -> str:
    return str(page.evaluate("document.activeElement.closest('.row')?.id ?? ''"))


def test_what_needs_a_look_is_seen_at_once_and_the_rest_is_folded(page: Any) -> None:
    assert shown(page) == [
        f"penguin/2/{name}" for name in ("PG-CON-01", "PG-FLT-01", "PG-FLT-02", "SSE-CON-03", "PG-REC-02")
    ]


def test_search_looks_through_all_targets_and_unfolds_what_it_finds(page: Any) -> None:
    page.fill("#search", "byte order MARK")
    found = shown(page)
    assert {name.rpartition("/")[0] for name in found} == {"agentsmithy/2", "penguin/2"}
    assert "penguin/2/SSE-FMT-02" in found
    assert len(found) < 12
    assert page.inner_text("#found span") == f"{len(found)} of {page.locator('.row').count()} match"
    heard(page, "requirements match")
    page.fill("#search", "")
    assert len(shown(page)) == 5  # folded again as it was
    assert page.locator("#found").is_hidden()


def test_search_finds_evidence_but_not_what_is_on_every_row(page: Any) -> None:
    page.fill("#search", "usex")
    assert len(shown(page)) == 4  # the four with the finding
    page.fill("#search", "copy the curl")
    assert shown(page) == []
    assert page.locator(".none").all_inner_texts() == [
        "Nothing of agentsmithy/2 matches.",
        "Nothing of penguin/2 matches.",
    ]


def test_verdicts_and_levels_filter_together(page: Any) -> None:
    page.click("[data-value='fail']")
    assert shown(page) == ["penguin/2/PG-CON-01", "penguin/2/PG-FLT-01"]
    page.click("[data-value='warn']")
    assert shown(page) == ["penguin/2/PG-CON-01", "penguin/2/PG-FLT-01", "penguin/2/SSE-CON-03"]
    page.click("[data-value='SHOULD']")
    assert shown(page) == ["penguin/2/SSE-CON-03"]
    assert page.get_attribute("[data-value='fail']", "aria-pressed") == "true"
    page.click("#clear")
    assert len(shown(page)) == 5
    assert page.get_attribute("[data-value='fail']", "aria-pressed") == "false"


def test_filters_are_kept_in_the_address(page: Any) -> None:
    page.fill("#search", "filter & more=")
    page.click("[data-value='fail']")
    page.click("[data-value='MUST']")
    kept = hash_of(page)
    assert kept == "?q=filter+%26+more%3D&verdict=fail&level=MUST"
    page.fill("#search", "nothing of another")
    kept, before = hash_of(page), shown(page)
    assert before == ["penguin/2/PG-FLT-01"]
    fresh(page, f"#{kept}")
    assert page.input_value("#search") == "nothing of another"
    assert shown(page) == before


@pytest.mark.parametrize("name", ["penguin/2/PG-CON-01", "penguin/2/PG-CON-02", "agentsmithy/2/SSE-FMT-01"])
def test_a_deep_link_opens_unfolds_and_focuses_its_requirement(page: Any, name: str) -> None:
    fresh(page, f"#{name}")
    row = page.locator(f"[id='{name}']")
    assert row.get_attribute("open") is not None
    assert row.locator(".facts").is_visible()
    page.locator(f"[id='{name}'] > summary:focus").wait_for()
    top = row.bounding_box()["y"]
    assert 0 <= top < 450
    bar = page.locator(".tools-bar").bounding_box()
    assert top >= bar["y"] + bar["height"] - 1  # not under the bar


def test_a_deep_link_beats_the_filter_and_keeps_it(page: Any) -> None:
    fresh(page, "#penguin/2/PG-CON-02?verdict=fail")
    page.locator("[id='penguin/2/PG-CON-02'] > summary:focus").wait_for()
    assert shown(page) == ["penguin/2/PG-CON-01", "penguin/2/PG-FLT-01", "penguin/2/PG-CON-02"]
    assert focused_row(page) == "penguin/2/PG-CON-02"
    assert hash_of(page) == "penguin/2/PG-CON-02?verdict=fail"


def test_links_within_the_page_do_not_lose_the_filters(page: Any) -> None:
    page.click("[data-value='fail']")
    page.click("[id='penguin/2/PG-FLT-01'] > summary")
    page.click("[id='penguin/2/PG-FLT-01'] .more a")
    page.wait_for_function("location.hash.endsWith('PG-FLT-01?verdict=fail')")  # heard of after the click
    assert focused_row(page) == "penguin/2/PG-FLT-01"
    assert hash_of(page) == "penguin/2/PG-FLT-01?verdict=fail"
    assert len(shown(page)) == 2


def test_a_damaged_hash_does_no_harm(page: Any) -> None:
    for hash_ in ("#%E0%A4%A", "#nothing/of/this?verdict=none&q=%", "#?", "#<script>"):
        fresh(page, hash_)
        assert page.locator(".row").count() > 100


def test_keys_search_step_unfold_and_clear(page: Any) -> None:
    page.keyboard.press("j")
    assert focused_row(page) == "penguin/2/PG-CON-01"
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert focused_row(page) == "penguin/2/PG-FLT-01"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.locator("[id='penguin/2/PG-FLT-01'] .pair").first.is_visible()
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("jk/")
    assert page.input_value("#search") == "jk/"
    page.keyboard.press("Escape")
    assert page.input_value("#search") == ""
    assert len(shown(page)) == 5


def test_tab_goes_from_the_content_link_through_the_tools_to_the_rows(page: Any) -> None:
    passed = []
    for _ in range(40):
        page.keyboard.press("Tab")
        passed.append(
            page.evaluate(
                "document.activeElement.id || document.activeElement.className || document.activeElement.localName"
            )
        )
        if focused_row(page):
            break
    assert passed[0] == "skip"
    assert passed.index("theme") < passed.index("search")
    assert focused_row(page) == "penguin/2/PG-CON-01"


def test_the_curl_line_is_copied_exactly(page: Any) -> None:
    fresh(page, "#penguin/2/PG-CON-01")
    button = page.locator("[id='penguin/2/PG-CON-01'] .finding .command .copy")
    button.click()
    heard(page, "Copied the curl command")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == AWKWARD_CURL
    assert shlex.split(copied)[5:7] == ["--data-binary", '{"a": "\u202e<b>"}\n']
    assert button.inner_text().startswith("Copied")


def test_the_bytes_are_copied_exactly(page: Any) -> None:
    fresh(page, "#penguin/2/PG-CON-01")
    page.locator("[id='penguin/2/PG-CON-01'] .bytes .copy").click()
    heard(page, "Copied the bytes")
    assert ast.literal_eval(page.evaluate("navigator.clipboard.readText()")) == BODY


def test_the_hex_dump_shows_the_same_bytes_and_the_same_mark(page: Any) -> None:
    fresh(page, "#penguin/2/PG-CON-01")
    box = page.locator("[id='penguin/2/PG-CON-01'] .bytes")
    box.locator(".hex").click()
    lines = box.locator(".dump").text_content().splitlines()
    assert [int(line[:8]) for line in lines] == list(range(0, len(BODY), 16))
    assert bytes.fromhex("".join(line[10:57] for line in lines)) == BODY
    pieces = box.locator(".dump").evaluate(
        "e => [...e.childNodes].map(n => [n.textContent, n.localName === 'mark'])"
    )
    flagged = [(character, marked) for text, marked in pieces for character in text]
    width = len(lines[0]) + 1
    columns = [flagged[start : start + width] for start in range(0, len(flagged), width)]
    in_hex = "".join(c if marked else " " for line in columns for c, marked in line[10:57])
    in_text = "".join(c for line in columns for c, marked in line[59:] if marked)
    assert bytes.fromhex(in_hex) == BODY[slice(*MARKED)]
    assert in_text == "".join(chr(b) if 32 <= b < 127 else "·" for b in BODY[slice(*MARKED)])
    assert box.locator("pre:not(.dump)").is_hidden()
    box.locator(".hex").click()
    assert box.locator(".dump").count() == 0
    assert box.locator("pre").is_visible()


def test_copying_works_without_the_clipboard_interface(page: Any) -> None:
    fresh(page, "#penguin/2/PG-CON-01")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined, configurable: true})")
    page.locator("[id='penguin/2/PG-CON-01'] .finding .command .copy").click()
    heard(page, "Copied the curl command")


def test_the_colours_are_chosen_and_kept(page: Any) -> None:
    def paper() -> str:
        return str(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))

    light = paper()
    page.click("#theme")
    assert (page.inner_text("#theme span"), paper()) == ("light", light)
    page.click("#theme")
    assert page.inner_text("#theme span") == "dark"
    assert paper() != light
    page.reload()
    assert page.inner_text("#theme span") == "dark"
    page.click("#theme")
    assert (page.inner_text("#theme span"), paper()) == ("auto", light)


def test_a_clean_run_has_nothing_to_look_at(browser: Any, served: Site) -> None:
    opened = browser.new_page()
    opened.goto(served.put(render([sample("penguin/1", PG_CON_01=Verdict.PASS)]), "clean.html"))
    assert opened.locator(".attention").count() == 0
    assert opened.inner_text("h1") == "Everything that was judged holds"
    assert shown(opened) == []
    opened.close()
