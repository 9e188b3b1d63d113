"""Load results as Markdown, for pull requests and CI summaries, and as plain text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from conformance.load_compare import LoadComparison
from conformance.load_result import LoadResult
from conformance.report import markdown, text
from conformance.report.load_view import rate, views
from conformance.slo import duration

_SIGNS = {"pass": "✅", "fail": "❌", "inconclusive": "❓"}


def render_markdown(results: Sequence[LoadResult], comparisons: Sequence[LoadComparison] = ()) -> str:
    """One section for each result: figures, integrity, conditions, what got worse, times, levels."""
    template = markdown.environment().get_template("load.md")
    shown = template.render(views=views(results, comparisons), signs=_SIGNS, rate=rate, duration=duration)
    return shown.rstrip("\n") + "\n"


def render_text(results: Sequence[LoadResult], comparisons: Sequence[LoadComparison] = ()) -> str:
    """What is wrong, what was measured, the conditions; then a line for each result."""
    template = text.environment().get_template("load.txt")
    return template.render(views=views(results, comparisons)).rstrip("\n") + "\n"


__all__ = ["render_markdown", "render_text"]
