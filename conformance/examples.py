"""A good and a bad example in bytes for each requirement (schemas/examples/*.yaml)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from conformance.catalogue import protocols
from conformance.example_notation import Words, observed, overlaid
from conformance.schema_store import SchemaError, own_validator, problems, schema_root
from conformance.transcript import Observation
from conformance.visible import NotationError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Example:
    """What is right and what is wrong by one requirement, as observations under one protocol revision.

    `why` says in a line what is wrong in the bad one. `follows` are other requirements that it breaks of necessity.
    """

    requirement: str
    protocol: str
    why: str
    good: Observation
    bad: Observation
    follows: tuple[str, ...] = ()


@cache
def examples(protocol: str) -> Mapping[str, Example]:
    """The examples that hold for a protocol revision, by requirement. Raises `SchemaError` for damaged ones."""
    found: dict[str, Example] = {}
    for path, rows in _files().items():
        for requirement, entries in rows.items():
            for entry in entries:
                if protocol not in entry["in"]:
                    continue
                if requirement in found:
                    raise SchemaError(f"{path}: {requirement} has two examples for {protocol}")
                found[requirement] = _example(path, requirement, protocol, entry)
    return MappingProxyType(found)


def example_for(protocol: str, requirement: str) -> Example | None:
    """The requirement's example in this revision, else in another of the family, else in any; None without one."""
    family = protocol.partition("/")[0]
    others = sorted(protocols(), key=lambda name: (name.partition("/")[0] != family, name))
    for name in (protocol, *others):
        if name in protocols() and (found := examples(name).get(requirement)):
            return found
    return None


def _example(path: str, requirement: str, protocol: str, entry: Mapping[str, Any]) -> Example:
    words = Words(protocol, _words().get(protocol, {}))
    try:
        good = observed(entry["good"], words)
        bad = observed(overlaid(entry["good"], entry["bad"]), words)
    except (NotationError, KeyError, TypeError, ValueError) as error:
        raise SchemaError(f"{path}: {requirement} for {protocol}: {type(error).__name__}: {error}") from None
    return Example(requirement, protocol, entry["why"], good, bad, tuple(entry.get("follows", ())))


@cache
def _files() -> Mapping[str, Mapping[str, list[dict[str, Any]]]]:
    validator = own_validator("examples")
    found = {}
    for path in sorted((schema_root() / "examples").glob("*.yaml")):
        if path.name == "words.yaml":
            continue
        data = _read(path)
        wrong = next(iter(problems(validator, data)), None)
        if wrong is not None:
            raise SchemaError(f"{path}: {wrong.pointer}: expected {wrong.expected}, found {wrong.observed}")
        found[path.name] = {
            name: [{"in": data["in"], **entry} for entry in (row if isinstance(row, list) else [row])]
            for name, row in data["examples"].items()
        }
    return found


@cache
def _words() -> Mapping[str, Mapping[str, str]]:
    words: Mapping[str, Mapping[str, str]] = _read(schema_root() / "examples" / "words.yaml")["words"]
    return words


def _read(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.YAMLError as error:
        raise SchemaError(f"{path}: {' '.join(str(error).split())}") from None
