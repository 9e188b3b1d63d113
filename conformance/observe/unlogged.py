"""What our own requests must not write into logs: the HTTP client tells URLs and headers there, secrets and all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.http2",
    "httpcore.proxy",
    "httpcore.socks",
)
_ours: ContextVar[bool] = ContextVar("sse_conformance_request", default=False)


@contextmanager
def unlogged() -> Iterator[None]:
    """Nothing that the HTTP client does in this context is logged; other users of it log as they did."""
    before = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(before)


def _is_foreign(record: logging.LogRecord) -> bool:
    return not _ours.get()


for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_is_foreign)
