"""The compiled form of schemas: keyword by keyword the same answer as the validator, or no answer at all."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from conformance.schema_compile import compiled

VALUES: list[Any] = [
    *(None, True, False, 0, 1, -1, 1.0, 1.5, "", "a", "ab", [], ["a"], ["a", 1], [None]),
    *([{"a": [{"b": None}]}], [{"a": [{"b": 1}]}], {"\"'\\\n": None}),
    *({}, {"a": 1}, {"a": "x"}, {"b": 1}, {"a": "x", "b": "y"}, {"a": True, "c": None}),
    *(
        {"k": "one", "v": 1},
        {"k": "one", "v": "x"},
        {"k": "two", "v": 1},
        {"k": "two", "v": []},
        {"k": ["one"]},
    ),
]


def choice(**then: Any) -> dict[str, Any]:
    return {
        "allOf": [
            {"if": {"type": "object", "required": ["k"], "properties": {"k": {"const": key}}}, "then": schema}
            for key, schema in then.items()
        ]
    }


@pytest.mark.parametrize(
    "schema",
    [
        True,
        False,
        {},
        *({"type": kind} for kind in ("object", "array", "string", "boolean", "null", "number", "integer")),
        {"type": ["string", "null"]},
        {"type": ["number", "null"]},
        {"type": ["integer", "boolean"]},
        {"const": "a"},
        {"const": True},
        {"const": False},
        {"enum": ["a", "ab", True]},
        {"required": ["a"]},
        {"required": ["a", "b"]},
        {"properties": {"a": {"type": "string"}}},
        {"properties": {"a": {"type": "string"}}, "additionalProperties": False},
        {"properties": {"a": True}, "additionalProperties": {"type": "null"}},
        {"properties": {"a": False}},
        {"additionalProperties": {"type": "integer"}},
        {"additionalProperties": False},
        {"items": {"type": "string"}},
        {"minLength": 1},
        {"minimum": 1},
        {"allOf": [{"type": "object"}, {"required": ["a"]}]},
        choice(one={"properties": {"v": {"type": "integer"}}}, two={"properties": {"v": {"type": "array"}}}),
        {"type": "object", **choice(one={"required": ["v"]})},
        choice(one=choice(one={"required": ["a"]}, two=False), two={"properties": {"v": {"type": "array"}}}),
        {"items": {"properties": {"a": {"items": {"additionalProperties": {"type": "null"}}}}}},
        {"properties": {"\"'\\\n": {"type": "null"}}, "required": ["\"'\\\n"]},
        {
            "properties": {"k": True},
            "unevaluatedProperties": False,
            **choice(one={"properties": {"v": {"type": "integer"}}}, two={"type": "object"}),
        },
        {"unevaluatedProperties": False, **choice(one={"properties": {"v": True}})},
        {"if": {"type": "object"}, "then": {"required": ["a"]}, "else": {"type": "string"}},
        {"if": {"type": "object"}, "then": {"required": ["a"]}},
        {"if": {"type": "object"}, "else": False},
        {"title": "words only", "description": "x", "examples": [1]},
    ],
    ids=str,
)
def test_says_what_the_validator_says(schema: Any) -> None:
    check = compiled(schema)
    assert check is not None
    reference = Draft202012Validator(schema)
    assert [check(value) for value in VALUES] == [reference.is_valid(value) for value in VALUES]


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "x"},
        {"unevaluatedProperties": False},
        {"unevaluatedProperties": {"type": "string"}, **choice(one=True)},
        {"unevaluatedProperties": False, **choice(one={"additionalProperties": True})},
        {"unevaluatedProperties": False, "if": True, "then": {"properties": {"a": True}}, **choice(one={})},
        {"properties": {"a": {"oneOf": [True]}}},
        {"const": 1},
        {"enum": [None]},
        {"allOf": [{"not": True}]},
        {"items": {"prefixItems": [True]}},
    ],
    ids=str,
)
def test_an_unknown_keyword_is_never_guessed(schema: Any) -> None:
    assert compiled(schema) is None
