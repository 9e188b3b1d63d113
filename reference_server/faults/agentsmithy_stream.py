"""Faults of AgentSmithy's event streams: types, members, order, endings, segments."""

from __future__ import annotations

from reference_server.faults.hooks import Json, Stream, on_blocks, on_events


@on_events("chat-without-content")
def no_content(stream: Stream, event: Json) -> Json:
    if event["type"] == "chat" and stream.number % 2 == 0:
        event.pop("content", None)
        event["text"] = ""
    return event


@on_events("content-null-once")
def null_content(stream: Stream, event: Json) -> list[Json] | Json:
    if event["type"] == "chat" and not stream.own.setdefault("done", False):
        stream.own["done"] = True
        return [event, {**event, "content": None}]
    return event


@on_events("done-as-text")
def done_text(stream: Stream, event: Json) -> Json:
    if event["type"] == "done":
        event["done"] = "true"
    return event


@on_events("args-as-text")
def args_text(stream: Stream, event: Json) -> Json:
    if event["type"] == "tool_call":
        event["args"] = str(event["args"])
    return event


@on_events("unknown-type-after-a-tool")
def unknown_type(stream: Stream, event: Json) -> Json | list[Json]:
    if event["type"] == "tool_call":
        return [event, {"type": "tool_progress", "dialog_id": event["dialog_id"]}]
    return event


@on_events("dialog-id-missing-on-errors")
def no_dialog(stream: Stream, event: Json) -> Json:
    if event["type"] == "error":
        del event["dialog_id"]
    return event


@on_events("dialog-id-changes")
def dialog_changes(stream: Stream, event: Json) -> Json:
    if stream.count >= 6:
        event["dialog_id"] += "0"
    return event


@on_events("dialog-id-of-its-own")
def own_dialog(stream: Stream, event: Json) -> Json:
    event["dialog_id"] = f"own-{stream.number}"
    return event


@on_events("dialog-id-a-number")
def dialog_number(stream: Stream, event: Json) -> Json:
    if event["type"] == "done":
        event["dialog_id"] = 7
    return event


@on_events("done-twice")
def done_twice(stream: Stream, event: Json) -> Json | list[Json]:
    return [event, event] if event["type"] == "done" else event


@on_events("done-twice-after-a-tool")
def done_twice_tool(stream: Stream, event: Json) -> Json | list[Json]:
    stream.own["tool"] = stream.own.get("tool") or event["type"] == "tool_call"
    return [event, event] if event["type"] == "done" and stream.own["tool"] else event


@on_events("event-after-done")
def after_done(stream: Stream, event: Json) -> Json | list[Json]:
    if event["type"] == "done":
        return [event, {"type": "chat", "content": "", "dialog_id": event["dialog_id"]}]
    return event


@on_events("done-early")
def done_early(stream: Stream, event: Json) -> Json | list[Json] | None:
    """`done` comes before the last character of the text; until then the text is one character behind."""
    kept = stream.own.pop("kept", None)
    if event["type"] == "chat":
        text = ("" if kept is None else kept["content"]) + event["content"]
        stream.own["kept"] = {**event, "content": text[-1:]}
        return {**event, "content": text[:-1]}
    if kept is None:
        return event
    return [event, kept] if event["type"] == "done" else [kept, event]


@on_events("done-missing")
def no_done(stream: Stream, event: Json) -> Json | None:
    return None if event["type"] == "done" else event


@on_events("done-missing-after-an-error")
def no_done_error(stream: Stream, event: Json) -> Json | None:
    stream.own["error"] = stream.own.get("error") or event["type"] == "error"
    return None if event["type"] == "done" and stream.own["error"] else event


@on_events("done-missing-when-empty")
def no_done_empty(stream: Stream, event: Json) -> Json | None:
    said = stream.own["said"] = stream.own.get("said") or event["type"] not in ("user", "done")
    return event if event["type"] != "done" or said else None


@on_events("done-missing-after-a-tool")
def no_done_tool(stream: Stream, event: Json) -> Json | None:
    stream.own["tool"] = stream.own.get("tool") or event["type"] == "tool_call"
    return None if event["type"] == "done" and stream.own["tool"] else event


@on_events("done-missing-every-twentieth-time")
def no_done_rarely(stream: Stream, event: Json) -> Json | None:
    return None if event["type"] == "done" and stream.number % 20 == 10 else event


@on_events("file-edit-relative")
def relative(stream: Stream, event: Json) -> Json:
    if event["type"] == "file_edit":
        event["file"] = event["file"].rsplit("/", 1)[-1]
    return event


@on_events("file-edit-missing")
def no_edit(stream: Stream, event: Json) -> Json | None:
    return None if event["type"] == "file_edit" else event


@on_events("second-file-edit-missing")
def no_second_edit(stream: Stream, event: Json) -> Json | None:
    if event["type"] != "file_edit":
        return event
    stream.own["edits"] = stream.own.get("edits", 0) + 1
    return None if stream.own["edits"] == 2 else event


@on_events("deletion-not-told")
def no_deletion(stream: Stream, event: Json) -> Json | None:
    if event["type"] == "tool_call":
        stream.own["name"] = event["name"]
    return None if event["type"] == "file_edit" and stream.own.get("name") == "delete_file" else event


@on_events("file-edit-before-its-tool-call")
def edit_first(stream: Stream, event: Json) -> Json | list[Json] | None:
    if event["type"] == "tool_call" and event["name"] in ("write_to_file", "delete_file"):
        stream.own["call"] = event
        return None
    if event["type"] == "file_edit":
        return [event, stream.own.pop("call")]
    return event


@on_events("file-edit-without-tool-call")
def edit_alone(stream: Stream, event: Json) -> Json | list[Json]:
    if event["type"] == "chat" and not stream.own.setdefault("done", False) and stream.number % 5 == 0:
        stream.own["done"] = True
        edit = {"type": "file_edit", "file": "/workspace/x.txt", "dialog_id": event["dialog_id"]}
        return [edit, event]
    return event


@on_events("edit-outside-the-workspace")
def edit_outside(stream: Stream, event: Json) -> Json | list[Json]:
    outside = event["type"] == "tool_call" and ".." in str(event["args"].get("path", ""))
    if outside and event["name"] == "write_to_file":
        edit = {"type": "file_edit", "file": "/tmp/outside.txt", "dialog_id": event["dialog_id"]}
        return [event, edit]
    return event


@on_events("tool-call-twice")
def call_twice(stream: Stream, event: Json) -> Json | list[Json]:
    return [event, event] if event["type"] == "tool_call" and stream.number % 3 == 0 else event


@on_events("tool-call-under-another-name")
def renamed(stream: Stream, event: Json) -> Json:
    if event["type"] == "tool_call":
        event["name"] = event["name"].replace("_", "-")
    return event


# ---------------------------------------------------------------- revision 2


@on_events("user-missing")
def no_user(stream: Stream, event: Json) -> Json | None:
    return None if event["type"] == "user" and stream.number % 2 == 0 else event


@on_events("user-shortened")
def short_user(stream: Stream, event: Json) -> Json:
    if event["type"] == "user":
        event["content"] = event["content"][:200]
    return event


@on_events("user-after-the-first-segment")
def late_user(stream: Stream, event: Json) -> Json | list[Json] | None:
    if event["type"] == "user":
        stream.own["user"] = event
        return None
    kept = stream.own.pop("user", None)
    if kept is None:
        return event
    return [event, kept] if event["type"].endswith("_start") else [kept, event]


@on_events("segment-never-ends-on-errors")
def open_segment(stream: Stream, event: Json) -> Json | list[Json] | None:
    kept = stream.own.pop("end", None)
    if event["type"] in ("chat_end", "reasoning_end"):
        stream.own["end"] = event
        return [] if kept is None else [kept]
    if kept is None or event["type"] == "error":
        return event
    return [kept, event]


@on_events("chat-outside-its-segment")
def outside(stream: Stream, event: Json) -> Json | None:
    again = stream.own.get("seen")
    if event["type"] == "chat_start":
        stream.own["seen"] = True
    ends = event["type"] == "chat_end" and stream.own.get("dropped")
    if event["type"] == "chat_start" and again:
        stream.own["dropped"] = True
        return None
    if ends:
        stream.own["dropped"] = False
        return None
    return event


@on_events("reasoning-in-a-chat-segment")
def mixed_up(stream: Stream, event: Json) -> Json:
    if event["type"] in ("reasoning_start", "reasoning_end"):
        event["type"] = "chat" + event["type"][9:]
    return event


@on_events("segments-overlap")
def overlap(stream: Stream, event: Json) -> Json | list[Json] | None:
    if event["type"] == "reasoning_end":
        stream.own["end"] = event
        return None
    kept = stream.own.get("end")
    if kept is not None:
        del stream.own["end"]
        return [event, kept] if event["type"] == "chat_start" else [kept, event]
    return event


@on_events("words-after-the-error")
def after_error(stream: Stream, event: Json) -> Json | list[Json]:
    if event["type"] == "error":
        frame = {"dialog_id": event["dialog_id"]}
        return [event, {"type": "chat_start", **frame}, {"type": "chat_end", **frame}]
    return event


@on_events("second-error")
def second_error(stream: Stream, event: Json) -> Json | list[Json]:
    return [event, event] if event["type"] == "error" else event


@on_events("diff-of-another-file")
def other_diff(stream: Stream, event: Json) -> Json:
    if event["type"] == "file_edit" and "diff" in event:
        event["diff"] = event["diff"].replace("sse-conformance", "other")
    return event


@on_events("diff-without-header")
def no_diff_header(stream: Stream, event: Json) -> Json:
    if event["type"] == "file_edit" and "diff" in event:
        event["diff"] = "\n".join(event["diff"].split("\n")[2:])
    return event


@on_events("diff-counts-wrong")
def wrong_counts(stream: Stream, event: Json) -> Json:
    if event["type"] == "file_edit" and "diff" in event:
        event["diff"] = event["diff"].rstrip("\n").rsplit("\n", 1)[0] + "\n"
    return event


# ---------------------------------------------------------------- slow readers


@on_blocks("slow-reader-loses-chunks")
def slow_hole(stream: Stream, given: bytes) -> bytes:
    """Once a stream is long, every 500th chunk is dropped."""
    return b"" if stream.count > 3_000 and stream.count % 500 == 0 else given
