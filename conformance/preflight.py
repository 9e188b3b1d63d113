"""Before anything is judged: is there a server, does it speak HTTP, and is the endpoint of the protocol there?

A wrong URL must end a run with one line instead of a hundred red requirements.
"""

from __future__ import annotations

import asyncio

from conformance.observe.recording import Recording
from conformance.observe.transport import TargetUnreachable
from conformance.profile import Profile
from conformance.profile_file import default_profile
from conformance.transcript import Ended, Request, Transcript

# What answers at the endpoint of each protocol without costing a prompt: method, path, body.
ENDPOINTS = {
    "agentsmithy": ("POST", "/api/chat", b"{}"),
    "penguin": ("GET", "/api/v1/events/sse", None),
    "opencode": ("GET", "/event", None),
}


class WrongEndpointError(Exception):
    """The target answers, but not with this protocol. One line."""


def preflight(profile: Profile) -> None:
    """Look once at the protocol's endpoint.

    Raises `TargetUnreachable` where nothing that speaks HTTP answers, and `WrongEndpointError` where something
    else than the protocol's endpoint does.
    """
    asyncio.run(_preflight(profile))


def endpoints_that_answer(url: str) -> tuple[str, ...]:
    """Which protocols' endpoints are there at this URL: "penguin (GET /api/v1/events/sse)". Never raises."""
    return asyncio.run(_endpoints(url))


async def _preflight(profile: Profile) -> None:
    transcript = await _ask(profile)
    where = f"{profile.url}{ENDPOINTS[profile.family][1]}"
    if transcript.head is None:
        raise TargetUnreachable(f"{where}: {_why_no_head(transcript, profile)}")
    if 300 <= transcript.head.status < 400:
        location = transcript.head.get("location") or "nowhere"
        raise WrongEndpointError(
            f"{where}: redirects (status {transcript.head.status}) to {location}: name that URL"
        )
    if not _is_there(profile.family, transcript):
        said = f"status {transcript.head.status}, {transcript.head.media_type or 'no media type'}"
        others = [name for name in await _endpoints(profile.url) if not name.startswith(profile.family)]
        hint = f"; what answers there is {', '.join(others)}" if others else ""
        raise WrongEndpointError(f"{where}: no {profile.family} endpoint ({said}){hint}")


async def _endpoints(url: str) -> tuple[str, ...]:
    found: list[str] = []
    guarded = 0
    for family, (method, path, _) in ENDPOINTS.items():
        try:
            transcript = await _ask(default_profile("penguin/2", url), family)
        except TargetUnreachable:
            continue
        if transcript.head is not None and _is_there(family, transcript):
            found.append(f"{family} ({method} {path})")
            guarded += transcript.head.status in (401, 403)
    # Who asks for credentials before looking at the path has said nothing about what is there.
    return () if guarded == len(ENDPOINTS) else tuple(found)


async def _ask(profile: Profile, family: str | None = None) -> Transcript:
    method, path, body = ENDPOINTS[family or profile.family]
    headers = [("Accept", "text/event-stream")]
    if body is not None:
        headers.append(("Content-Type", "application/json"))
    recording = Recording("preflight", profile)
    stream = await recording.open("preflight", Request(method, profile.url + path, tuple(headers), body))
    await stream.wait_head(recording.seconds(profile.limits.head))
    observation = await recording.finish()
    return observation.transcripts[0][1]


def _is_there(family: str, transcript: Transcript) -> bool:
    head = transcript.head
    assert head is not None
    if head.status in (404, 405, 501) or (head.status < 300 and head.media_type == "text/html"):
        return False
    if family == "agentsmithy":
        return True  # any answer to an empty body that is not "no such thing here"
    # A subscription is answered by a stream, or refused for a reason of its own (credentials, limits).
    return head.media_type == "text/event-stream" or head.status >= 400


def _why_no_head(transcript: Transcript, profile: Profile) -> str:
    if transcript.ended in (Ended.CLOSED_BY_US, Ended.DEADLINE):
        seconds = profile.limits.head * profile.timeout_scale
        return f"the connection was accepted, but no response came within {seconds:g} s"
    if transcript.ended is Ended.PROTOCOL_ERROR:
        return f"what answered does not speak HTTP/1.1: {transcript.detail}"
    detail = f" ({transcript.detail})" if transcript.detail else ""
    return f"the connection ended before any response{detail}"
