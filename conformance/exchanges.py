"""What the probes of HTTP and of live behaviour record, as data: names, roles, marks. Rules read it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from conformance.message import Message
from conformance.profile import Profile
from conformance.script import Fill, Script, say
from conformance.transcript import Transcript

METHODS = "http-methods"  # roles METHOD_ROLE + method
METHOD_ROLE = "method-"
HEAD_METHOD = "http-head"  # role "head"; facts "peer_closed" (bool)
HTTP10 = "http-1.0"  # role "http10"
ACCEPT = "http-accept"  # roles of ACCEPTS
CURSORS = "http-last-event-id"  # roles CURSOR_ROLE + name; fact "served_after" (bool)
CURSOR_ROLE = "cursor-"
ORIGIN = "http-origin"  # roles "origin-", "cookie-", "preflight-" + number; fact "origins" in that order
AUTH = "http-auth"  # roles "none", "wrong"
RATE = "http-rate-limit"  # role "limited"; facts "sent", "waited" (s), "retry_after" (s|None), "resumed"
IDLE = "http-idle"  # role "idle"; fact "head_before_cause" (bool)
STREAMING = "http-streaming"  # roles STREAMING_ROLES + "-1", "-2"
STREAMING_ROLES = ("plain", "gzip")
VANISH = "live-vanish"  # roles "before", "turn-before", "after", "turn-after"; facts, see the probe
STALL = "live-stall"  # roles "before", "stalled", "beside" and more; facts, see the probe

# Probes of HTTP whose answers are event streams on a target that is right.
STREAM_EXCHANGES = (HTTP10, ACCEPT, CURSORS, ORIGIN, IDLE, STREAMING)

# `Accept` values that exclude event streams (RFC 9110 §12.5.1), by role.
ACCEPTS: tuple[tuple[str, str], ...] = (
    ("accept-json", "application/json"),
    ("accept-q0", "text/event-stream;q=0, application/json"),
)

# `Last-Event-ID` values that no server has given out, as Latin-1 text (one character per byte sent).
UNKNOWN_CURSORS: tuple[tuple[str, str], ...] = (
    ("unknown", "sse-conformance:never:99999999"),
    ("long", "x" * 1024),
    ("non-ascii", "\xff\xfe\xe2\x98\x83"),
    ("spaces", "sse conformance  with   spaces"),
)

# Characters that nobody but the scripted model says: a directive is ASCII, so a prompt that is echoed has
# them only as escapes.
FIRST_MARK, LAST_MARK, FENCE_MARK = "\u0416", "\u0429", "\u046a"

TOGETHER = 0.01  # seconds within which the head and the first bytes of a body came as one

# Backlog of a stalled reader (SSE-LIVE-03): more than socket buffers and a target's queue hold.
BACKLOG_BYTES, BACKLOG_EVENTS = 16_000_000, 4_000


def paced(pace_ms: int) -> Script:
    """Two marked chunks with a pause before each: when the first one comes shows what is held back."""
    return say(FIRST_MARK * 300, LAST_MARK * 40, pace_ms=pace_ms)


def one_answer() -> Script:
    """An answer that is past the backlog by itself, where events are increments (AgentSmithy)."""
    return say("It begins. ", Fill(4096, 4200), " It ends.")


def one_of_many(size: int = 10) -> Script:
    """A share of the backlog of a bus: chunks of that size."""
    return say(Fill(size, 830))


def first_size(profile: Profile) -> int:
    """The chunks' size of the backlog's first answer: small where snapshots are cumulative, as Penguin's are.

    Its bytes grow with the square of the number of chunks.
    """
    return 10 if profile.family == "penguin" else 2048


MANY = 5  # answers of `one_of_many` that make the backlog where each chunk is an event …
MOST = 25  # … and the most that are tried where the server joins chunks
SHARE = 3_600_000  # bytes that one answer of the backlog should make


def next_size(size: int, made: int) -> int:
    """The chunks' size after an answer of chunks of `size` made so many bytes.

    A server that joins chunks makes fewer. Bytes may grow with the square of the size, hence small steps.
    """
    return size if made >= SHARE // 2 else min(4096, size * min(4, -(-SHARE // max(made, 1))))


def carries(value: Any, mark: str) -> bool:
    """Whether any string in a JSON value holds the mark."""
    if isinstance(value, str):
        return mark in value
    if isinstance(value, dict):
        return any(carries(item, mark) for item in value.values())
    return isinstance(value, list) and any(carries(item, mark) for item in value)


def first_with(messages: Iterable[Message], mark: str) -> Message | None:
    """The first event that carries the mark."""
    return next((message for message in messages if carries(message.value, mark)), None)


def streamed(messages: Iterable[Message], pace: float, heartbeat: float | None = None) -> bool | None:
    """Whether the first chunk came while the second was still withheld; None where either never came.

    `pace` in seconds is the pause before the second chunk, `heartbeat` the declared period. A server that held the
    first one back gives both at once, so half a pause between them is enough to tell, however late both are. Where
    a heartbeat fits into the pause it may have pushed out what was held, a period after it was due: then the
    first must be less than half a period late, against the second.
    """
    messages = list(messages)
    first, last = first_with(messages, FIRST_MARK), first_with(messages, LAST_MARK)
    if first is None or last is None:
        return None
    needed = pace / 2 if heartbeat is None else max(pace / 2, pace - heartbeat / 2)
    return last.event.at - first.event.at >= needed


def head_was_early(
    transcript: Transcript, messages: Iterable[Message], pace: float, heartbeat: float | None = None
) -> bool | None:
    """Whether the head came while the first chunk was still withheld; None where that chunk or the head never came.

    A head that comes about a period late and together with a heartbeat was pushed out by it: that is not early.
    """
    head, first = transcript.head, first_with(messages, FIRST_MARK)
    if head is None or first is None:
        return None
    if heartbeat is not None and head.at - transcript.opened_at >= 0.8 * heartbeat:
        with_head = b"".join(chunk.data for chunk in transcript.chunks if chunk.at - head.at < TOGETHER)
        if with_head.removeprefix(b"\xef\xbb\xbf").startswith(b":"):
            return False
    return first.event.at - head.at >= pace / 2


def needed_headers(profile: Profile) -> tuple[str, ...]:
    """The request headers that a page must be allowed to send, in lower case (safelisted ones apart)."""
    if profile.family == "agentsmithy":
        return ("content-type",)
    return ("last-event-id",) if profile.capabilities.resume else ()
