"""The `curl` command that sends a recorded request again."""

from __future__ import annotations

import re
import shlex

from conformance.redact import MASK
from conformance.transcript import Request

# What curl sets by itself, or what would be wrong in a repetition.
_OMIT = frozenset({"host", "content-length", "connection", "transfer-encoding"})
_LONGEST_BODY = 2_000


def curl_line(request: Request) -> str:
    """One shell line. The request must be redacted: a masked header becomes a shell variable to fill in."""
    words = ["curl", "-N", "-i"]
    if request.http_version == "1.0":
        words.append("--http1.0")
    if request.method == "HEAD":
        words.append("-I")
    elif request.method != ("GET" if request.body is None else "POST"):
        words += ["-X", request.method]
    quoted = [shlex.quote(word) for word in words]
    for name, value in request.headers:
        if name.lower() in _OMIT:
            continue
        if MASK in value:
            variable = re.sub(r"\W", "_", name).upper()
            quoted += ["-H", f'"{name}: ${variable}"']
        else:
            quoted += ["-H", shlex.quote(f"{name}: {value}")]
    if request.body is not None:
        body = request.body.decode("utf-8", "replace")
        if len(body) > _LONGEST_BODY:
            body = "@-"  # too long for a line: the saved exchange has it
        quoted += ["--data-binary", shlex.quote(body)]
    return " ".join([*quoted, shlex.quote(request.url)])
