"""Secrets out of everything that is kept or shown: header values, named members, query parameters.

A secret is masked by as many asterisks as it has bytes, so the byte spans and the chunk borders of a redacted
observation are those of the recorded one, and what is equal stays equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from conformance.profile import Profile
from conformance.secrets import Named, encodings, looks_random, pieces, secrets_of_header, simple_encodings
from conformance.transcript import Action, Framing, Head, Observation, Request, Transcript, split_chunks

_LONG = 100_000  # characters
MASK = "***"  # for the value of a header: not even its length is told
# Headers that carry credentials whoever declared them.
_CREDENTIALS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key"})
_USER_OF_URL = re.compile(r"(?<=://)[^/@\s\"'<>?#]+(?=@)")


class Redactor:
    """Removes a profile's secrets: the values of its headers, and whatever `redact` names.

    `learned`: further secrets, such as the values of named members that are repeated without their name.
    """

    def __init__(self, profile: Profile, learned: Iterable[str] = ()) -> None:
        self._names = frozenset(name.lower() for name in profile.redact)
        self._headers = _CREDENTIALS | {name.lower() for name, _ in profile.headers}
        self._named = Named(self._names) if self._names else None
        secrets = {secret for _, value in profile.headers for secret in secrets_of_header(value)}
        if self._named is not None:
            for _, template in profile.stimulus:
                secrets |= self._named.values(template.path)
                secrets |= self._members(template.body)
        # There may be many learned ones, and bodies are long: fewer disguises of them are looked for.
        more = set(learned) - secrets
        literals = {text for secret in secrets for text in encodings(secret)}
        literals |= {text for secret in more for text in simple_encodings(secret)}
        self._literals = sorted(literals, key=len, reverse=True)
        tokens = {secret for secret in secrets if looks_random(secret)}
        self._tokens = sorted(tokens)
        self._pieces = sorted({text for token in tokens for text in encodings(token)} | more)
        self._pieces = [text for text in self._pieces if looks_random(text)]

    def learned_from(self, observation: Observation) -> frozenset[str]:
        """The values that the profile's `redact` names, as this observation shows them."""
        named, found = self._named, set[str]()
        if named is None:
            return frozenset()
        for _, transcript in observation.transcripts:
            request = transcript.request
            found |= named.values(request.url) | named.values(_text(transcript.body))
            found |= named.values(_text(request.body or b""))
        for action in observation.actions:
            found |= named.values(action.prompt) | self._members(action.answer)
        return frozenset(found)

    def text(self, text: str) -> str:
        """The text without secrets."""
        text = _USER_OF_URL.sub(lambda found: _stars(found[0]), text)
        if self._named is not None:
            text = _masked(text, self._named.spans(text))
        for literal in self._literals:
            if literal in text:
                text = text.replace(literal, _stars(literal))
        # Words about what was seen cut anywhere; what is long is a body, where only events cut.
        for token in self._pieces if len(text) < _LONG else self._tokens:
            text = _masked(text, pieces(token, text))
        return text

    def bytes(self, data: bytes) -> bytes:
        """The bytes without secrets, as many as before; bytes that are not UTF-8 pass through unharmed."""
        return self.text(_text(data)).encode("utf-8", "surrogateescape")

    def headers(self, headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
        """The headers with the values of secret ones masked."""
        return tuple(
            (name, MASK if name.lower() in self._headers else self.text(value)) for name, value in headers
        )

    def request(self, request: Request) -> Request:
        """The request as it may be shown."""
        return Request(
            request.method,
            self.text(request.url),
            self.headers(request.headers),
            None if request.body is None else self.bytes(request.body),
            request.http_version,
        )

    def value(self, value: Any) -> Any:
        """A JSON value without secrets."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {
                self.text(key): _all_masked(item) if key.lower() in self._names else self.value(item)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value

    def profile(self, profile: Profile) -> Profile:
        """The profile as it may be shown."""
        return replace(
            profile,
            url=self.text(profile.url),
            headers=self.headers(profile.headers),
            model_url=None if profile.model_url is None else self.text(profile.model_url),
            stimulus=tuple(
                (name, replace(entry, path=self.text(entry.path), body=self.value(entry.body)))
                for name, entry in profile.stimulus
            ),
        )

    def observation(self, observation: Observation) -> Observation:
        """The observation as it may be saved, with byte spans, times and chunk borders as they were."""
        return replace(
            observation,
            profile=self.profile(observation.profile),
            transcripts=tuple((role, self._transcript(t)) for role, t in observation.transcripts),
            actions=tuple(self._action(action) for action in observation.actions),
            facts=tuple((name, self.value(fact)) for name, fact in observation.facts),
            incomplete=self.text(observation.incomplete),
        )

    def _transcript(self, transcript: Transcript) -> Transcript:
        body = transcript.body
        # A secret may be cut by a chunk border, so the body is redacted as a whole.
        clean = self.bytes(body)
        chunks = transcript.chunks
        if clean != body:
            chunks = split_chunks(clean, [(chunk.at, len(chunk.data)) for chunk in chunks])
        return replace(
            transcript,
            request=self.request(transcript.request),
            head=None if transcript.head is None else self._head(transcript.head),
            chunks=chunks,
            detail=self.text(transcript.detail),
            framing=None if transcript.framing is None else self._framing(transcript.framing),
        )

    def _head(self, head: Head) -> Head:
        return replace(head, reason=self.text(head.reason), headers=self.headers(head.headers))

    def _framing(self, framing: Framing) -> Framing:
        return replace(framing, errors=tuple(self.text(error) for error in framing.errors))

    def _action(self, action: Action) -> Action:
        return replace(
            action,
            session=self.text(action.session),
            agent=self.text(action.agent),
            prompt=self.text(action.prompt),
            answer=self.value(action.answer),
            note=self.text(action.note),
        )

    def _members(self, value: Any) -> set[str]:
        """The values of named members in a JSON value."""
        found: set[str] = set()
        if isinstance(value, dict):
            for key, item in value.items():
                if key.lower() in self._names and isinstance(item, str) and len(item) >= 6:
                    found.add(item)
                found |= self._members(item)
        elif isinstance(value, list | tuple):
            for item in value:
                found |= self._members(item)
        return found


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _stars(text: str) -> str:
    return "*" * len(text.encode("utf-8", "surrogateescape"))


def _masked(text: str, spans: Iterable[tuple[int, int]]) -> str:
    parts, done = [], 0
    for start, end in sorted(spans):
        start = max(start, done)
        if end > start:
            secret = text[start:end]
            # A number stays one, or what was JSON would be none.
            number = re.fullmatch(r"-?\d[\d.eE+-]*", secret) and text[start - 1 : start] not in ('"', "=")
            parts += [text[done:start], re.sub(r"\d", "1", secret) if number else _stars(secret)]
            done = end
    return "".join([*parts, text[done:]]) if parts else text


def _all_masked(value: Any) -> Any:
    if isinstance(value, str):
        return _stars(value)
    if isinstance(value, dict):
        return {key: _all_masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_all_masked(item) for item in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return type(value)(re.sub(r"\d", "1", str(value)))
    return value


__all__ = ["MASK", "Redactor"]
