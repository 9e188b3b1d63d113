"""Request bodies: read with a bound, decoded strictly, and refused with one clear line."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NoReturn

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import Receive, Scope

DRAINED = 64 * 1024 * 1024  # bytes of a body beyond the limit that are read and dropped before the refusal
DRAIN_SECONDS = 5.0


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body. Raises `HTTPException` 413 beyond `limit` bytes.

    A body that is too large is read to its end first, within bounds: a client that is still sending when its
    connection closes sees a reset and not the answer.
    """
    request = Request(scope, receive)
    declared = request.headers.get("content-length", "0")
    too_large = declared.isascii() and declared.isdigit() and int(declared) > limit
    if too_large and request.headers.get("expect", "").lower() == "100-continue":
        _refuse(limit)
    body = bytearray()
    seen = 0
    try:
        async with asyncio.timeout(None) as deadline:
            async for chunk in request.stream():
                seen += len(chunk)
                too_large = too_large or seen > limit
                if not too_large:
                    body += chunk
                    continue
                body.clear()
                if seen > limit + DRAINED:
                    break
                if deadline.when() is None:
                    deadline.reschedule(asyncio.get_running_loop().time() + DRAIN_SECONDS)
    except TimeoutError:
        pass
    if too_large:
        _refuse(limit)
    return bytes(body)


def _refuse(limit: int) -> NoReturn:
    raise HTTPException(413, f"the body is larger than {limit} bytes")


async def read_object(scope: Scope, receive: Receive, limit: int, *, empty: bool = False) -> dict[str, Any]:
    """The body as a JSON object. Raises `HTTPException`: 413 too large, 422 not a JSON object.

    `empty`: an empty body stands for an empty object. Constants that JSON does not have (NaN) and characters
    that UTF-8 does not have (unpaired surrogates) are refused too.
    """
    body = await read_body(scope, receive, limit)
    if empty and not body.strip():
        return {}
    try:
        value = json.loads(body.decode("utf-8-sig"), parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise HTTPException(422, "the body has an unpaired surrogate, which is no character") from None
    except UnicodeDecodeError:
        raise HTTPException(422, "the body is not UTF-8") from None
    except RecursionError:
        raise HTTPException(422, "the body is nested too deeply") from None
    except ValueError as error:
        raise HTTPException(422, f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise HTTPException(422, "the body must be a JSON object")
    return value


def member(body: dict[str, Any], name: str, kind: type, article: str, default: Any = None) -> Any:
    """A member of the body, `default` if absent or null. Raises `HTTPException` 422 for a wrong type."""
    value = body.get(name)
    if value is None:
        return default
    # bool is an int in Python, not in JSON
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise HTTPException(422, f"`{name}` must be {article}")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
