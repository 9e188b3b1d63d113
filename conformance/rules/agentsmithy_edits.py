"""AgentSmithy: file edits (AgentSmithy protocol 1, §file_edit, §Security Notes: "Validate file paths")."""

from __future__ import annotations

import ntpath
import posixpath
from collections.abc import Iterable, Iterator
from typing import ClassVar

from conformance.agentsmithy import STREAM_PROBES
from conformance.findings import Finding, Judgement
from conformance.message import Message
from conformance.profile import Profile
from conformance.rules._agentsmithy import Play, events, first, is_call, plays, shown, whole
from conformance.rules.base import Case, Stream, StreamContext, StreamRule, check, stream_check
from conformance.script import ToolCall

_FAMILY = ("agentsmithy",)


@check("AS-TOOL-02", probes=("edit", "edit-twice", "deletion"), families=_FAMILY)
def edits_are_told(case: Case) -> Judgement:
    """Each edit has its `file_edit`, with the absolute path of the file, after its `tool_call`."""
    findings: list[Finding] = []
    judged = 0
    inconclusive = ""
    for play in plays(case):
        calls = [(call, path) for call in play.script.tools if (path := _edited(call, case.profile))]
        if not calls:
            continue
        if play.stream is None:
            inconclusive = inconclusive or play.problem
            continue
        _, problem = whole(play)
        if problem:
            inconclusive = inconclusive or problem
            continue
        judged += len(calls)
        findings.extend(_missing_edits(play, play.stream, calls, _roots(case)))
    return Judgement(tuple(findings), judged, inconclusive=inconclusive)


def _missing_edits(
    play: Play, stream: Stream, calls: list[tuple[ToolCall, str]], roots: tuple[str, ...]
) -> Iterator[Finding]:
    """Each call takes the first `file_edit` of its file that follows its `tool_call` and is not taken yet."""
    edits = list(events(stream, "file_edit"))
    told = list(events(stream, "tool_call"))
    for call, path in calls:
        event = next((m for m in told if is_call(m, call)), None)
        if event is None:
            continue  # AS-TOOL-01a speaks
        told.remove(event)
        edit = next(
            (m for m in edits if m.event.index > event.event.index and _is_file(m, path, roots)), None
        )
        if edit is not None:
            edits.remove(edit)
            continue
        near = next((m for m in edits if m.event.index > event.event.index), None)
        early = next((m for m in edits if _is_file(m, path, roots)), None)
        if near is not None:
            observed = f"file_edit with file {shown(near.body.get('file'))}"
        elif early is not None:
            observed = f"its file_edit is event {early.event.index}, before the tool_call"
        else:
            observed = "no file_edit after the tool_call"
        yield stream.finding(
            "An edit is not told as it was made",
            expected=f"after event {event.event.index}, a file_edit with the absolute path of {path!r}",
            observed=observed,
            at=near or early or event,
        )


@stream_check("AS-TOOL-03", probes=STREAM_PROBES, families=_FAMILY)
class NoEditWithoutCall(StreamRule):
    """No `file_edit` comes before the stream's first `tool_call`."""

    types: ClassVar[frozenset[str] | None] = frozenset({"tool_call", "file_edit"})

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._called = not context.from_start

    def feed(self, message: Message) -> Iterable[Finding]:
        if message.type == "tool_call":
            self._called = True
            return ()
        self.judged += 1
        if self._called:
            return ()
        return [
            self.finding(
                message,
                "A file_edit comes before any tool_call",
                expected="the tool_call that edits, then its file_edit",
                observed="a file_edit, and no tool_call before it in this stream",
            )
        ]


@check("AS-TOOL-04", probes=STREAM_PROBES, families=_FAMILY, every=False)
def edits_stay_inside(case: Case) -> Judgement:
    """No `file_edit` names a file outside the workspace."""
    if not case.profile.workspace:
        return Judgement(not_applicable="the profile names no workspace")
    findings: list[Finding] = []
    judged = 0
    roots = _roots(case)
    for stream in case.streams:
        for message in events(stream, "file_edit"):
            file = message.body.get("file")
            if not isinstance(file, str):
                continue
            judged += 1
            if not any(_inside(file, root) for root in roots):
                findings.append(
                    stream.finding(
                        "A file outside the workspace was edited",
                        expected=f"files inside {case.profile.workspace} only",
                        observed=f"file_edit with file {shown(file)}",
                        at=message,
                    )
                )
    return Judgement(tuple(findings), judged)


@check("AS-TOOL-04", probes=("escape",), families=_FAMILY)
def escapes_are_refused(case: Case) -> Judgement:
    """A path that leaves the workspace was tried, and the target answered (its edits are judged above)."""
    if not case.profile.workspace:
        return Judgement(not_applicable="the profile names no workspace")
    for play in plays(case):
        if play.stream is None:
            return Judgement(inconclusive=play.problem)
        if first(play.stream, "tool_call") is None:
            return Judgement(inconclusive="the agent called no tool")
        return Judgement(judged=1)
    return Judgement()


def _edited(call: ToolCall, profile: Profile) -> str:
    """The path that a call edits, as its arguments name it; "" if it is no edit."""
    tools = [tool for tool in (profile.tools.edit, profile.tools.delete) if tool is not None]
    tool = next((tool for tool in tools if tool.name == call.name), None)
    path = None if tool is None else call.args.get(tool.path)
    return path if isinstance(path, str) else ""


def _roots(case: Case) -> tuple[str, ...]:
    """The workspace as the profile names it, and with symbolic links resolved where the probe saw that."""
    roots = {case.profile.workspace, case.observation.fact("workspace")}
    return tuple(sorted(_normal(root) for root in roots if isinstance(root, str)))


def _is_file(message: Message, path: str, roots: tuple[str, ...]) -> bool:
    """Whether a `file_edit` names that file absolutely; where no workspace is known, by the path's end."""
    file = message.body.get("file")
    if not isinstance(file, str) or not _is_absolute(file):
        return False
    if _is_absolute(path):
        return _normal(file) == _normal(path)
    if roots:
        return any(_normal(file) == _normal(f"{root}/{path}") for root in roots)
    return _normal(file).endswith("/" + _normal(path))


def _inside(file: str, root: str) -> bool:
    path = file if _is_absolute(file) else f"{root}/{file}"  # that it is relative is AS-TOOL-02's business
    return _normal(path).startswith(root.rstrip("/") + "/")


def _is_absolute(path: str) -> bool:
    # Paths are the target's, and it may run on Windows.
    return posixpath.isabs(path) or bool(ntpath.splitdrive(path)[0])


def _normal(path: str) -> str:
    windows = bool(ntpath.splitdrive(path)[0])
    if windows:
        path = path.replace("\\", "/").lower()
    normal = posixpath.normpath(path)
    return "/" + normal.lstrip("/") if normal.startswith("/") else normal  # POSIX keeps two leading slashes
