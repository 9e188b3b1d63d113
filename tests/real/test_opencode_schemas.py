"""Our schemas of opencode/1 against the description that the real server gives of itself (`GET /doc`, OpenAPI)."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from conformance.catalogue import event_schemas
from conformance.schema_store import SUFFIX, inlined, read_schema, schema_root
from tests.real.opencode import OpenCode
from tests.real.runner import SetupError
from tests.support.schema_shape import shape

FOLDER = schema_root() / "opencode" / "1"
COMPONENTS = "#/components/schemas/"
# Where the description is not what the server does, or is less than it: all that our schemas say otherwise.
UNDESCRIBED = {"server.heartbeat"}  # sent every 10 s, and described nowhere
TIMESTAMP = (
    ".properties.timestamp",
    "number",
    "number or string",
)  # of session.next.*: ISO 8601 text is sent
UNNAMED = ("server.instance.disposed", ".id", "string", "name")  # the one event whose id is any text

Described = Mapping[str, Any]


@pytest.fixture(scope="module")
def described() -> Described:
    """What the server says of itself."""
    server = OpenCode()
    try:
        server.install()
    except SetupError as error:
        pytest.skip(str(error))
    with server.running() as running:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        asked = urllib.request.Request(f"{running.url}/doc", headers=dict(server.headers))
        with opener.open(asked, timeout=60) as answer:
            found: Described = json.load(answer)
            return found


def looked_up(described: Described, ref: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = described["components"]["schemas"][ref.removeprefix(COMPONENTS)]
    return found


def events(described: Described) -> dict[str, Mapping[str, Any]]:
    """The schema of every event of `GET /event`, by its type."""
    answer = described["paths"]["/event"]["get"]["responses"]["200"]["content"]["text/event-stream"]
    choices = looked_up(described, answer["schema"]["$ref"])["anyOf"]
    schemas = [looked_up(described, choice["$ref"]) for choice in choices]
    return {schema["properties"]["type"]["enum"][0]: schema for schema in schemas}


def ours(name: str) -> Mapping[str, Any]:
    return inlined(read_schema(FOLDER / f"{name}{SUFFIX}"))


def differences(theirs: Mapping[str, str], mine: Mapping[str, str]) -> set[tuple[str, str, str]]:
    return {
        (path, theirs.get(path, "nothing"), mine.get(path, "nothing"))
        for path in theirs.keys() | mine.keys()
        if theirs.get(path) != mine.get(path)
    }


def test_the_same_types(described: Described) -> None:
    assert set(event_schemas("opencode/1").types) == set(events(described)) | UNDESCRIBED


def test_the_same_members_of_the_same_kinds(described: Described) -> None:
    members = 0
    for name, schema in events(described).items():
        theirs, mine = shape(schema, lambda ref: looked_up(described, ref)), shape(ours(name))
        expected = {TIMESTAMP} if name.startswith("session.next.") else set()
        expected |= {UNNAMED[1:]} if name == UNNAMED[0] else set()
        assert differences(theirs, mine) == expected, name
        members += len(theirs)
    assert members > 1_000


@pytest.mark.parametrize(
    ("name", "path", "method"),
    [
        ("requests/session", "/session", "post"),
        ("requests/session-update", "/session/{sessionID}", "patch"),
        ("requests/prompt_async", "/session/{sessionID}/prompt_async", "post"),
    ],
)
def test_the_same_bodies_of_requests(described: Described, name: str, path: str, method: str) -> None:
    body = described["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
    assert differences(shape(body, lambda ref: looked_up(described, ref)), shape(ours(name))) == set()


def test_examples_are_to_the_server_what_they_are_to_us(described: Described) -> None:
    document = DRAFT202012.create_resource(
        {**described, "$schema": "https://json-schema.org/draft/2020-12/schema"}
    )
    registry: Registry[Any] = Registry().with_resource("urn:described", document)
    tried = 0
    for name, schema in events(described).items():
        theirs = Draft202012Validator(
            {"$ref": f"urn:described{_place(described, schema)}"}, registry=registry
        )
        file = read_schema(FOLDER / f"{name}{SUFFIX}")
        for value in file["examples"]:
            as_described = _with_numbers(value) if name.startswith("session.next.") else value
            assert next(theirs.iter_errors(as_described), None) is None, (name, value)
            tried += 1
        for entry in file["x-invalid-examples"]:
            assert not theirs.is_valid(entry["value"]), (name, entry["why"])
            tried += 1
    assert tried > 500


def _place(described: Described, schema: Mapping[str, Any]) -> str:
    named = next(name for name, found in described["components"]["schemas"].items() if found is schema)
    return f"{COMPONENTS}{named}"


def _with_numbers(event: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**event, "properties": {**event["properties"], "timestamp": 1_795_210_791_094}}


def test_shapes_tell_what_differs() -> None:
    """The comparison itself: a member more, one less, another kind, one that need not be there."""
    text = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}
    assert shape(text) == {"": "object", ".a": "string"}
    for other in (
        {**text, "required": []},
        {**text, "properties": {"a": {"type": "number"}}},
        {**text, "properties": {**text["properties"], "b": {"type": "string"}}},  # type: ignore[dict-item]
        {**text, "properties": {"a": {"enum": ["x"]}}},
    ):
        assert differences(shape(text), shape(other))
    choice = {
        "anyOf": [
            {"type": "object", "required": ["type"], "properties": {"type": {"enum": [name]}}}
            for name in "ab"
        ]
    }
    assert shape(choice) == {"<a>": "object", "<a>.type": "one of a", "<b>": "object", "<b>.type": "one of b"}
