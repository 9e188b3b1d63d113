"""How the examples of requirements are written down (schemas/examples/), and how they become observations.

A good or bad example is the body of a stream as visible text (`conformance.visible`), or a mapping that says what
a probe would have seen: exchanges by role, actions, facts. `‹word argument …›` stands for what the word means in the
protocol revision (schemas/examples/words.yaml), so that one example serves several revisions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any

from conformance.profile import Profile
from conformance.profile_file import default_profile
from conformance.rules.base import RECORDED
from conformance.script import Script
from conformance.transcript import Action, Chunk, Ended, Framing, Head, Observation, Request, Transcript
from conformance.visible import NotationError, read_visible

BASE = "http://localhost:8000"
SECONDS = 10.0  # how long an exchange was watched unless it says so
STREAM = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
_ASKED = {"agentsmithy": "POST /api/chat", "opencode": "GET /event"}
_SUBSCRIBED = "GET /api/v1/events/sse"
_WORD = re.compile(r"‹([a-z-]+)(?: ([^‹›]*))?›(\n*)")


@dataclass(frozen=True, slots=True)
class Words:
    """What the words of the notation mean in one protocol revision: templates with `$1`, `$2` … in them."""

    protocol: str
    meanings: Mapping[str, str]

    def spelled_out(self, text: str) -> str:
        """The text with every word replaced by what it means. Raises `NotationError` for an unknown word."""
        return _WORD.sub(self._meaning, text)

    def _meaning(self, found: re.Match[str]) -> str:
        word, said, end = found[1], found[2] or "", found[3]
        template = self.meanings.get(word)
        if template is None:
            raise NotationError(f"{self.protocol} has no word {word!r}")
        places = max((int(n) for n in re.findall(r"\$(\d)", template)), default=0)
        arguments = said.split(" ", max(0, places - 1)) if said else []
        if len(arguments) != places and template:
            raise NotationError(f"{found[0]!r}: {word} takes {places} arguments, {len(arguments)} are given")
        for number, argument in enumerate(arguments, 1):
            template = template.replace(f"${number}", argument)
        return template.removesuffix("\n") + end if template else ""


def overlaid(good: Any, change: Any) -> Any:
    """The good example with what is said of the bad one laid over it (as RFC 7396, JSON merge patch)."""
    if not (isinstance(good, Mapping) and isinstance(change, Mapping)):
        return change
    merged = dict(good)
    for name, value in change.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = overlaid(merged.get(name), value)
    return merged


def observed(written: str | Mapping[str, Any], words: Words) -> Observation:
    """The observation that an example describes. Raises `NotationError`, and `KeyError` for what must be there."""
    example = _spelled_out(written, words)
    profile = default_profile(words.protocol, BASE)
    if isinstance(example, str):
        return _body_alone(example, profile)
    profile = _declared(profile, example)
    exchanges = tuple((role, _exchange(shown, profile)) for role, shown in example["exchanges"].items())
    actions = sorted((_action(entry) for entry in example.get("actions", ())), key=lambda action: action.at)
    facts = tuple(example.get("facts", {}).items())
    return Observation(example.get("probe", RECORDED), profile, exchanges, tuple(actions), facts)


def _spelled_out(value: Any, words: Words) -> Any:
    if isinstance(value, str):
        return words.spelled_out(value)
    if isinstance(value, Mapping):
        return {name: _spelled_out(item, words) for name, item in value.items()}
    return [_spelled_out(item, words) for item in value] if isinstance(value, list) else value


def _body_alone(text: str, profile: Profile) -> Observation:
    """A recorded body of which nothing else is known, as `sse-conformance check` reads one."""
    family = profile.family == "agentsmithy"
    transcript = Transcript(
        Request("POST" if family else "GET", profile.url + "/"),
        0.0,
        Head(0.0, 200, "OK", "1.1", (("content-type", "text/event-stream"),)),
        (Chunk(0.0, read_visible(text)),),
        Ended.CLOSED_BY_US,
        0.0,
        from_start=family,
    )
    facts = (("head", "assumed"), ("request", "unknown"))
    return Observation(RECORDED, profile, ((RECORDED, transcript),), facts=facts)


def _declared(profile: Profile, example: Mapping[str, Any]) -> Profile:
    capabilities: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in example.get("declares", {}).items()
    }
    return replace(
        profile,
        capabilities=replace(profile.capabilities, **capabilities),
        workspace=example.get("workspace"),
        limits=replace(profile.limits, **example.get("limits", {})),
    )


def _exchange(shown: str | Mapping[str, Any], profile: Profile) -> Transcript:
    given: Mapping[str, Any] = {"body": shown} if isinstance(shown, str) else shown
    asked = given.get("request", _ASKED.get(profile.family, _SUBSCRIBED))
    method, _, target = asked.partition(" ")
    sends = tuple((name, str(value)) for name, value in given.get("sends", {}).items())
    content = given.get("content")
    opened = float(given.get("opened", 0.0))
    head = _head(given, opened)
    chunks = _chunks(given.get("body", ""), opened + 0.1 if head is None else head.at + 0.1)
    resumes = "last_event_id=" in target or any(name.lower() == "last-event-id" for name, _ in sends)
    default_end = Ended.COMPLETE if profile.family == "agentsmithy" else Ended.CLOSED_BY_US
    framing = given.get("framing")
    return Transcript(
        Request(
            method,
            profile.url + target,
            sends,
            None if content is None else read_visible(content),
            str(given.get("version", "1.1")),
        ),
        opened,
        head,
        chunks,
        Ended(given["ended"]) if "ended" in given else default_end,
        float(given.get("until", max([SECONDS, *(chunk.at for chunk in chunks)]))),
        detail=given.get("detail", ""),
        framing=None if framing is None else _framing(framing),
        from_start=bool(given.get("from_start", not resumes)),
        wire_bytes=sum(len(chunk.data) for chunk in chunks),
    )


def _head(given: Mapping[str, Any], opened: float) -> Head | None:
    status = given.get("answer", 200)
    if status == "none":
        return None
    headers = given.get("headers", STREAM if status == 200 else {})
    pairs = tuple(
        (name, str(value))
        for name, values in headers.items()
        for value in (values if isinstance(values, list) else [values])
    )
    at = float(given.get("head_at", opened + 0.1))
    return Head(at, status, HTTPStatus(status).phrase, "1.1", pairs)


def _chunks(body: str | list[list[Any]], at: float) -> tuple[Chunk, ...]:
    pieces: list[list[Any]] = [[at, body]] if isinstance(body, str) else body
    made = (Chunk(float(when), read_visible(text)) for when, text in pieces)
    return tuple(chunk for chunk in made if chunk.data)


def _framing(given: Mapping[str, Any]) -> Framing:
    return Framing(
        given["delimiter"], given["terminated"], tuple(given.get("errors", ())), given.get("surplus", 0)
    )


def _action(given: Mapping[str, Any]) -> Action:
    script = Script.from_data(given["script"]) if "script" in given else None
    at = float(given.get("at", 1.0))
    return Action(
        at,
        given["do"],
        session=given.get("session", ""),
        agent=given.get("agent", ""),
        stream=given.get("stream", ""),
        script=script,
        prompt=given.get("prompt", "Hi" if given["do"] == "prompt" else ""),
        status=given.get("status", 200),
        answer=given.get("answer"),
        until=at + 0.5 if given.get("until") is None else float(given["until"]),
        note=given.get("note", ""),
    )
