"""Event schemas of one protocol revision: dispatch on `type`, then validate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jsonschema import Draft202012Validator

from conformance.schema_compile import Check, compiled
from conformance.schema_store import SUFFIX, Problem, SchemaError, problems, schema_root, validator_for

ENVELOPE = "envelope"  # the file that says what every event of the revision has, whatever its type
PART = "part"  # the file that says what every part of a message has, beside one file for each type of part


@dataclass(frozen=True)
class EventSchema:
    """One event type, whose schema is read when it is first asked for: few streams show every type."""

    path: Path
    strict: bool = False

    @cached_property
    def validator(self) -> Draft202012Validator:
        """Says what is wrong with an event."""
        return validator_for(self.path, self.strict)

    @cached_property
    def check(self) -> Check:
        """Says quickly whether anything is."""
        return compiled(self.validator.schema) or self.validator.is_valid

    def problems(self, value: Any) -> tuple[Problem, ...]:
        """What is wrong with an event; () if nothing is."""
        return () if self.check(value) else problems(self.validator, value)


@dataclass(frozen=True, slots=True)
class EventSchemas:
    """The event types of a revision, each with its schema. `parts` are the types of a message's parts."""

    protocol: str
    envelope: EventSchema
    types: Mapping[str, EventSchema]
    parts: frozenset[str] = frozenset()

    def knows(self, kind: str) -> bool:
        """Whether the revision documents this event type."""
        return kind in self.types

    def of(self, kind: str) -> EventSchema:
        """The schema of an event type; that of the envelope alone for what the revision does not document."""
        return self.types.get(kind, self.envelope)

    def problems(self, value: Any) -> tuple[Problem, ...]:
        """What is wrong with an event, as read from JSON; () if nothing is.

        The `type` member chooses the schema. An event without a usable type is held against the envelope alone.
        """
        kind = value.get("type") if isinstance(value, dict) else None
        return self.of(kind if isinstance(kind, str) else "").problems(value)


@cache
def event_schemas(protocol: str, strict: bool = False) -> EventSchemas:
    """The event schemas of a protocol revision; `strict` closes them to members that no document shows.

    Raises `SchemaError` for a revision that is not shipped.
    """
    folder = schema_root() / protocol
    envelope = folder / f"{ENVELOPE}{SUFFIX}"
    if not envelope.is_file():
        raise SchemaError(f"there are no event schemas for {protocol!r}")
    files = sorted(folder.glob(f"*{SUFFIX}"))
    types = {_type(path): EventSchema(path, strict) for path in files if path != envelope}
    parts = frozenset(_type(path) for path in (folder / "parts").glob(f"*{SUFFIX}")) - {PART}
    # The envelope stays open even when strict: it says nothing about the members of unknown types.
    return EventSchemas(protocol, EventSchema(envelope), MappingProxyType(types), parts)


def _type(path: Path) -> str:
    return path.name.removesuffix(SUFFIX)
