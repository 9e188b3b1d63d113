"""Random scripts: whatever an agent may be told by the grammar (docs/scripts.md), as the harness writes them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from conformance.script import Failure, Fill, ModelTurn, Script, ToolCall

WORKSPACE = "/srv/work"
FAILURES = ("status", "in-stream", "reset", "close")

# What streams are prone to spoil: line ends, SSE syntax, JSON syntax, separators, marks, characters beyond the BMP.
NASTY = (
    *(
        "\n",
        "\r",
        "\r\n",
        "\n\n",
        "\r\n\r\n",
        "\x00",
        "\x1b[31m",
        "\x7f",
        "\u0085",
        "\u2028",
        "\u2029",
        "\ufeff",
    ),
    *("data: x\n\n", "event: y\n", ": comment\n", "id: 7\n", "retry: 1\n", '{"type": "done", "done": true}'),
    *("data: [DONE]", "]]", "[[script {", '"', "\\", "\\u0041", "</script>", "e\u0301", "\u0300", "\u200d"),
    *(
        "\U0001f600",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\U0010ffff",
        "\ufffd",
        "\u65e5\u672c",
        "\u202e",
    ),
)
characters = st.characters(exclude_categories=("Cs",))
texts = (
    st.sampled_from(["a", "ab", " "])  # the same words again and again, and words that begin like others
    | st.text("abc ", min_size=1, max_size=8)
    | st.sampled_from(NASTY)
    | st.text(characters, min_size=1, max_size=8)
)
fills = st.builds(Fill, st.integers(1, 40), st.integers(1, 4))
paths = st.sampled_from(["a.txt", "b.txt", "c.txt", "d/a.txt", "\u00e9 \U0001f600.txt"])


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a script must hold, and must not: a fault shows in some scripts only.

    `pieces` is the least number of text chunks in one model call, `tools` that of calls in one model call, `after`:
    text in a call after one with tools. `fails` names the failure it ends with, "" none at all, None whatever comes.
    """

    pieces: int = 0
    thoughts: int = 0
    tools: int = 0
    edits: bool = False
    after: bool = False
    fails: str | None = None


ANY = Wanted()


def _chunks(least: int, *, plain: bool) -> st.SearchStrategy[tuple[str | Fill, ...]]:
    one = texts if plain else texts | fills | st.just("")
    return st.lists(one, min_size=least, max_size=max(4, least)).map(tuple)


# What is drawn last decides little, and every kind of call and of end draws as much as the others: a failure shrinks
# to the first kind, not to the one that needs the fewest draws.
@st.composite
def calls(draw: st.DrawFn, *, edit: bool | None = None) -> ToolCall:
    """A valid call of one of the two tools that every default profile declares."""
    kind = draw(st.sampled_from(["read", "fails", "edit"] if edit is None else ["edit"]))
    path, words = draw(paths), draw(texts)
    if kind == "edit":
        return ToolCall("write_to_file", {"path": path, "content": words}, edits=f"{WORKSPACE}/{path}")
    if kind == "fails":
        return ToolCall("read_file", {"path": path}, fails=True)
    return ToolCall("read_file", {"path": path}, result=words)


@st.composite
def _turn(draw: st.DrawFn, wanted: Wanted, tools: int) -> ModelTurn:
    text = draw(_chunks(wanted.pieces, plain=wanted.pieces > 0))
    reasoning = draw(_chunks(wanted.thoughts, plain=wanted.thoughts > 0))
    made = draw(st.lists(calls(), min_size=tools, max_size=max(2, tools)))
    if tools and wanted.edits:
        made[0] = draw(calls(edit=True))
    turn = ModelTurn(text, reasoning, tuple(made))
    if draw(st.integers(0, 15)) == 15 and wanted.fails is None:
        # Refused once, then let through: the chunks come all the same.
        return replace(turn, error=Failure("one moment", status=429, times=1))
    return turn


def _failing(turn: ModelTurn, kind: str, message: str, status: int) -> ModelTurn:
    """The turn, failing in that way; one that breaks off comes to no tools."""
    if kind == "status":
        return ModelTurn(error=Failure(message, status=status))
    turn = replace(turn, error=None, text=turn.text or ("half",))
    if kind == "in-stream":
        return replace(turn, error=Failure(message, in_stream=True))
    return replace(turn, cut=kind)


@st.composite
def scripts(draw: st.DrawFn, wanted: Wanted = ANY) -> Script:
    """A script that the grammar allows, without pauses; one that ends by itself."""
    least = max(wanted.tools, 1 if wanted.edits or wanted.after else 0)
    turns: list[ModelTurn] = []
    for number in range(draw(st.integers(2 if wanted.after else 1, 4))):
        turns.append(draw(_turn(wanted, 0 if number else least)))
        if not turns[-1].tools:
            break  # a turn without tools is the last
    fails = draw(st.sampled_from(["", "", *FAILURES])) if wanted.fails is None else wanted.fails
    message = draw(st.sampled_from(["refused", "no such model", "\u00e9\u2028 \U0001f600"]))
    status = draw(st.sampled_from([400, 401, 404, 500]))
    if fails:
        turns[-1] = _failing(replace(turns[-1], tools=()), fails, message, status)
    elif wanted.after:
        turns[-1] = replace(turns[-1], tools=(), text=turns[-1].text or ("after",))
    return Script(tuple(turns))
