"""Event schemas as rules use them: dispatch, wording, strictness, real servers, speed without lies."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from conformance.catalogue import event_schemas, protocols
from conformance.event_schemas import EventSchema
from conformance.schema_compile import compiled
from conformance.schema_store import SchemaError, closed, read_schema, schema_root
from conformance.wire import Decoder

RECORDINGS = Path(__file__).parents[1] / "recordings"
ALL = [(protocol, strict) for protocol in protocols() for strict in (False, True)]


def recorded(server: str) -> Iterator[tuple[str, Any]]:
    """Every JSON event of the kept recordings of a server, with the file's name."""
    for path in sorted((RECORDINGS / server).glob("*.sse")):
        if path.stem.endswith(".api"):
            continue  # another stream of the server
        for block in Decoder().feed(path.read_bytes(), 0.0):
            if block.dispatch is not None:
                yield path.name, json.loads(block.dispatch.data)


EXPECTED_TYPES = {
    "agentsmithy/1": {"chat", "reasoning", "tool_call", "file_edit", "error", "done"},
    "agentsmithy/2": {
        *("chat", "reasoning", "tool_call", "file_edit", "error", "done", "user"),
        *(f"{kind}_{edge}" for kind in ("chat", "reasoning", "summary") for edge in ("start", "end")),
    },
    "penguin/1": {"server.connected", "message.updated", "message.part.updated"},
    "penguin/2": {
        *("server.connected", "server.replay_gap", "message.updated", "message.part.updated"),
        *("message.removed", "message.part.removed"),
        *("session.created", "session.updated", "session.deleted", "session.status", "session.diff"),
        *("session.goal.updated", "todo.updated", "permission.asked", "permission.replied"),
        *("question.asked", "question.replied", "question.rejected", "vcs.branch.updated"),
        *("lsp.updated", "lsp.client.diagnostics", "tool.process.output"),
        *("notification.process.completed", "tui.toast.show", "link.execution.authorized"),
    },
    # All that the server describes is compared with its own description in tests/real.
    "opencode/1": {
        *("server.connected", "server.heartbeat", "server.instance.disposed", "global.disposed"),
        *(f"session.{what}" for what in ("created", "updated", "deleted", "status", "idle", "error", "diff")),
        *("session.compacted", "message.updated", "message.removed"),
        *(f"message.part.{what}" for what in ("updated", "delta", "removed")),
        *(f"permission.{what}" for what in ("asked", "replied", "v2.asked", "v2.replied")),
        *(f"question.{what}" for what in ("asked", "replied", "rejected")),
        *(f"question.v2.{what}" for what in ("asked", "replied", "rejected")),
        *("todo.updated", "file.edited", "file.watcher.updated", "command.executed", "vcs.branch.updated"),
        *("lsp.updated", "mcp.tools.changed", "mcp.browser.open.failed", "plugin.added", "catalog.updated"),
        *("integration.updated", "integration.connection.updated", "reference.updated"),
        *("models-dev.refreshed", "installation.updated", "installation.update-available"),
        *("project.updated", "project.directories.updated", "worktree.ready", "worktree.failed"),
        *(f"workspace.{what}" for what in ("ready", "failed", "status")),
        *(f"pty.{what}" for what in ("created", "updated", "exited", "deleted")),
        *("tui.prompt.append", "tui.command.execute", "tui.toast.show", "tui.session.select"),
        *(f"session.next.{what}" for what in ("agent.switched", "model.switched", "moved", "synthetic")),
        *(f"session.next.{what}" for what in ("prompted", "prompt.admitted", "context.updated", "retried")),
        *(f"session.next.shell.{what}" for what in ("started", "ended")),
        *(f"session.next.step.{what}" for what in ("started", "ended", "failed")),
        *(f"session.next.text.{what}" for what in ("started", "delta", "ended")),
        *(f"session.next.reasoning.{what}" for what in ("started", "delta", "ended")),
        *(f"session.next.tool.input.{what}" for what in ("started", "delta", "ended")),
        *(f"session.next.tool.{what}" for what in ("called", "progress", "success", "failed")),
        *(f"session.next.compaction.{what}" for what in ("started", "delta", "ended")),
        *(f"session.next.revert.{what}" for what in ("staged", "cleared", "committed")),
    },
}


@pytest.mark.parametrize("protocol", protocols())
def test_the_documented_types_are_known_and_no_others(protocol: str) -> None:
    schemas = event_schemas(protocol)
    assert set(schemas.types) == EXPECTED_TYPES[protocol]
    assert schemas.knows("server.heartbeat") is (protocol == "opencode/1")
    assert schemas.knows("envelope") is False


def test_an_unknown_revision_is_an_error() -> None:
    with pytest.raises(SchemaError, match="penguin/9"):
        event_schemas("penguin/9")


@pytest.mark.parametrize(
    ("server", "protocol"),
    [
        ("agentsmithy-1.13.0", "agentsmithy/2"),
        ("penguin-0.9.3", "penguin/2"),
        ("opencode-1.18.33", "opencode/1"),
    ],
)
def test_what_real_servers_send_is_valid_even_when_strict(server: str, protocol: str) -> None:
    types = set()
    for strict in (False, True):
        for file, event in recorded(server):
            assert event_schemas(protocol, strict).problems(event) == (), (file, event)
            types.add(event["type"])
    assert types <= EXPECTED_TYPES[protocol]
    assert len(types) >= 9


@pytest.mark.parametrize(
    ("server", "protocol"), [("agentsmithy-1.13.0", "agentsmithy/1"), ("penguin-0.9.3", "penguin/1")]
)
def test_the_first_documents_accept_what_their_servers_send_today(server: str, protocol: str) -> None:
    events = list(recorded(server))
    assert len(events) > 30
    for file, event in events:
        assert event_schemas(protocol).problems(event) == (), (file, event)


@pytest.mark.parametrize("strict", [False, True])
def test_an_unknown_type_is_held_against_the_envelope_alone(strict: bool) -> None:
    schemas = event_schemas("penguin/2", strict)
    assert schemas.problems({"type": "weather", "properties": {"x": 1}, "more": 2}) == ()
    assert [p.expected for p in schemas.problems({"type": "weather"})] == ["a member 'properties'"]
    assert event_schemas("agentsmithy/1").problems({"type": "weather", "dialog_id": "d"}) == ()


@pytest.mark.parametrize("value", [None, [], "x", 5, {}, {"type": None}, {"type": ["chat"]}, {"type": {}}])
@pytest.mark.parametrize("protocol", protocols())
def test_what_is_no_event_has_problems(protocol: str, value: Any) -> None:
    assert event_schemas(protocol).problems(value)


def part(**changes: Any) -> dict[str, Any]:
    tool = {"id": "p", "messageID": "m", "sessionID": "s", "type": "tool", "callID": "c", "tool": "read"}
    state = {"status": "running", "input": {}, "time": {"start": 1}}
    properties = {"part": {**tool, "state": state, **changes}, "sessionID": "s"}
    return {"id": "e", "order": 1, "time": 1, "type": "message.part.updated", "properties": properties}


@pytest.mark.parametrize(
    ("changes", "pointer", "expected", "observed"),
    [
        ({"callID": 7}, "/properties/part/callID", "a string", "7"),
        ({"state": "running"}, "/properties/part/state", "an object", '"running"'),
        (
            {"state": {"status": "done"}},
            "/properties/part/state/status",
            'one of "pending", "running"',
            '"done"',
        ),
        (
            {"state": {"status": "error", "input": {}, "time": {"start": 1, "end": 2}}},
            "/properties/part/state",
            "a member 'error'",
            "members 'status', 'input', 'time'",
        ),
    ],
)
def test_problems_say_where_what_and_instead_of_what(
    changes: dict[str, Any], pointer: str, expected: str, observed: str
) -> None:
    (problem,) = event_schemas("penguin/2").problems(part(**changes))
    assert problem.pointer == pointer
    assert problem.expected.startswith(expected)
    assert problem.observed == observed


def test_each_missing_member_is_named() -> None:
    found = event_schemas("agentsmithy/1").problems({"type": "tool_call"})
    assert {problem.expected for problem in found} == {
        f"a member {n!r}" for n in ("name", "args", "dialog_id")
    }


def test_members_that_no_document_shows_are_refused_only_when_strict() -> None:
    chat = {"type": "chat", "content": "x", "dialog_id": "d", "mood": "good"}
    assert event_schemas("agentsmithy/2").problems(chat) == ()
    (problem,) = event_schemas("agentsmithy/2", strict=True).problems(chat)
    assert "mood" in problem.observed
    odd = part(colour="red")
    assert event_schemas("penguin/2").problems(odd) == ()
    (problem,) = event_schemas("penguin/2", strict=True).problems(odd)
    assert problem.pointer == "/properties/part"
    assert "colour" in problem.observed


def test_free_form_members_stay_free_when_strict() -> None:
    call = {"type": "tool_call", "name": "t", "args": {"anything": [1]}, "dialog_id": "d"}
    assert event_schemas("agentsmithy/2", strict=True).problems(call) == ()
    state = {"status": "running", "input": {"any": {"thing": 1}}, "time": {"start": 1}}
    assert event_schemas("penguin/2", strict=True).problems(part(state=state)) == ()


def test_closing_leaves_conditions_and_explicit_openness_alone() -> None:
    schema = {
        "properties": {"kind": {"type": "string"}, "free": {"properties": {}, "additionalProperties": True}},
        "allOf": [{"if": {"properties": {"kind": {"const": "a"}}}, "then": {"properties": {"more": {}}}}],
    }
    strict = closed(schema)
    assert strict["unevaluatedProperties"] is False
    assert strict["allOf"] == schema["allOf"]
    assert strict["properties"]["free"]["additionalProperties"] is True
    validator = Draft202012Validator(strict)
    assert validator.is_valid({"kind": "a", "more": 1})
    assert not validator.is_valid({"kind": "b", "more": 1})


# ---------------------------------------------------------------- the quick check tells the truth

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**60) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


def examples(protocol: str) -> list[Any]:
    found = []
    for kind in event_schemas(protocol).types:
        schema = read_schema(schema_root() / protocol / f"{kind}.schema.json")
        found += schema["examples"]
    return found


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for index in range(len(value)):
            yield from places(value[index], (*path, index))


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bool, Any]:
    """A valid example of some revision with one value, or a member, replaced, removed or added."""
    protocol, strict = draw(st.sampled_from(ALL))
    event = copy.deepcopy(draw(st.sampled_from(examples(protocol))))
    path = draw(st.sampled_from([p for p in places(event) if p]))
    at = event
    for step in path[:-1]:
        at = at[step]
    match draw(st.sampled_from(["replace", "remove", "add"])):
        case "replace":
            at[path[-1]] = draw(JSON)
        case "remove":
            del at[path[-1]]
        case _ if isinstance(at, dict):
            at[draw(st.text(max_size=5))] = draw(JSON)
    return protocol, strict, event


def chosen(protocol: str, strict: bool, event: Any) -> EventSchema:
    schemas = event_schemas(protocol, strict)
    kind = event.get("type")
    return schemas.types.get(kind, schemas.envelope) if isinstance(kind, str) else schemas.envelope


@given(mutated())
@settings(max_examples=400, deadline=None)
def test_three_validators_agree_on_damaged_events(case: tuple[str, bool, Any]) -> None:
    protocol, strict, event = case
    schema = chosen(protocol, strict, event)
    valid = schema.validator.is_valid(event)
    assert schema.check(event) is valid
    made = compiled(schema.validator.schema)
    assert made is not None
    assert made(event) is valid
    assert (event_schemas(protocol, strict).problems(event) == ()) is valid
    assert jsonschema_rs.validator_for(schema.validator.schema).is_valid(event) is valid


def test_a_lone_surrogate_is_text() -> None:
    event = json.loads('{"type": "chat", "content": "\\ud800", "dialog_id": "d", "\\udfff": 1}')
    assert event_schemas("agentsmithy/2").problems(event) == ()
    assert event_schemas("agentsmithy/2").problems({**event, "content": 1})
