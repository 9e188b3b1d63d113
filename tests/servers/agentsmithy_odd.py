"""The same agent, with oddities that AgentSmithy's documents leave room for: a verdict against it is the judge's fault.

- Every event has members that no document shows, and `done` says what the answer cost.
- A piece of the model's text becomes several events, and a segment ends and begins again in the middle of an answer;
  what the model thought is over before the answer begins.
- A summarisation is told before each answer and between model calls.
- The agent looks around by a tool of its own before it asks its model; tool calls are told with their defaults.
- A formatter edits each file that was written once more.
- Each dialog gets a title from the model, beside the conversation.
- An id that is not known opens a dialog of that name; while a dialog is answered, a second prompt gets 409.
- A model call that is refused is made again, twice.
- Histories hold what no document names, and cut a text into pieces.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import agentsmithy_agent as base
import openai
from agentsmithy_agent import Dialog, Event, Said
from starlette.exceptions import HTTPException

TITLE = "You are a title generator. Answer with a title of at most five words."


class OddAgent(base.Agent):
    def __init__(self, settings: base.Settings, workspace: base.Workspace) -> None:
        self.answering: set[str] = set()
        self.beside: set[asyncio.Task[None]] = set()
        super().__init__(settings, workspace)

    def dialog(self, name: str) -> Dialog:
        if not (0 < len(name) < 200 and name.isprintable()):
            raise HTTPException(400, "such an id is not taken")
        if name in self.answering:
            raise HTTPException(409, "this dialog is being answered")
        return self.dialogs.setdefault(name, Dialog(name))

    def told(self, dialog: Dialog) -> list[Event]:
        told: list[Event] = []
        for entry in dialog.history:
            pieces = halves(entry["content"]) if entry["type"] == "chat" else [entry.get("content")]
            told += [{**entry, "content": piece} if piece is not None else entry for piece in pieces]
            if entry["type"] == "tool_call":
                told.append({"type": "tool_result", "call": entry.get("id"), "ok": True})
        return told

    async def turn(self, dialog: Dialog, prompt: str) -> AsyncIterator[Event]:
        # Only what begins to be answered holds the dialog; its end, whoever brings it about, lets it go.
        self.answering.add(dialog.id)
        if not dialog.conversation:
            self.beside.add(task := asyncio.create_task(self.title(prompt)))
            task.add_done_callback(self.beside.discard)
        number = 0
        try:
            async with contextlib.aclosing(super().turn(dialog, prompt)) as events:
                async for event in events:
                    for odd in self.around(dialog, event):
                        number += 1
                        yield {"v": 2, "seq": number, **odd}
        finally:
            self.answering.discard(dialog.id)

    def around(self, dialog: Dialog, event: Event) -> Iterator[Event]:
        if event["type"] == "done":
            yield event | {"usage": {"tokens": 7}, "model": "gpt-5"}
            return
        yield event
        if event["type"] == "user":
            yield from ({"type": "summary_start"}, {"type": "summary_end", "skipped": True})
            look: Event = {"type": "tool_call", "name": "list_files", "args": {"path": ".", "deep": False}}
            dialog.history.append(look)
            yield look

    async def title(self, prompt: str) -> None:
        with contextlib.suppress(openai.OpenAIError, RuntimeError):
            name, base_url, key = self.settings.model()
            client = base.client(base_url, key)
            await client.responses.create(model=name, instructions=TITLE, input=f"The prompt: {prompt}")

    async def listen(self, dialog: Dialog, said: Said) -> AsyncIterator[Event]:
        for attempt in (1, 2, 3):
            try:
                async with contextlib.aclosing(super().listen(dialog, said)) as events:
                    async for event in in_segments(events):
                        yield event
            except openai.APIStatusError:
                if attempt == 3:
                    raise
            else:
                break
        if said.calls:
            yield {"type": "summary_start"}
            yield {"type": "summary_end"}

    async def use(self, dialog: Dialog, key: str, name: str, arguments: str) -> AsyncIterator[Event]:
        async for event in super().use(dialog, key, name, arguments):
            if event["type"] == "tool_call":
                dialog.history[-1]["args"] = args = {"encoding": "utf-8", **event["args"]}
                yield event | {"args": args, "call_id": key}
                continue
            yield event
            if name == "write_to_file":
                formatted = {"type": "file_edit", "file": event["file"], "by": "formatter"}
                dialog.history.append(formatted)
                yield formatted


async def in_segments(events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    """Events of text in halves, each third piece in a segment of its own; thoughts end before the text begins."""
    thinking, count = False, 0
    async for event in events:
        kind = event["type"]
        if kind == "reasoning_start":
            thinking = True
        elif kind == "reasoning_end":
            if not thinking:
                continue
            thinking = False
        elif kind == "chat_start" and thinking:
            thinking = False
            yield {"type": "reasoning_end"}
        if kind != "chat":
            yield event
            continue
        count += 1
        for half in halves(event["content"]):
            yield event | {"content": half}
        if count % 3 == 0:
            yield {"type": "chat_end"}
            yield {"type": "chat_start"}


def halves(text: str) -> list[str]:
    middle = len(text) // 2
    return [half for half in (text[:middle], text[middle:]) if half]


if __name__ == "__main__":
    base.main(OddAgent)
