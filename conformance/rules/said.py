"""What a stream said: the agent's text and reasoning, put together as a client would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from conformance.message import Message
from conformance.parts import MessageInfo, PartInfo, increment_of, info_of, part_of
from conformance.rules.stream import Stream


@dataclass(frozen=True, slots=True)
class Said:
    """The agent's words in one stream.

    `pieces` are the text's pieces in order, each with the event that brought it (agentsmithy: one per `chat`
    event; else one per text part, with the last event of that part). `errors` are the events in which
    the server itself says that something failed.
    """

    pieces: tuple[tuple[Message, str], ...] = ()
    reasoning: str = ""
    errors: tuple[Message, ...] = ()

    @property
    def text(self) -> str:
        """All of the agent's text, joined."""
        return "".join(text for _, text in self.pieces)

    def at(self, index: int) -> Message | None:
        """The event that brought the text's character of that index (the last one beyond the end)."""
        message: Message | None = None
        for message, text in self.pieces:  # noqa: B007 (used after the loop on purpose)
            index -= len(text)
            if index < 0:
                break
        return message


def said(stream: Stream, session: str = "") -> Said:
    """What the agent said in this stream.

    AgentSmithy: the joined `content` of every `chat` event (a stream is one dialog's answer: `session` is not
    asked). Penguin and OpenCode: the final text of each text part of an assistant's message of that session ("" for
    any), in the order in which the parts began: as told last, with the increments that came since. Removed parts and
    messages, and the user's own, do not count. Where a declared plugin rewrites texts, the joined increments stand for
    them. Reasoning likewise.
    """
    reader: Callable[[Stream, str], Said] = _agentsmithy if stream.profile.family == "agentsmithy" else _parts
    return reader(stream, session)


def said_text(stream: Stream, session: str = "") -> str:
    """The agent's text in this stream, joined."""
    return said(stream, session).text


def said_reasoning(stream: Stream, session: str = "") -> str:
    """The agent's reasoning in this stream, joined."""
    return said(stream, session).reasoning


def difference(expected: str, observed: str, *, around: int = 24) -> str:
    """Where two texts differ first, in words; "" where they are equal."""
    if expected == observed:
        return ""
    index = first_difference(expected, observed)
    sizes = (
        "" if len(expected) == len(observed) else f" ({len(observed)} characters instead of {len(expected)})"
    )
    if index == len(observed):
        return f"ends after {index} characters{sizes}; {_show(expected, index, around)} is missing"
    if index == len(expected):
        return f"goes on after the end at character {index}{sizes} with {_show(observed, index, around)}"
    return (
        f"differs from character {index} on{sizes}: {_show(observed, index, around)} "
        f"instead of {_show(expected, index, around)}"
    )


def first_difference(left: str, right: str) -> int:
    """The index of the first character in which two texts differ (the shorter one's length if in none)."""
    low, high = 0, min(len(left), len(right))
    while low < high:  # by halves: comparing slices is a thousand times faster than characters
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _show(text: str, index: int, around: int) -> str:
    return ascii(text[index : index + around]) + ("…" if index + around < len(text) else "")


def _agentsmithy(stream: Stream, session: str) -> Said:
    pieces: list[tuple[Message, str]] = []
    reasoning: list[str] = []
    errors: list[Message] = []
    for message in stream.read():
        content = message.body.get("content")
        if message.type == "chat" and isinstance(content, str):
            pieces.append((message, content))
        elif message.type == "reasoning" and isinstance(content, str):
            reasoning.append(content)
        elif message.type == "error":
            errors.append(message)
    return Said(tuple(pieces), "".join(reasoning), tuple(errors))


@dataclass(slots=True)
class _Part:
    """A text or reasoning part as it grew: its text as told last, and the increments that came since.

    `grown`: an increment came.
    """

    kind: str
    message_id: str
    last: Message
    pieces: list[str] = field(default_factory=list)
    grown: bool = False

    @property
    def final(self) -> str:
        return "".join(self.pieces)


class _Parts:
    """The parts of one session, as the events announce, grow and remove them (`message.part.updated` …).

    `rewritten`: final texts are a plugin's, so that what was said is told by the increments, where there are any.
    """

    def __init__(self, session: str, *, rewritten: bool) -> None:
        self.session = session
        self.rewritten = rewritten
        self.roles: dict[str, str] = {}
        self.parts: dict[tuple[str, ...], _Part] = {}
        self.removed: set[str] = set()
        self.errors: list[Message] = []
        self._nameless = 0

    def feed(self, message: Message) -> None:
        properties = message.properties
        match message.type:
            case "message.updated":
                self._message(message, info_of(message))
            case "message.part.updated":
                self._part(message, part_of(message))
            case "message.part.delta":
                self._increment(message, increment_of(message))
            case "message.removed":
                self.removed.add(_text(properties, "messageID") or "?")
            case "message.part.removed":
                self.removed.add(_text(properties, "partID") or "?")
            case "session.error":
                if self._ours(_text(properties, "sessionID")):
                    self.errors.append(message)

    def _ours(self, session: str) -> bool:
        # An event that names no session (penguin/1 shows none) belongs to whoever listens.
        return not self.session or not session or session == self.session

    def _message(self, message: Message, info: MessageInfo) -> None:
        if not self._ours(info.session):
            return
        if info.id:
            self.roles[info.id] = info.role
        if info.error:
            self.errors.append(message)

    def _part(self, message: Message, part: PartInfo) -> None:
        if part.type not in ("text", "reasoning") or not self._ours(part.session or part.envelope_session):
            return
        key = self._key(part)
        entry = self.parts.get(key)
        if entry is None:
            entry = self.parts[key] = _Part(part.type, part.message, message)
        entry.last = message
        told = part.text is not None and not (self.rewritten and (entry.grown or part.delta))
        if told:
            entry.pieces = [part.text or ""]
        elif part.delta is not None:
            entry.pieces.append(part.delta)
        entry.grown = entry.grown or bool(part.delta)

    def _increment(self, message: Message, part: PartInfo) -> None:
        # An increment does not say what kind of part it is of: one of an unknown part is nobody's words.
        entry = self.parts.get((part.id,))
        if entry is not None and part.delta is not None and self._ours(part.session):
            entry.last = message
            entry.pieces.append(part.delta)
            entry.grown = True

    def _key(self, part: PartInfo) -> tuple[str, ...]:
        if part.id:
            return (part.id,)
        # Without ids, a cumulative text that does not go on from the one before is a part of its own.
        key = (part.type, part.message, str(self._nameless))
        known = self.parts.get(key)
        if known is not None and part.text is not None and _begins(known.final, part.text, part.delta):
            self._nameless += 1
            key = (*key[:2], str(self._nameless))
        return key

    def of(self, kind: str) -> Iterator[_Part]:
        for key, part in self.parts.items():
            gone = key[0] in self.removed or part.message_id in self.removed
            # Who speaks may be announced late; a message that nobody announced is taken as the agent's.
            if part.kind == kind and not gone and self.roles.get(part.message_id, "assistant") == "assistant":
                yield part


def _begins(before: str, text: str, delta: str | None) -> bool:
    """Whether a cumulative text is a part of its own, not the part before grown (where parts have no ids).

    A text that is all increment begins a part, also one that begins as the part before did.
    """
    return not text.startswith(before) or bool(before and text == delta)


def _parts(stream: Stream, session: str) -> Said:
    parts = _Parts(session, rewritten=stream.profile.rewrites_text)
    for message in stream.read():
        parts.feed(message)
    return Said(
        tuple((part.last, part.final) for part in parts.of("text")),
        "".join(part.final for part in parts.of("reasoning")),
        tuple(parts.errors),
    )


def _text(holder: dict[str, Any], name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""


__all__ = ["Said", "difference", "first_difference", "said", "said_reasoning", "said_text"]
