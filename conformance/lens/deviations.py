"""The written list of deviations, as data: `schemas/deviations.json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from conformance.lens.reading import Answer
from conformance.schema_store import SchemaError, own_validator, problems, schema_root


@dataclass(frozen=True, slots=True)
class Deviation:
    """What one client does otherwise than the standard says.

    `title` ends a sentence that begins with the client's name, `what` says it in full, `clause` is what the standard
    says instead, `effect` what it means for a server, `example` an answer in which it shows.
    """

    id: str
    client: str
    clause: str
    title: str
    what: str
    effect: str
    example: Answer


@cache
def deviations() -> Mapping[str, Deviation]:
    """Every deviation by its id. Raises `SchemaError` for a damaged list."""
    path = schema_root() / "deviations.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    wrong = next(iter(problems(own_validator("deviations"), raw)), None)
    if wrong is not None:
        raise SchemaError(f"{path}: {wrong.pointer}: expected {wrong.expected}, found {wrong.observed}")
    made = {}
    for entry in raw["deviations"]:
        example = entry["example"]
        media_type = example.get("content_type", "text/event-stream")
        answer = Answer((example["body"].encode("utf-8"),), media_type)
        made[entry["id"]] = Deviation(**{**entry, "example": answer})
    return MappingProxyType(made)


def of(client: str) -> tuple[str, ...]:
    """The ids of a client's deviations, the ones that are met most often first."""
    return tuple(name for name, deviation in deviations().items() if deviation.client == client)


__all__ = ["Deviation", "deviations", "of"]
