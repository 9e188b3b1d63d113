"""Result files (schemas/own/result.schema.json): a header and a footer stand around the results.

So a truncated file is recognised. What is read is held against the schema first: nothing damaged gets further.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from conformance.catalogue import own_validator
from conformance.findings import Level, Verdict
from conformance.lens import result as lens
from conformance.profile import Implementation
from conformance.report.excerpt import Excerpt
from conformance.report.model import Declared, FoundFinding, ResultRow, RunResult
from conformance.report.timeline import Lane, Mark, MarkKind, Timeline

FORMAT = "sse-conformance/result/1"


class ResultError(ValueError):
    """A result file that cannot be read. One line: what, where, what was expected."""


def document(run: RunResult) -> dict[str, Any]:
    """The run as plain JSON data with header and footer."""
    return {
        "header": {
            "format": FORMAT,
            "id": run.id,
            "suite": run.suite,
            "protocol": run.protocol,
            "title": run.title,
            "document": run.document,
            "target": run.target,
            "name": run.name,
            "started": run.started,
            "runs": run.runs,
            "implementation": asdict(run.implementation),
            "testable": run.testable,
            "declared": {
                "capabilities": [list(pair) for pair in run.declared.capabilities],
                "effects": list(run.declared.effects),
                "script": run.declared.script,
                "strict": run.declared.strict,
            },
        },
        "results": [row_data(row) for row in run.rows],
        "footer": {
            "complete": True,
            "results": len(run.rows),
            "counts": {verdict.value: count for verdict, count in run.counts.items()},
            "levels": {
                level.value: {verdict.value: count for verdict, count in counts.items() if count}
                for level, counts in run.counts_by_level.items()
            },
            "seconds": round(run.seconds, 3),
            "duration": round(run.duration, 3),
            "exit_status": run.exit_status,
            "gave_up": run.gave_up,
        },
    }


def dumps(run: RunResult) -> str:
    """The run as one JSON document."""
    return json_text(document(run))


def dumps_all(runs: Iterable[RunResult]) -> str:
    """Several runs as one JSON list of documents; `loads_all` reads it back."""
    return json_text([document(run) for run in runs])


def json_text(data: Any) -> str:
    """Data as JSON that people can read. A lone surrogate, which no UTF-8 can carry, stays the escape that it was."""
    text = json.dumps(data, ensure_ascii=False, indent=1)
    return text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n"


def loads(text: str, *, where: str = "result") -> RunResult:
    """Read one result document. Raises `ResultError` where it is no result, damaged or truncated."""
    return _run(parsed(text, where), where)


def loads_all(text: str, *, where: str = "result") -> tuple[RunResult, ...]:
    """The same for a file that holds one document, or a list of them as `report json` writes it."""
    return all_of(parsed(text, where), where)


def all_of(raw: Any, where: str) -> tuple[RunResult, ...]:
    """The same for a JSON value. Raises `ResultError`."""
    if not isinstance(raw, list):
        return (_run(raw, where),)
    if not raw:
        raise ResultError(f"{where}: an empty list: expected result documents")
    return tuple(_run(entry, f"{where}, document {number}") for number, entry in enumerate(raw, 1))


def read(path: Path) -> RunResult:
    """Read a result file with one document. Raises `ResultError`."""
    return loads(read_text(path), where=str(path))


def read_all(path: Path) -> tuple[RunResult, ...]:
    """Read a result file with one document or a list of them. Raises `ResultError`."""
    return loads_all(read_text(path), where=str(path))


def row_data(row: ResultRow) -> dict[str, Any]:
    """The row as plain JSON data."""
    data = asdict(row)
    for found in data["findings"]:
        if (excerpt := found["excerpt"]) is not None:
            excerpt["data"] = base64.b64encode(excerpt["data"]).decode("ascii")
        if (timeline := found["timeline"]) is not None:
            for lane in timeline["lanes"]:
                # There are many of them: [at, kind, label] is a third of the size.
                lane["marks"] = [[mark["at"], mark["kind"], mark["label"]] for mark in lane["marks"]]
    return data


def row_of(raw: Mapping[str, Any]) -> ResultRow:
    """Read back what `row_data` made. Raises `KeyError`, `TypeError` or `ValueError` otherwise."""
    return ResultRow(
        **{
            **raw,
            "level": Level(raw["level"]),
            "verdict": Verdict(raw["verdict"]),
            "findings": tuple(_finding(found) for found in raw["findings"]),
            "notes": tuple(raw["notes"]),
            "probes": tuple(raw["probes"]),
            "tally": tuple((Verdict(verdict), count) for verdict, count in raw["tally"]),
            "lens": lens.from_data(raw["lens"]) if raw.get("lens") else None,
        }
    )


def declared_of(raw: Mapping[str, Any]) -> Declared:
    """Read back what `asdict` made of one."""
    pairs = tuple((str(name), str(value)) for name, value in raw["capabilities"])
    return Declared(pairs, tuple(raw["effects"]), raw["script"], raw["strict"])


def read_text(path: Path) -> str:
    """The text of a file. Raises `ResultError`."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ResultError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ResultError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None


def parsed(text: str, where: str) -> Any:
    """The text's JSON value. Raises `ResultError`."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ResultError(f"{where}: not a whole JSON document (truncated?): {error}") from None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")  # Python would read it, and compute with it


def _run(raw: Any, where: str) -> RunResult:
    header = raw.get("header") if isinstance(raw, dict) else None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ResultError(f"{where}: not a result: expected a header with format {FORMAT!r}")
    if "footer" not in raw:
        raise ResultError(f"{where}: truncated: there is no footer")
    for error in own_validator("result").iter_errors(raw):
        raise ResultError(f"{where}: a damaged result: {said(error.absolute_path, error.message)}")
    footer = raw["footer"]
    try:
        rows = tuple(row_of(entry) for entry in raw["results"])
        run = RunResult(
            header["target"],
            header["protocol"],
            rows,
            name=header["name"],
            started=header["started"],
            seconds=footer["seconds"],
            suite=header["suite"],
            title=header["title"],
            document=header["document"],
            declared=declared_of(header["declared"]),
            testable=header["testable"],
            duration=footer["duration"],
            exit_status=footer["exit_status"],
            gave_up=footer["gave_up"],
            runs=header["runs"],
            implementation=Implementation(**header.get("implementation", {})),
            id=header["id"],
        )
    except (ValueError, binascii.Error) as error:
        raise ResultError(f"{where}: a damaged result: {error}") from None
    if footer["results"] != len(rows):
        raise ResultError(
            f"{where}: truncated: the footer counts {footer['results']} results, {len(rows)} are there"
        )
    counts = {verdict.value: count for verdict, count in run.counts.items()}
    if footer["counts"] != counts:
        raise ResultError(f"{where}: a damaged result: the footer's counts are not those of the results")
    return run


def said(path: Iterable[str | int], message: str) -> str:
    """What a schema says of a member, in one line."""
    pointer = "".join(f"/{part}" for part in path)
    flat = " ".join(message.split())
    return f"{pointer or '/'}: {flat if len(flat) <= 200 else flat[:200] + '…'}"


def _finding(raw: Mapping[str, Any]) -> FoundFinding:
    excerpt, timeline, span = raw["excerpt"], raw["timeline"], raw["span"]
    return FoundFinding(
        **{
            **raw,
            "span": None if span is None else (span[0], span[1]),
            "excerpt": None if excerpt is None else _excerpt(excerpt),
            "timeline": None if timeline is None else _timeline(timeline),
        }
    )


def _excerpt(raw: Mapping[str, Any]) -> Excerpt:
    data = base64.b64decode(raw["data"], validate=True)
    start, end = raw["marked"]
    if not 0 <= start <= end <= len(data):
        raise ValueError("an excerpt whose mark lies outside of its bytes")
    return Excerpt(**{**raw, "data": data, "marked": (start, end)})


def _timeline(raw: Mapping[str, Any]) -> Timeline:
    return Timeline(**{**raw, "lanes": tuple(_lane(lane) for lane in raw["lanes"])})


def _lane(raw: Mapping[str, Any]) -> Lane:
    marks = tuple(Mark(at, MarkKind(kind), label) for at, kind, label in raw["marks"])
    if raw["marked"] is not None and raw["marked"] >= len(marks):
        raise ValueError("a lane without its marked event")
    return Lane(**{**raw, "marks": marks})


__all__ = [
    "FORMAT",
    "ResultError",
    "all_of",
    "declared_of",
    "document",
    "dumps",
    "dumps_all",
    "json_text",
    "loads",
    "loads_all",
    "parsed",
    "read",
    "read_all",
    "read_text",
    "row_data",
    "row_of",
    "said",
]
