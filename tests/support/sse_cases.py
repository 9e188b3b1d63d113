"""Cases made of bytes: what a rule is given, without a server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import conformance.rules  # noqa: F401  (registers every rule)
from conformance.findings import Judgement
from conformance.profile import Profile
from conformance.profile_file import default_profile
from conformance.rules.base import Case, checks
from conformance.transcript import Action, Chunk, Ended, Head, Observation, Request, Transcript

STREAM_HEADERS = (("content-type", "text/event-stream"),)


def transcript(
    *pieces: bytes,
    ended: Ended = Ended.COMPLETE,
    status: int = 200,
    headers: tuple[tuple[str, str], ...] = STREAM_HEADERS,
    times: Iterable[float] | None = None,
    ended_at: float | None = None,
) -> Transcript:
    """A transcript of these chunks, one every 10 ms unless `times` are given."""
    at = list(times) if times is not None else [0.01 * (n + 1) for n in range(len(pieces))]
    chunks = tuple(Chunk(when, piece) for when, piece in zip(at, pieces, strict=True))
    last = at[-1] if at else 0.0
    return Transcript(
        Request("POST", "http://localhost/api/chat"),
        0.0,
        Head(0.0, status, "OK", "1.1", headers),
        chunks,
        ended,
        last if ended_at is None else ended_at,
    )


def case(
    *transcripts: Transcript | bytes,
    protocol: str = "agentsmithy/2",
    probe: str = "recorded",
    actions: tuple[Action, ...] = (),
    profile: Profile | None = None,
    facts: tuple[tuple[str, Any], ...] = (),
) -> Case:
    """A case of these streams, roles "stream", "stream-1" …"""
    made = tuple(t if isinstance(t, Transcript) else transcript(t) for t in transcripts)
    roles = ("stream", *(f"stream-{n}" for n in range(1, len(made))))
    profile = profile or default_profile(protocol, "http://localhost")
    return Case(
        Observation(probe, profile, tuple(zip(roles, made, strict=True)), actions=actions, facts=facts)
    )


def judged(requirement: str, of: Case) -> Judgement:
    """What the one check of a generic requirement says."""
    found = [check for check in checks(of.profile.family) if check.requirement == requirement]
    assert len(found) == 1, f"{requirement} has {len(found)} checks"
    return found[0].judge(of)
