"""What is asked of AgentSmithy servers beside the common turns, as data: probes play it, rules read it.

Scripts and requests only; the roles under which the answers are recorded are named here too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from conformance.profile import Effect, Profile
from conformance.script import Failure, Fill, ModelTurn, Script, ToolCall, say
from conformance.turns import TURN_PROBES, ScriptedTurn, read_call

FAMILY = "agentsmithy"

ESCAPE = "sse-conformance-escape.txt"  # what the path escapes are called, outside and inside the workspace


def without_scripts(profile: Profile) -> str:
    """Why scripted probes do not apply, "" if they do."""
    return "" if profile.script else "the target cannot be scripted (script = false)"


def without_read_tool(profile: Profile) -> str:
    """Why probes with a reading tool do not apply, "" if they do."""
    declared = profile.capabilities.tools and profile.tools.read is not None
    return "" if declared else "the profile declares no read tool"


def _without_edit_tool(profile: Profile) -> str:
    declared = profile.capabilities.tools and profile.tools.edit is not None
    return "" if declared else "the profile declares no edit tool"


def _without_reasoning(profile: Profile) -> str:
    return "" if profile.capabilities.reasoning else "the profile declares no reasoning"


def _without_deletion(profile: Profile) -> str:
    if profile.revision < 2:
        return "agentsmithy/1 does not speak of deletions"
    reason = _without_edit_tool(profile)
    return reason or ("" if profile.tools.delete else "the profile declares no delete tool")


def _without_workspace(profile: Profile) -> str:
    reason = _without_edit_tool(profile)
    return reason or ("" if profile.capabilities.workspace else "the profile does not declare workspace")


def _edit(profile: Profile, path: str, content: str) -> ToolCall:
    tool = profile.tools.edit
    assert tool is not None
    absolute = f"{profile.workspace.rstrip('/')}/{path}" if profile.workspace else None
    return ToolCall(tool.name, tool.args(path, content), edits=absolute)


def _delete(profile: Profile, path: str) -> ToolCall:
    tool = profile.tools.delete
    assert tool is not None
    absolute = f"{profile.workspace.rstrip('/')}/{path}" if profile.workspace else None
    return ToolCall(tool.name, tool.args(path), edits=absolute)


def _mixed(profile: Profile) -> Script:
    return Script(
        (
            ModelTurn(
                reasoning=("Plan ", "it. "),
                text=("First ", "a look. "),
                tools=(read_call(profile, "mixed-a"),),
            ),
            ModelTurn(tools=(read_call(profile, "mixed-b"),)),
            ModelTurn(
                reasoning=("Again, ", "now. "),
                text=("Then ", "again. "),
                tools=(read_call(profile, "mixed-c"),),
            ),
            ModelTurn(text=("That ", "was ", "all.")),
        )
    )


def _edit_twice(profile: Profile) -> Script:
    path = "sse-conformance-twice.txt"
    return Script(
        (
            ModelTurn(text=("First. ",), tools=(_edit(profile, path, "one\ntwo\n"),)),
            ModelTurn(text=("Second. ",), tools=(_edit(profile, path, "one\nthree\nfour\n"),)),
            ModelTurn(text=("Both ", "made.")),
        )
    )


def _deletion(profile: Profile) -> Script:
    path = "sse-conformance-delete.txt"
    return Script(
        (
            ModelTurn(text=("Make it. ",), tools=(_edit(profile, path, "to be deleted\n"),)),
            ModelTurn(text=("Delete it. ",), tools=(_delete(profile, path),)),
            ModelTurn(text=("Gone.",)),
        )
    )


def _escape(profile: Profile) -> Script:
    tool, delete = profile.tools.edit, profile.tools.delete
    assert tool is not None
    # No `fails`, no `edits`: whether the path is refused is the target's own doing, also if it plays itself.
    calls = tuple(
        ToolCall(tool.name, tool.args(path, "this should not have been written\n"))
        for path in (f"../{ESCAPE}", f"sse-conformance-folder/../../{ESCAPE}")
    )
    turns = [ModelTurn(tools=(call,)) for call in calls]
    if delete is not None:
        # If it was written after all, it must not stay.
        turns.append(ModelTurn(tools=(ToolCall(delete.name, delete.args(f"../{ESCAPE}")),)))
    return Script((*turns, ModelTurn(text=("Tried.",))))


# Turns of AgentSmithy's own, one probe each, its stream under the role "stream".
OWN_TURNS: tuple[ScriptedTurn, ...] = (
    ScriptedTurn(
        "long-text", "a text of many small chunks", lambda p: say("It begins. ", Fill(24, 400), " It ends.")
    ),
    ScriptedTurn(
        "mixed",
        "reasoning, text and tools over four model calls",
        _mixed,
        unless=lambda p: without_read_tool(p) or _without_reasoning(p),
    ),
    ScriptedTurn(
        "edit-twice",
        "two edits of one file",
        _edit_twice,
        effect=Effect.EDIT,
        unless=_without_edit_tool,
    ),
    ScriptedTurn(
        "deletion",
        "a file that is made and deleted",
        _deletion,
        effect=Effect.EDIT,
        unless=_without_deletion,
    ),
    ScriptedTurn(
        "escape",
        "edits of a path that leaves the workspace",
        _escape,
        effect=Effect.DISRUPT,
        unless=_without_workspace,
    ),
    ScriptedTurn(
        "error-after-tool",
        "a model call that is refused after a tool was called",
        lambda p: Script(
            (
                ModelTurn(text=("A look ", "first. "), tools=(read_call(p, "before-error"),)),
                ModelTurn(error=Failure("scripted refusal after a tool", status=400)),
            )
        ),
        unless=without_read_tool,
    ),
)

# Probes with several streams, or whose script never ends.
SEVERAL_TURNS = "several-turns"  # roles "turn-1", "turn-2", "turn-3"
TWO_DIALOGS = "two-dialogs"  # roles "a", "b"
SAME_DIALOG = "same-dialog"  # roles "first", "second"
SLOW_DIALOG = "slow-dialog"  # roles "alone", "slow", "beside"
HISTORY = "history"  # roles "a", "b", "a-again"; actions of kind "call" hold the histories
FAILING_TOOL = "failing-tool"  # role "stream"
CLIENT_GONE = "client-gone"  # role "stream"; facts "model_call", "model_waited"

# What rules about any AgentSmithy stream are judged on.
STREAM_PROBES: tuple[str, ...] = (
    *TURN_PROBES,
    *(turn.name for turn in OWN_TURNS),
    SEVERAL_TURNS,
    TWO_DIALOGS,
    SAME_DIALOG,
    SLOW_DIALOG,
    HISTORY,
    FAILING_TOOL,
)


def several(profile: Profile) -> tuple[Script, ...]:
    """The turns that are played one after another in one dialog."""
    look = () if without_read_tool(profile) else (read_call(profile, "second-turn"),)
    middle = ModelTurn(text=("Second ", "turn: "), tools=look)
    after = (ModelTurn(text=("looked ", "at it.")),) if look else ()
    thoughts = () if _without_reasoning(profile) else ("Third ", "thought. ")
    return (
        say("First ", "turn, ", "plain."),
        Script((middle, *after)),
        Script((ModelTurn(reasoning=thoughts, text=("Third ", "turn, ", "the last.")),)),
    )


def own_script(profile: Profile, name: str, *, pace_ms: int = 15) -> Script:
    """A script whose every chunk and tool argument holds `name`: to be told from another at the same time."""
    words = tuple(f"{name}{index} " for index in range(8))
    last = ModelTurn(text=tuple(f"{name}{index} " for index in range(8, 16)))
    if without_read_tool(profile):
        return Script((ModelTurn(text=(*words, *last.text)),), pace_ms=pace_ms)
    first = ModelTurn(
        text=words, tools=(read_call(profile, f"{name}-left"), read_call(profile, f"{name}-right"))
    )
    return Script((first, last), pace_ms=pace_ms)


@dataclass(frozen=True, slots=True)
class BadRequest:
    """A request that a server must refuse: its name (the role is `bad-<name>`), body, and what is wrong."""

    name: str
    body: bytes
    wrong: str

    @property
    def role(self) -> str:
        """The role of its transcript."""
        return f"bad-{self.name}"


_USER: Mapping[str, Any] = MappingProxyType({"role": "user", "content": "hello"})


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _with(**members: Any) -> bytes:
    return _json({"messages": [dict(_USER)], "stream": True, **members})


# Bad JSON, not an object, no messages, wrong types. List content, unknown roles and blank text are not among
# them: servers may take those.
BAD_REQUESTS: tuple[BadRequest, ...] = (
    BadRequest("empty", b"", "the body is empty"),
    BadRequest("json", b'{"messages": [', "the body is not JSON"),
    BadRequest("utf8", b'{"messages": [{"role": "user", "content": "\xff\xfe"}]}', "the body is not UTF-8"),
    BadRequest("array", b"[]", "the body is an array"),
    BadRequest("string", b'"hello"', "the body is a string"),
    BadRequest("null", b"null", "the body is null"),
    BadRequest("no-messages", b'{"stream": true}', "`messages` is missing"),
    BadRequest("no-message", b'{"messages": [], "stream": true}', "`messages` is empty"),
    BadRequest("messages-text", _with(messages="hello"), "`messages` is a string"),
    BadRequest("messages-object", _with(messages={"role": "user"}), "`messages` is an object"),
    BadRequest("message-text", _with(messages=["hello"]), "a message is a string"),
    BadRequest("message-number", _with(messages=[7]), "a message is a number"),
    BadRequest("content-number", _with(messages=[{"role": "user", "content": 42}]), "`content` is a number"),
    BadRequest("content-object", _with(messages=[{"role": "user", "content": {}}]), "`content` is an object"),
    BadRequest("role-number", _with(messages=[{"role": 7, "content": "hello"}]), "`role` is a number"),
    BadRequest("stream-object", _with(stream={"yes": True}), "`stream` is an object"),
    BadRequest("dialog-object", _with(dialog_id={"id": "x"}), "`dialog_id` is an object"),
)

NO_USER = BadRequest(
    "no-user",
    _json({"messages": [{"role": "assistant", "content": "hello"}], "stream": True}),
    "there is no message of the user",
)

# Members of `context` as the document shows them, wrongly typed.
BAD_CONTEXTS: tuple[BadRequest, ...] = (
    BadRequest("context", _with(context=7), "`context` is a number"),
    BadRequest("current-file", _with(context={"current_file": 7}), "`context.current_file` is a number"),
    BadRequest(
        "file-path",
        _with(context={"current_file": {"path": 7, "language": "python", "content": ""}}),
        "`context.current_file.path` is a number",
    ),
    BadRequest(
        "file-content",
        _with(context={"current_file": {"path": "a.py", "language": "python", "content": {"x": 1}}}),
        "`context.current_file.content` is an object",
    ),
)

# Dialog ids that a careless server uses as a path, a header or a key. What could be a path is never deleted.
HOSTILE_IDS: tuple[tuple[str, str], ...] = (
    ("parent-folder", "../../sse-conformance"),
    ("absolute-path", "/sse-conformance/none"),
    ("encoded-path", "..%2f..%2fsse-conformance"),
    ("backslashes", "..\\..\\sse-conformance"),
    ("control", "sse-conformance\x00\x1b[31m"),
    ("line-ends", "sse-conformance\r\ndata: x\r\n\r\n"),
    ("long", "sse-conformance-" + "x" * 10_240),
)
HOSTILE_PROMPT = "hostile-"  # role prefix

# Ids that lead into the dialog `{}` where they are used as a path; the role is the key. UNKNOWN_ID leads
# nowhere: it shows whether the target puts prompts for unknown dialogs into one that it knows.
CLIMBING = "climbing-dialog"
CLIMBING_IDS: Mapping[str, str] = MappingProxyType(
    {"climb-up": "sse-conformance/../{}", "climb-dot": "./{}", "climb-back": "sse-conformance\\..\\{}"}
)
UNKNOWN_ID = "sse-conformance-unknown"  # role "unknown"

__all__ = [
    "BAD_CONTEXTS",
    "BAD_REQUESTS",
    "CLIENT_GONE",
    "CLIMBING",
    "CLIMBING_IDS",
    "ESCAPE",
    "FAILING_TOOL",
    "FAMILY",
    "HISTORY",
    "HOSTILE_IDS",
    "HOSTILE_PROMPT",
    "NO_USER",
    "OWN_TURNS",
    "SAME_DIALOG",
    "SEVERAL_TURNS",
    "SLOW_DIALOG",
    "STREAM_PROBES",
    "TWO_DIALOGS",
    "UNKNOWN_ID",
    "BadRequest",
    "own_script",
    "several",
    "without_read_tool",
    "without_scripts",
]
