"""What a JSON Schema asks for, as one line per member: two schemas of different make can be compared by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Resolve = Callable[[str], Mapping[str, Any]]


def shape(schema: Mapping[str, Any], resolve: Resolve | None = None) -> dict[str, str]:
    """Each member's path with its kind: `.properties.info<assistant>.cost` is "number".

    A name ends with `?` where the member may be absent, `[]` is the item of a list, `*` any member of a map, and
    `<value>` the branch of a choice by a member's text. Free text with a pattern or a least length is "name": what a
    name looks like is not compared. `resolve` looks `$ref`s up; without it there are none.
    """
    return dict(_lines("", schema, resolve))


def _lines(path: str, schema: Any, resolve: Resolve | None) -> Iterator[tuple[str, str]]:
    schema = _resolved(schema, resolve)
    branches = _branches(schema, resolve)
    if branches is not None:
        for value, branch in sorted(branches.items()):
            yield from _lines(f"{path}<{value}>", branch, resolve)
        return
    kind = _kind(schema)
    yield path, kind
    required = schema.get("required", ())
    for name, member in sorted(schema.get("properties", {}).items()):
        yield from _lines(f"{path}.{name}{'' if name in required else '?'}", member, resolve)
    if isinstance(others := schema.get("additionalProperties"), dict):
        yield from _lines(f"{path}.*", others, resolve)
    if "items" in schema:
        yield from _lines(f"{path}[]", schema["items"], resolve)


def _resolved(schema: Any, resolve: Resolve | None) -> Mapping[str, Any]:
    while "$ref" in schema:
        assert resolve is not None
        schema = resolve(schema["$ref"])
    found: Mapping[str, Any] = schema
    return found


def _kind(schema: Mapping[str, Any]) -> str:
    if "const" in schema:
        return f"one of {schema['const']}"
    if "enum" in schema:
        return f"one of {', '.join(sorted(schema['enum']))}"
    if {"type": "string"} in schema.get("anyOf", ()):
        return "string"  # texts that are listed, or any other
    kind = schema.get("type", "anything")
    if kind == "string" and ("pattern" in schema or "minLength" in schema):
        return "name"
    least = f" from {schema['minimum']}" if "minimum" in schema else ""
    if "exclusiveMinimum" in schema:
        least = f" from {schema['exclusiveMinimum'] + 1}"
    return (kind if isinstance(kind, str) else " or ".join(kind)) + least


def _branches(schema: Mapping[str, Any], resolve: Resolve | None) -> dict[str, Mapping[str, Any]] | None:
    """The branches of a choice by the text that tells them apart; None where the schema is no choice."""
    if "anyOf" in schema:
        branches = [_resolved(branch, resolve) for branch in schema["anyOf"]]
        if not all("properties" in branch for branch in branches):
            return None
        name = next(
            name
            for name in ("type", "status", "role", "name")
            if all("enum" in branch["properties"].get(name, {}) for branch in branches)
        )
        return {branch["properties"][name]["enum"][0]: branch for branch in branches}
    if "allOf" not in schema or not all("if" in branch for branch in schema["allOf"]):
        return None
    ((name, _),) = schema["allOf"][0]["if"]["properties"].items()
    listed = {
        branch["if"]["properties"][name]["const"]: _joined(schema, branch["then"], resolve)
        for branch in schema["allOf"]
    }
    for value in schema["properties"][name].get("enum", ()):  # what is listed and has nothing of its own
        listed.setdefault(value, _joined(schema, {"properties": {name: {"const": value}}}, resolve))
    return listed


def _joined(
    common: Mapping[str, Any], branch: Mapping[str, Any], resolve: Resolve | None
) -> Mapping[str, Any]:
    branch = _resolved(branch, resolve)
    return {
        "type": "object",
        "properties": {**common["properties"], **branch.get("properties", {})},
        "required": [*common.get("required", ()), *branch.get("required", ())],
    }
