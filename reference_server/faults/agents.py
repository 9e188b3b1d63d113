"""Faults of what the agent says and does, in any protocol: text, reasoning, tools, errors, the loop itself."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import aclosing
from dataclasses import replace

from reference_server.agent import (
    AgentEvent,
    CallBegan,
    CallEnded,
    Failed,
    Reasoned,
    Said,
    ToolBegan,
    ToolEnded,
)
from reference_server.faults.hooks import Acts, Memory, on_acts

MIB = 1_048_576
Change = Callable[[AgentEvent, "Run"], "AgentEvent | Iterable[AgentEvent] | None"]


class Run:
    """One prompt, as a fault sees it: its number on this server (from 1) and what it has counted so far."""

    def __init__(self, number: int, memory: Memory) -> None:
        self.number = number
        self.memory = memory
        self.chunks = 0  # of text, before the one at hand
        self.characters = 0  # in them
        self.thoughts = 0
        self.tools = 0
        self.kept: list[AgentEvent] = []

    def count(self, act: AgentEvent) -> None:
        """Count what went by."""
        if isinstance(act, Said):
            self.chunks += 1
            self.characters += len(act.text)
        self.thoughts += isinstance(act, Reasoned)
        self.tools += isinstance(act, ToolBegan)


def on_act(name: str) -> Callable[[Change], Change]:
    """A fault of single acts: the function gives what takes an act's place."""

    def register(change: Change) -> Change:
        async def changed(memory: Memory, acts: Acts) -> Acts:
            memory["runs"] = memory.get("runs", 0) + 1
            run = Run(memory["runs"], memory)
            async with aclosing(acts):
                async for act in acts:
                    made = change(act, run)
                    run.count(act)
                    if made is None:
                        continue
                    for each in made if isinstance(made, Iterable) else (made,):
                        yield each

        on_acts(name)(changed)
        return change

    return register


# ---------------------------------------------------------------- text


@on_act("text-nfc")
def nfc(act: AgentEvent, run: Run) -> AgentEvent:
    return Said(unicodedata.normalize("NFC", act.text)) if isinstance(act, Said) else act


@on_act("nul-removed")
def no_nul(act: AgentEvent, run: Run) -> AgentEvent:
    return Said(act.text.replace("\0", "")) if isinstance(act, Said) else act


@on_act("crlf-made-lf")
def crlf(act: AgentEvent, run: Run) -> AgentEvent:
    return Said(act.text.replace("\r\n", "\n")) if isinstance(act, Said) else act


@on_act("unicode-lines-made-newlines")
def unicode_lines(act: AgentEvent, run: Run) -> AgentEvent:
    return Said("\n".join(act.text.split("\u2028"))) if isinstance(act, Said) else act


@on_act("bom-removed-from-text")
def no_bom(act: AgentEvent, run: Run) -> AgentEvent:
    return Said(act.text.replace("\ufeff", "")) if isinstance(act, Said) else act


@on_act("joined-emoji-taken-apart")
def no_zwj(act: AgentEvent, run: Run) -> AgentEvent:
    return Said(act.text.replace("\u200d", "")) if isinstance(act, Said) else act


@on_act("data-stripped-from-text")
def no_data(act: AgentEvent, run: Run) -> AgentEvent:
    return Said(act.text.replace("\ndata: ", "\n")) if isinstance(act, Said) else act


@on_act("chunk-lost-at-a-mebibyte")
def lost_late(act: AgentEvent, run: Run) -> AgentEvent | None:
    if isinstance(act, Said) and run.characters + len(act.text) == MIB:
        return None
    return act


@on_act("large-answer-cut-at-a-megabyte")
def cut_large(act: AgentEvent, run: Run) -> AgentEvent | None:
    return None if isinstance(act, Said) and run.characters >= 1_000_000 else act


@on_act("delta-lost")
def lost(act: AgentEvent, run: Run) -> AgentEvent | None:
    return None if isinstance(act, Said) and run.chunks == 2 else act


@on_act("delta-lost-in-second-turn")
def lost_second(act: AgentEvent, run: Run) -> AgentEvent | None:
    return None if isinstance(act, Said) and run.chunks == 1 and run.number % 2 == 0 else act


@on_act("delta-lost-in-a-long-text")
def lost_long(act: AgentEvent, run: Run) -> AgentEvent | None:
    return None if isinstance(act, Said) and run.chunks == 301 else act


@on_act("delta-doubled")
def doubled(act: AgentEvent, run: Run) -> AgentEvent | tuple[AgentEvent, ...]:
    return (act, act) if isinstance(act, Said) and run.chunks == 1 else act


@on_act("deltas-swapped")
def swapped(act: AgentEvent, run: Run) -> AgentEvent | list[AgentEvent] | None:
    if isinstance(act, Said) and run.chunks == 1:
        run.kept.append(act)
        return None
    kept, run.kept = run.kept, []
    return [act, *kept] if isinstance(act, Said) else [*kept, act]


@on_act("delta-altered")
def altered(act: AgentEvent, run: Run) -> AgentEvent:
    if isinstance(act, Said) and run.chunks == 3:
        return Said(act.text.replace(" ", "  ", 1) if " " in act.text else act.text + " ")
    return act


@on_act("text-trimmed")
def trimmed(act: AgentEvent, run: Run) -> AgentEvent | None:
    return (Said(act.text.rstrip()) if act.text.rstrip() else None) if isinstance(act, Said) else act


@on_act("text-of-later-calls-lost")
def later_lost(act: AgentEvent, run: Run) -> AgentEvent | None:
    return None if isinstance(act, Said) and run.tools else act


@on_act("reasoning-lost")
def reasoning_lost(act: AgentEvent, run: Run) -> AgentEvent | None:
    return None if isinstance(act, Reasoned) and run.thoughts == 1 else act


@on_act("reasoning-doubled-after-a-tool")
def reasoning_doubled(act: AgentEvent, run: Run) -> AgentEvent | tuple[AgentEvent, ...]:
    return (act, act) if isinstance(act, Reasoned) and run.thoughts == 2 else act


@on_act("reasoning-as-text")
def reasoning_as_text(act: AgentEvent, run: Run) -> AgentEvent:
    return Said(act.text) if isinstance(act, Reasoned) else act


@on_act("done-in-text-swallowed")
def done_swallowed(act: AgentEvent, run: Run) -> AgentEvent | None:
    return None if isinstance(act, Said) and act.text.strip() == "data: [DONE]" else act


@on_act("done-in-text-obeyed")
def done_obeyed(act: AgentEvent, run: Run) -> AgentEvent | None:
    if isinstance(act, Said) and '"done": true' in act.text:
        run.kept.append(act)
    return None if isinstance(act, Said) and run.kept else act


@on_act("error-in-text-obeyed")
def error_obeyed(act: AgentEvent, run: Run) -> AgentEvent:
    if isinstance(act, Said) and act.text.startswith('{"type":"error"'):
        return Failed("x")
    return act


# ---------------------------------------------------------------- tools


@on_act("tool-call-lost")
def tool_lost(act: AgentEvent, run: Run) -> AgentEvent | None:
    if isinstance(act, ToolBegan) and run.tools == 1:
        run.kept.append(act)
        return None
    lost_one = run.kept[0] if run.kept else None
    if isinstance(act, ToolEnded) and isinstance(lost_one, ToolBegan) and lost_one.call == act.call:
        return None
    return act


@on_act("tool-arguments-lost")
def arguments_lost(act: AgentEvent, run: Run) -> AgentEvent:
    return replace(act, args={}) if isinstance(act, ToolBegan) and run.tools == 1 else act


@on_act("tool-arguments-altered")
def arguments_altered(act: AgentEvent, run: Run) -> AgentEvent:
    if isinstance(act, ToolBegan) and run.tools == 2:
        return replace(act, args={k: str(v).upper() for k, v in act.args.items()})
    return act


@on_act("parallel-tools-reversed")
def reversed_tools(act: AgentEvent, run: Run) -> AgentEvent | list[AgentEvent] | None:
    if isinstance(act, ToolBegan):
        run.kept.insert(0, act)
        return None
    kept, run.kept = run.kept, []
    return [*kept, act] if kept else act


@on_act("tool-reported-after-the-text")
def late_tool(act: AgentEvent, run: Run) -> AgentEvent | list[AgentEvent] | None:
    if isinstance(act, ToolBegan | ToolEnded) and run.number % 2 == 0:
        run.kept.append(act)
        return None
    if (isinstance(act, CallEnded) and not act.tools) or isinstance(act, Failed):
        return [*run.kept, act]
    return act


@on_acts("agent-never-stops")
async def never_stops(memory: Memory, acts: Acts) -> Acts:
    seen: list[AgentEvent] = []
    async with aclosing(acts):
        async for act in acts:
            if isinstance(act, Failed) and act.message.startswith("the agent stopped"):
                break
            seen = [] if isinstance(act, CallBegan) else seen
            seen.append(act)
            yield act
        else:
            return
    for _ in range(2_000):
        for act in seen:
            yield act
        await asyncio.sleep(0.001)


# ---------------------------------------------------------------- errors


@on_act("refusal-swallowed")
def refusal_swallowed(act: AgentEvent, run: Run) -> AgentEvent:
    return CallEnded(tools=False) if isinstance(act, Failed) and act.status is not None else act


@on_act("refusal-without-words")
def refusal_blank(act: AgentEvent, run: Run) -> AgentEvent:
    return replace(act, message=" ") if isinstance(act, Failed) and act.status is not None else act


@on_act("refusal-told-as-text")
def refusal_as_text(act: AgentEvent, run: Run) -> AgentEvent | tuple[AgentEvent, ...]:
    if isinstance(act, Failed) and act.status is not None:
        return (Said(f"Error: {act.message}"), CallEnded(tools=False))
    return act


@on_act("refusal-swallowed-after-a-tool")
def refusal_after_tool(act: AgentEvent, run: Run) -> AgentEvent:
    refused = isinstance(act, Failed) and act.status is not None and run.tools
    return CallEnded(tools=False) if refused else act


@on_act("failure-in-stream-swallowed")
def failure_swallowed(act: AgentEvent, run: Run) -> AgentEvent:
    return CallEnded(tools=False) if isinstance(act, Failed) and "scripted failure" in act.message else act


@on_act("reset-taken-for-the-end")
def reset_swallowed(act: AgentEvent, run: Run) -> AgentEvent:
    return CallEnded(tools=False) if isinstance(act, Failed) and "was reset" in act.message else act


@on_act("close-taken-for-the-end")
def close_swallowed(act: AgentEvent, run: Run) -> AgentEvent:
    return CallEnded(tools=False) if isinstance(act, Failed) and "completion marker" in act.message else act


# ---------------------------------------------------------------- one at a time


@on_acts("one-agent-at-a-time")
async def one_at_a_time(memory: Memory, acts: Acts) -> Acts:
    lock = memory.setdefault("lock", asyncio.Lock())
    async with lock, aclosing(acts):
        async for act in acts:
            yield act


@on_acts("words-leak-between-agents")
async def leaking(memory: Memory, acts: Acts) -> Acts:
    """When two agents speak at once, one word of the first is said by the second, too."""
    busy = memory.setdefault("busy", [])
    me = object()
    busy.append(me)
    told = 0
    try:
        async with aclosing(acts):
            async for act in acts:
                yield act
                if isinstance(act, Said) and len(busy) > 1:
                    if busy[0] is me:
                        memory["word"] = act
                    elif told == 0 and (word := memory.pop("word", None)) is not None:
                        told += 1
                        yield word
    finally:
        busy.remove(me)


@on_acts("tools-leak-between-agents")
async def leaking_tools(memory: Memory, acts: Acts) -> Acts:
    """When two agents run tools at once, the second runs the first one's."""
    busy = memory.setdefault("busy", [])
    me = object()
    busy.append(me)
    try:
        async with aclosing(acts):
            async for act in acts:
                if isinstance(act, ToolBegan) and len(busy) > 1:
                    if busy[0] is me:
                        memory["args"] = act.args
                    elif (args := memory.pop("args", None)) is not None:
                        act = replace(act, args=args)
                yield act
    finally:
        busy.remove(me)


# What breaks a requirement of AgentSmithy in its words, breaks one of Penguin's in Penguin's.
for _name, _change in (
    ("said-lost", lost),
    ("said-lost-in-second-turn", lost_second),
    ("said-altered", altered),
    ("said-trimmed", trimmed),
    ("said-after-tools-lost", later_lost),
    ("thought-lost", reasoning_lost),
    ("thought-said", reasoning_as_text),
    ("marker-in-text-swallowed", done_swallowed),
    ("call-lost", tool_lost),
    ("call-arguments-lost", arguments_lost),
    ("call-arguments-altered", arguments_altered),
    ("model-error-swallowed", refusal_swallowed),
    ("model-failure-swallowed", failure_swallowed),
    ("model-reset-swallowed", reset_swallowed),
):
    on_act(_name)(_change)
on_acts("said-by-another-session")(leaking)
on_acts("called-by-another-session")(leaking_tools)
