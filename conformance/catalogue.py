"""The catalogue of requirements, one frozen set per protocol revision, and what belongs to it.

The rows are data (`schemas/requirements/*.yaml`): what is required, at which level, by which source, under
which condition, and how it is judged. Rules hold none of that; they only know a requirement's id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from conformance.event_schemas import EventSchemas, event_schemas
from conformance.findings import Level
from conformance.profile import Profile
from conformance.schema_store import (
    Problem,
    SchemaError,
    own_validator,
    schema_root,
)

# The C loader is ten times faster and reads the same language; not every PyYAML build has it.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

CAPABILITIES = (
    "reasoning",
    "tools",
    "resume",
    "retention",
    "heartbeat",
    "auth",
    "cors",
    "rate_limit",
    "max_body",
    "history",
    "workspace",
)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One testable clause, as it holds for one protocol revision.

    `level` is how binding it is (see `level_for` where a capability lowers it). `judged` says in prose how it
    is judged and what is not accused. `capability` ("" if none) must be declared for the row to apply,
    `condition` ("" if none) says what must arise. `excluded` ("" if it can be tested) says why it cannot.
    """

    id: str
    level: Level
    statement: str
    source: str
    judged: str
    capability: str = ""
    condition: str = ""
    excluded: str = ""
    level_without: tuple[tuple[str, Level], ...] = ()  # level where that capability is not declared
    group: str = ""  # title of the part of the catalogue that it belongs to


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The requirements of one protocol revision, in the order of the documents."""

    protocol: str
    requirements: tuple[Requirement, ...]

    def get(self, requirement: str) -> Requirement | None:
        """The requirement of that id; None where the revision has none."""
        return next((entry for entry in self.requirements if entry.id == requirement), None)


@dataclass(frozen=True, slots=True)
class Revision:
    """A protocol revision: its name ("penguin/2"), title and the document that describes it.

    `elsewhere` are the paths (`*` stands for anything) of other event streams of such a server: what is said here is
    not said of them.
    """

    protocol: str
    title: str
    document: str
    elsewhere: tuple[str, ...] = ()


@cache
def revisions() -> Mapping[str, Revision]:
    """The protocol revisions that are shipped, by name."""
    rows = _read(schema_root() / "protocols.yaml")["protocols"]
    return MappingProxyType(
        {
            row["protocol"]: Revision(
                row["protocol"], row["title"], row["document"], tuple(row.get("elsewhere", ()))
            )
            for row in rows
        }
    )


def protocols() -> tuple[str, ...]:
    """The protocol revisions that are shipped: "agentsmithy/1", …"""
    return tuple(revisions())


@cache
def catalogue(protocol: str) -> Catalogue:
    """The resolved requirements of a protocol revision. Raises `SchemaError` for one that is not shipped."""
    if protocol not in revisions():
        raise SchemaError(f"there is no protocol {protocol!r}: known are {', '.join(protocols())}")
    found: dict[str, Requirement] = {}
    for family in ("sse", protocol.partition("/")[0]):
        for row in _rows(family):
            if _applies(row, protocol):
                if row["id"] in found:
                    raise SchemaError(f"the requirement {row['id']} is listed twice for {protocol}")
                found[row["id"]] = _requirement(row, protocol)
    return Catalogue(protocol, tuple(found.values()))


def level_for(requirement: Requirement, profile: Profile) -> Level:
    """How binding the requirement is for this target: a row may be milder without some capability."""
    for capability, level in requirement.level_without:
        if not has_capability(profile, capability):
            return level
    return requirement.level


def has_capability(profile: Profile, name: str) -> bool:
    """Whether the profile declares the capability ("" is none, and always there).

    Raises `ValueError` for an unknown name.
    """
    if not name:
        return True
    if name not in CAPABILITIES:
        raise ValueError(f"there is no capability {name!r}: known are {', '.join(CAPABILITIES)}")
    declared = getattr(profile.capabilities, name) not in (None, False, ())
    # A confinement can be judged only where its border is known.
    return declared and (name != "workspace" or profile.workspace is not None)


@cache
def _rows(family: str) -> tuple[dict[str, Any], ...]:
    path = schema_root() / "requirements" / f"{family}.yaml"
    if not path.is_file():
        return ()
    data = _read(path)
    groups = data.get("groups", {})
    return tuple(
        {"families": data["families"], "group": groups.get(row["id"].rpartition("-")[0], ""), **row}
        for row in data["requirements"]
    )


def _applies(row: Mapping[str, Any], protocol: str) -> bool:
    if protocol.partition("/")[0] not in row["families"]:
        return False
    return protocol in row.get("only", (protocol,)) and protocol not in row.get("except", ())


def _requirement(row: Mapping[str, Any], protocol: str) -> Requirement:
    return Requirement(
        id=row["id"],
        level=Level(row.get("levels", {}).get(protocol, row["level"])),
        statement=row["statement"].strip(),
        source=row["source"].strip(),
        judged=row["judged"].strip(),
        capability=row.get("capability", ""),
        condition=row.get("condition", "").strip(),
        excluded=row.get("excluded", "").strip(),
        level_without=tuple((name, Level(level)) for name, level in row.get("level_without", {}).items()),
        group=row["group"],
    )


def _read(path: Path) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except yaml.YAMLError as error:
        raise SchemaError(f"{path}: {' '.join(str(error).split())}") from None


__all__ = [
    "CAPABILITIES",
    "Catalogue",
    "EventSchemas",
    "Problem",
    "Requirement",
    "Revision",
    "SchemaError",
    "catalogue",
    "event_schemas",
    "has_capability",
    "level_for",
    "own_validator",
    "protocols",
    "revisions",
    "schema_root",
]
