"""Who may read the stream: origins, credentials, limits of rate."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace

from conformance import exchanges
from conformance.observe.drivers.base import Driver
from conformance.observe.probes.http_requests import http_probe, look, with_headers
from conformance.observe.recording import Recording
from conformance.profile import Effect, Profile
from conformance.transcript import Request

SOME_ORIGIN = "https://sse-conformance.example"
LONGEST_WAIT = 60.0  # seconds that we wait for a limited service to resume
MOST_ORIGINS = 3  # declared origins that are tried
MOST_REQUESTS = 2_000


@http_probe(exchanges.ORIGIN, prompts=2 * MOST_ORIGINS)
async def origin(driver: Driver, recording: Recording) -> None:
    """the stream as a page of another origin asks for it: plain, with a cookie, and the preflight"""
    profile, right = recording.profile, driver.stream_request()
    declared = tuple(
        dict.fromkeys(SOME_ORIGIN if name == "*" else name for name in profile.capabilities.cors)
    )
    origins = declared[:MOST_ORIGINS] or (SOME_ORIGIN,)
    recording.fact("origins", list(origins))
    needed = exchanges.needed_headers(profile)
    asked = (("Access-Control-Request-Headers", ", ".join(needed)),) if needed else ()
    asked = (("Access-Control-Request-Method", right.method), *asked)
    for number, name in enumerate(origins):
        own = ("Origin", name)
        plain = with_headers(await driver.fresh_request(recording), own)
        await look(driver, recording, f"origin-{number}", plain)
        if not declared:
            return
        cookie = with_headers(await driver.fresh_request(recording), own, ("Cookie", "sse_conformance=1"))
        await look(driver, recording, f"cookie-{number}", cookie)
        # Browsers send it without credentials (Fetch standard, CORS-preflight fetch).
        preflight = Request("OPTIONS", right.url, (own, *asked))
        await look(driver, recording, f"preflight-{number}", preflight, bare=True)


def credential_header(profile: Profile) -> str:
    """The header that carries the credentials of the declared scheme, in lower case."""
    scheme = profile.capabilities.auth or ""
    return scheme.partition(":")[2].strip().lower() if scheme.startswith("header:") else "authorization"


def wrong_credentials(profile: Profile) -> tuple[str, str]:
    """Well-formed credentials of the declared scheme that nobody has."""
    scheme, name = profile.capabilities.auth or "", credential_header(profile)
    if scheme == "bearer":
        return "Authorization", "Bearer sse-conformance-wrong"
    if scheme == "basic":
        return "Authorization", "Basic " + base64.b64encode(b"sse-conformance:wrong").decode("ascii")
    return name, "sse-conformance-wrong"


def _no_auth(profile: Profile) -> str:
    return "" if profile.capabilities.auth else "the profile does not declare auth"


@http_probe(exchanges.AUTH, unless=_no_auth)
async def auth(driver: Driver, recording: Recording) -> None:
    """the stream without credentials, and with wrong ones"""
    profile, right = recording.profile, driver.stream_request()
    secret = credential_header(profile)
    others = tuple((name, value) for name, value in profile.headers if name.lower() != secret)
    stripped = replace(right, headers=tuple(pair for pair in right.headers if pair[0].lower() != secret))
    anonymous = with_headers(stripped, *others)
    await look(driver, recording, "none", anonymous, bare=True)
    await look(driver, recording, "wrong", with_headers(anonymous, wrong_credentials(profile)), bare=True)


def _no_limit(profile: Profile) -> str:
    declared = profile.capabilities.rate_limit
    if not declared:
        return "the profile does not declare rate_limit"
    return "" if declared <= MOST_REQUESTS else f"the declared limit is above {MOST_REQUESTS} requests"


@http_probe(exchanges.RATE, prompts=1, effect=Effect.DISRUPT, unless=_no_limit)
async def rate_limit(driver: Driver, recording: Recording) -> None:
    """requests for the stream until one is limited, then after a while one more"""
    profile = recording.profile
    limit = profile.capabilities.rate_limit or 0
    head = None
    # Twice the limit and a few, for limiters count in windows.
    most = 2 * limit + 5
    for sent in range(1, most + 1):
        stream = await recording.transport.open(driver.stream_request())
        head = await stream.wait_head(recording.seconds(profile.limits.head))
        await stream.close()
        limited = head is not None and head.status in (429, 503)
        if limited or sent == most:
            # Only this one is kept: the first that was limited, or the last.
            recording.keep("limited", stream)
            recording.fact("sent", sent)
            break
    if head is None or head.status not in (429, 503):
        return
    retry_after = seconds_of(head.get("retry-after"))
    recording.fact("retry_after", retry_after)
    began = recording.now()
    pause = 1.0 if retry_after is None else min(float(retry_after) + 1.0, LONGEST_WAIT)
    resumed, attempt = False, 0
    while not resumed and recording.now() - began < LONGEST_WAIT:
        await asyncio.sleep(pause)
        attempt += 1
        resumed = await driver.alive(recording, role=f"again-{attempt}")
        # Asking may prolong a sliding window, so ask less and less often.
        pause = min(pause * 2, max(1.0, LONGEST_WAIT - (recording.now() - began)))
    recording.fact("waited", round(recording.now() - began, 1))
    recording.fact("resumed", resumed)


def seconds_of(retry_after: str | None) -> int | None:
    """`Retry-After` in seconds where it is a number (a date is not read)."""
    return (
        int(retry_after)
        if retry_after is not None and retry_after.isascii() and retry_after.isdigit()
        else None
    )
