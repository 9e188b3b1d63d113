"""The page of a real run: a faulty reference server is judged, and its report is opened in Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from conformance import transcript
from tests.support.commands import conformance
from tests.support.page import chromium
from tests.support.reference import reference_server


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that a run has written."""
    folder = tmp_path_factory.mktemp("run")
    with reference_server("--fault", "user-shortened", "--heartbeat", "1") as url:
        ran = conformance(
            "test",
            f"{url}/agentsmithy/2",
            "--sse-protocol",
            "agentsmithy/2",
            "--sse-only",
            "AS-2-01,AS-END,AS-TXT",
            "--sse-report",
            "report",
            cwd=folder,
        )
    assert ran.code == 1, ran.all
    return folder / "report"


@pytest.fixture(scope="module")
def page(report: Path) -> Iterator[Any]:
    with chromium() as browser:
        made = browser.new_page()  # type: ignore[attr-defined]
        made.goto((report / "index.html").as_uri() + "#agentsmithy/2/AS-2-01")
        yield made


def test_the_failure_is_open_with_its_evidence(page: Any) -> None:
    assert page.inner_text("h1") == "1 requirement fails"
    row = page.locator("[id='agentsmithy/2/AS-2-01']")
    for part in (".pair", ".timeline svg", ".timeline use.hit", ".bytes mark", ".command code", ".kept a"):
        assert row.locator(part).first.is_visible(), part
    assert '"type": "user"' in row.locator(".bytes mark").first.inner_text()
    assert "agentsmithy/2/api/chat" in row.locator(".command code").first.inner_text()


def test_its_link_leads_to_the_saved_exchange(page: Any) -> None:
    links = page.locator(".kept a").evaluate_all("all => all.map(a => a.href)")
    assert links
    for link in links:
        saved = Path(unquote(urlsplit(link).path))
        assert transcript.read(saved).transcripts


def test_the_marked_bytes_are_those_of_the_saved_exchange(page: Any) -> None:
    row = page.locator("[id='agentsmithy/2/AS-2-01']")
    saved = transcript.read(
        Path(unquote(urlsplit(row.locator(".kept a").first.evaluate("a => a.href")).path))
    )
    pre = row.locator(".bytes pre").first
    shown = pre.evaluate("pre => { const { bytes, marked } = bytesOf(pre); return [bytes, marked]; }")
    start = int(pre.get_attribute("data-at"))
    body = saved.transcript("stream").body  # type: ignore[union-attr]
    assert bytes(shown[0]) == body[start : start + len(shown[0])]
    marked = body[start + shown[1][0] : start + shown[1][1]]
    assert marked.startswith(b'data: {"type": "user"')
