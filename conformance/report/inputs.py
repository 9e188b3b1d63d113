"""The results that were named on a command line: files, and folders that hold some."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from conformance.report.files import FORMAT, ResultError, read_all
from conformance.report.model import RunResult

_ANY_VERSION = FORMAT.rpartition("/")[0] + "/"
OBSERVATIONS = "observations"  # the folder of saved exchanges in a report: many files, none of them a result


def read_results(paths: Iterable[Path]) -> Iterator[tuple[Path, RunResult]]:
    """Each result with the file that holds it. Raises `ResultError`.

    A folder is searched with everything below it: JSON that is no result (a badge, say) is passed over there, but
    not what is damaged. A file that is named must be a result.
    """
    for path in paths:
        if not path.is_dir():
            yield from ((path, run) for run in read_all(path))
            continue
        found = [file for file in sorted(path.rglob("*.json")) if _may_be_a_result(file, path)]
        if not found:
            raise ResultError(f"{path}: there is no result in this folder: expected the JSON files of a run")
        for file in found:
            yield from ((file, run) for run in read_all(file))


def _may_be_a_result(file: Path, folder: Path) -> bool:
    if OBSERVATIONS in file.relative_to(folder).parts[:-1]:
        return False
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return True  # it cannot be read: reading it says so
    first = raw[0] if isinstance(raw, list) and raw else raw
    header = first.get("header") if isinstance(first, dict) else None
    said = header.get("format") if isinstance(header, dict) else None
    return isinstance(said, str) and said.startswith(_ANY_VERSION)  # another version is an error, not nothing


__all__ = ["read_results"]
