"""A run as Markdown: for pull requests, CI summaries and people without a browser.

Whatever the template prints is escaped, unless a filter of ours has made Markdown of it: a server's text can
neither end a table's row nor open a link, nor become HTML.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from conformance.findings import Level, Verdict
from conformance.report.compare import Compared, Kind
from conformance.report.html_text import plain
from conformance.report.model import ATTENTION, SHORT, ResultRow, RunResult

MARKS = {
    Verdict.FAIL: "❌ fail",
    Verdict.INCONCLUSIVE: "❓ inconclusive",
    Verdict.WARN: "⚠️ warn",
    Verdict.EXPECTED: "☑️ expected",
    Verdict.NOTE: "ℹ️ note",
    Verdict.PASS: "✅ pass",
    Verdict.NOT_APPLICABLE: "➖ n/a",
}
_KINDS = {
    Kind.BROKEN: "💥 broken",
    Kind.FLAKY: "🎲 flaky",
    Kind.FIXED: "🎉 fixed",
    Kind.CHANGED: "🔁 changed",
    Kind.NEW: "🆕 new",
    Kind.REMOVED: "🗑️ removed",
}
_LEVELS = {Level.MUST: "MUST", Level.SHOULD: "SHOULD", Level.INFO: "info"}
_LONGEST = 600  # characters of one text of a server: CI systems cut summaries at a megabyte
_LONGEST_COMMAND = 4_000  # a command that is cut is worth nothing
# What means something anywhere in a line: CommonMark, GitHub's tables, strikethrough, mathematics, emoji and links.
_ANYWHERE = re.compile(r"[\\`*_\[\]|~$]|:(?=//|[\w+-]+:)|(?<=www)\.", re.I)
_FIRST = re.compile(r"^(\d*)([#+\-=.)])")  # what means something at the beginning of one
_EMPTY = "(empty)"
_LISTED = re.compile(r"`([^`]+)`")


class Ready(str):
    """Text that is Markdown already."""


def render(runs: Sequence[RunResult], compared: Compared | None = None) -> str:
    """One section for each run: the counts, what needs attention in full, then every row. Changes come first."""
    template = environment().get_template("summary.md")
    shown = template.render(runs=[_View(run) for run in runs], compared=compared)
    return shown.rstrip("\n") + "\n"


class _View:
    """A run as the template reads it."""

    def __init__(self, run: RunResult) -> None:
        self.run = run
        capabilities = (
            name if value == "yes" else f"{name} ({value})" for name, value in run.declared.capabilities
        )
        self.declared = ", ".join(capabilities) or "nothing"
        self.attention = [row for verdict in ATTENTION[:4] for row in run.rows if row.verdict is verdict]
        self.attention += [row for row in run.rows if row not in self.attention and (row.flaky or row.red)]
        self.rows = [row for verdict in ATTENTION for row in run.rows if row.verdict is verdict]
        used = [verdict for verdict in (*SHORT, Verdict.EXPECTED) if run.counts[verdict]]
        self.heads = [MARKS[verdict] for verdict in used]
        self.levels = [
            (_LEVELS[level], [counts[verdict] for verdict in used])
            for level, counts in run.counts_by_level.items()
            if any(counts.values())
        ]


@cache
def environment() -> Environment:
    """The template engine of every Markdown document of ours: what is printed is escaped."""
    made = Environment(
        loader=PackageLoader("conformance.report", "templates"),
        autoescape=False,  # that is HTML's; `finalize` escapes for Markdown
        undefined=StrictUndefined,
        finalize=_printed,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "code": code,
        "cell_code": cell_code,
        "command": command,
        "prose": prose,
        "ready": Ready,
        "mark": mark,
        "kind": _KINDS.__getitem__,
    }
    made.filters |= {"level": lambda row: _LEVELS[row.level]}
    return made


def _printed(value: Any) -> Any:
    return value if isinstance(value, Ready) or not isinstance(value, str) else escape(value)


def escape(text: str) -> Ready:
    """Text as Markdown that shows exactly it, in one line."""
    return Ready(_FIRST.sub(r"\1\\\2", _escaped(_flat(text) or _EMPTY)))


def _escaped(flat: str) -> str:
    shown = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    shown = _ANYWHERE.sub(r"\\\g<0>", shown)
    return shown.replace("@", "@<!-- -->")  # nobody is notified by a server's text


def code(text: str) -> Ready:
    """Text as a code span, in one line."""
    return _span(_flat(text))


def _span(shown: str) -> Ready:
    if not shown:
        return Ready(_EMPTY)
    # The fence is longer than any run of backticks within (CommonMark §6.1).
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", shown)), default=0))
    pad = " " if "`" in (shown[0], shown[-1]) else ""
    return Ready(f"{fence}{pad}{shown}{pad}{fence}")


def cell_code(text: str) -> Ready:
    """The same within a table, where a pipe ends the cell even in code (GFM §4.10)."""
    return Ready(code(text).replace("|", "\\|"))


def command(text: str) -> Ready:
    """A command line as a code span, whole and with every space of it."""
    return _span(_cut(plain(text), _LONGEST_COMMAND))


def prose(text: str) -> Ready:
    """Our own sentences: a span between backticks is code, and fits into tables."""
    parts = _LISTED.split(_flat(text))
    shown = (cell_code(part) if number % 2 else _escaped(part) for number, part in enumerate(parts))
    return Ready(_FIRST.sub(r"\1\\\2", "".join(shown)))


def mark(row: ResultRow) -> Ready:
    """The verdict in sign and word; with merged runs, how often it was given."""
    times, of = row.times
    return Ready(MARKS[row.verdict] + (f" ({times} of {of})" if row.flaky else ""))


def _flat(text: str) -> str:
    return _cut(plain(" ".join(text.split())), _LONGEST)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"
