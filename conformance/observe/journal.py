"""The scripted model's journal: which calls a target made of it, and what became of them."""

from __future__ import annotations

from typing import Any

from conformance.observe.transport import TargetUnreachable, Transport
from conformance.transcript import Request


def base_of(model_url: str) -> str:
    """The scripted model's base URL, also where the one for OpenAI's clients (`…/v1`) was given."""
    return model_url.rstrip("/").removesuffix("/v1")


async def model_calls(
    transport: Transport, model_url: str, *, timeout: float, since: int = 0
) -> list[dict[str, Any]] | None:
    """Its calls after number `since`, oldest first; None where there is no journal to be read.

    `timeout` is in seconds.
    """
    url = f"{base_of(model_url)}/__model/calls?since={since}"
    request = Request("GET", url, (("Accept", "application/json"),))
    try:
        # `bare`: the headers of the profile are the target's secrets.
        answer = await transport.call(request, timeout=timeout, bare=True)
    except TargetUnreachable:
        return None
    if not answer.ok or not isinstance(answer.json, list):
        return None
    return [call for call in answer.json if isinstance(call, dict)]


def last_number(calls: list[dict[str, Any]] | None) -> int:
    """The number of the newest of these calls, 0 if there is none."""
    number = calls[-1].get("number") if calls else 0
    return number if isinstance(number, int) else 0
