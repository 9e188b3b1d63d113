"""Deterministic embeddings: unit vectors that depend on the input alone."""

from __future__ import annotations

import base64
import hashlib
import math
import struct
from typing import Any

from reference_server.model.conversation import BadRequestError

DIMENSIONS, MAX_DIMENSIONS, MAX_INPUTS = 256, 8192, 2048


def vector(text: str, dimensions: int = DIMENSIONS) -> list[float]:
    """A vector of length 1 in `dimensions` dimensions; equal texts give equal vectors."""
    raw = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(dimensions * 2)
    values = [value / 32768 + 1 / 65536 for value in struct.unpack(f"<{dimensions}h", raw)]
    length = math.sqrt(sum(value * value for value in values))
    return [value / length for value in values]


def embed(data: object) -> dict[str, Any]:
    """The answer to an embeddings request. Raises `BadRequestError`."""
    if not isinstance(data, dict):
        raise BadRequestError("the body is not a JSON object")
    dimensions = data.get("dimensions", DIMENSIONS)
    if type(dimensions) is not int or not 1 <= dimensions <= MAX_DIMENSIONS:
        raise BadRequestError(f"`dimensions` is not a whole number from 1 to {MAX_DIMENSIONS}")
    inputs = _inputs(data.get("input"))
    as_base64 = data.get("encoding_format") == "base64"  # what OpenAI's own clients ask for
    rows = []
    for index, text in enumerate(inputs):
        values = vector(text, dimensions)
        packed = base64.b64encode(struct.pack(f"<{dimensions}f", *values)).decode() if as_base64 else values
        rows.append({"object": "embedding", "index": index, "embedding": packed})
    tokens = sum(len(text) // 4 + 1 for text in inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": rows, "model": str(data.get("model") or "scripted"), "usage": usage}


def _inputs(value: object) -> list[str]:
    """A string, a list of strings, a list of token numbers, or a list of such lists."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and 0 < len(value) <= MAX_INPUTS:
        if all(isinstance(item, int) for item in value):
            return [str(value)]
        if all(isinstance(item, str | list) for item in value):
            return [str(item) for item in value]
    raise BadRequestError(f"`input` is not a string or a list of 1 to {MAX_INPUTS} inputs")
