"""What is asked, and of whom: endpoints, calls, limits, and a request's bytes."""

from __future__ import annotations

import math
import re
import ssl
from dataclasses import dataclass
from functools import lru_cache

from conformance.observe.connect import parse_url, tls_context
from conformance.profile import Tls

MIB = 1_048_576

_TARGET = re.compile(r"/[!-~]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[^\0\r\n]*")


# The certificates of a context take a megabyte, and milliseconds to read.
_shared_context = lru_cache(8)(tls_context)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is: no `tls` for http, `host_header` as requests have it, `prefix` without a slash at its end."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    host_header: str
    prefix: str

    @classmethod
    def of(
        cls,
        url: str,
        *,
        insecure: bool = False,
        ca: str | None = None,
        cert: str | None = None,
        key: str | None = None,
    ) -> Endpoint:
        """From a base URL, which may have a path prefix. `ca`, `cert`, `key`: paths of PEM files.

        Raises `ValueError` for what is no such URL, `TargetUnreachable` where the files are unusable; one line each.
        """
        address = parse_url(url)
        if "?" in address.target:
            raise ValueError(f"a base URL has no query: {url!r}")
        context = _shared_context(Tls(ca, cert, key, insecure)) if address.secure else None
        prefix = address.target.rstrip("/")
        return cls(address.host, address.port, context, address.authority, prefix)

    @property
    def where(self) -> str:
        """Scheme and authority, for people."""
        return f"{'http' if self.tls is None else 'https'}://{self.host_header}"


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request: `path` begins with a slash and is encoded already; it may have a query."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    def bytes_for(self, endpoint: Endpoint) -> bytes:
        """The request; Host, Accept-Encoding, Connection and Content-Length are added where the call has not its own.

        The connection is not used again, and says so. Raises `ValueError` for what cannot be sent.
        """
        target = endpoint.prefix + self.path
        if not _TOKEN.fullmatch(self.method) or not _TARGET.fullmatch(target):
            raise ValueError(f"not a request: {self.method} {target!r}")
        own = {name.lower() for name, _ in self.headers}
        added = [("Host", endpoint.host_header), ("Accept-Encoding", "identity"), ("Connection", "close")]
        if self.body or self.method in ("POST", "PUT", "PATCH"):
            added.append(("Content-Length", str(len(self.body))))
        lines = [f"{self.method} {target} HTTP/1.1"]
        for name, value in [*(pair for pair in added if pair[0].lower() not in own), *self.headers]:
            if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
                raise ValueError(f"not a header: {name!r}")
            lines.append(f"{name}: {value}")
        try:
            head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        except UnicodeEncodeError:
            raise ValueError("a header has a character that is not Latin-1") from None
        return head + self.body


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and bytes at the most; `math.inf` for no limit.

    `connect`: until the connection stands, TLS included. `head`: from the request to the response head. `first`: from
    the head to the first event. `stall`: a silence (no byte at all) after the first event, or in an ordinary answer's
    body. `line`, `event`: the decoder's caps. `body`: of an ordinary answer.
    """

    connect: float = 10.0
    head: float = 30.0
    first: float = 60.0
    stall: float = 60.0
    line: int = 16 * MIB
    event: int = 32 * MIB
    body: int = 16 * MIB


NO_LIMIT = math.inf

__all__ = ["MIB", "NO_LIMIT", "Call", "Endpoint", "Limits"]
