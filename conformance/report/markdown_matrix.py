"""The matrix as Markdown: who was judged, with totals, then a table for each protocol."""

from __future__ import annotations

from collections.abc import Sequence

from conformance import __version__
from conformance.report.html_view import when
from conformance.report.markdown import MARKS, Ready, environment, escape, mark
from conformance.report.matrix import Cell, Column, families
from conformance.report.model import ATTENTION, RunResult


def render(runs: Sequence[RunResult]) -> str:
    """One section for each protocol, after the list of what was judged."""
    used = [verdict for verdict in ATTENTION if any(run.counts[verdict] for run in runs)]
    shown = (
        environment()
        .get_template("matrix.md")
        .render(
            families=families(runs),
            used=used,
            marks=MARKS,
            version=__version__,
            when=when,
            cell=_cell,
            named=_named,
        )
    )
    return shown.rstrip("\n") + "\n"


def _named(column: Column) -> Ready:
    name = escape(column.label)
    return Ready(f"{name}<br>{escape(column.profile)}" if column.profile else name)


def _cell(cell: Cell) -> Ready:
    if cell.row is None:
        return Ready("not asked" if cell.listed else "")
    said = mark(cell.row)
    return Ready(f"[{said}]({cell.page.replace('(', '%28').replace(')', '%29')})" if cell.page else said)


__all__ = ["render"]
