"""Schemas made into Python expressions: the quick yes of validation, far faster than a validator.

A schema becomes one condition without a call of ours in it; of an envelope that is
`(type(v) is dict and ((v_0 := v.get('id', ABSENT)) is not ABSENT and type(v_0) is str) and …)`.

It knows the keywords that our own event schemas use (JSON Schema 2020-12) and says so where it meets another.
It only ever says *whether*; what is wrong is told by the `jsonschema` validator, which stays the referee: a
value that is refused here is judged again there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Check = Callable[[Any], bool]

_ANNOTATIONS = frozenset(
    {"$schema", "$id", "title", "description", "examples", "x-invalid-examples", "default", "$comment"}
)


def compiled(schema: Any) -> Check | None:
    """A function that says whether a value read from JSON matches; None for a keyword that is unknown here."""
    try:
        written = _condition(schema, "v")
    except _UnknownKeyword:
        return None
    return _function(written, "v")


def _function(condition: str, v: str) -> Check:
    # All of it was written below: of the schema it has numbers and the literals of texts.
    check: Check = eval(f"lambda {v}: {condition}", {"ABSENT": object()})
    return check


class _UnknownKeyword(Exception):
    """A keyword that has no compiled form."""


def _condition(schema: Any, v: str) -> str:
    """The condition under which the value of the variable `v` matches: it can stand beside `and` and `or`.

    Parts of the value get names that begin with its own: nobody else has them.
    """
    if isinstance(schema, bool):
        return str(schema)
    unknown = schema.keys() - _WRITERS.keys() - _ANNOTATIONS - {"then", "else"}
    if unknown:
        raise _UnknownKeyword(sorted(unknown)[0])
    return _all(write(schema, v) for keyword, write in _WRITERS.items() if keyword in schema)


def _all(conditions: Iterable[str]) -> str:
    wanted = [condition for condition in conditions if condition != "True"]
    return wanted[0] if len(wanted) == 1 else f"({' and '.join(wanted)})" if wanted else "True"


# What reading JSON makes is of these very classes. A bool is an int to Python and none to JSON; a float without a
# fraction is an integer to JSON Schema.
_TYPES: Mapping[str, str] = {
    "object": "type({v}) is dict",
    "array": "type({v}) is list",
    "string": "type({v}) is str",
    "boolean": "type({v}) is bool",
    "null": "{v} is None",
    "number": "(type({v}) is int or type({v}) is float)",
    "integer": "(type({v}) is int or (type({v}) is float and {v}.is_integer()))",
}


def _type(schema: Mapping[str, Any], v: str) -> str:
    names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    kinds = [_TYPES[name].format(v=v) for name in names]
    return kinds[0] if len(kinds) == 1 else f"({' or '.join(kinds)})"


def _of(kind: str, schema: Mapping[str, Any], v: str, condition: str) -> str:
    """What a keyword asks of values of one type alone; `type`, which is asked first, may have said that it is one."""
    if condition == "True" or schema.get("type") == kind:
        return condition
    return f"(not {_TYPES[kind].format(v=v)} or {condition})"


def _required(schema: Mapping[str, Any], v: str) -> str:
    names = [name for name in schema["required"] if name not in schema.get("properties", {})]
    return _of("object", schema, v, _all(f"{name!r} in {v}" for name in names))


def _properties(schema: Mapping[str, Any], v: str) -> str:
    required = schema.get("required", ())
    members = []
    for number, (name, sub) in enumerate(schema["properties"].items()):
        member = f"{v}_{number}"
        matches = _condition(sub, member)
        # Where null is for a member what its absence is, nothing need tell them apart.
        absent = "None" if _function(matches, member)(None) is (name not in required) else "ABSENT"
        looked_up = f"({member} := {v}.get({name!r}{', ABSENT' if absent == 'ABSENT' else ''}))"
        if name in required:
            members.append(_all((f"{looked_up} is not {absent}", matches)))
        elif matches != "True":
            members.append(f"({looked_up} is {absent} or {matches})")
    return _of("object", schema, v, _all(members))


def _additional(schema: Mapping[str, Any], v: str) -> str:
    names = _set(schema.get("properties", ()))
    other = _condition(schema["additionalProperties"], f"{v}_other")
    if other == "True":
        return other
    others = f"all({v}_name in {names} or {other} for {v}_name, {v}_other in {v}.items())"
    return _of("object", schema, v, f"{v}.keys() <= {names}" if other == "False" else others)


def _set(names: Iterable[str]) -> str:
    return f"{{{', '.join(map(repr, names))}}}" if names else "set()"


def _const(schema: Mapping[str, Any], v: str) -> str:
    return _equals(v, schema["const"])


def _enum(schema: Mapping[str, Any], v: str) -> str:
    return f"({' or '.join(_equals(v, item) for item in schema['enum'])})"


def _equals(v: str, wanted: Any) -> str:
    if isinstance(wanted, bool):
        return f"{v} is {wanted}"
    if isinstance(wanted, str):
        return f"{v} == {wanted!r}"  # text equals nothing but text
    raise _UnknownKeyword("const of another kind")


def _items(schema: Mapping[str, Any], v: str) -> str:
    item = _condition(schema["items"], f"{v}_item")
    return _of("array", schema, v, "True" if item == "True" else f"all({item} for {v}_item in {v})")


def _min_length(schema: Mapping[str, Any], v: str) -> str:
    least = schema["minLength"]
    return _of("string", schema, v, f"{v} != ''" if least == 1 else f"len({v}) >= {least:d}")


def _minimum(schema: Mapping[str, Any], v: str) -> str:
    if schema.get("type") == "integer":
        return f"{v} >= {schema['minimum']!r}"
    return _of("number", schema, v, f"{v} >= {schema['minimum']!r}")


def _all_of(schema: Mapping[str, Any], v: str) -> str:
    choice = _choice(schema["allOf"])
    if choice is None:
        return _all(_condition(branch, v) for branch in schema["allOf"])
    member, branches = choice
    conditions = {wanted: _condition(then, v) for wanted, then in branches.items()}
    return _of("object", schema, v, _chosen(v, member, conditions, "True"))


def _unevaluated(schema: Mapping[str, Any], v: str) -> str:
    choice = _choice(schema.get("allOf", ()))
    if schema["unevaluatedProperties"] is not False or choice is None or "if" in schema:
        raise _UnknownKeyword("unevaluatedProperties")
    member, branches = choice
    listed = {*schema.get("properties", ())}
    known = {}
    for wanted, then in branches.items():
        if not isinstance(then, dict) or then.keys() & {"allOf", "if", "additionalProperties"}:
            raise _UnknownKeyword("unevaluatedProperties")
        known[wanted] = _set(sorted({*listed, member, *then.get("properties", ())}))
    names = _chosen(v, member, known, _set(sorted(listed)))
    return _of("object", schema, v, f"{v}.keys() <= {names}")


def _chosen(v: str, member: str, by_value: Mapping[str, str], otherwise: str) -> str:
    """One of the expressions, by the value of a member."""
    key, looked_up = f"{v}_key", f"({v}_key := {v}.get({member!r}))"
    tests = [f"{looked_up if not number else key} == {wanted!r}" for number, wanted in enumerate(by_value)]
    chosen = [f"{written} if {test} else" for test, written in zip(tests, by_value.values(), strict=True)]
    return f"({' '.join(chosen)} {otherwise})"


def _choice(branches: Sequence[Any]) -> tuple[str, dict[str, Any]] | None:
    """The member and its values, where every branch asks "is this member that text?"; else None.

    Such branches are chosen from, not tried one by one.
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


def _if(schema: Mapping[str, Any], v: str) -> str:
    asked, then, otherwise = (_condition(schema.get(part, True), v) for part in ("if", "then", "else"))
    return f"({then} if {asked} else {otherwise})"


_WRITERS: Mapping[str, Callable[[Mapping[str, Any], str], str]] = {
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
    "if": _if,
}
