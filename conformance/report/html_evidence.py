"""What a page shows of findings, within a budget: the first of every requirement before the second of any.

A run with a thousand failures must still be a page that opens. Each finding is drawn as richly as its share of the
budget allows: whole, small, or in words alone with the file that holds the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from markupsafe import Markup

from conformance.report.html_bytes import first_shown, markup, narrowed
from conformance.report.html_page import environment
from conformance.report.html_text import count
from conformance.report.html_timeline import draw
from conformance.report.model import FoundFinding, ResultRow

MOST_FINDINGS = 8  # of one requirement
_LEAST = 400  # bytes of the page that any finding takes


@dataclass(frozen=True, slots=True)
class Detail:
    """How much of a finding is shown: characters of a text, bytes, lanes, marks of a lane, characters of curl."""

    texts: int
    bytes: int
    lanes: int
    marks: int
    curl: int


WHOLE = Detail(texts=1_000, bytes=1_536, lanes=12, marks=160, curl=6_000)
SMALL = Detail(texts=300, bytes=300, lanes=4, marks=40, curl=800)
WORDS = Detail(texts=120, bytes=0, lanes=0, marks=0, curl=0)


@dataclass(frozen=True, slots=True)
class Shown:
    """The findings of one requirement as markup, and how many are left out."""

    findings: tuple[Markup, ...] = ()
    more: int = 0


def evidence(rows: Iterable[tuple[str, ResultRow]], budget: int) -> Mapping[str, Shown]:
    """By the row's id in the page. `budget` is in bytes of the page; the first finding of a row is always told."""
    wanted = [(name, row) for name, row in rows if row.findings]
    made: dict[str, list[Markup]] = {name: [] for name, _ in wanted}
    for number in range(MOST_FINDINGS):
        turn = [(name, row) for name, row in wanted if len(row.findings) > number]
        if number and (not turn or budget / len(turn) < _LEAST):
            break
        for done, (name, row) in enumerate(turn):
            share = budget / (len(turn) - done)
            drawn = _within(row.findings[number], f"{name}-{number + 1}", number, share)
            if drawn is not None:
                made[name].append(drawn)
                budget -= size(drawn)
    return {name: Shown(tuple(made[name]), len(row.findings) - len(made[name])) for name, row in wanted}


def size(text: str) -> int:
    """Bytes in the page."""
    return len(text.encode("utf-8"))


def href(saved: str) -> str:
    """The link to a saved observation; "" where the path does not stay beside the page."""
    path = PurePosixPath(saved)
    if not saved or path.is_absolute() or ".." in path.parts or "\\" in saved or "\0" in saved:
        return ""
    return quote(saved.encode("utf-8", "replace"), safe="/")  # a ":" is escaped too: never a scheme


def _within(finding: FoundFinding, name: str, number: int, share: float) -> Markup | None:
    for detail in (WHOLE, SMALL):
        if _at_least(finding, detail) <= share:  # drawing is dear
            drawn = _drawn(finding, name, number, detail)
            if size(drawn) <= share:
                return drawn
    drawn = _drawn(finding, name, number, WORDS)
    return drawn if number == 0 or size(drawn) <= share else None


def _at_least(finding: FoundFinding, detail: Detail) -> int:
    """A number of bytes that the finding surely takes in the page."""
    taken = _LEAST + min(len(finding.expected), detail.texts) + min(len(finding.observed), detail.texts)
    taken += len(finding.curl) if len(finding.curl) <= detail.curl else 0
    if finding.excerpt is not None:
        taken += min(len(finding.excerpt.data), detail.bytes)
    if finding.timeline is not None:
        taken += 600 * min(len(finding.timeline.lanes), detail.lanes)
    return taken


def _drawn(finding: FoundFinding, name: str, number: int, detail: Detail) -> Markup:
    excerpt, timeline = finding.excerpt, finding.timeline
    shown = narrowed(excerpt, detail.bytes) if excerpt is not None and detail.bytes else None
    picture = None
    if timeline is not None and timeline.lanes and detail.lanes:
        picture = draw(timeline, name=name, most_lanes=detail.lanes, most_marks=detail.marks)
    template = environment().get_template("finding.html")
    return Markup(
        template.render(
            finding=finding,
            number=number,
            texts=detail.texts,
            where=_where(finding),
            excerpt=shown,
            first=None if shown is None else first_shown(shown),
            last=None if shown is None else shown.offset + len(shown.data),
            data=None if shown is None else markup(shown),
            picture=picture,
            href=href(finding.saved),
            curl=finding.curl if len(finding.curl) <= detail.curl else "",
        )
    )


def _where(finding: FoundFinding) -> str:
    parts = [f"probe {finding.probe}"] if finding.probe else []
    parts += [f"stream {finding.role}"] if finding.role else []
    parts += [f"event #{finding.event}"] if finding.event is not None else []
    if finding.span is not None:
        start, end = finding.span
        parts.append(f"bytes {start:,}–{end:,} ({count(end - start, 'byte')})")
    return " · ".join(parts)
