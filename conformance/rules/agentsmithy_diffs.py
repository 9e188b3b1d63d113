"""AgentSmithy revision 2: the `diff` of a `file_edit` is a unified diff of that file (POSIX, diff -u)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import ClassVar

from conformance.agentsmithy import STREAM_PROBES
from conformance.findings import Finding
from conformance.message import Message
from conformance.rules._agentsmithy import shown
from conformance.rules.base import StreamRule, stream_check

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
_NO_NEWLINE = "\\"  # "\ No newline at end of file"


@stream_check("AS-2-04", probes=STREAM_PROBES, families=("agentsmithy",))
class UnifiedDiff(StreamRule):
    """A `diff`, if present, is a unified diff whose header names the file. An empty one changes nothing."""

    types: ClassVar[frozenset[str] | None] = frozenset({"file_edit"})

    def feed(self, message: Message) -> Iterable[Finding]:
        diff, file = message.body.get("diff"), message.body.get("file")
        if not isinstance(diff, str) or not diff.strip():
            return ()
        self.judged += 1
        problem = problem_of(diff, file if isinstance(file, str) else "")
        if not problem:
            return ()
        return [
            self.finding(
                message,
                "The diff is not a unified diff of its file",
                expected="---, +++ and hunks whose lines are as many as their heads say",
                observed=f"{problem}: {shown(diff)}",
            )
        ]


def problem_of(diff: str, file: str) -> str:
    """What keeps a text from being a unified diff of that file, "" if nothing."""
    # Only LF ends a line of a diff: other separators, CR too, are the file's content.
    lines = diff.removesuffix("\n").split("\n")
    start = next((i for i, line in enumerate(lines) if line.startswith("--- ")), None)
    if start is None or start + 1 >= len(lines) or not lines[start + 1].startswith("+++ "):
        return "there is no --- and +++ header"
    names = [_name(line) for line in lines[start : start + 2]]
    base = posixpath.basename(file.replace("\\", "/"))
    if base and not any(posixpath.basename(name.replace("\\", "/")) == base for name in names):
        return f"its header names {' and '.join(map(repr, names))}, not {base!r}"
    return _hunks(lines, start + 2)


def _name(line: str) -> str:
    return line[4:].partition("\t")[0].strip().strip('"')


def _hunks(lines: list[str], at: int) -> str:
    seen = 0
    while any(lines[at:]):
        head = _HUNK.match(lines[at])
        if head is None:
            return f"line {at + 1} is neither a hunk's head nor part of a hunk"
        seen += 1
        old, new = (1 if count is None else int(count) for count in head.groups())
        at += 1
        while old > 0 or new > 0:
            line = lines[at] if at < len(lines) else None
            mark = "" if line is None else line[:1] or " "  # editors strip the space of an empty context line
            if line is None or mark not in " +-" + _NO_NEWLINE:
                return f"hunk {seen} ends before the lines that its head counts"
            old -= mark in " -"
            new -= mark in " +"
            at += 1
            if old < 0 or new < 0:
                return f"hunk {seen} has other lines than its head counts"
        while at < len(lines) and lines[at].startswith(_NO_NEWLINE):
            at += 1
    return "" if seen else "there is no hunk"
