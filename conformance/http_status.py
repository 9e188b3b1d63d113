"""The classes of status codes (RFC 9110 §15). None, where there was no answer, is of none."""

from __future__ import annotations


def successful(status: int | None) -> bool:
    """2xx."""
    return status is not None and status // 100 == 2


def client_error(status: int | None) -> bool:
    """4xx: a refusal."""
    return status is not None and status // 100 == 4


def server_error(status: int | None) -> bool:
    """5xx: the server failed."""
    return status is not None and status // 100 == 5
