"""Faults of AgentSmithy streams, as changes to their events."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.support.generated_faults import (
    AGENTSMITHY,
    Events,
    changed,
    lacking,
    on_events,
    pick,
    places,
    typed,
)
from tests.support.generated_scenes import Draft
from tests.support.generated_scripts import WORKSPACE, Wanted
from tests.support.generated_wire import Event

SECOND = ("agentsmithy/2",)
SPOKEN = Wanted(pieces=3, fails="")
THOUGHT = Wanted(thoughts=2, pieces=1, fails="")
CALLED = Wanted(tools=1, fails="")
EDITED = Wanted(edits=True, fails="")
# Below this share of its script a stream counts as one whose model has not read it at all: then nothing is said.
HEARD = 0.35


def _content(kind: str) -> Any:
    return lambda event: event["type"] == kind and bool(event["content"])


def _joined(events: Events, kind: str) -> str:
    return "".join(event["content"] for event in events if event["type"] == kind)


def _heard(draft: Draft, events: Events) -> bool:
    """Whether enough of the script is left for everybody to see that it was read."""
    text = _joined(events, "chat")
    chunks = [chunk for turn in draft.script.turns for chunk in turn.text_chunks if chunk.strip()]
    heard = sum(len(chunk) for chunk in chunks if chunk.strip() in text)
    return not text.strip() or not chunks or heard >= HEARD * sum(map(len, chunks))


def _altered(draft: Draft, before: Events, after: Events, kind: str) -> Events | None:
    same = _joined(before, kind) == _joined(after, kind)
    return None if same or not _heard(draft, after) else after


def _words(kind: str, breaks: str, wanted: Wanted) -> None:
    @on_events(f"{kind}-lost", breaks, AGENTSMITHY, wanted=wanted)
    def lost(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
        at = pick(draw, places(events, _content(kind)))
        return None if at is None else _altered(draft, events, events[:at] + events[at + 1 :], kind)

    @on_events(f"{kind}-doubled", breaks, AGENTSMITHY, wanted=wanted)
    def doubled(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
        at = pick(draw, places(events, _content(kind)))
        return (
            None
            if at is None
            else _altered(draft, events, events[:at] + events[at : at + 1] + events[at:], kind)
        )

    @on_events(f"{kind}-swapped", breaks, AGENTSMITHY, wanted=wanted)
    def swapped(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
        found = places(events, _content(kind))
        at = pick(draw, range(len(found) - 1))
        if at is None:
            return None
        left, right = found[at], found[at + 1]
        after = list(events)
        after[left] = {**events[left], "content": events[right]["content"]}
        after[right] = {**events[right], "content": events[left]["content"]}
        return _altered(draft, events, after, kind)

    @on_events(f"{kind}-altered", breaks, AGENTSMITHY, wanted=wanted)
    def altered(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
        at = pick(draw, places(events, _content(kind)))
        if at is None:
            return None
        text = events[at]["content"]
        cut = draw(st.integers(0, len(text) - 1))
        after = list(events)
        after[at] = {
            **events[at],
            "content": text[:cut] + draw(st.sampled_from(["", "\ufffd", "?"])) + text[cut + 1 :],
        }
        return _altered(draft, events, after, kind)


_words("chat", "AS-TXT-01", SPOKEN)
_words("reasoning", "AS-TXT-02", THOUGHT)


@on_events("done-missing", "AS-END-03", AGENTSMITHY)
def done_missing(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    return events[:-1]


@on_events("done-doubled", "AS-END-01", AGENTSMITHY)
def done_doubled(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    return (
        [*events[: draw(st.integers(1, len(events)))], events[-1], *events[-1:]]
        if len(events) > 1
        else events * 2
    )


@on_events("done-early", "AS-END-02", AGENTSMITHY)
def done_early(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    if len(events) < 2:
        return None
    at = draw(st.integers(0, len(events) - 2))
    return [*events[:at], events[-1], *events[at:-1]]


@on_events("late-event", "AS-END-02", AGENTSMITHY)
def late_event(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    late: Event = draw(
        st.sampled_from([{"type": "chat", "content": "late"}, {"type": "error", "error": "late"}])
    )
    return [*events, {**late, "dialog_id": events[-1]["dialog_id"]}]


def _any(draw: st.DrawFn, events: Events) -> int:
    return draw(st.integers(0, len(events) - 1))


@on_events("dialog-id-missing", "AS-EVT-03", AGENTSMITHY)
def no_dialog(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = _any(draw, events)
    events[at] = lacking(events[at], "dialog_id")
    return events


@on_events("dialog-id-not-text", "AS-EVT-03", AGENTSMITHY)
def dialog_not_text(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = _any(draw, events)
    events[at] = changed(events[at], "dialog_id", draw(st.sampled_from([None, 7, {}, ["01JDIALOG"], True])))
    return events


@on_events("dialog-id-changes", "AS-EVT-03", AGENTSMITHY)
def dialog_changes(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = _any(draw, events)
    other = draw(st.sampled_from(["01jdialog", "", "01JDIALOG "]))
    return events[:at] + [changed(event, "dialog_id", other) for event in events[at:]]


@on_events("type-missing", "AS-EVT-01", AGENTSMITHY)
def no_type(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = _any(draw, events)
    wrong = draw(st.sampled_from([..., None, 1, ["chat"]]))
    events[at] = lacking(events[at], "type") if wrong is ... else changed(events[at], "type", wrong)
    return events


_MEMBERS = {
    "chat": "content",
    "reasoning": "content",
    "user": "content",
    "tool_call": "args",
    "error": "error",
}
_MEMBERS |= {"file_edit": "file", "done": "done"}


@on_events("member-missing", "AS-EVT-01", AGENTSMITHY)
def no_member(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, places(events, typed(*_MEMBERS)))
    assert at is not None
    events[at] = lacking(events[at], _MEMBERS[events[at]["type"]])
    return events


@on_events("member-of-another-type", "AS-EVT-01", AGENTSMITHY)
def wrong_member(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, places(events, typed(*_MEMBERS)))
    assert at is not None
    listed = [] if events[at]["type"] == "user" else [["x"]]  # a prompt may have been a list of parts
    wrong = draw(st.sampled_from([None, 7, False, *listed]))
    events[at] = changed(events[at], _MEMBERS[events[at]["type"]], wrong)
    return events


@on_events("unknown-type", "AS-EVT-02", AGENTSMITHY)
def unknown_type(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = draw(st.integers(0, len(events)))
    kind = draw(st.sampled_from(["Chat", "chat ", "message", "tool_result", "chat.start"]))
    return [*events[:at], {"type": kind, "content": "x", "dialog_id": events[0]["dialog_id"]}, *events[at:]]


@on_events("tool-call-lost", "AS-TOOL-01a", AGENTSMITHY, wanted=CALLED)
def call_lost(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, places(events, typed("tool_call")))
    assert at is not None
    return events[:at] + events[at + 1 :]


@on_events("tool-call-doubled", "AS-TOOL-01a", AGENTSMITHY, wanted=CALLED)
def call_doubled(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, places(events, typed("tool_call")))
    assert at is not None
    again = draw(st.integers(at, len(events) - 1))
    return [*events[:again], events[at], *events[again:]]


@on_events("tool-call-altered", "AS-TOOL-01a", AGENTSMITHY, wanted=CALLED)
def call_altered(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, places(events, typed("tool_call")))
    assert at is not None
    call = events[at]
    ways = [
        changed(call, "name", f"{call['name']}s"),
        changed(call, "args", "path", call["args"]["path"] + "x"),
        changed(call, "args", {}),
        changed(call, "args", {"args": call["args"]}),
    ]
    events[at] = draw(st.sampled_from(ways))
    return events


@on_events("tool-call-late", "AS-TOOL-01a", AGENTSMITHY, wanted=Wanted(after=True, tools=1, fails=""))
def call_late(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    """The last of the calls comes after all text, where text was to follow it."""
    at = places(events, typed("tool_call"))[-1]
    later = places(events[at:], _content("chat"))
    equal = [
        event for event in events if event["type"] == "tool_call" and event["args"] == events[at]["args"]
    ]
    if not later or len(equal) > 1:
        return None
    return [*events[:at], *events[at + 1 : -1], events[at], events[-1]]


@on_events("parallel-calls-swapped", "AS-TOOL-01b", AGENTSMITHY, wanted=Wanted(tools=2, fails=""))
def calls_swapped(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    calls = places(events, typed("tool_call"))
    first = draft.script.turns[0].tools
    left, right = calls[0], calls[1]
    told = [(event["name"], event["args"]) for event in events if event["type"] == "tool_call"]
    if len(first) < 2 or any(told.count(told[n]) > 1 for n in (0, 1)):
        return None
    events[left], events[right] = events[right], events[left]
    return events


@on_events("edit-lost", "AS-TOOL-02", AGENTSMITHY, wanted=EDITED)
def edit_lost(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, places(events, typed("file_edit")))
    assert at is not None
    return events[:at] + events[at + 1 :]


@on_events("edit-not-absolute", "AS-TOOL-02", AGENTSMITHY, wanted=EDITED)
def edit_relative(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, places(events, typed("file_edit")))
    assert at is not None
    name = events[at]["file"].removeprefix(f"{WORKSPACE}/")
    events[at] = changed(
        events[at], "file", draw(st.sampled_from([name, f"./{name}", f"{WORKSPACE}/other/{name}"]))
    )
    return events


@on_events("edit-before-any-call", "AS-TOOL-03", AGENTSMITHY, wanted=EDITED)
def edit_first(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = places(events, typed("file_edit"))[0]
    first = places(events, typed("tool_call"))[0]
    edit = events.pop(at)
    return [*events[:first], edit, *events[first:]]


@on_events("edit-outside", "AS-TOOL-04", AGENTSMITHY, wanted=EDITED)
def edit_outside(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, places(events, typed("file_edit")))
    assert at is not None
    outside = draw(
        st.sampled_from(["/srv/workx/a", f"{WORKSPACE}/../a", "/etc/passwd", "../a", WORKSPACE + "/.."])
    )
    events[at] = changed(events[at], "file", outside)
    return events


@on_events("user-missing", "AS-2-01", SECOND)
def user_missing(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    return events[1:]


@on_events("prompt-altered", "AS-2-01", SECOND)
def prompt_altered(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    prompt = events[0]["content"]
    ways = [prompt + " ", prompt[:-1], prompt.replace("[", "(", 1), ""]
    return [changed(events[0], "content", draw(st.sampled_from(ways))), *events[1:]]


@on_events("segment-without-start", "AS-2-02a", SECOND, wanted=SPOKEN)
def no_start(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, places(events, typed("chat_start", "reasoning_start", "summary_start")))
    return None if at is None else events[:at] + events[at + 1 :]


@on_events("segment-without-end", "AS-2-02a", SECOND, wanted=SPOKEN)
def no_end(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, places(events, typed("chat_end", "reasoning_end", "summary_end")))
    return None if at is None else events[:at] + events[at + 1 :]


@on_events("segments-overlap", "AS-2-02b", SECOND, wanted=THOUGHT)
def overlap(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    """The end of a segment comes after the start of the next, of another kind."""
    ends = [
        number
        for number in places(events, typed("chat_end", "reasoning_end"))
        if events[number + 1]["type"].endswith("_start")
        and events[number + 1]["type"].partition("_")[0] != events[number]["type"].partition("_")[0]
    ]
    at = pick(draw, ends)
    if at is None:
        return None
    events[at], events[at + 1] = events[at + 1], events[at]
    return events


@on_events("something-after-an-error", "AS-2-03", SECOND, wanted=Wanted(fails="in-stream"))
def after_error(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    between = draw(
        st.sampled_from(
            [{"type": "summary_start"}, {"type": "chat", "content": ""}, {"type": "error", "error": "x"}]
        )
    )
    return [*events[:-1], {**between, "dialog_id": events[-1]["dialog_id"]}, events[-1]]


@on_events("diff-is-none", "AS-2-04", SECOND, wanted=EDITED)
def bad_diff(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    at = pick(draw, places(events, typed("file_edit")))
    assert at is not None
    name = events[at]["file"].rpartition("/")[2]
    ways = [
        "the file was changed",
        f"--- a/{name}\n+++ b/{name}\n",
        "--- a/other\n+++ b/other\n@@ -1 +1 @@\n-a\n+b\n",
        f"--- a/{name}\n+++ b/{name}\n@@ -1,2 +1 @@\n-a\n+b\n",
        f"--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-a\n+b\n+c\n",
    ]
    events[at] = changed(events[at], "diff", draw(st.sampled_from(ways)))
    return events


def _untold(kind: str, breaks: str) -> None:
    @on_events(f"failure-untold-{kind}", breaks, AGENTSMITHY, wanted=Wanted(fails=kind))
    def untold(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
        return [event for event in events if event["type"] != "error"]


for _kind, _breaks in (("status", "01a"), ("in-stream", "01b"), ("reset", "02a"), ("close", "02b")):
    _untold(_kind, f"AS-ERR-{_breaks}")


@on_events("error-says-nothing", "AS-ERR-01a", AGENTSMITHY, wanted=Wanted(fails="status"))
def blank_error(draw: st.DrawFn, draft: Draft, events: Events) -> Events | None:
    blank = draw(st.sampled_from(["", " ", "\n"]))
    return [changed(event, "error", blank) if event["type"] == "error" else event for event in events]
