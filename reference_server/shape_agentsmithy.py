"""AgentSmithy's words for what the agent does: abstract events in, protocol events out. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reference_server.agent import AgentEvent, Failed, Reasoned, Said, ToolBegan, ToolEnded

Event = dict[str, Any]


class Shape:
    """The events of one stream, in revision 1 or 2.

    Revision 2 frames each run of `chat` or `reasoning` by `*_start` and `*_end`; runs never overlap.
    """

    def __init__(self, revision: int, dialog_id: str) -> None:
        self._revision = revision
        self._dialog_id = dialog_id
        self._segment: str | None = None

    def begin(self, prompt: str) -> Iterator[Event]:
        """What comes before the agent's first event."""
        if self._revision >= 2:
            yield self._event("user", content=prompt)

    def show(self, event: AgentEvent) -> Iterator[Event]:
        """The protocol's events for one of the agent's; an error is not the end yet, `end` is."""
        match event:
            case Said(text):
                if self._segment != "chat":
                    yield from self._switch("chat")
                yield self._event("chat", content=text)
            case Reasoned(text):
                yield from self._switch("reasoning")
                yield self._event("reasoning", content=text)
            case ToolBegan(name=name, args=args):
                yield from self._switch(None)
                yield self._event("tool_call", name=name, args=dict(args))
            case ToolEnded(edited=str() as path, diff=diff):
                yield from self._switch(None)
                members = (
                    {"file": path} if diff is None or self._revision < 2 else {"file": path, "diff": diff}
                )
                yield self._event("file_edit", **members)
            case Failed(message):
                yield from self._switch(None)
                yield self._event("error", error=message)
            case _:
                # a new model call, a retry and a tool that changed nothing have no event of their own
                yield from self._switch(None)

    def end(self) -> Iterator[Event]:
        """What ends every stream."""
        yield from self._switch(None)
        yield self._event("done", done=True)

    def _switch(self, segment: str | None) -> Iterator[Event]:
        before, self._segment = self._segment, segment
        if self._revision < 2 or segment == before:
            return
        if before is not None:
            yield self._event(f"{before}_end")
        if segment is not None:
            yield self._event(f"{segment}_start")

    def _event(self, kind: str, **members: Any) -> Event:
        return {"type": kind, **members, "dialog_id": self._dialog_id}
