"""The workspace of the agent that is played: a handful of files in memory. Nothing is written to disk."""

from __future__ import annotations

import difflib
import posixpath
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from reference_server.script import ToolCall

MAX_FILES = 256
MAX_FILE = 64 * 1024  # characters; a larger file is edited without being remembered


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tool did: output or error, the absolute path it edited, a unified diff where one is known."""

    output: str = ""
    error: str | None = None
    edited: str | None = None
    diff: str | None = None


class Workspace:
    """Files below `root`, an absolute path with slashes. Paths are resolved lexically."""

    def __init__(self, root: str) -> None:
        self.root = posixpath.normpath(root)
        self._files: OrderedDict[str, str] = OrderedDict()

    def run(self, tool: ToolCall) -> Outcome:
        """Run a tool as the script says: it fails, edits and answers what is written there.

        Unknown tools and wrong arguments are errors, and so is a path outside the workspace, whatever the
        script says. A tool that the script gives a result or an edit need not be known.
        """
        known = _TOOLS.get(tool.name)
        if known is None and tool.result is None and tool.edits is None and not tool.fails:
            return Outcome(error=f"unknown tool: {tool.name}")
        problem = None if known is None else known.problem(tool.args)
        if problem is not None:
            return Outcome(error=f"{tool.name}: {problem}")
        said = "" if known is None else tool.args[known.path]
        path = None if known is None else self.resolve(said)
        for target, name in ((path, said), (tool.edits, tool.edits)):
            if target is not None and not self.holds(target):
                return Outcome(error=f"{tool.name}: {name} is outside the workspace {self.root}")
        if tool.fails:
            return Outcome(error=tool.result or f"{tool.name}: no such file: {said}")
        does = None if known is None else known.does
        edited = posixpath.normpath(tool.edits) if tool.edits else None
        if edited is None and does in ("write", "delete"):
            edited = path
        if edited is None:
            return Outcome(output=self._answer(tool, does, path))
        diff = self._edit(tool, does, edited)
        return Outcome(output=tool.result or f"{tool.name}: {edited}", edited=edited, diff=diff)

    def resolve(self, path: str) -> str:
        """An absolute path without `.` and `..`; relative ones start at the root."""
        return posixpath.normpath(posixpath.join(self.root, path))

    def holds(self, path: str) -> bool:
        """Whether a path lies inside the workspace."""
        path = posixpath.normpath(path)
        return path == self.root or path.startswith(self.root.rstrip("/") + "/")

    def _answer(self, tool: ToolCall, does: str | None, path: str | None) -> str:
        if tool.result is not None:
            return tool.result
        if does == "list" and path is not None:
            inside = path.rstrip("/") + "/"
            return "\n".join(sorted(name for name in self._files if name.startswith(inside)))
        return self._files.get(path, "") if path is not None else ""

    def _edit(self, tool: ToolCall, does: str | None, path: str) -> str | None:
        before = self._files.pop(path, None)
        content = tool.args.get("content")
        if does == "delete":
            return None if before is None else unified(path, before, None)
        if does != "write" or not isinstance(content, str) or len(content) > MAX_FILE:
            return None
        self._files[path] = content
        while len(self._files) > MAX_FILES:
            self._files.popitem(last=False)
        return unified(path, before, content) or None


def unified(path: str, before: str | None, after: str | None) -> str:
    """A unified diff of one file, as git writes it; None stands for no file. Empty if nothing differs."""
    lines = difflib.unified_diff(
        _lines(before or ""),
        _lines(after or ""),
        "/dev/null" if before is None else f"a{path}",
        "/dev/null" if after is None else f"b{path}",
    )
    return "".join(
        line if line.endswith("\n") else line + "\n\\ No newline at end of file\n" for line in lines
    )


def _lines(text: str) -> list[str]:
    # LF alone ends a line of a file: splitlines() would also split at U+2028, U+0085 and others
    parts = text.split("\n")
    return [part + "\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


@dataclass(frozen=True, slots=True)
class _Tool:
    """What a tool does, the argument that names its file, and another that it needs."""

    does: str  # "read", "list", "write", "delete"
    path: str
    content: str | None = None

    def problem(self, args: Mapping[str, Any]) -> str | None:
        """What is wrong with the arguments, None if nothing."""
        for name in sorted(filter(None, (self.path, self.content))):
            if not isinstance(args.get(name), str):
                return f"the argument `{name}` must be a string"
        path = args[self.path]
        return f"the argument `{self.path}` is not a path" if not path or "\0" in path else None


_TOOLS: dict[str, _Tool] = {
    "read_file": _Tool("read", "path"),
    "list_files": _Tool("list", "path"),
    "write_to_file": _Tool("write", "path", "content"),
    "delete_file": _Tool("delete", "path"),
    # as OpenCode calls them
    "read": _Tool("read", "filePath"),
    "write": _Tool("write", "filePath", "content"),
}
