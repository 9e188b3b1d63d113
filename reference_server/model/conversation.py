"""What a model call asks for, by whichever API: the conversation, the script in it, and the turn that is due."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from reference_server.script import PLAIN, ModelTurn, Script, read_directive

MAX_REMEMBERED = 10_000  # conversations whose failed calls are counted


class BadRequestError(ValueError):
    """A request body that the API does not know. One line."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the conversation: its role, and its text with all text parts joined by line ends.

    `turns`: the numbers of the turns whose tool calls it holds, as the calls' ids name them.
    """

    role: str
    text: str
    turns: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """The members of a request that the scripted model reads; `include_usage`: in the stream, too."""

    model: str
    stream: bool
    include_usage: bool
    messages: tuple[Message, ...]

    @property
    def prompt_tokens(self) -> int:
        """Made up (four characters each), but the same each time."""
        return sum(len(message.text) // 4 + 1 for message in self.messages)


@dataclass(frozen=True, slots=True)
class SideCall:
    """A call beside the conversation: known by how its system prompt begins, answered with a constant."""

    name: str
    begins: str
    answer: str


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be answered: a script, the number of the turn (from 0), and that turn.

    `conversation` is the same for all calls of one prompt; `prompt` is the text of the message that has
    the script.
    """

    script: Script
    number: int
    turn: ModelTurn
    scripted: bool = False
    side_call: str | None = None
    conversation: str = ""
    prompt: str = ""


def due(request: ModelRequest) -> Due:
    """The answer to this call. Raises `ScriptError` where the script in the prompt is a bad one."""
    for message in request.messages:
        if message.role in ("system", "developer"):
            for side_call in side_calls():
                if message.text.lstrip().startswith(side_call.begins):
                    turn = ModelTurn(text=(side_call.answer,))
                    return Due(Script((turn,)), 0, turn, side_call=side_call.name)
    asked = [index for index, message in enumerate(request.messages) if message.role == "user"]
    for index in reversed(asked):
        script = read_directive(request.messages[index].text)
        if script is not None:
            number = answers(request.messages[index + 1 :])
            return Due(
                script,
                number,
                script.turn(number),
                scripted=True,
                conversation=_conversation(request.messages[: index + 1]),
                prompt=request.messages[index].text,
            )
    prompt = request.messages[asked[-1]].text if asked else ""
    return Due(PLAIN, 0, PLAIN.turns[0], prompt=prompt)


def answers(messages: tuple[Message, ...]) -> int:
    """How many answers of the model these messages hold.

    An answer is one assistant message; what agents add themselves (tool results, nudges) has other roles.
    But some agents put the tool calls of an answer without text into the assistant message before it, or
    make two messages of text and tools: the ids of our own tool calls say which turn they belong to.
    """
    count = 0
    for message in messages:
        if message.turns:
            count = max(count, max(message.turns) + 1)
        elif message.role == "assistant":
            count += 1
    return count


class FailureCount:
    """How often a turn has failed, for errors with `times`. The oldest conversations are forgotten."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, int], int] = OrderedDict()

    def fails(self, due: Due) -> bool:
        """Whether this call is to be refused, counting it.

        The count starts anew after the call that is let through, so that the same prompt in a fresh session
        fails as often again.
        """
        error = due.turn.error
        if error is None or error.status is None:
            return False
        if error.times is None:
            return True
        key = (due.conversation, due.number)
        failed = self._counts.pop(key, 0)
        if failed >= error.times:
            return False
        self._counts[key] = failed + 1
        while len(self._counts) > MAX_REMEMBERED:
            self._counts.popitem(last=False)
        return True


@cache
def side_calls() -> tuple[SideCall, ...]:
    """The known side calls, from `side_calls.yaml` beside this module."""
    text = resources.files(__package__).joinpath("side_calls.yaml").read_text(encoding="utf-8")
    return tuple(SideCall(row["name"], row["begins"], row["answer"]) for row in yaml.safe_load(text))


def _conversation(messages: tuple[Message, ...]) -> str:
    # System prompts are left out: agents put the time of day into them.
    digest = hashlib.sha256()
    for message in messages:
        if message.role not in ("system", "developer"):
            digest.update(f"{message.role}\0{message.text}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


def text_of(content: Any) -> str:
    """A message's text: a string, or a list of parts of which those with `text` count."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, Mapping))
    return "\n".join(text for text in texts if isinstance(text, str))
