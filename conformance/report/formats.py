"""The formats that a result can be rendered in, by name: where a new one is entered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from conformance.load_compare import LoadComparison
from conformance.load_result import LoadResult
from conformance.report import (
    badge,
    ctrf,
    files,
    html,
    html_load,
    html_matrix,
    load_files,
    load_text,
    markdown,
    markdown_matrix,
    text,
)
from conformance.report.compare import Compared
from conformance.report.merge import merge, merge_implementations
from conformance.report.model import RunResult


@dataclass(frozen=True, slots=True)
class Rendering:
    """What is to be rendered: results, one for each target, and, if asked for, what changed since older ones."""

    runs: tuple[RunResult, ...]
    compared: Compared | None = None


@dataclass(frozen=True, slots=True)
class LoadRendering:
    """The same of load runs; `comparisons` are with older ones, if asked for."""

    results: tuple[LoadResult, ...]
    comparisons: tuple[LoadComparison, ...] = ()


@dataclass(frozen=True, slots=True)
class Format:
    """A format: what it is for, and how it is made.

    `render_load` does so for load runs; None where the format cannot. `compares` says whether it can show a
    comparison, `merge` which results are runs of the same.
    """

    help: str
    render: Callable[[Rendering], str]
    render_load: Callable[[LoadRendering], str] | None = None
    compares: bool = False
    merge: Callable[[Iterable[RunResult]], tuple[RunResult, ...]] = merge


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "html": Format(
            "one self-contained page",
            lambda r: html.render(r.runs, r.compared) + "\n",
            lambda r: html_load.render(r.results, r.comparisons) + "\n",
            compares=True,
        ),
        "markdown": Format(
            "for pull requests and CI summaries",
            lambda r: markdown.render(r.runs, r.compared),
            lambda r: load_text.render_markdown(r.results, r.comparisons),
            compares=True,
        ),
        "text": Format(
            "for a terminal",
            lambda r: text.render(r.runs, r.compared),
            lambda r: load_text.render_text(r.results, r.comparisons),
            compares=True,
        ),
        "json": Format(
            "the merged results, one for each target",
            lambda r: files.dumps_all(r.runs),
            lambda r: load_files.dumps_all(r.results),
        ),
        "ctrf": Format("Common Test Report Format, JSON", lambda r: ctrf.render(r.runs)),
        "badge": Format("shields.io endpoint, JSON", lambda r: badge.render(r.runs)),
        "badge-svg": Format("the same as a picture", lambda r: badge.render_svg(r.runs)),
        "matrix": Format(
            "requirements × implementations, one self-contained page",
            lambda r: html_matrix.render(r.runs) + "\n",
            merge=merge_implementations,
        ),
        "matrix-markdown": Format(
            "the same for people without a browser",
            lambda r: markdown_matrix.render(r.runs),
            merge=merge_implementations,
        ),
    }
)
