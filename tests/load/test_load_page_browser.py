"""The load page in a headless Chromium: light, dark, narrow, printed, by keyboard; it asks the network for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from conformance.load_compare import compare_loads
from conformance.report.html_load import render
from tests.support.load_cases import hostile, realistic, small
from tests.support.page import CONTRASTS, HOSTILE, Site, chromium, site

SECONDS = 30_000  # milliseconds; only keeps a broken page from hanging the tests


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    bad = realistic()
    with site() as made:
        made.put(render([bad, small()], [compare_loads(realistic(correct=True, seed=2), bad)]), "load.html")
        made.put(render([hostile(HOSTILE)]), "hostile.html")
        yield made


@pytest.fixture
def open_page(browser: Any, served: Site) -> Iterator[Any]:
    """Opens a page in a context of its own; what it says on the console or asks of the network fails the test."""
    contexts, said = [], []

    def opened(name: str = "load.html", **options: Any) -> Any:
        context = browser.new_context(**options)
        context.set_default_timeout(SECONDS)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(f"{served.url}/{name}")
        return page

    served.asked.clear()
    yield opened
    for context in contexts:
        context.close()
    assert said == []
    assert set(served.asked) <= {"/load.html", "/hostile.html"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(open_page: Any, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    seen = page.evaluate(CONTRASTS)
    assert len(seen) > 700
    assert [entry for entry in seen if entry[0] < 4.5] == []
    # What is drawn, too, against the card behind it (WCAG 2.2, 1.4.11).
    drawn = page.evaluate(
        """() => {
          const lines = [...document.querySelectorAll('.curve, .stream, .ended, .stalled, .mark')];
          const strokes = new Set(lines.map(line => getComputedStyle(line).stroke));
          return [...strokes].map(colour => colour.match(/[0-9.]+/g).map(Number));
        }"""
    )
    ground = page.evaluate(
        "getComputedStyle(document.querySelector('.chart')).backgroundColor.match(/[0-9.]+/g).map(Number)"
    )
    assert len(drawn) >= 5
    assert min(_contrast(colour, ground) for colour in drawn) >= 3


def _contrast(one: list[float], other: list[float]) -> float:
    def light(colour: list[float]) -> float:
        parts = [c / 255 for c in colour[:3]]
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(c * share for c, share in zip(parts, (0.2126, 0.7152, 0.0722), strict=True))

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("width", [320, 1200])
def test_nothing_sticks_out(open_page: Any, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 800})
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    outside = page.evaluate(
        """() => [...document.querySelectorAll('.chart text')].map(text => {
          const [box, card] = [text.getBoundingClientRect(), text.closest('.chart').getBoundingClientRect()];
          return [box.left - card.left, card.right - box.right, text.textContent];
        }).filter(([left, right]) => left < 0 || right < 0)"""
    )
    assert outside == []


def test_curves_are_where_their_values_are(open_page: Any) -> None:
    page = open_page(viewport={"width": 1200, "height": 900})
    knee = page.locator("#load-1-rate .mark").bounding_box()
    dots = page.locator("#load-1-rate .dot")
    centres = [
        box["x"] + box["width"] / 2
        for box in (dots.nth(number).bounding_box() for number in range(dots.count()))
        if box is not None
    ]
    assert len(centres) == 10
    assert centres == sorted(centres)
    assert knee is not None
    assert abs(centres[6] - knee["x"]) < 2  # the seventh level: 350 users
    rows = page.evaluate(
        "document.querySelector('#load-1-raster .stream.good').getAttribute('d').split('M').length - 1"
    )
    assert rows > 180


def test_it_is_read_by_keyboard_and_by_name(open_page: Any) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.get_by_role("link", name="Times").first.press("Enter")
    assert page.evaluate("location.hash") == "#load-1/times"
    assert page.get_by_role("img", name="Time to first event over users").count() == 1
    described = page.get_by_role("img", name="Events per second over users").first
    assert "350 users: 16,800 events per second" in described.locator("desc").text_content()
    assert (
        page.locator(".scroll:not([tabindex='0'][role='region'])").count() == 0
    )  # they scroll by keyboard, too
    page.locator("summary", has_text="The figures behind the pictures").press("Enter")
    assert page.get_by_role("row", name="350 knee").is_visible()


def test_it_prints_whole_and_works_without_scripts(open_page: Any) -> None:
    page = open_page(java_script_enabled=False)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.get_by_role("heading", level=1).inner_text() == "1 of 2 load runs fails"
    assert page.locator(".knee th").first.is_visible()  # folded on the screen
    assert page.locator("#theme").is_hidden()


def test_strangers_texts_do_nothing(open_page: Any) -> None:
    page = open_page("hostile.html")
    assert page.locator("img[src]").count() == 0
    assert page.locator(".examples li").count() == 2
