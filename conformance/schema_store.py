"""JSON Schemas as data: found, read, resolved without a network, and made into validators.

Schemas are files below `schema_root()`. They name each other by `$id` (an `https://` name under the
reserved top-level domain `.invalid`, so nothing can ever be fetched) and are resolved through a
`referencing` registry. Before use every `$ref` is written out in place, once: validating is several times
faster. They are open to additional members as written; `closed` makes the strict form.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource
from referencing.jsonschema import DRAFT202012

SUFFIX = ".schema.json"
BASE = "https://sse-conformance.invalid/schemas/"

# Applicators whose subschemas speak about the same value (JSON Schema core §10.2).
_IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")
_IN_PLACE = ("then", "else")
_VALUES = frozenset({"const", "enum", "default"})  # keywords that hold values, not schemas
_LEFT_OUT = frozenset({"$ref", "$defs", "examples", "x-invalid-examples"})
_MAPS = ("properties", "patternProperties", "dependentSchemas")  # members are names, values schemas
_SINGLE = ("additionalProperties", "unevaluatedProperties", "items")


class SchemaError(ValueError):
    """The shipped schemas are damaged or incomplete; one line."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One way in which a value does not match: where (JSON pointer, "" is the whole), expected and seen."""

    pointer: str
    expected: str
    observed: str


@cache
def schema_root() -> Path:
    """The folder of schemas: a resource of the installed package, else `schemas/` of a checkout.

    Raises `SchemaError` where neither is there.
    """
    for place in (
        Path(str(resources.files("conformance"))) / "schemas",
        Path(__file__).parents[1] / "schemas",
    ):
        if (place / "protocols.yaml").is_file():
            return place
    raise SchemaError("the schemas are missing: neither the package nor the checkout has them")


def schema_files(folder: str = "") -> Iterator[Path]:
    """Every schema file below `schema_root()/folder`, in name order."""
    return iter(sorted((schema_root() / folder).rglob(f"*{SUFFIX}")))


def read_schema(path: Path) -> dict[str, Any]:
    """One schema file as data. Raises `SchemaError` where it is no JSON object."""
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SchemaError(f"{path}: {error}") from None
    if not isinstance(schema, dict):
        raise SchemaError(f"{path}: a schema file holds one JSON object")
    return schema


@cache
def registry() -> Registry[Any]:
    """The shipped schemas by their `$id`, each read when it is first named.

    Looking up anything else fails: nothing is ever fetched.
    """
    return Registry(retrieve=_shipped)  # type: ignore[call-arg]  # made by attrs, in a way that mypy does not see


@cache
def _shipped(name: str) -> Resource[Any]:
    path = schema_root() / name.removeprefix(BASE)
    if not name.startswith(BASE) or not path.is_file():
        raise NoSuchResource(name)
    return DRAFT202012.create_resource(read_schema(path))


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with each `$ref` replaced by what it names, its `$defs` and examples left out.

    Raises `SchemaError` for a reference that leads to itself: our schemas are not recursive.
    """
    root = DRAFT202012.create_resource(schema)
    made: dict[str, Any] = _inlined(schema, registry().resolver_with_root(root), ())
    return made


def _inlined(schema: Any, resolver: Any, within: tuple[int, ...]) -> Any:
    if isinstance(schema, list):
        return [_inlined(item, resolver, within) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _MAPS:
            plain[key] = {name: _inlined(sub, resolver, within) for name, sub in value.items()}
        elif key not in _LEFT_OUT:
            plain[key] = value if key in _VALUES else _inlined(value, resolver, within)
    if "$ref" not in schema:
        return plain
    found = resolver.lookup(schema["$ref"])
    if id(found.contents) in within:
        raise SchemaError(f"the schema reference {schema['$ref']!r} leads to itself")
    target = _inlined(found.contents, found.resolver, (*within, id(found.contents)))
    target = {key: value for key, value in target.items() if key not in ("$id", "$schema")}
    if plain.keys() <= {"$id", "$schema", "title", "description"}:
        return target | plain
    return {**plain, "allOf": [*plain.get("allOf", []), target]}


def closed(schema: Any, *, in_place: bool = False) -> Any:
    """The strict form of an inlined schema: an object whose members are listed may have no others.

    `additionalProperties: false` where `properties` stands alone, `unevaluatedProperties: false` where
    members are also listed in `allOf`, `then` and their like. An object without a list of members (a tool's
    arguments) and one that says `additionalProperties` itself stay as they are, and so do conditions (`if`,
    `not`, `contains`): they ask, they do not describe.
    """
    if not isinstance(schema, dict):
        return schema
    made = dict(schema)
    for key in _MAPS:
        if key in made:
            made[key] = {name: closed(sub) for name, sub in made[key].items()}
    for key in _SINGLE:
        if isinstance(made.get(key), dict):
            made[key] = closed(made[key])
    composed = False
    for key in _IN_PLACE_LISTS:
        if key in made:
            composed = True
            made[key] = [closed(sub, in_place=True) for sub in made[key]]
    for key in _IN_PLACE:
        if key in made:
            composed = True
            made[key] = closed(made[key], in_place=True)
    says_itself = "additionalProperties" in made or "unevaluatedProperties" in made
    if not in_place and "properties" in made and not says_itself:
        made["unevaluatedProperties" if composed else "additionalProperties"] = False
    return made


def problems(validator: Draft202012Validator, value: Any) -> tuple[Problem, ...]:
    """What a validator finds wrong with a value, in the order of the value's members."""
    errors = sorted(
        validator.iter_errors(value), key=lambda error: [str(step) for step in error.absolute_path]
    )
    return tuple(describe(error) for error in errors)


def describe(error: ValidationError) -> Problem:
    """One validation error in words."""
    # The path ends at the value that was judged; for "required" that is the object which lacks a member.
    where = pointer(error.absolute_path)
    wanted: Any = error.validator_value
    instance: Any = error.instance
    match error.validator:
        case "required":
            missing = [name for name in wanted if name not in instance]
            # jsonschema reports each missing member apart, named first in its message.
            name = next((n for n in missing if error.message.startswith(repr(n))), missing[0])
            return Problem(
                where, f"a member {name!r}", "members " + (", ".join(map(repr, instance)) or "none")
            )
        case "additionalProperties" | "unevaluatedProperties":
            return Problem(where, "no members but the documented ones", error.message)
        case "type":
            kinds = [wanted] if isinstance(wanted, str) else wanted
            return Problem(where, " or ".join(_ARTICLE.get(kind, kind) for kind in kinds), shown(instance))
        case "const":
            return Problem(where, shown(wanted), shown(instance))
        case "enum":
            return Problem(where, "one of " + ", ".join(shown(item) for item in wanted), shown(instance))
        case "pattern":
            return Problem(where, f"text that matches {wanted}", shown(instance))
        case "minLength":
            return Problem(where, f"text of at least {wanted} characters", shown(instance))
        case "minimum" | "maximum" | "exclusiveMinimum":
            return Problem(where, f"{_BOUND[error.validator]} {wanted}", shown(instance))
        case _:
            return Problem(where, f"{error.validator}: {shown(wanted)}", shown(instance))


_BOUND = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than"}
_ARTICLE = {
    "object": "an object",
    "array": "an array",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}


def pointer(path: Any) -> str:
    """A JSON pointer (RFC 6901) for a path of member names and indexes."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def shown(value: Any, limit: int = 100) -> str:
    """A value as short JSON text."""
    text = json.dumps(value, ensure_ascii=True, default=repr)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


@cache
def validator_for(path: Path, strict: bool = False) -> Draft202012Validator:
    """A validator of one shipped schema file, references written out; `strict` closes it."""
    schema = inlined(read_schema(path))
    return Draft202012Validator(closed(schema) if strict else schema)


@cache
def own_validator(name: str) -> Draft202012Validator:
    """The validator of one of our own documents: "profile", "observation", "script", "scenario", "result" …

    Raises `SchemaError` for a name that is not shipped.
    """
    path = schema_root() / "own" / f"{name}{SUFFIX}"
    if not path.is_file():
        known = ", ".join(entry.name.removesuffix(SUFFIX) for entry in schema_files("own"))
        raise SchemaError(f"there is no schema {name!r}: known are {known}")
    return validator_for(path)
