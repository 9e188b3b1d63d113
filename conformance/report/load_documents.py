"""What a load run writes: its result, and every document that is made of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from conformance.load_compare import LoadComparison
from conformance.load_result import LoadResult
from conformance.report import html_load, load_files, load_text

RESULT = "load.json"


def write(
    directory: Path,
    result: LoadResult,
    comparisons: Sequence[LoadComparison] = (),
    *,
    step_summary: bool = False,
) -> None:
    """Write `load.json`, `index.html` and `summary.md`. Raises `OSError`.

    `step_summary` appends the Markdown to the file that `GITHUB_STEP_SUMMARY` names, if it is set.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / RESULT).write_text(load_files.dumps(result), encoding="utf-8")
    summary = load_text.render_markdown([result], comparisons)
    (directory / "summary.md").write_text(summary, encoding="utf-8")
    (directory / "index.html").write_text(html_load.render([result], comparisons) + "\n", encoding="utf-8")
    if step_summary and (step := os.environ.get("GITHUB_STEP_SUMMARY")):
        with Path(step).open("a", encoding="utf-8") as file:
            file.write(summary)


__all__ = ["RESULT", "write"]
