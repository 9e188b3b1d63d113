"""What published runs showed of each requirement: under which fault it failed, on which servers it passed.

Read from `schemas/evidence.json`, which is made of the kill matrix and of result files, never written by hand
(tests/proof/collect_evidence.py). So the coverage of requirements rests on what runs emitted.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from conformance.catalogue import catalogue, own_validator, protocols
from conformance.schema_store import SchemaError, problems, schema_root

FORMAT = "sse-conformance/evidence/1"
SHOWN = 6  # names that a sentence lists before it counts


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen of one requirement in one protocol revision: names of faults, and of servers."""

    requirement: str
    protocol: str
    failed_under: tuple[str, ...] = ()
    passed_on: tuple[str, ...] = ()


@cache
def evidence(protocol: str) -> Mapping[str, Evidence]:
    """The evidence of a revision by requirement; empty where none has been published.

    Raises `SchemaError` for a damaged file.
    """
    path = schema_root() / "evidence.json"
    if not path.is_file():
        return MappingProxyType({})
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SchemaError(f"{path}: {error}") from None
    return MappingProxyType(
        {row.requirement: row for row in loaded(data, str(path)) if row.protocol == protocol}
    )


def loaded(data: Any, where: str = "evidence") -> tuple[Evidence, ...]:
    """Evidence as `dumped` wrote it. Raises `SchemaError`."""
    wrong = next(iter(problems(own_validator("evidence"), data)), None)
    if wrong is not None:
        raise SchemaError(f"{where}: {wrong.pointer}: expected {wrong.expected}, found {wrong.observed}")
    return tuple(
        Evidence(requirement, protocol, tuple(row["failed_under"]), tuple(row["passed_on"]))
        for protocol, rows in data["requirements"].items()
        for requirement, row in rows.items()
    )


def dumped(rows: Iterable[Evidence]) -> dict[str, Any]:
    """Evidence as plain JSON data (schemas/own/evidence.schema.json)."""
    requirements: dict[str, dict[str, Any]] = {}
    for row in rows:
        told = {"failed_under": list(row.failed_under), "passed_on": list(row.passed_on)}
        requirements.setdefault(row.protocol, {})[row.requirement] = told
    return {"format": FORMAT, "requirements": requirements}


def assembled(
    caught: Iterable[tuple[str, str, str]], passed: Iterable[tuple[str, str, str]]
) -> tuple[Evidence, ...]:
    """One row for each testable requirement of each revision, also where nothing was seen of it.

    `caught` are protocol, requirement and fault of what failed as it should; `passed` protocol, requirement and
    server of what was judged and held.
    """
    failed = _grouped(caught)
    held = _grouped(passed)
    return tuple(
        Evidence(row.id, protocol, failed.get((protocol, row.id), ()), held.get((protocol, row.id), ()))
        for protocol in protocols()
        for row in catalogue(protocol).requirements
        if not row.excluded
    )


def _grouped(triples: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str], tuple[str, ...]]:
    found: dict[tuple[str, str], set[str]] = {}
    for protocol, requirement, name in triples:
        found.setdefault((protocol, requirement), set()).add(name)
    return {key: tuple(sorted(names)) for key, names in found.items()}


def sentence(row: Evidence | None) -> str:
    """The evidence in one sentence for a report, "" where there is none."""
    if row is None:
        return ""
    parts = []
    if row.failed_under:
        parts.append(f"seen to fail under {_listed(row.failed_under, 'fault')}")
    if row.passed_on:
        parts.append(f"seen to pass on {_listed(row.passed_on, 'server')}")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _listed(names: Sequence[str], noun: str) -> str:
    shown = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    return f"{len(names)} {noun if len(names) == 1 else noun + 's'} ({shown})"
