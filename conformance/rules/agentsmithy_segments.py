"""AgentSmithy revision 2: the user's message first, segments, and what follows an error.

Source: AgentSmithy protocol 2, the events `user`, `*_start`, `*_end`, `error` and `done`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import ClassVar

from conformance.agentsmithy import STREAM_PROBES
from conformance.findings import Finding, Judgement
from conformance.message import Message
from conformance.rules._agentsmithy import shown
from conformance.rules.base import (
    Case,
    Run,
    Stream,
    StreamContext,
    StreamRule,
    check,
    stream_check,
)

_FAMILY = ("agentsmithy",)
_SEGMENTS = ("chat", "reasoning", "summary")
_STARTS = {f"{name}_start": name for name in _SEGMENTS}
_ENDS = {f"{name}_end": name for name in _SEGMENTS}


@stream_check("AS-2-01", probes=STREAM_PROBES, families=_FAMILY)
class UserFirst(StreamRule):
    """The first event is the user's message."""

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._begun = not context.from_start

    def takes(self, run: Run) -> bool:
        return self._begun

    def feed(self, message: Message) -> Iterable[Finding]:
        if self._begun:
            return ()
        self._begun = True
        if message.error:
            return ()
        self.judged += 1
        if message.type == "user":
            return ()
        return [
            self.finding(
                message,
                "The stream does not begin with the user's message",
                expected="a user event first",
                observed=f"an event of type {message.type!r} first",
            )
        ]


@check("AS-2-01", probes=STREAM_PROBES, families=_FAMILY, recorded=True, every=False)
def user_event_has_the_prompt(case: Case) -> Judgement:
    """The content of the first `user` event is the prompt, as the request has it."""
    findings: list[Finding] = []
    judged = 0
    for stream in case.streams:
        message = next(iter(stream.read()), None)
        prompt = _prompt(stream)
        if message is None or message.type != "user" or prompt is None:
            continue
        judged += 1
        content = message.body.get("content")
        if content != prompt:
            findings.append(
                stream.finding(
                    "The user event does not hold the prompt",
                    expected=f"content {shown(prompt)}",
                    observed=f"content {shown(content)}",
                    at=message,
                )
            )
    return Judgement(tuple(findings), judged)


def _prompt(stream: Stream) -> str | None:
    """The last message of the user in the stream's own request, where it is text."""
    try:
        body = json.loads(stream.transcript.request.body or b"")
        texts = [entry["content"] for entry in body["messages"] if entry["role"] == "user"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return texts[-1] if texts and isinstance(texts[-1], str) else None


@stream_check("AS-2-02a", probes=STREAM_PROBES, families=_FAMILY)
class Balanced(StreamRule):
    """Segments start and end in pairs, and `chat` and `reasoning` come only inside their own."""

    types: ClassVar[frozenset[str] | None] = frozenset({*_STARTS, *_ENDS, "chat", "reasoning", "done"})

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._open: dict[str, int] = {}  # segment → number of the event that started it
        self._done = False

    def feed(self, message: Message) -> Iterable[Finding]:
        kind = message.type
        if not self.context.from_start or self._done:
            return ()  # what comes after done is AS-END-02's business
        self.judged += 1
        if (name := _STARTS.get(kind)) is not None:
            return self._start(message, name)
        if (name := _ENDS.get(kind)) is not None:
            if self._open.pop(name, None) is not None:
                return ()
            return [
                self._wrong(message, f"A {name} segment ends that was not open", f"{name}_start before it")
            ]
        if kind == "done":
            self._done = True
            return [
                self._wrong(
                    message, f"A {name} segment is still open at done", f"{name}_end for event {start}"
                )
                for name, start in self._open.items()
            ]
        if kind in self._open:
            return ()
        return [self._wrong(message, f"A {kind} event comes outside its segment", f"{kind}_start before it")]

    def _start(self, message: Message, name: str) -> list[Finding]:
        before = self._open.get(name)
        self._open[name] = message.block.number
        if before is None:
            return []
        return [
            self._wrong(
                message, f"A {name} segment starts inside another", f"{name}_end for event {before} first"
            )
        ]

    def _wrong(self, message: Message, title: str, expected: str) -> Finding:
        opened = ", ".join(f"{name} since event {start}" for name, start in self._open.items())
        return self.finding(
            message, title, expected=expected, observed=f"{message.type}; open segments: {opened or 'none'}"
        )


@stream_check("AS-2-02b", probes=STREAM_PROBES, families=_FAMILY)
class NoOverlap(StreamRule):
    """No segment starts while another is open. Told once in a stream."""

    types: ClassVar[frozenset[str] | None] = frozenset({*_STARTS, *_ENDS})

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._open: dict[str, int] = {}
        self._told = False

    def feed(self, message: Message) -> Iterable[Finding]:
        if (ended := _ENDS.get(message.type)) is not None:
            self._open.pop(ended, None)
            return ()
        name = _STARTS[message.type]
        self.judged += 1
        others = [f"{other} since event {at}" for other, at in self._open.items() if other != name]
        self._open[name] = message.block.number
        if not others or self._told:
            return ()
        self._told = True
        return [
            self.finding(
                message,
                "Segments overlap",
                expected="a segment ends before another starts",
                observed=f"{message.type} while open: {', '.join(others)}",
            )
        ]


@stream_check("AS-2-03", probes=STREAM_PROBES, families=_FAMILY)
class DoneFollowsError(StreamRule):
    """The event after `error` is `done`. That `done` comes at all is AS-END-03's business."""

    def __init__(self, context: StreamContext) -> None:
        super().__init__(context)
        self._error: int | None = None

    def feed(self, message: Message) -> Iterable[Finding]:
        error, self._error = self._error, None
        if message.type == "error":
            self._error = message.block.number
        if error is None:
            return ()
        self.judged += 1
        if message.type == "done" or message.error:
            return ()
        return [
            self.finding(
                message,
                "Something comes between error and done",
                expected=f"done right after the error, which is event {error}",
                observed=f"an event of type {message.type!r}",
            )
        ]
