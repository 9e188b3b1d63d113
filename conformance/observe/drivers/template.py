"""Stimulus templates of a profile: an HTTP request with placeholders becomes a request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from conformance.profile import Profile, Template
from conformance.transcript import Request

_ABSENT = object()


def template_of(profile: Profile, name: str) -> Template | None:
    """The profile's own template for a stimulus ("create-session", "prompt" …), if it has one."""
    return next((template for key, template in profile.stimulus if key == name), None)


def from_template(
    profile: Profile,
    template: Template,
    values: Mapping[str, str | None],
    *,
    headers: tuple[tuple[str, str], ...] = (),
) -> Request:
    """The request that a template makes of `values` (names without braces).

    A value of None is unknown: a body member that consists of nothing but its placeholder is left out, and
    anywhere else it becomes empty. In the path, values are percent-encoded.
    """
    path = template.path
    for name, value in values.items():
        path = path.replace("{" + name + "}", quote(value or "", safe=""))
    url = profile.url + (path if path.startswith("/") else f"/{path}")
    if template.body is None:
        return Request(template.method, url, headers)
    body = _fill(template.body, values)
    raw = json.dumps({} if body is _ABSENT else body, ensure_ascii=False).encode()
    return Request(template.method, url, (("Content-Type", "application/json"), *headers), raw)


def answered_id(template: Template, answer: Any) -> str | None:
    """What the answer holds at the template's JSON pointer (RFC 6901), where it is text or a whole number."""
    value = answer
    for token in template.answer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    if isinstance(value, str) and value:
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _fill(value: Any, values: Mapping[str, str | None]) -> Any:
    if isinstance(value, str):
        return _fill_text(value, values)
    if isinstance(value, Mapping):
        filled = {key: _fill(item, values) for key, item in value.items()}
        return {key: item for key, item in filled.items() if item is not _ABSENT}
    if isinstance(value, list | tuple):
        return [item for item in (_fill(item, values) for item in value) if item is not _ABSENT]
    return value


def _fill_text(text: str, values: Mapping[str, str | None]) -> Any:
    # One pass over the template alone: a placeholder that occurs inside a prompt is text.
    out: list[str] = []
    at = 0
    while (opening := text.find("{", at)) >= 0:
        closing = text.find("}", opening)
        name = text[opening + 1 : closing] if closing > opening else ""
        if name not in values:
            out.append(text[at : opening + 1])
            at = opening + 1
            continue
        value = values[name]
        if value is None and opening == 0 and closing == len(text) - 1:
            return _ABSENT
        out.append(text[at:opening] + (value or ""))
        at = closing + 1
    out.append(text[at:])
    return "".join(out)
