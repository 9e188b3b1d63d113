"""Result files of load runs (schemas/own/load.schema.json): header and footer stand around what was measured.

What is read is held against the schema first, then the footer against the rest: nothing damaged gets further.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from conformance.load_result import (
    Distribution,
    Example,
    Gate,
    Generator,
    Integrity,
    LoadResult,
    Row,
    Sample,
    Second,
    Spread,
    Step,
    Totals,
)
from conformance.profile import Implementation
from conformance.report.files import ResultError, json_text, parsed, read_text, said
from conformance.schema_store import own_validator

FORMAT = "sse-conformance/load/1"
_HEADER = (
    "id",
    "suite",
    "target",
    "name",
    "started",
    "shape",
    "users",
    "spawn_rate",
    "workers",
    "clock",
    "delay_method",
    "seed",
    "command",
)
_DIGITS = 9  # of a time: nanoseconds


def document(result: LoadResult) -> dict[str, Any]:
    """The result as plain JSON data with header and footer."""
    return {
        "header": {
            "format": FORMAT,
            **{name: getattr(result, name) for name in _HEADER},
            "protocols": list(result.protocols),
            "implementation": asdict(result.implementation),
        },
        "integrity": asdict(result.integrity),
        "totals": asdict(result.totals),
        "errors": dict(result.errors),
        # There are many of them: [bound, count] is a third of the size.
        "distributions": {
            name: {
                "count": found.count,
                "low": round(found.low, _DIGITS),
                "high": round(found.high, _DIGITS),
                "points": [[round(bound, _DIGITS), count] for bound, count in found.points],
            }
            for name, found in result.distributions
        },
        "steps": [asdict(step) for step in result.steps],
        "timeline": [asdict(second) for second in result.timeline],
        "raster": [asdict(row) for row in result.raster],
        "process": [asdict(sample) for sample in result.process],
        "generator": asdict(result.generator),
        "gates": [asdict(gate) for gate in result.gates],
        "footer": {
            "complete": True,
            "seconds": result.seconds,
            "ended": result.ended,
            "passed": result.passed,
            "why_not": list(result.why_not),
        },
    }


def dumps(result: LoadResult) -> str:
    """The result as one JSON document. Raises `ResultError` for one that could not be read back: a fault of ours."""
    text = json_text(document(result))
    loads(text, where="the result of this run")
    return text


def dumps_all(results: Iterable[LoadResult]) -> str:
    """Several results as one JSON list of documents; `loads_all` reads it back."""
    return json_text([document(result) for result in results])


def loads(text: str, *, where: str = "result") -> LoadResult:
    """Read one document. Raises `ResultError` where it is no result of a load run, damaged or truncated."""
    return _result(parsed(text, where), where)


def loads_all(text: str, *, where: str = "result") -> tuple[LoadResult, ...]:
    """The same for a file that holds one document or a list of them."""
    return all_of(parsed(text, where), where)


def all_of(raw: Any, where: str) -> tuple[LoadResult, ...]:
    """The same for a JSON value. Raises `ResultError`."""
    if not isinstance(raw, list):
        return (_result(raw, where),)
    if not raw:
        raise ResultError(f"{where}: an empty list: expected results of load runs")
    return tuple(_result(entry, f"{where}, document {number}") for number, entry in enumerate(raw, 1))


def read(path: Path) -> LoadResult:
    """Read a file with one document. Raises `ResultError`."""
    return loads(read_text(path), where=str(path))


def read_all(path: Path) -> tuple[LoadResult, ...]:
    """Read a file with one document or a list of them. Raises `ResultError`."""
    return loads_all(read_text(path), where=str(path))


def _result(raw: Any, where: str) -> LoadResult:
    header = raw.get("header") if isinstance(raw, dict) else None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ResultError(f"{where}: not the result of a load run: expected a header with format {FORMAT!r}")
    if "footer" not in raw:
        raise ResultError(f"{where}: truncated: there is no footer")
    for error in own_validator("load").iter_errors(raw):
        raise ResultError(f"{where}: a damaged result: {said(error.absolute_path, error.message)}")
    footer = raw["footer"]
    try:
        result = LoadResult(
            **{name: header[name] for name in _HEADER},
            protocols=tuple(header["protocols"]),
            implementation=Implementation(**header["implementation"]),
            seconds=footer["seconds"],
            ended=footer["ended"],
            integrity=_integrity(raw["integrity"]),
            totals=Totals(**raw["totals"]),
            errors=tuple(raw["errors"].items()),
            distributions=tuple(
                (name, _distribution(name, one)) for name, one in raw["distributions"].items()
            ),
            steps=tuple(map(_step, raw["steps"])),
            timeline=tuple(Second(**second) for second in raw["timeline"]),
            raster=tuple(map(_row, raw["raster"])),
            process=tuple(Sample(**sample) for sample in raw["process"]),
            generator=Generator(**raw["generator"]),
            gates=tuple(Gate(**gate) for gate in raw["gates"]),
        )
    except ValueError as error:
        raise ResultError(f"{where}: a damaged result: {error}") from None
    if footer["passed"] is not result.passed:
        said_so = json.dumps(footer["passed"])
        raise ResultError(
            f"{where}: a damaged result: `passed` is {said_so}, what was measured says otherwise"
        )
    return result


def _integrity(raw: Mapping[str, Any]) -> Integrity:
    return Integrity(**{**raw, "examples": tuple(Example(**found) for found in raw["examples"])})


def _distribution(name: str, raw: Mapping[str, Any]) -> Distribution:
    points = tuple((bound, count) for bound, count in raw["points"])
    if any(one >= two or few >= many for (one, few), (two, many) in pairwise(points)):
        raise ValueError(f"the points of {name!r} do not rise")
    if raw["count"] != (points[-1][1] if points else 0):
        raise ValueError(f"the last point of {name!r} does not count all of its {raw['count']}")
    if raw["low"] > raw["high"]:
        raise ValueError(f"the least of {name!r} is above its greatest")
    return Distribution(raw["count"], raw["low"], raw["high"], points)


def _step(raw: Mapping[str, Any]) -> Step:
    spreads = {name: None if raw[name] is None else Spread(**raw[name]) for name in ("ttfe", "gap")}
    return Step(**{**raw, **spreads})


def _row(raw: Mapping[str, Any]) -> Row:
    return Row(**{**raw, "stalls": tuple((start, end) for start, end in raw["stalls"])})


__all__ = ["FORMAT", "all_of", "document", "dumps", "dumps_all", "loads", "loads_all", "read", "read_all"]
