"""Secrets out of everything that is kept or shown: header values, named members, query parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from conformance.profile import Profile
from conformance.transcript import Action, Chunk, Observation, Request, Transcript

MASK = "***"
# Headers that carry credentials whoever declared them.
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"})

# Values that are no secret in any header: masking them wherever they occur would only spoil the evidence.
_COMMON = frozenset({"true", "false", "null", "none", "gzip", "identity", "no-cache", "keep-alive", "utf-8"})
_COMMON_TYPES = frozenset({"application/json", "text/event-stream"})


class Redactor:
    """Removes a profile's secrets: the values of its headers, and whatever `redact` names."""

    def __init__(self, profile: Profile) -> None:
        self._names = frozenset(name.lower() for name in profile.redact)
        self._headers = _CREDENTIALS | {name.lower() for name, _ in profile.headers}
        secrets = {value for _, value in profile.headers}
        # "Bearer abc" leaks as much through "abc"; a secret may also stand in a URL, escaped.
        secrets |= {part for value in secrets for part in value.split() if len(part) >= 6}
        secrets |= {quote(value, safe="") for value in secrets}
        secrets = {value for value in secrets if value.lower() not in _COMMON | _COMMON_TYPES}
        self._literals = sorted((value for value in secrets if len(value) >= 4), key=len, reverse=True)
        names = "|".join(re.escape(name) for name in sorted(profile.redact))
        self._member = (
            re.compile(rf'("(?:{names})"\s*:\s*)("(?:[^"\\]|\\.)*"|[-+.\w]+)', re.I) if names else None
        )
        self._query = re.compile(rf"([?&](?:{names})=)[^&#\s]*", re.I) if names else None

    def text(self, text: str) -> str:
        """The text without secrets."""
        for literal in self._literals:
            text = text.replace(literal, MASK)
        if self._member is not None and self._query is not None:
            text = self._member.sub(rf'\g<1>"{MASK}"', text)
            text = self._query.sub(rf"\g<1>{MASK}", text)
        return text

    def bytes(self, data: bytes) -> bytes:
        """The bytes without secrets; bytes that are not UTF-8 pass through unharmed."""
        return self.text(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def headers(self, headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """The headers with the values of secret ones masked."""
        return tuple(
            (name, MASK if name.lower() in self._headers else self.text(value)) for name, value in headers
        )

    def value(self, value: Any) -> Any:
        """A JSON value without secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {
                key: MASK if key.lower() in self._names else self.value(item) for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value

    def profile(self, profile: Profile) -> Profile:
        """The profile as it may be shown."""
        return replace(profile, url=self.text(profile.url), headers=self.headers(profile.headers))

    def observation(self, observation: Observation) -> Observation:
        """The observation as it may be saved. Byte spans stay true unless a secret stood in the body."""
        return replace(
            observation,
            profile=self.profile(observation.profile),
            transcripts=tuple((role, self._transcript(t)) for role, t in observation.transcripts),
            actions=tuple(self._action(action) for action in observation.actions),
            facts=tuple((name, self.value(fact)) for name, fact in observation.facts),
        )

    def _transcript(self, transcript: Transcript) -> Transcript:
        request, head = transcript.request, transcript.head
        return replace(
            transcript,
            request=Request(
                request.method,
                self.text(request.url),
                self.headers(request.headers),
                None if request.body is None else self.bytes(request.body),
                request.http_version,
            ),
            head=None if head is None else replace(head, headers=self.headers(head.headers)),
            chunks=self._chunks(transcript),
            detail=self.text(transcript.detail),
        )

    def _chunks(self, transcript: Transcript) -> tuple[Chunk, ...]:
        # A secret may be cut by a chunk border, so the body is redacted as a whole, and only where it has one.
        body = transcript.body
        clean = self.bytes(body)
        if clean == body:
            return transcript.chunks
        at = transcript.chunks[-1].at
        return (Chunk(at, clean),)

    def _action(self, action: Action) -> Action:
        return replace(
            action,
            prompt=self.text(action.prompt),
            answer=self.value(action.answer),
            note=self.text(action.note),
        )


__all__ = ["MASK", "Redactor"]
