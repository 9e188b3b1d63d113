"""A run as plain text for a terminal or a mail: what needs attention, then the summary lines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from conformance.report.compare import Compared
from conformance.report.html_text import plain
from conformance.report.model import ATTENTION, ResultRow, RunResult

_LONGEST = 300  # characters of one text of a server


def render(runs: Sequence[RunResult], compared: Compared | None = None) -> str:
    """What changed, if older results are given; what fails, warns or is open; one line for each run."""
    sections = [(run, attention(run)) for run in runs]
    shown = environment().get_template("report.txt").render(sections=sections, compared=compared)
    return shown.rstrip("\n") + "\n"


def attention(run: RunResult) -> list[ResultRow]:
    """The rows that somebody has to look at, the worst first."""
    first = [row for verdict in ATTENTION[:4] for row in run.rows if row.verdict is verdict]
    return first + [row for row in run.rows if row not in first and (row.red or row.flaky)]


@cache
def environment() -> Environment:
    """The template engine of every plain text of ours: what a terminal would obey is shown as an escape."""
    made = Environment(
        loader=PackageLoader("conformance.report", "templates"),
        autoescape=False,  # nothing is markup here; `finalize` shows what a terminal would obey
        undefined=StrictUndefined,
        finalize=_printed,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["verdict"] = _verdict
    return made


def _printed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    shown = plain(" ".join(value.split()))
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}… ({len(shown)} characters)"


def _verdict(row: ResultRow | None) -> str:
    """The verdict; with merged runs, how often it was given."""
    if row is None:
        return "-"
    times, of = row.times
    return row.verdict.value + (f" {times} of {of}" if row.flaky else "")
