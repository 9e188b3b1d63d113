"""Exchanges made of bytes, with their framing: what the rules about HTTP are given, without a server."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import conformance.rules  # noqa: F401  (registers every rule)
from conformance.findings import Judgement
from conformance.profile import Capabilities, Profile
from conformance.profile_file import default_profile
from conformance.rules.base import Case, checks
from conformance.script import Script
from conformance.transcript import Action, Chunk, Ended, Framing, Head, Observation, Request, Transcript

STREAM = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache"))
Headers = tuple[tuple[str, str], ...]


def event(value: Any) -> bytes:
    """One event with this JSON."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


DONE = event({"type": "done", "done": True, "dialog_id": "d"})
CHAT = event({"type": "chat", "content": "x", "dialog_id": "d"})


def exchange(
    *pieces: bytes | tuple[float, bytes],
    method: str = "POST",
    status: int | None = 200,
    headers: Headers = STREAM,
    asked: Headers = (),
    ended: Ended = Ended.COMPLETE,
    ended_at: float = 9.0,
    head_at: float = 0.01,
    framing: Framing | None = None,
    framed: bool = True,
    detail: str = "",
) -> Transcript:
    """A transcript: pieces every 10 ms unless they say when, chunked and terminated unless told otherwise."""
    chunks = tuple(
        Chunk(*piece) if isinstance(piece, tuple) else Chunk(0.02 + 0.01 * number, piece)
        for number, piece in enumerate(pieces)
    )
    seen = framing or Framing("chunked", ended is Ended.COMPLETE)
    return Transcript(
        Request(method, "http://127.0.0.1:1/stream", asked),
        0.0,
        None if status is None else Head(head_at, status, "", "1.1", headers),
        chunks,
        ended,
        ended_at,
        detail=detail,
        framing=seen if framed and status is not None else None,
        wire_bytes=sum(len(chunk.data) for chunk in chunks),
    )


def profile(protocol: str, **capabilities: Any) -> Profile:
    """The protocol's default profile with these capabilities."""
    made = default_profile(protocol, "http://127.0.0.1:1")
    return replace(made, capabilities=replace(made.capabilities, **capabilities))


def verdict(
    requirement: str,
    probe: str,
    transcripts: dict[str, Transcript],
    *,
    on: str | Profile = "agentsmithy/2",
    facts: dict[str, Any] | None = None,
    scripts: dict[str, Script] | None = None,
    answered_at: float | None = None,
    answered_with: int = 200,
    session: str = "",
    made: tuple[str, ...] = (),
) -> Judgement:
    """What the checks of a requirement say of one observation of that probe, together.

    `answered_at`, `answered_with`: when every prompt had its own answer, of that status; all of them were sent to
    `session`.
    `made`: the sessions that were made.
    """
    target = profile(on) if isinstance(on, str) else on
    actions = tuple(
        Action(
            0.0,
            "prompt",
            session=session,
            stream=role,
            script=script,
            status=None if answered_at is None else answered_with,
            until=answered_at,
        )
        for role, script in (scripts or {}).items()
    )
    actions += tuple(Action(0.0, "create-session", status=200, answer={"id": name}) for name in made)
    case = Case(Observation(probe, target, tuple(transcripts.items()), actions, tuple((facts or {}).items())))
    found = [
        entry for entry in checks(target.family) if entry.requirement == requirement and probe in entry.probes
    ]
    assert found, f"no check of {requirement} reads {probe}"
    said = [entry.judge(case) for entry in found]
    assert len(said) == 1
    return said[0]


__all__ = ["CHAT", "DONE", "STREAM", "Capabilities", "event", "exchange", "profile", "verdict"]
