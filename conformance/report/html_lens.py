"""A lens as one HTML page, with the section that the report of a run has, too."""

from __future__ import annotations

from conformance import __version__
from conformance.lens.result import Lens
from conformance.report.html_page import page
from conformance.report.html_text import count
from conformance.report.lens_view import eyes


def render(lens: Lens, name: str) -> str:
    """The page; `name` says what was looked at."""
    looked = eyes(lens)
    differ = sum(bool(one.oddities) for one in looked)
    there = sum(not one.viewer.missing for one in looked)
    headline = f"{differ} of {count(there, 'client')} {'reads' if differ == 1 else 'read'} it otherwise"
    if not lens.streams:
        headline = "There is no event stream in it"
    elif not differ:
        headline = f"{count(there, 'client')} {'sees' if there == 1 else 'see'} what the standard says"
    return page(
        "lens_page.html",
        styles=("lens.css",),
        lens=lens,
        eyes=looked,
        headline=headline,
        name=name,
        version=__version__,
    )


__all__ = ["render"]
