"""Where a target's model is: the `base_url` of one provider in its settings (AgentSmithy: `GET`, `PUT /api/config`).

The settings hold the keys of whoever runs the target: they are kept in memory alone, and no message quotes them.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from conformance.observe.transport import Answer, Transport
from conformance.profile import Profile
from conformance.transcript import Request

_PATH = "/api/config"


class SettingsError(Exception):
    """The target's settings are not what they were asked to be. One line."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What the target's settings say of its model.

    `base_url` is the provider's (None: none is set). `providers` are all of them, as the target told; None where
    it does not tell, and `problem` says why.
    """

    base_url: str | None = None
    providers: dict[str, Any] | None = None
    problem: str = ""


async def read(profile: Profile, provider: str) -> ModelSettings:
    """Ask the target. Raises `TargetUnreachable`; `SettingsError` where it has no such provider."""
    answer = await _call(profile, Request("GET", profile.url + _PATH, (("Accept", "application/json"),)))
    config = answer.json.get("config") if answer.ok and isinstance(answer.json, dict) else None
    providers = config.get("providers") if isinstance(config, dict) else None
    if not isinstance(providers, dict):
        return ModelSettings(problem=f"GET {_PATH}: {_said(answer)}")
    known = providers.get(provider)
    if not isinstance(known, dict):
        raise SettingsError(
            f"its settings have no provider {provider!r}, only {', '.join(sorted(providers)) or 'none'}"
        )
    base_url = known.get("base_url")
    return ModelSettings(base_url if isinstance(base_url, str) else None, providers)


async def put(profile: Profile, provider: str, base_url: str | None, before: ModelSettings) -> None:
    """Set the provider's `base_url`, and see that nothing else is other than `before`, where that is known.

    Raises `SettingsError` where it is not so in the end, and `TargetUnreachable`.
    """
    await _put(profile, {provider: {"base_url": base_url}})
    if before.providers is None:
        return
    wanted = {**before.providers, provider: {**before.providers[provider], "base_url": base_url}}
    if await _providers(profile, provider) == _told(wanted):
        return
    # Merging what is put is one reading of it; a server that replaces has to be given everything.
    await _put(profile, wanted)
    if (found := await _providers(profile, provider)) != _told(wanted):
        now = found.get(provider, {}).get("base_url")
        what = (
            f"it says {now!r} instead"
            if now != base_url
            else "other settings of its providers changed as well"
        )
        raise SettingsError(f"PUT {_PATH} was accepted and did not do what it was asked: {what}")


async def _providers(profile: Profile, provider: str) -> dict[str, Any]:
    return _told((await read(profile, provider)).providers or {})


def _told(providers: dict[str, Any]) -> dict[str, Any]:
    """Without members that are null: some servers leave out what is not set."""
    return {
        name: _told(value) if isinstance(value, dict) else value
        for name, value in providers.items()
        if value is not None
    }


async def _put(profile: Profile, providers: dict[str, Any]) -> None:
    body = json.dumps({"config": {"providers": providers}}).encode()
    headers = (("Content-Type", "application/json"), ("Accept", "application/json"))
    answer = await _call(profile, Request("PUT", profile.url + _PATH, headers, body))
    if not answer.ok:
        raise SettingsError(f"PUT {_PATH}: {_said(answer)}")


async def _call(profile: Profile, request: Request) -> Answer:
    transport = Transport(profile, time.monotonic)
    try:
        return await transport.call(request, timeout=profile.limits.head * profile.timeout_scale)
    finally:
        await transport.close()


def _said(answer: Answer) -> str:
    if answer.status is None:
        return answer.error
    return f"status {answer.status}" if not answer.ok else "the answer does not show config.providers"
