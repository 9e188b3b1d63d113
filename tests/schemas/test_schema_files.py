"""Every schema file: valid draft 2020-12, resolvable without a network, and true to its own examples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from jsonschema import Draft202012Validator

from conformance.schema_compile import compiled
from conformance.schema_store import (
    BASE,
    SchemaError,
    inlined,
    own_validator,
    problems,
    read_schema,
    registry,
    schema_files,
    schema_root,
    validator_for,
)

FILES = [path for path in schema_files() if "vectors" not in path.parts]


def name(path: Path) -> str:
    return str(path.relative_to(schema_root()))


def cases(member: str) -> list[Any]:
    found = []
    for path in FILES:
        for number, entry in enumerate(read_schema(path)[member]):
            label = entry["why"] if member == "x-invalid-examples" else str(number)
            value = entry["value"] if member == "x-invalid-examples" else entry
            found.append(pytest.param(path, value, id=f"{name(path)}: {label}"))
    return found


def test_there_are_schemas() -> None:
    assert len(FILES) > 200


@pytest.mark.parametrize("path", FILES, ids=name)
def test_is_a_valid_schema_with_words_and_examples(path: Path) -> None:
    schema = read_schema(path)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == BASE + path.relative_to(schema_root()).as_posix()
    assert schema["title"]
    assert len(schema["description"]) > 15
    assert schema["examples"]
    whys = [entry["why"] for entry in schema["x-invalid-examples"]]
    assert whys
    assert len(whys) == len(set(whys)), "each invalid example has a reason of its own"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_references_are_written_out_and_need_no_network(path: Path) -> None:
    assert '"$ref"' not in json.dumps(inlined(read_schema(path)))


@pytest.mark.parametrize(("path", "value"), cases("examples"))
def test_valid_example(path: Path, value: Any) -> None:
    assert problems(validator_for(path), value) == ()
    assert Draft202012Validator(read_schema(path), registry=registry()).is_valid(value)
    assert jsonschema_rs.validator_for(validator_for(path).schema).is_valid(value)
    quick = compiled(validator_for(path).schema)
    assert quick is None or quick(value)


@pytest.mark.parametrize(("path", "value"), cases("x-invalid-examples"))
def test_invalid_example(path: Path, value: Any) -> None:
    found = problems(validator_for(path), value)
    assert found
    assert all(problem.expected and problem.observed for problem in found)
    assert not Draft202012Validator(read_schema(path), registry=registry()).is_valid(value)
    assert not jsonschema_rs.validator_for(validator_for(path).schema).is_valid(value)
    quick = compiled(validator_for(path).schema)
    assert quick is None or not quick(value)


def test_a_reference_that_leads_to_itself_is_refused() -> None:
    assert "$ref" not in inlined({"$ref": BASE + "own/scenario.schema.json"})
    tree = {"$id": "urn:tree", "properties": {"left": {"$ref": "urn:tree"}, "right": {"type": "null"}}}
    with pytest.raises(SchemaError, match="'urn:tree' leads to itself"):
        inlined(tree)


def test_own_schemas_are_known_by_name() -> None:
    for known in (
        "profile",
        "observation",
        "script",
        "scenario",
        "result",
        "catalogue",
        "lens",
        "load",
        "deviations",
    ):
        assert own_validator(known).is_valid([]) is False
    with pytest.raises(
        SchemaError, match="known are catalogue, deviations, evidence, examples, faults, lens, load, "
    ):
        own_validator("profil")


@pytest.mark.parametrize(
    ("protocol", "bodies"),
    [
        ("agentsmithy/1", {"chat"}),
        ("agentsmithy/2", {"chat"}),
        ("penguin/1", {"session", "session-update", "chat-message"}),
        ("penguin/2", {"session", "session-update", "chat-message"}),
        ("opencode/1", {"session", "session-update", "prompt_async"}),
    ],
)
def test_request_bodies_are_described(protocol: str, bodies: set[str]) -> None:
    found = {path.name.removesuffix(".schema.json") for path in schema_files(f"{protocol}/requests")}
    assert found >= bodies
