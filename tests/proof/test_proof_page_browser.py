"""The published kill matrix in a headless Chromium: marks in one line, nothing wider than the screen, search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.page import chromium

PAGE = Path(__file__).resolve().parents[2] / "reports/published/proof.html"
# Of each entry, at how many different heights its marks stand.
LINES = """() => [...document.querySelectorAll('.entry .marks')].map(
  (marks) => new Set([...marks.children].map((each) => {
    const box = each.getBoundingClientRect();
    return Math.round((box.top + box.bottom) / 20);
  })).size)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as made:
        yield made


@pytest.mark.parametrize("width", [1300, 390])
def test_the_marks_of_an_entry_stand_in_one_line_and_nothing_is_wider_than_the_screen(
    browser: Any, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(PAGE.as_uri())
    lines = page.evaluate(LINES)
    assert len(lines) > 400
    assert set(lines) == {1}
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("searchbox").fill("old-event-again")
    page.wait_for_function(
        "[...document.querySelectorAll('.entry')].filter((e) => e.offsetParent).length === 1"
    )
    assert said == []
    page.close()
