"""The results that were named on a command line: files, and folders that hold some."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from conformance.load_result import LoadResult
from conformance.report import files, load_files
from conformance.report.files import ResultError, parsed, read_text
from conformance.report.model import RunResult

_KINDS = tuple(name.rpartition("/")[0] + "/" for name in (files.FORMAT, load_files.FORMAT))
OBSERVATIONS = "observations"  # the folder of saved exchanges in a report: many files, none of them a result


def read_results(paths: Iterable[Path]) -> Iterator[tuple[Path, RunResult]]:
    """Each result of a conformance run with the file that holds it. Raises `ResultError`, also for one of a load run.

    A folder is searched with everything below it: JSON that is no result (a badge, say) is passed over there, but
    not what is damaged. A file that is named must be a result.
    """
    for path, found in read_any(paths):
        if isinstance(found, LoadResult):
            raise ResultError(f"{path}: the result of a load run: expected one of a conformance run")
        yield path, found


def read_any(paths: Iterable[Path]) -> Iterator[tuple[Path, RunResult | LoadResult]]:
    """The same for results of both kinds: of conformance runs and of load runs."""
    for path in paths:
        if not path.is_dir():
            yield from _read(path)
            continue
        found = [file for file in sorted(path.rglob("*.json")) if _may_be_a_result(file, path)]
        if not found:
            raise ResultError(f"{path}: there is no result in this folder: expected the JSON files of a run")
        for file in found:
            yield from _read(file)


def _read(path: Path) -> Iterator[tuple[Path, RunResult | LoadResult]]:
    raw = parsed(read_text(path), str(path))
    of_load = _format(raw).startswith(_KINDS[1])
    for found in load_files.all_of(raw, str(path)) if of_load else files.all_of(raw, str(path)):
        yield path, found


def _may_be_a_result(file: Path, folder: Path) -> bool:
    if OBSERVATIONS in file.relative_to(folder).parts[:-1]:
        return False
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return True  # it cannot be read: reading it says so
    return _format(raw).startswith(_KINDS)  # another version is an error, not nothing


def _format(raw: Any) -> str:
    """The format that the document, or the first of a list, names; "" if none."""
    first = raw[0] if isinstance(raw, list) and raw else raw
    header = first.get("header") if isinstance(first, dict) else None
    said = header.get("format") if isinstance(header, dict) else None
    return said if isinstance(said, str) else ""


__all__ = ["read_any", "read_results"]
