"""What was recorded: transcripts of single HTTP exchanges, and the observations that hold them.

Everything here is a frozen value without behaviour beyond (de)serialisation. Times are seconds
(float) since the one monotonic origin of the observation; byte offsets count in the content-decoded
response body.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from conformance.http_status import successful
from conformance.profile import Profile
from conformance.script import Script

FORMAT = "sse-conformance/observation/1"


class Ended(StrEnum):
    """How an exchange ended, seen from the client's socket."""

    COMPLETE = (
        "complete"  # the server ended it in order: terminator, declared length, or close where close delimits
    )
    TRUNCATED = "truncated"  # the server closed before the terminator or the declared length
    RESET = "reset"  # the connection was reset by the peer
    CLOSED_BY_US = "closed-by-us"  # the probe had seen enough, or hung up on purpose
    DEADLINE = "deadline"  # the probe's deadline passed while the exchange was open
    CAPPED = "capped"  # the probe's cap on bytes or events was reached
    PROTOCOL_ERROR = "protocol-error"  # what came is not HTTP/1.x (`Transcript.detail` says how)
    NO_RESPONSE = "no-response"  # connected, but the connection ended before a response head


@dataclass(frozen=True, slots=True)
class Request:
    """The request as sent. `url` is absolute; header order and case are kept."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    http_version: str = "1.1"

    @property
    def resumes(self) -> bool:
        """Whether it asks for what was missed: by header, or by the query of penguin/2."""
        if any(name.lower() == "last-event-id" for name, _ in self.headers):
            return True
        query = urlsplit(self.url).query
        return any(name == "last_event_id" for name, _ in parse_qsl(query, keep_blank_values=True))


@dataclass(frozen=True, slots=True)
class Head:
    """The response's status line and headers, as received; `at` is when the head was complete."""

    at: float
    status: int
    reason: str
    http_version: str
    headers: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        """The header's values joined by ", " (RFC 9110 §5.3), or None; `name` in any case."""
        values = self.get_all(name)
        return ", ".join(values) if values else None

    def get_all(self, name: str) -> tuple[str, ...]:
        """Every value of the header, in order; `name` in any case."""
        return tuple(value for key, value in self.headers if key.lower() == name.lower())

    @property
    def media_type(self) -> str:
        """The media type without parameters, in lower case; "" without a Content-Type."""
        return (self.get("content-type") or "").split(";", 1)[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Chunk:
    """Content-decoded body bytes that became readable together, and when."""

    at: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Framing:
    """How the body was framed on the wire (RFC 9112 §6); only what a raw socket shows.

    `delimiter` is "chunked", "content-length", "close" or "none" (no body: HEAD, 204, 304).
    `terminated`: the last chunk, or the declared length, was seen (always True for "close" and "none"
    after an orderly close). `errors` are violations of the framing grammar, in words.
    `surplus` counts bytes received after the end of the response.
    """

    delimiter: str
    terminated: bool
    errors: tuple[str, ...] = ()
    surplus: int = 0


@dataclass(frozen=True, slots=True)
class Transcript:
    """One recorded HTTP exchange.

    `from_start` is False where the stream resumed or joined something whose beginning it did not see
    (late joiners, replays): rules do not accuse it of what came before. `detail` explains `ended`.
    `wire_bytes` counts body bytes before content decoding, without HTTP framing (None if unknown).
    """

    request: Request
    opened_at: float
    head: Head | None
    chunks: tuple[Chunk, ...]
    ended: Ended
    ended_at: float
    detail: str = ""
    framing: Framing | None = None
    from_start: bool = True
    wire_bytes: int | None = None

    @property
    def body(self) -> bytes:
        """The content-decoded body."""
        return b"".join(chunk.data for chunk in self.chunks)

    @property
    def is_event_stream(self) -> bool:
        """Whether the response says that it is an event stream with a 2xx status."""
        head = self.head
        return head is not None and successful(head.status) and head.media_type == "text/event-stream"


@dataclass(frozen=True, slots=True)
class Action:
    """Something that the probe did to cause events, apart from the recorded exchanges themselves.

    `kind` is one of: "create-session", "delete-session", "rename-session", "prompt", "abort", "mark", "call".
    `session` is the session's or dialog's id where one is concerned, `agent` the agent's.
    `stream` names the role of the transcript in which the effect is expected ("" if none in particular).
    `script` is what the agent was told to do (prompts only; None for a plain prompt), `prompt` the text sent.
    `status` is the HTTP status of the action's own answer (None: it got none), `answer` its JSON body.
    `until` is when that answer was complete; of a prompt that is answered before its turn has ended, when the
    turn was seen to end.
    """

    at: float
    kind: str
    session: str = ""
    agent: str = ""
    stream: str = ""
    script: Script | None = None
    prompt: str = ""
    status: int | None = None
    answer: Any = None
    until: float | None = None
    note: str = ""

    def under_way(self, at: float) -> bool:
        """Whether it was done and not yet answered at that time."""
        return self.at < at and (self.until is None or self.until > at)


@dataclass(frozen=True, slots=True)
class Observation:
    """What one probe saw: the unit that is saved, checked and judged.

    `transcripts` are named by role; the probe documents its roles. A role may be used once only.
    `facts` are further measured values (numbers, strings, booleans) by name, documented by the probe.
    `incomplete` says why the stimulus did not work as declared ("" if it did): what depends on it is
    inconclusive.
    """

    probe: str
    profile: Profile
    transcripts: tuple[tuple[str, Transcript], ...] = ()
    actions: tuple[Action, ...] = ()
    facts: tuple[tuple[str, Any], ...] = ()
    incomplete: str = ""
    started: str = ""  # wall clock, ISO 8601 with zone; for people only
    suite: str = ""  # version of the suite that recorded it

    def transcript(self, role: str) -> Transcript | None:
        """The transcript of that role, if there is one."""
        return next((transcript for name, transcript in self.transcripts if name == role), None)

    def fact(self, name: str, default: Any = None) -> Any:
        """The measured value of that name."""
        return next((value for key, value in self.facts if key == name), default)

    def actions_of(self, kind: str, *, stream: str | None = None) -> tuple[Action, ...]:
        """The actions of a kind, in order; with `stream`, only those that concern that role."""
        return tuple(a for a in self.actions if a.kind == kind and (stream is None or a.stream == stream))


class ObservationError(ValueError):
    """A saved observation that cannot be read; the message says what, where and what was expected."""


def to_json(observation: Observation) -> str:
    """The observation as one JSON document (schemas/own/observation.schema.json). Secrets must be gone before."""
    return json.dumps(_dump_observation(observation), ensure_ascii=False, indent=1)


def from_json(text: str, *, where: str = "observation") -> Observation:
    """Read back what `to_json` wrote.

    Raises `ObservationError` for anything else; `where` names the file in its message.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ObservationError(f"{where}: not JSON: {error}") from None
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise ObservationError(f"{where}: not an observation: expected a JSON object with format {FORMAT!r}")
    try:
        return _load_observation(raw)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ObservationError(f"{where}: a damaged observation: {type(error).__name__}: {error}") from None


def read(path: Path) -> Observation:
    """Read a saved observation. Raises `ObservationError`, and `OSError` where the file cannot be read."""
    try:
        return from_json(path.read_text(encoding="utf-8"), where=str(path))
    except UnicodeDecodeError as error:
        raise ObservationError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None


def _dump_bytes(data: bytes | None) -> Any:
    # Text where it is text, so that people can read the file; base64 where it is not.
    if data is None:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def _load_bytes(raw: Any) -> bytes | None:
    if raw is None:
        return None
    if isinstance(raw, str):
        return raw.encode("utf-8")
    return base64.b64decode(raw["base64"], validate=True)


def _dump_transcript(transcript: Transcript) -> dict[str, Any]:
    head, framing, request = transcript.head, transcript.framing, transcript.request
    return {
        "request": {
            "method": request.method,
            "url": request.url,
            "headers": [list(pair) for pair in request.headers],
            "body": _dump_bytes(request.body),
            "http_version": request.http_version,
        },
        "opened_at": transcript.opened_at,
        "head": None
        if head is None
        else {
            "at": head.at,
            "status": head.status,
            "reason": head.reason,
            "http_version": head.http_version,
            "headers": [list(pair) for pair in head.headers],
        },
        "chunks": [[chunk.at, len(chunk.data)] for chunk in transcript.chunks],
        "body": _dump_bytes(transcript.body),
        "ended": transcript.ended.value,
        "ended_at": transcript.ended_at,
        "detail": transcript.detail,
        "framing": None
        if framing is None
        else {
            "delimiter": framing.delimiter,
            "terminated": framing.terminated,
            "errors": list(framing.errors),
            "surplus": framing.surplus,
        },
        "from_start": transcript.from_start,
        "wire_bytes": transcript.wire_bytes,
    }


def split_chunks(body: bytes, chunks: Sequence[Sequence[float]]) -> tuple[Chunk, ...]:
    """Cut a body at recorded chunk borders: `chunks` are pairs of time and length in bytes.

    Raises `ValueError` where the lengths do not add up to the body's.
    """
    cut: list[Chunk] = []
    offset = 0
    for at, length in chunks:
        cut.append(Chunk(float(at), body[offset : offset + int(length)]))
        offset += int(length)
    if offset != len(body):
        raise ValueError(f"chunk lengths add up to {offset} bytes, the body has {len(body)}")
    return tuple(cut)


def _load_transcript(raw: Mapping[str, Any]) -> Transcript:
    head, framing, request = raw["head"], raw["framing"], raw["request"]
    return Transcript(
        request=Request(
            request["method"],
            request["url"],
            tuple((k, v) for k, v in request["headers"]),
            _load_bytes(request["body"]),
            request["http_version"],
        ),
        opened_at=raw["opened_at"],
        head=None
        if head is None
        else Head(
            head["at"],
            head["status"],
            head["reason"],
            head["http_version"],
            tuple((k, v) for k, v in head["headers"]),
        ),
        chunks=split_chunks(_load_bytes(raw["body"]) or b"", raw["chunks"]),
        ended=Ended(raw["ended"]),
        ended_at=raw["ended_at"],
        detail=raw["detail"],
        framing=None
        if framing is None
        else Framing(
            framing["delimiter"], framing["terminated"], tuple(framing["errors"]), framing["surplus"]
        ),
        from_start=raw["from_start"],
        wire_bytes=raw["wire_bytes"],
    )


def _dump_action(action: Action) -> dict[str, Any]:
    return {
        "at": action.at,
        "kind": action.kind,
        "session": action.session,
        "agent": action.agent,
        "stream": action.stream,
        "script": None if action.script is None else action.script.to_data(),
        "prompt": action.prompt,
        "status": action.status,
        "answer": action.answer,
        "until": action.until,
        "note": action.note,
    }


def _load_action(raw: Mapping[str, Any]) -> Action:
    return Action(**{**raw, "script": None if raw["script"] is None else Script.from_data(raw["script"])})


def _dump_observation(observation: Observation) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "suite": observation.suite,
        "started": observation.started,
        "probe": observation.probe,
        "profile": observation.profile.to_data(),
        "incomplete": observation.incomplete,
        "facts": [list(pair) for pair in observation.facts],
        "actions": [_dump_action(action) for action in observation.actions],
        "transcripts": [
            {"role": role, **_dump_transcript(transcript)} for role, transcript in observation.transcripts
        ],
    }


def _load_observation(raw: Mapping[str, Any]) -> Observation:
    return Observation(
        probe=raw["probe"],
        profile=Profile.from_data(raw["profile"]),
        transcripts=tuple((entry["role"], _load_transcript(entry)) for entry in raw["transcripts"]),
        actions=tuple(_load_action(entry) for entry in raw["actions"]),
        facts=tuple((name, value) for name, value in raw["facts"]),
        incomplete=raw["incomplete"],
        started=raw["started"],
        suite=raw["suite"],
    )


__all__ = [
    "Action",
    "Chunk",
    "Ended",
    "Framing",
    "Head",
    "Observation",
    "ObservationError",
    "Request",
    "Transcript",
    "from_json",
    "read",
    "split_chunks",
    "to_json",
]
