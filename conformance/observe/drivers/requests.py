"""The JSON calls that drivers make."""

from __future__ import annotations

import json
from typing import Any

from conformance.transcript import Request

_JSON = (("Content-Type", "application/json"), ("Accept", "application/json"))


def json_request(method: str, url: str, body: Any = None) -> Request:
    """A call with a JSON body (none where `body` is None)."""
    if body is None:
        return Request(method, url, (("Accept", "application/json"),))
    return Request(method, url, _JSON, json.dumps(body).encode("utf-8"))
