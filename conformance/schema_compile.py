"""Schemas made into plain Python functions: the quick yes of validation, far faster than a validator.

It knows the keywords that our own event schemas use (JSON Schema 2020-12) and says so where it meets another.
It only ever says *whether*; what is wrong is told by the `jsonschema` validator, which stays the referee: a
value that is refused here is judged again there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Check = Callable[[Any], bool]

_ANNOTATIONS = frozenset(
    {"$schema", "$id", "title", "description", "examples", "x-invalid-examples", "default", "$comment"}
)


def compiled(schema: Any) -> Check | None:
    """A function that says whether a value matches, or None where the schema uses a keyword unknown here."""
    try:
        return _compile(schema)
    except _UnknownKeyword:
        return None


class _UnknownKeyword(Exception):
    """A keyword that has no compiled form."""


def _compile(schema: Any) -> Check:
    if isinstance(schema, bool):
        return (lambda value: True) if schema else (lambda value: False)
    checks = [
        make(schema)
        for keyword, make in _MAKERS.items()
        if keyword in schema and not (keyword == "additionalProperties" and "properties" in schema)
    ]
    unknown = schema.keys() - _MAKERS.keys() - _ANNOTATIONS - {"then", "else"}
    if unknown:
        raise _UnknownKeyword(sorted(unknown)[0])
    if len(checks) == 1:
        return checks[0]
    if len(checks) == 2:
        first, second = checks
        return lambda value: first(value) and second(value)
    return lambda value: all(check(value) for check in checks)


def _type(schema: Mapping[str, Any]) -> Check:
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if len(names) == 1:
        return _TYPES[names[0]]
    if "integer" not in names and "number" not in names:
        classes = tuple(_CLASSES[name] for name in names)
        return lambda value: isinstance(value, classes)
    kinds = tuple(_TYPES[name] for name in names)
    return lambda value: any(kind(value) for kind in kinds)


# A bool is an int to Python and none to JSON; a float without a fraction is an integer to JSON Schema.
_CLASSES: Mapping[str, type] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
}
_TYPES: Mapping[str, Check] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool))
        or (isinstance(value, float) and value.is_integer())
    ),
}


def _properties(schema: Mapping[str, Any]) -> Check:
    members = {name: _compile(sub) for name, sub in schema["properties"].items()}
    others = _compile(schema.get("additionalProperties", True))
    open_to_others = schema.get("additionalProperties", True) is True

    def check(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        for name, item in value.items():
            member = members.get(name)
            if member is None:
                if not open_to_others and not others(item):
                    return False
            elif not member(item):
                return False
        return True

    return check


def _additional(schema: Mapping[str, Any]) -> Check:
    others = _compile(schema["additionalProperties"])
    return lambda value: not isinstance(value, dict) or all(others(item) for item in value.values())


def _required(schema: Mapping[str, Any]) -> Check:
    names = frozenset(schema["required"])
    return lambda value: not isinstance(value, dict) or names <= value.keys()


def _const(schema: Mapping[str, Any]) -> Check:
    return _equal_to(schema["const"])


def _enum(schema: Mapping[str, Any]) -> Check:
    checks = tuple(_equal_to(item) for item in schema["enum"])
    return lambda value: any(check(value) for check in checks)


def _equal_to(wanted: Any) -> Check:
    if isinstance(wanted, bool):
        return lambda value: value is wanted
    if isinstance(wanted, str):
        # `==` on text is quick, and text equals nothing but text.
        return lambda value: bool(value == wanted)
    raise _UnknownKeyword("const of another kind")


def _items(schema: Mapping[str, Any]) -> Check:
    item = _compile(schema["items"])
    return lambda value: not isinstance(value, list) or all(map(item, value))


def _min_length(schema: Mapping[str, Any]) -> Check:
    least = schema["minLength"]
    return lambda value: not isinstance(value, str) or len(value) >= least


def _minimum(schema: Mapping[str, Any]) -> Check:
    least = schema["minimum"]
    return lambda value: not isinstance(value, int | float) or isinstance(value, bool) or value >= least


def _all_of(schema: Mapping[str, Any]) -> Check:
    choice = _choice(schema["allOf"])
    if choice is None:
        checks = tuple(_compile(branch) for branch in schema["allOf"])
        return lambda value: all(check(value) for check in checks)
    member, branches = choice
    table = {wanted: _compile(then) for wanted, then in branches.items()}

    def check(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        key = value.get(member)
        branch = table.get(key) if isinstance(key, str) else None
        return branch is None or branch(value)

    return check


def _unevaluated(schema: Mapping[str, Any]) -> Check:
    choice = _choice(schema.get("allOf", ()))
    if schema["unevaluatedProperties"] is not False or choice is None or "if" in schema:
        raise _UnknownKeyword("unevaluatedProperties")
    member, branches = choice
    listed = frozenset(schema.get("properties", {}))
    table = {}
    for wanted, then in branches.items():
        if not isinstance(then, dict) or then.keys() & {"allOf", "if", "additionalProperties"}:
            raise _UnknownKeyword("unevaluatedProperties")
        table[wanted] = listed | {member} | then.get("properties", {}).keys()

    def check(value: Any) -> bool:
        if not isinstance(value, dict):
            return True
        key = value.get(member)
        return value.keys() <= (table.get(key, listed) if isinstance(key, str) else listed)

    return check


def _choice(branches: Sequence[Any]) -> tuple[str, dict[str, Any]] | None:
    """The member and its values, where every branch asks "is this member that text?"; else None.

    Such branches are looked up, not tried one by one.
    """
    table: dict[str, Any] = {}
    members: set[str] = set()
    for branch in branches:
        match branch:
            case {"if": {"type": "object", "required": [name], "properties": dict(asked)}, "then": then} if (
                len(branch) == 2 and len(branch["if"]) == 3 and asked.keys() == {name}
            ):
                wanted = asked[name].get("const")
                if not isinstance(wanted, str) or len(asked[name]) != 1 or wanted in table:
                    return None
                members.add(name)
                table[wanted] = then
            case _:
                return None
    return (members.pop(), table) if len(members) == 1 else None


def _condition(schema: Mapping[str, Any]) -> Check:
    asked = _compile(schema["if"])
    then, otherwise = _compile(schema.get("then", True)), _compile(schema.get("else", True))
    return lambda value: then(value) if asked(value) else otherwise(value)


_MAKERS: Mapping[str, Callable[[Mapping[str, Any]], Check]] = {
    "type": _type,
    "const": _const,
    "enum": _enum,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "minLength": _min_length,
    "minimum": _minimum,
    "allOf": _all_of,
    "unevaluatedProperties": _unevaluated,
    "if": _condition,
}
