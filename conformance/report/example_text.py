"""An example as text for people: the bytes of a stream, or the exchanges that a probe saw, as `curl -v` shows them.

Lines that begin with `>` were sent, with `<` received; `*` tells what else is known. The body follows as it came:
`␊` is a line feed, and every other byte that nobody would see is written out (`conformance.visible`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from conformance.examples import Example
from conformance.profile_file import default_profile
from conformance.transcript import Action, Ended, Observation, Transcript
from conformance.visible import visible

_ENDED = {
    Ended.COMPLETE: "the server ended it in order",
    Ended.TRUNCATED: "the server broke it off",
    Ended.RESET: "the server reset the connection",
    Ended.CLOSED_BY_US: "the client hung up",
    Ended.DEADLINE: "still open when the deadline passed",
    Ended.CAPPED: "the client had read as much as it wanted",
    Ended.PROTOCOL_ERROR: "the client could not read on",
    Ended.NO_RESPONSE: "the connection ended without an answer",
}


def good_text(example: Example) -> str:
    """The good example as lines of text."""
    return "\n".join(_lines(example.good, None))


def bad_text(example: Example) -> str:
    """The bad example; exchanges that are the good one's are named and not shown again."""
    return "\n".join(_lines(example.bad, example.good))


def body_text(data: bytes) -> str:
    """A body with its line feeds and everything else that is hidden made visible."""
    return visible(data).replace("\n", "␊\n").removesuffix("\n")


def _lines(shown: Observation, other: Observation | None) -> Iterator[str]:
    if shown.fact("head") == "assumed":
        yield body_text(shown.transcripts[0][1].body)
        return
    known = (
        ("what is declared", _declared(shown), () if other is None else _declared(other)),
        ("what was done", _done(shown), () if other is None else _done(other)),
        ("what was measured", _measured(shown), () if other is None else _measured(other)),
    )
    same = [title for title, ours, theirs in known if ours and ours == theirs]
    for _, ours, theirs in known:
        if ours != theirs:
            yield from ours
    same += [role for role, transcript in shown.transcripts if other and other.transcript(role) == transcript]
    if same:
        yield f"* as in the good example: {', '.join(same)}"
    for role, transcript in shown.transcripts:
        if role not in same:
            if len(shown.transcripts) > 1:
                yield f"* {role}:"
            yield from _exchange(transcript)


def _declared(shown: Observation) -> tuple[str, ...]:
    """What the profile says beyond the default of its revision."""
    usual = default_profile(shown.profile.protocol, shown.profile.url)
    said = []
    for part, ours, theirs in (
        ("", shown.profile.capabilities, usual.capabilities),
        ("limits.", shown.profile.limits, usual.limits),
    ):
        for name in ours.__dataclass_fields__:
            value = getattr(ours, name)
            if value != getattr(theirs, name):
                said.append(f"* declared: {part}{name} = {_json(value)}")
    if shown.profile.workspace:
        said.append(f"* declared: workspace = {_json(shown.profile.workspace)}")
    return tuple(said)


def _done(shown: Observation) -> tuple[str, ...]:
    return tuple(f"* at {action.at:g} s, {_action(action)}" for action in shown.actions)


def _action(action: Action) -> str:
    words = f"{action.kind} in {action.session}" if action.session else action.kind
    if action.kind == "prompt":
        told = f"; the agent is to do: {_json(action.script.to_data())}" if action.script is not None else ""
        return f"{words}: {_json(action.prompt)}{told}"
    note = f" ({action.note})" if action.note else ""
    answer = "" if action.answer is None else f", answered {_json(action.answer)}"
    return f"{words}{note}{answer}"


def _measured(shown: Observation) -> tuple[str, ...]:
    return tuple(f"* measured: {name} = {_json(value)}" for name, value in shown.facts)


def _json(value: Any) -> str:
    return visible(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _exchange(transcript: Transcript) -> Iterator[str]:
    request, head = transcript.request, transcript.head
    target = "/" + request.url.split("://", 1)[-1].partition("/")[2]
    yield f"> {request.method} {target} HTTP/{request.http_version}"
    yield from (f"> {name}: {value}" for name, value in request.headers)
    if request.body is not None:
        yield ">"
        yield from (f"> {line}" for line in visible(request.body).splitlines())
    if head is not None:
        if head.at - transcript.opened_at > 1:
            yield f"* {head.at:g} s"
        yield f"< HTTP/{head.http_version} {head.status} {head.reason}"
        yield from (f"< {name}: {value}" for name, value in head.headers)
        yield "<"
    # Times matter where something waited.
    first = transcript.opened_at if head is None else head.at
    timed = any(chunk.at - first > 1 for chunk in transcript.chunks) or transcript.opened_at > 0
    for at, pieces in groupby(transcript.chunks, key=lambda chunk: chunk.at):
        if timed:
            yield f"* {at:g} s"
        yield body_text(b"".join(piece.data for piece in pieces))
    surplus = transcript.framing.surplus if transcript.framing is not None else 0
    if surplus:
        yield f"* {surplus} more bytes after the end of the response"
    detail = f": {transcript.detail}" if transcript.detail else ""
    seconds = f" after {transcript.ended_at - transcript.opened_at:g} s"
    silent = transcript.ended in (Ended.CLOSED_BY_US, Ended.DEADLINE) and (timed or head is None)
    yield f"* {_ENDED[transcript.ended]}{seconds if silent else ''}{detail}"
