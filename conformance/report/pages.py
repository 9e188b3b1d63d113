"""Where a result is shown already: the page that a run has written beside its result files."""

from __future__ import annotations

import html
import os
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from conformance.report.model import RunResult

PAGE = "index.html"
MOST_BYTES = 16 * 1_048_576  # that are read of a page
_SECTION = re.compile(r'<section class="run" id="([^"]*)" data-run="([^"]*)"')


def with_pages(run: RunResult, file: Path, folder: Path) -> RunResult:
    """The result with the address of each row in the page beside `file`, relative to `folder`.

    Only a page that shows this very run counts; rows that know their address already keep it.
    """
    page = file.parent / PAGE
    key = _sections(page).get(run.id)
    if key is None:
        return run
    path = quote(Path(os.path.relpath(page, folder)).as_posix().encode("utf-8", "surrogateescape"))
    rows = (replace(row, page=row.page or f"{path}#{quote(f'{key}/{row.requirement}')}") for row in run.rows)
    return replace(run, rows=tuple(rows))


def _sections(page: Path) -> dict[str, str]:
    """The element of each run that the page shows, by the run's id; {} where there is no page of ours."""
    try:
        with page.open("rb") as opened:
            text = opened.read(MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return {}
    return {html.unescape(run): html.unescape(key) for key, run in _SECTION.findall(text)}


__all__ = ["PAGE", "with_pages"]
