"""Connections to the target: names, addresses, TLS, and one-line reasons where there is none."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from conformance.profile import Tls


class TargetUnreachable(Exception):
    """No connection to the target could be made. The message is one line: what, where, why."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a URL points to: `host` without brackets, `authority` and `target` as a request has them."""

    secure: bool
    host: str
    port: int
    authority: str
    target: str

    @property
    def where(self) -> str:
        """Scheme and authority, for people."""
        return f"{'https' if self.secure else 'http'}://{self.authority}"


def parse_url(url: str) -> Address:
    """Read an absolute http or https URL. Raises `ValueError` with one line for anything else."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"not an http or https URL: {url!r}")
    secure = parts.scheme == "https"
    host = parts.hostname
    shown = (
        f"[{host}]" if ":" in host else host.encode("idna").decode("ascii") if not host.isascii() else host
    )
    default = 443 if secure else 80
    port = parts.port or default
    # Percent signs stay: what is already encoded must not be encoded twice.
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = quote(parts.query, safe="/%:@!$&'()*+,;=~-._?[]{}|") if parts.query else ""
    return Address(
        secure,
        host if ":" in host else shown,
        port,
        shown if port == default else f"{shown}:{port}",
        f"{path}?{query}" if query else path,
    )


def tls_context(tls: Tls) -> ssl.SSLContext:
    """The client context that a profile asks for. Raises `TargetUnreachable` where its files are unusable."""
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as error:
        named = ", ".join(path for path in (tls.ca, tls.cert, tls.key) if path)
        raise TargetUnreachable(f"TLS: cannot use {named}: {_reason(error)}") from None
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


async def connect(address: Address, *, timeout: float, receive_buffer: int | None = None) -> socket.socket:
    """A connected non-blocking TCP socket. `receive_buffer` sets SO_RCVBUF (bytes) before the connection.

    Raises `TargetUnreachable`.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            try:
                found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            except (socket.gaierror, UnicodeError) as error:
                why = error.strerror if isinstance(error, OSError) else str(error)
                raise TargetUnreachable(f"{address.where}: name not resolved: {why}") from None
            return await _first(address, found, receive_buffer)
    except TimeoutError:
        raise TargetUnreachable(f"{address.where}: no connection within {timeout:g} s") from None


async def _first(address: Address, found: Sequence[Any], receive_buffer: int | None) -> socket.socket:
    """The first of the addresses that takes the connection."""
    loop = asyncio.get_running_loop()
    last: OSError = OSError("no address")
    for family, kind, protocol, _, endpoint in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(sock, endpoint)
        except OSError as error:
            sock.close()
            last = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise TargetUnreachable(f"{address.where}: {_reason(last)}")


def tls_reason(address: Address, error: Exception) -> str:
    """One line for a TLS handshake that failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{address.where}: the certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        return f"{address.where}: TLS where none is: the port answers, but not in TLS (is it http://?)"
    if isinstance(error, TimeoutError | asyncio.TimeoutError):
        return f"{address.where}: no TLS handshake in time (is it http://?)"
    if isinstance(error, ConnectionError | EOFError):
        return f"{address.where}: the connection was closed in the TLS handshake (is it http://?)"
    return f"{address.where}: TLS handshake failed: {_reason(error)}"


def _reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    if isinstance(error, OSError) and error.errno is not None:
        if error.errno == errno.ECONNREFUSED:
            return "connection refused"
        return os.strerror(error.errno).lower()
    return " ".join(str(error).split()) or type(error).__name__


__all__ = ["Address", "TargetUnreachable", "connect", "parse_url", "tls_context", "tls_reason"]
