"""Whether events are as the schemas say: all of them by jsonschema-rs where it is installed, else a sample."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

from conformance.event_schemas import EventSchema, EventSchemas, event_schemas
from conformance.schema_store import Problem

try:
    import jsonschema_rs
except ImportError:  # it is in the extra `load`
    jsonschema_rs = None  # type: ignore[assignment]

EVERY = 16  # of so many events of one type one is held against its schema, where there is no jsonschema-rs


class Validation(Protocol):
    """Says of an event whether it was validated, and what is wrong with it."""

    name: str

    def problems(self, kind: str, value: Any) -> tuple[Problem, ...] | None:
        """What is wrong with an event of that type; None where it was not looked at."""


class Whole:
    """Every event, by jsonschema-rs. What it refuses is explained, and confirmed, by the suite's own validator."""

    name = "jsonschema-rs"

    def __init__(self, schemas: EventSchemas) -> None:
        self._schemas = schemas
        self._checks = {kind: _check(schema) for kind, schema in schemas.types.items()}
        self._other = _check(schemas.envelope)

    def problems(self, kind: str, value: Any) -> tuple[Problem, ...] | None:
        """What is wrong."""
        return () if self._checks.get(kind, self._other)(value) else self._schemas.problems(value)


def _check(schema: EventSchema) -> Callable[[Any], bool]:
    written: Any = schema.validator.schema
    return jsonschema_rs.validator_for(written).is_valid


class Sampled:
    """Of each type the first events, and then one of `EVERY`, by the suite's own validator."""

    name = "sampled"

    def __init__(self, schemas: EventSchemas) -> None:
        self._schemas = schemas
        self._seen = dict.fromkeys(schemas.types, 0)
        self._other = 0

    def problems(self, kind: str, value: Any) -> tuple[Problem, ...] | None:
        """What is wrong."""
        seen = self._seen.get(kind)
        if seen is None:
            self._other += 1
            seen = self._other
        else:
            self._seen[kind] = seen + 1
        if seen > EVERY and seen % EVERY:
            return None
        return self._schemas.problems(value)


@cache
def validation_for(protocol: str, strict: bool) -> Validation:
    """One for all streams of a process. Raises `SchemaError` for a revision that is not shipped."""
    schemas = event_schemas(protocol, strict)
    return Sampled(schemas) if jsonschema_rs is None else Whole(schemas)
