"""The scripted turns that every protocol is asked to play, as data: one probe each, its stream under the role "stream".

The probes themselves are made of this table in `observe/probes/turns.py`; rules take names and scripts from here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from conformance.profile import Effect, Profile
from conformance.script import Failure, Fill, ModelTurn, Script, ToolCall, say

FAMILIES = ("agentsmithy", "penguin", "opencode")

# Part of what is written into files: a server need not tell of an edit that changes nothing, as a second run
# or another target in the same workspace would make it.
_RUN = secrets.token_hex(4)

AWKWARD = (
    "line one\nline two\r\nline three\rend ",
    "\ndata: x\n\n",
    "event: y\nid: 7\n: comment\n\n",
    "sep\u2028par\u2029nel\u0085bom\ufeffzw ",
    "\u65e5\u672c\u8a9e \u00e9\u00e8 \U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 ",
    'quotes " and \\ backslash \\n \\u0041 </script> end.',
)
RARE = ("nul \u0000 here ", "e\u0301 combining \u0300\u0323 ", "end.")
PROTOCOL_LIKE = ('{"type": "done", "done": true} ', "data: [DONE] ", '{"type":"error","error":"x"} ', "end.")


def missing(name: str) -> str:
    """A relative path that no workspace has: reading it is a valid call that fails."""
    return f"sse-conformance-no-such-file-{name}.txt"


def read_call(profile: Profile, name: str) -> ToolCall:
    """A valid call of the profile's read tool on a file that is not there."""
    tool = profile.tools.read
    assert tool is not None
    return ToolCall(tool.name, tool.args(missing(name)), fails=True)


def edit_call(profile: Profile, name: str) -> ToolCall:
    """A call of the profile's edit tool inside the workspace."""
    tool = profile.tools.edit
    assert tool is not None
    path = f"sse-conformance-{name}.txt"
    absolute = f"{profile.workspace.rstrip('/')}/{path}" if profile.workspace else None
    content = f"made by sse-conformance, run {_RUN}, for {profile.protocol} at {profile.url}\n"
    return ToolCall(tool.name, tool.args(path, content), edits=absolute)


@dataclass(frozen=True, slots=True)
class ScriptedTurn:
    """A probe of one turn: what the agent is told, and when it does not apply."""

    name: str
    summary: str
    script: Callable[[Profile], Script | None]
    effect: Effect = Effect.PROMPT
    unless: Callable[[Profile], str] = lambda profile: ""
    scripted: bool = True


def _no_reasoning(profile: Profile) -> str:
    return "" if profile.capabilities.reasoning else "the profile declares no reasoning"


def _no_read_tool(profile: Profile) -> str:
    declared = profile.capabilities.tools and profile.tools.read is not None
    return "" if declared else "the profile declares no read tool"


def _no_edit_tool(profile: Profile) -> str:
    declared = profile.capabilities.tools and profile.tools.edit is not None
    return "" if declared else "the profile declares no edit tool"


def _large(profile: Profile) -> Script:
    total = profile.limits.large_answer
    if profile.family != "penguin":
        return say(Fill(4096, max(1, total // 4096)))
    # Penguin's snapshots are cumulative, so its bytes grow with the square of the number of chunks: few of them, for
    # a server may drop a reader whose link is slow once megabytes wait for it. The last is the smallest: an answer
    # that is cut before its end lacks it.
    size = max(4096, total // 8)
    return say(Fill(size, 7), Fill(size * 3 // 4, 1), Fill(size // 4, 1))


TURNS: tuple[ScriptedTurn, ...] = (
    ScriptedTurn("plain", "a prompt without a script", lambda p: None, scripted=False),
    ScriptedTurn("text", "a short text", lambda p: say("Hello, ", "this is ", "a scripted ", "answer.")),
    ScriptedTurn("empty", "a model answer with nothing in it", lambda p: Script((ModelTurn(),))),
    ScriptedTurn(
        "reasoning",
        "reasoning, then text",
        lambda p: Script((ModelTurn(reasoning=("Let me ", "think. "), text=("So ", "it is.")),)),
        unless=_no_reasoning,
    ),
    ScriptedTurn("awkward", "text with line ends, SSE fields, separators, emoji", lambda p: say(*AWKWARD)),
    ScriptedTurn("rare", "text with NUL and combining marks", lambda p: say(*RARE)),
    ScriptedTurn("protocol-like", "text that looks like protocol", lambda p: say(*PROTOCOL_LIKE)),
    ScriptedTurn("large", "a large answer", _large),
    ScriptedTurn(
        "tools",
        "text, one tool call, text",
        lambda p: Script(
            (
                ModelTurn(text=("Let me ", "look."), tools=(read_call(p, "one"),)),
                ModelTurn(text=("That is ", "all.")),
            )
        ),
        unless=_no_read_tool,
    ),
    ScriptedTurn(
        "parallel-tools",
        "two tool calls in one model answer, then one more, then text",
        lambda p: Script(
            (
                ModelTurn(text=("Two at once. ",), tools=(read_call(p, "left"), read_call(p, "right"))),
                ModelTurn(tools=(read_call(p, "third"),)),
                ModelTurn(text=("Done ", "with three.")),
            )
        ),
        unless=_no_read_tool,
    ),
    ScriptedTurn(
        "edit",
        "a file edit inside the workspace, then text",
        lambda p: Script(
            (ModelTurn(text=("I edit. ",), tools=(edit_call(p, "edit"),)), ModelTurn(text=("Edited ", "it.")))
        ),
        effect=Effect.EDIT,
        unless=_no_edit_tool,
    ),
    ScriptedTurn(
        "error-status",
        "a model call that is refused with a status",
        lambda p: Script((ModelTurn(error=Failure("scripted refusal", status=400)),)),
    ),
    ScriptedTurn(
        "error-in-stream",
        "a model call that fails after its first chunks",
        lambda p: Script(
            (ModelTurn(text=("This breaks ", "off "), error=Failure("scripted failure", in_stream=True)),)
        ),
    ),
    ScriptedTurn(
        "cut-reset",
        "a model connection that is reset in mid-answer",
        lambda p: Script((ModelTurn(text=("Half an ", "answer "), cut="reset"),)),
    ),
    ScriptedTurn(
        "cut-close",
        "a model answer that ends without its completion marker",
        lambda p: Script((ModelTurn(text=("Half an ", "answer "), cut="close"),)),
    ),
)


# What rules about any stream are judged on: every turn there is.
TURN_PROBES = tuple(entry.name for entry in TURNS)
