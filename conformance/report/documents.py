"""What a run writes: its results, and every document that is made of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from conformance.report import files
from conformance.report.formats import FORMATS, Rendering
from conformance.report.model import RunResult

# Beside the results themselves, by the name of the format.
WRITTEN = {"markdown": "summary.md", "html": "index.html", "ctrf": "ctrf.json", "badge": "badge.json"}


def write(directory: Path, runs: Sequence[RunResult], *, step_summary: bool = False) -> None:
    """Write one result file for each run, then the documents of all of them together.

    `step_summary` appends the Markdown to the file that `GITHUB_STEP_SUMMARY` names, if it is set.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, run in zip(names(runs), runs, strict=True):
        (directory / name).write_text(files.dumps(run), encoding="utf-8")
    rendering = Rendering(tuple(runs))
    for format_name, name in WRITTEN.items():
        (directory / name).write_text(FORMATS[format_name].render(rendering), encoding="utf-8")
    if step_summary and (step := os.environ.get("GITHUB_STEP_SUMMARY")):
        with Path(step).open("a", encoding="utf-8") as file:
            file.write(FORMATS["markdown"].render(rendering))


def names(runs: Sequence[RunResult]) -> list[str]:
    """Of their files: "penguin-2.json", then "penguin-2-2.json" for another target of that revision."""
    made: list[str] = []
    for number, run in enumerate(runs):
        same = sum(other.protocol == run.protocol for other in runs[:number])
        made.append(f"{run.protocol.replace('/', '-')}{f'-{same + 1}' if same else ''}.json")
    return made
