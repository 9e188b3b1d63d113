"""AgentSmithy streams at random, valid by its documents: a model of its own, written from the protocol alone.

What the documents leave open is drawn: how text is cut, how segments are laid, which optional members come, what
may stand between events.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from hypothesis import strategies as st

from conformance.script import Fill, ModelTurn, Script, ToolCall
from tests.support.generated_scripts import WORKSPACE
from tests.support.generated_wire import Event

DIALOG = "01JDIALOG"


@dataclass(frozen=True, slots=True)
class Played:
    """A valid stream of a script. `warned` are the SHOULD rows that it justly fails."""

    events: tuple[Event, ...]
    warned: frozenset[str] = frozenset()


@st.composite
def pieces(draw: st.DrawFn, chunks: tuple[str | Fill, ...], *, plain: bool = False) -> list[str]:
    """A text as its chunks came, or cut in another way: joined it is the same."""
    said = [text for chunk in chunks for text in (chunk.chunks() if isinstance(chunk, Fill) else (chunk,))]
    if plain or not draw(st.booleans()):
        return [text for text in said if text]
    whole = "".join(said)
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


@st.composite
def streams(
    draw: st.DrawFn, script: Script, revision: int, prompt: str, *, plain: bool = False, dialog: str = DIALOG
) -> Played:
    """Any valid stream of that script; `plain` takes no liberty with cuts and segments."""
    events: list[Event] = []
    warned: set[str] = set()
    if revision >= 2:
        checkpoint = {"checkpoint": "c0ffee"} if draw(st.booleans()) else {}
        events.append({"type": "user", "content": prompt, **checkpoint})
    failed = False
    for turn in script.turns:
        if revision >= 2 and not plain and draw(st.integers(0, 7)) == 7:
            events += [{"type": "summary_start"}, {"type": "summary_end"}]
        failed = (turn.error is not None and turn.error.times is None) or turn.cut is not None
        events += draw(_words(turn, revision, plain, warned))  # a refused turn has none
        events += draw(_tools(turn, revision))
        if failed:
            said = turn.error.message if turn.error is not None else "the model broke off"
            events.append({"type": "error", "error": said})
    if not plain and draw(st.integers(0, 9)) == 9:
        # The document's own client takes an unknown type for chat: tolerated, and a SHOULD.
        at = draw(st.integers(1 if revision >= 2 else 0, len(events) - failed)) if events else 0
        events.insert(at, {"type": "usage", "tokens": 7})
        warned.add("AS-EVT-02")
    events.append({"type": "done", "done": True})
    extra = {"seq": 1, "meta": {"a": [None, 1.5]}} if not plain and draw(st.booleans()) else {}
    return Played(tuple({**event, **extra, "dialog_id": dialog} for event in events), frozenset(warned))


@st.composite
def _words(draw: st.DrawFn, turn: ModelTurn, revision: int, plain: bool, warned: set[str]) -> list[Event]:
    runs = []
    for kind, chunks in (("reasoning", turn.reasoning), ("chat", turn.text)):
        cut = draw(pieces(chunks, plain=plain))
        runs.append([{"type": kind, "content": piece} for piece in cut])
    reasoning, chat = runs
    if revision < 2:
        if plain or not draw(st.booleans()):
            return [*reasoning, *chat]
        return _merged(reasoning, chat, draw(st.lists(st.booleans(), max_size=6)))
    if not plain and reasoning and chat and draw(st.integers(0, 7)) == 7:
        # Today's server overlaps the two where one model call has both.
        warned.add("AS-2-02b")
        inner = _merged(reasoning, chat, draw(st.lists(st.booleans(), max_size=6)))
        ends: list[Event] = draw(st.permutations([{"type": "chat_end"}, {"type": "reasoning_end"}]))
        return [{"type": "reasoning_start"}, {"type": "chat_start"}, *inner, *ends]
    made: list[Event] = []
    for name, run in (("reasoning", reasoning), ("chat", chat)):
        split = draw(st.integers(0, len(run))) if not plain and draw(st.booleans()) else 0
        for part in (run[:split], run[split:]):
            if part or (not plain and draw(st.integers(0, 5)) == 5):
                made += [{"type": f"{name}_start"}, *part, {"type": f"{name}_end"}]
    return made


def _merged(left: list[Event], right: list[Event], picks: list[bool]) -> list[Event]:
    """Both lists in their own order, the next one from the left where a pick says so."""
    left, right, made = list(left), list(right), []
    for pick in picks:
        source = left if pick and left else right
        if source:
            made.append(source.pop(0))
    return [*made, *left, *right]


@st.composite
def _tools(draw: st.DrawFn, turn: ModelTurn, revision: int) -> list[Event]:
    """Calls in the model's order; each edit after its call, at once or later."""
    made: list[Event] = []
    later: list[Event] = []
    for call in turn.tools:
        made.append({"type": "tool_call", "name": call.name, "args": {**call.args}})
        if call.edits is None:
            continue
        edit: Event = {"type": "file_edit", "file": draw(_spelt(call.edits))}
        if revision >= 2 and draw(st.booleans()):
            edit["diff"] = _diff(call)
        if draw(st.booleans()):
            later.append(edit)
        else:
            made.append(edit)
    return [*made, *draw(st.permutations(later))]


def _spelt(path: str) -> st.SearchStrategy[str]:
    """Absolute ways of writing a path that name the same file."""
    other = path.replace(WORKSPACE, f"{WORKSPACE}/./x/..")
    return st.sampled_from([path, path, other])


def _diff(call: ToolCall) -> str:
    after = str(call.args["content"]).split("\n")
    names = (f"a/{call.args['path']}", f"b/{call.args['path']}")
    return "\n".join(difflib.unified_diff(["before"], after, *names, lineterm=""))
