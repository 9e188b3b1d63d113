"""The decoded view of one transcript, and what an incremental rule over it looks like."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from conformance.findings import Finding
from conformance.message import Message, read_message
from conformance.profile import Profile
from conformance.transcript import Ended, Transcript
from conformance.wire import Block, Decoder, Event, Tail, WireError


@dataclass(frozen=True, slots=True)
class StreamContext:
    """What an incremental rule knows of its stream before the first event.

    `from_start`: it shows nothing whose beginning it did not see. `begun`: the sessions of which that is true where
    it may show others, too: none of their turns was under way when it was opened.
    """

    role: str
    profile: Profile
    from_start: bool = True
    begun: frozenset[str] = frozenset()

    @property
    def protocol(self) -> str:
        """The protocol revision, "penguin/2"."""
        return self.profile.protocol


Listener = Callable[[Message], Iterable[Finding]]


class Run:
    """Events that came one right after the other: no block between them says anything to a rule.

    `kinds` are their types in order, `types` the set of these. `ordinary`: none has an `event` name, and the data of
    each is one JSON object with a type and without a member twice. Not frozen, for speed; nobody changes one.
    """

    __slots__ = ("kinds", "messages", "ordinary", "types")

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.kinds = [message.type for message in messages]
        self.types = frozenset(self.kinds)
        named = {message.block.event for message in messages} != {None}
        # What is no JSON has no type either.
        self.ordinary = not named and "" not in self.types and not any(m.duplicates for m in messages)

    @property
    def numbers(self) -> range:
        """The numbers of the events."""
        first = self.messages[0].block.number
        return range(first, first + len(self.messages))


class StreamRule(ABC):
    """An incremental judgement over one stream: events in order, then the end. Bounded memory.

    The same object serves a finished observation and a running stream under load. `types` are the event
    types that it is fed (None: every event), so that a long stream costs only those who care.
    """

    types: ClassVar[frozenset[str] | None] = None
    # Whether it looks at other fields of a block than `data`: of no use where only that was decoded.
    reads_fields: ClassVar[bool] = False

    def __init__(self, context: StreamContext) -> None:
        self.context = context
        self.judged = 0  # things that could have been wrong
        self.notes: list[str] = []

    @abstractmethod
    def feed(self, message: Message) -> Iterable[Finding]:
        """Judge the next event."""

    def listener(self, kind: str) -> Listener | None:
        """What events of that type are given to; None: they are of no concern. Asked once for many events."""
        return self.feed if self.types is None or kind in self.types else None

    def takes(self, run: Run) -> bool:
        """Whether nothing is wrong with any of these events, as far as can be told at once.

        If so, it has taken note of them all; if not, of none, and they are given to it one by one.
        """
        return False

    def skipped(self, block: Block) -> Iterable[Finding]:
        """Judge a block that dispatches nothing (comments, an id alone …)."""
        return ()

    def close(self, ended: Ended) -> Iterable[Finding]:
        """Judge the end of the stream. Streams that we cut ourselves are exempt from completeness."""
        return ()

    def finding(self, message: Message, title: str, *, expected: str, observed: str) -> Finding:
        """A finding at that event."""
        block = message.block
        return Finding(title, expected, observed, self.context.role, block.number, (block.start, block.end))


class RuleByType(StreamRule):
    """A rule that does something else with each type of event: `listener` says what."""

    def feed(self, message: Message) -> Iterable[Finding]:
        """Judge the next event."""
        listener = self.listener(message.type)
        return () if listener is None else listener(message)

    @abstractmethod
    def listener(self, kind: str) -> Listener | None:
        """What events of that type are given to."""


T = TypeVar("T")

FIELDS = frozenset({b"data", b"event", b"id", b"retry"})  # WHATWG HTML §9.2.6

# Bodies below this size (bytes) are decoded once and kept; larger ones are decoded again where that is asked.
KEPT = 1_048_576


@dataclass(frozen=True, slots=True)
class _Ending:
    """What is known of a stream when it has been decoded once; the flags are the decoder's."""

    tail: Tail
    error: WireError | None
    ids: bool
    retries: bool
    ignored: bool


class Stream:
    """The decoded view of one transcript."""

    def __init__(
        self, role: str, transcript: Transcript, profile: Profile, begun: frozenset[str] = frozenset()
    ) -> None:
        self.role = role
        self.transcript = transcript
        self.profile = profile
        self.begun = begun  # the sessions of which no turn was under way when it was opened
        self._derived: dict[str, Any] = {}
        self._end: _Ending | None = None

    def walk(self) -> Iterator[Block]:
        """Every complete block, decoded as asked for and not kept: for one pass in bounded memory."""
        if "blocks" in self.__dict__:
            yield from self.blocks
            return
        decoder = Decoder()
        error: WireError | None = None
        for chunk in self.transcript.chunks:
            try:
                blocks: Iterable[Block] = decoder.feed(chunk.data, chunk.at)
            except WireError as raised:
                error, blocks = raised, raised.blocks
            yield from blocks
            if error is not None:
                break
        self._end = _Ending(decoder.tail(), error, decoder.ids, decoder.retries, decoder.ignored)

    def read(self) -> Iterator[Message]:
        """The events with their data read as JSON: like `messages`, but a long stream is not kept."""
        if "messages" in self.__dict__ or self.size < KEPT:
            yield from self.messages
            return
        for block in self.walk():
            if block.data is not None:
                yield read_message(block)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """Every complete block, those that dispatch nothing included."""
        return tuple(self.walk())

    @property
    def tail(self) -> Tail:
        """What the body's end left undispatched."""
        return self._ending.tail

    @property
    def decode_error(self) -> WireError | None:
        """The decoder's own error (a cap), if it stopped."""
        return self._ending.error

    @property
    def known_fields_only(self) -> bool:
        """Whether every line is a comment, blank, or of a field of the standard; False: there may be others."""
        ending = self._ending
        return ending.error is None and not ending.ignored and FIELDS.issuperset(ending.tail.fields)

    @property
    def sets_ids(self) -> bool:
        """Whether a complete block sets an id."""
        return self._ending.ids

    @property
    def sets_retry(self) -> bool:
        """Whether a complete block sets `retry`."""
        return self._ending.retries

    @property
    def ignores(self) -> bool:
        """Whether a complete block has a line, no comment, of an unknown field or with a value that sets nothing."""
        return self._ending.ignored

    @cached_property
    def is_ascii(self) -> bool:
        """Whether every byte of the body is of ASCII."""
        return all(chunk.data.isascii() for chunk in self.transcript.chunks)

    def holds(self, byte: bytes) -> bool:
        """Whether a byte is in the body, which need not be joined to know."""
        return any(byte in chunk.data for chunk in self.transcript.chunks)

    @property
    def _ending(self) -> _Ending:
        if self._end is None:
            for _ in self.walk():
                pass
        assert self._end is not None
        return self._end

    def once(self, name: str, make: Callable[[Stream], T]) -> T:
        """A value derived from this stream, made at the first asking and shared by the rules that name it."""
        if name not in self._derived:
            self._derived[name] = make(self)
        value: T = self._derived[name]
        return value

    @cached_property
    def size(self) -> int:
        """Bytes of the content-decoded body."""
        return sum(len(chunk.data) for chunk in self.transcript.chunks)

    @cached_property
    def body(self) -> bytes:
        """The content-decoded body, joined once."""
        return self.transcript.body

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """The blocks that dispatch."""
        return tuple(block.dispatch for block in self.blocks if block.dispatch is not None)

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        """The events with their data read as JSON."""
        return tuple(read_message(block) for block in self.blocks if block.data is not None)

    @property
    def context(self) -> StreamContext:
        """What incremental rules are told of it."""
        return StreamContext(self.role, self.profile, self.transcript.from_start, self.begun)

    @property
    def cut_by_us(self) -> bool:
        """Whether we ended it: then it is exempt from completeness."""
        return self.transcript.ended in (Ended.CLOSED_BY_US, Ended.DEADLINE, Ended.CAPPED)

    def finding(
        self, title: str, *, expected: str, observed: str, at: Message | Block | None = None
    ) -> Finding:
        """A finding in this stream, at that event or block."""
        block = at.block if isinstance(at, Message) else at
        return Finding(
            title,
            expected,
            observed,
            self.role,
            at.block.number if isinstance(at, Message) else None,
            None if block is None else (block.start, block.end),
        )
