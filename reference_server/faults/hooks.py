"""How a fault or variant is written: a small function, registered by name at one of a few hooks.

    @on_blocks("bom-in-mid-stream")
    def bom(stream: Stream, block: bytes) -> bytes: ...

One name may hook in at several places. `build` makes the deviation of a name, with a memory of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reference_server.agent import AgentEvent
from reference_server.bus import Filter, Gap, Published, Subscriber
from reference_server.faults import __path__ as here
from reference_server.faults.catalogue import choose
from reference_server.seam import Deviation
from reference_server.session import Event, Session

Json = dict[str, Any]
Memory = dict[str, Any]
Acts = AsyncGenerator[AgentEvent, None]
Missed = tuple[Published, ...] | Gap
Find = Callable[[str, Filter], Missed]
Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Stream:
    """One event stream as a deviation sees it, on its way out.

    `number`: which stream of the server it is (from 1); `count`: events that went out before the block at
    hand, comments apart; `sent`: bytes before it. `memory` lives as long as the deviation, `own` as long as
    the stream.
    """

    scope: Scope
    memory: Memory
    number: int
    count: int = 0
    sent: int = 0
    own: Memory = field(default_factory=dict)

    @property
    def query(self) -> dict[str, str]:
        """The request's query."""
        parsed = parse_qs(self.scope["query_string"].decode("latin-1"), keep_blank_values=True)
        return {name: values[0] for name, values in parsed.items()}

    @property
    def filtered(self) -> bool:
        """Whether the subscriber asked for less than its bus tells. OpenCode's bus is that of a directory."""
        return bool(self.query.keys() - ({"directory"} if self.scope["path"].endswith("/event") else set()))

    def header(self, name: str) -> str | None:
        """A header of the request."""
        return header_of(self.scope["headers"], name)


def header_of(headers: Iterable[tuple[bytes, bytes]], name: str) -> str | None:
    """The first header of that name (lower case)."""
    return next((v.decode("latin-1") for n, v in headers if n.lower() == name.encode()), None)


STREAMS = {"/api/chat": "POST", "/events/sse": "GET", "/event": "GET"}  # how an event stream is asked for


def is_stream_path(scope: Scope) -> bool:
    """Whether the request is for a protocol's event stream."""
    return scope["path"].endswith(tuple(STREAMS))  # type: ignore[no-any-return]


def asks_for_stream(scope: Scope) -> bool:
    """Whether it is, with the method that it has."""
    return any(scope["path"].endswith(path) and scope["method"] == method for path, method in STREAMS.items())


def subscribes(scope: Scope) -> bool:
    """Whether the request subscribes to the events of a bus."""
    return asks_for_stream(scope) and scope["method"] == "GET"


def is_heartbeat(block: bytes) -> bool:
    """Whether a block only breaks silence: a comment, or OpenCode's event."""
    return block.startswith(b":") or b'"type": "server.heartbeat"' in block


def ends_answer(body: bytes) -> bool:
    """Whether these bytes have an assistant's message with its time of completion, or AgentSmithy's end."""
    answered = b'"role": "assistant"' in body and re.search(rb'"completed": \d', body) is not None
    return answered or b'"done": true' in body


def event_of(block: bytes) -> Json | None:
    """The event of a block, None for a comment."""
    for line in block.split(b"\n"):
        if line.startswith(b"data: "):
            value = json.loads(line[6:])
            return value if isinstance(value, dict) else None
    return None


def with_event(block: bytes, event: Json) -> bytes:
    """The block with another event in its `data` line; an `id` line stays."""
    lines = block.split(b"\n")
    ascii_only = block.isascii()
    data = b"data: " + json.dumps(event, ensure_ascii=ascii_only).encode()
    return b"\n".join(data if line.startswith(b"data: ") else line for line in lines)


def again(given: bytes) -> bytes:
    """The same event once more, under another JSON id where it has one: two events never share an id."""
    event = event_of(given)
    if event is None or "id" not in event:
        return given
    return with_event(given, {**event, "id": f"{event['id']}x"})


def block(event: Json, *, ascii_only: bool = False) -> bytes:
    """A block of its own."""
    return b"data: " + json.dumps(event, ensure_ascii=ascii_only).encode() + b"\n\n"


BlockHook = Callable[[Stream, bytes], bytes]
EventHook = Callable[[Stream, Json], "Json | list[Json] | None"]
EndHook = Callable[[Stream], bytes]
HeadHook = Callable[[Scope, Memory, int, Headers], "tuple[int, Headers]"]
AnswerHook = Callable[[Scope, Memory, int, bytes], "tuple[int, bytes]"]
AppHook = Callable[[Memory, ASGIApp, Scope, Receive, Send], Any]
ActsHook = Callable[[Memory, Acts], Acts]
PublishHook = Callable[[Memory, Session, Iterable[Event]], Iterable[Event]]
WantedHook = Callable[[Memory, Filter], Filter]
MissedHook = Callable[[Memory, str, Filter, Missed], Missed]
SubscribedHook = Callable[[Memory, Subscriber], None]

_hooks: dict[str, dict[str, Any]] = {}


def _register(kind: str, name: str) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        hooks = _hooks.setdefault(name, {})
        if kind in hooks:
            raise ValueError(f"{name} has two hooks {kind}")
        hooks[kind] = function
        return function

    return register


def on_blocks(name: str) -> Callable[[BlockHook], BlockHook]:
    """Change a block of an event stream: the function gives the bytes that go out in its place."""
    return _register("blocks", name)


def on_events(name: str) -> Callable[[EventHook], EventHook]:
    """Change an event of a stream: to another, to several, or to none."""

    def register(function: EventHook) -> EventHook:
        def change(stream: Stream, given: bytes) -> bytes:
            event = event_of(given)
            if event is None:
                return given
            changed = function(stream, event)
            if changed is event:
                return with_event(given, event)
            if changed is None:
                return b""
            events = [changed] if isinstance(changed, dict) else changed
            return b"".join(with_event(given, each) for each in events)

        _register("blocks", name)(change)
        return function

    return register


def at_end(name: str) -> Callable[[EndHook], EndHook]:
    """Bytes that go out before a stream ends in order."""
    return _register("end", name)


def on_head(name: str) -> Callable[[HeadHook], HeadHook]:
    """Change status and headers of every answer."""
    return _register("head", name)


def on_answer(name: str) -> Callable[[AnswerHook], AnswerHook]:
    """Change status and body of the answers that are no event streams."""
    return _register("answer", name)


def on_app(name: str) -> Callable[[AppHook], AppHook]:
    """Serve the request in another way: `await function(memory, app, scope, receive, send)`."""
    return _register("app", name)


def on_acts(name: str) -> Callable[[ActsHook], ActsHook]:
    """Change what the agent does."""
    return _register("acts", name)


def on_published(name: str) -> Callable[[PublishHook], PublishHook]:
    """Change the events of a session on a bus before they are numbered."""
    return _register("published", name)


def on_wanted(name: str) -> Callable[[WantedHook], WantedHook]:
    """Change a subscriber's filter."""
    return _register("wanted", name)


def on_missed(name: str) -> Callable[[MissedHook], MissedHook]:
    """Change what a Penguin subscriber with a cursor is sent first."""
    return _register("missed", name)


def on_replayed(name: str) -> Callable[[WantedHook], WantedHook]:
    """Change the filter of what a Penguin subscriber with a cursor is sent first."""
    return _register("replayed", name)


def on_subscribed(name: str) -> Callable[[SubscribedHook], SubscribedHook]:
    """Change a subscriber of a bus."""
    return _register("subscribed", name)


def implemented() -> frozenset[str]:
    """The names that have a hook."""
    for module in iter_modules(here):
        import_module(f"reference_server.faults.{module.name}")
    return frozenset(_hooks)


def parameter(memory: Memory, name: str) -> int:
    """A parameter of the deviation that has this memory."""
    return int(memory["parameters"][name])


def build(chosen: str) -> Deviation:
    """The deviation of that name, and parameters if any, with a fresh memory. Raises `UnknownFaultError`."""
    choice = choose(chosen)
    implemented()
    return _Hooked(_hooks[choice.entry.name], choice.parameters)


class _Hooked(Deviation):
    def __init__(self, hooks: dict[str, Any], parameters: dict[str, int]) -> None:
        self._hooks = hooks
        self._memory: Memory = {"parameters": parameters} if parameters else {}

    async def serve(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        out = _Out(self._hooks, self._memory, scope, send)
        if (hook := self._hooks.get("app")) is not None:
            await hook(self._memory, app, scope, receive, out)
        else:
            await app(scope, receive, out)

    def acts(self, acts: Acts) -> Acts:
        return self._hooks["acts"](self._memory, acts) if "acts" in self._hooks else acts

    def events(self, session: Session, events: Iterable[Event]) -> Iterable[Event]:
        hook = self._hooks.get("published")
        return events if hook is None else hook(self._memory, session, events)

    def wanted(self, wanted: Filter) -> Filter:
        hook = self._hooks.get("wanted")
        return wanted if hook is None else hook(self._memory, wanted)

    def missed(self, cursor: str, wanted: Filter, find: Find) -> Missed:
        if (hook := self._hooks.get("replayed")) is not None:
            wanted = hook(self._memory, wanted)
        missed = find(cursor, wanted)
        if (change := self._hooks.get("missed")) is not None:
            missed = change(self._memory, cursor, wanted, missed)
        return missed

    def subscribed(self, subscriber: Subscriber) -> None:
        hook = self._hooks.get("subscribed")
        if hook is not None:
            hook(self._memory, subscriber)


class _Out:
    """`send` with the hooks of a deviation before it."""

    def __init__(self, hooks: dict[str, Any], memory: Memory, scope: Scope, send: Send) -> None:
        self._hooks = hooks
        self._memory = memory
        self._scope = scope
        self._send = send
        self._stream: Stream | None = None
        self._start: Message | None = None  # of an answer whose body may change, and so its length
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] != "http.response.body":
            await self._send(message)
        elif self._stream is not None:
            await self._send({**message, "body": self._changed(self._stream, message)})
        elif self._start is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                await self._answer()
        else:
            await self._send(message)

    async def _begin(self, message: Message) -> None:
        status, headers = message["status"], list(message["headers"])
        streaming = (header_of(headers, "content-type") or "").startswith("text/event-stream")
        if streaming and {"blocks", "end"} & self._hooks.keys():
            number = self._memory["streams"] = self._memory.get("streams", 0) + 1
            self._stream = Stream(self._scope, self._memory, number)
        if (hook := self._hooks.get("head")) is not None:
            status, headers = hook(self._scope, self._memory, status, headers)
        message = {**message, "status": status, "headers": headers}
        if not streaming and "answer" in self._hooks:
            self._start = message
            return
        await self._send(message)

    async def _answer(self) -> None:
        assert self._start is not None
        status, body = self._hooks["answer"](self._scope, self._memory, self._start["status"], self._body)
        headers = [pair for pair in self._start["headers"] if pair[0].lower() != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        await self._send({**self._start, "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _changed(self, stream: Stream, message: Message) -> bytes:
        # frames are whole blocks: a stream's writer never cuts one
        body = message.get("body", b"")
        out: list[bytes] = []
        if (change := self._hooks.get("blocks")) is None:
            out.append(body)
        else:
            for text in body.split(b"\n\n")[:-1]:
                out.append(change(stream, text + b"\n\n"))
                stream.sent += len(out[-1])
                stream.count += b"data: " in text
        if not message.get("more_body") and (end := self._hooks.get("end")) is not None:
            out.append(end(stream))
        return b"".join(out)
