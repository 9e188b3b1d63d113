"""The one transport: httpx for ordinary exchanges, a raw socket for everything whose framing is judged.

Event streams always come over the raw socket: an HTTP library hides terminators, chunk borders, bytes
after a HEAD answer and the kind of a cut. Environment proxies are ignored; redirects of streams are not
followed.

Header values are text that is sent as bytes: U+0000 to U+00FF as one byte each (Latin-1), a surrogate from
`surrogateescape` as the byte that it stands for, anything else as UTF-8. So every byte sequence but line
ends can be sent, and shows in the recorded request.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx

from conformance import __version__
from conformance.http_status import successful
from conformance.observe.connect import (
    Address,
    TargetUnreachable,
    connect,
    parse_url,
    tls_context,
    tls_reason,
)
from conformance.observe.stream import LiveStream
from conformance.observe.unlogged import unlogged
from conformance.profile import Profile
from conformance.transcript import Request

MAX_ANSWER = 64 * 1_048_576  # bytes of an ordinary answer
MAX_REDIRECTS = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to an ordinary exchange. `status` is None where there was none, and `error` says why."""

    status: int | None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    json: Any = None
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return successful(self.status)


class Transport:
    """Connections to one target. `clock` gives seconds since the observation's origin.

    `extra` are headers that go with every streamed request, unless it has them itself.
    """

    def __init__(self, profile: Profile, clock: Callable[[], float]) -> None:
        self.extra: tuple[tuple[str, str], ...] = ()
        self._profile = profile
        self._clock = clock
        self._context: ssl.SSLContext | None = None
        self._client: httpx.AsyncClient | None = None
        self._streams: list[LiveStream] = []

    async def open(
        self,
        request: Request,
        *,
        from_start: bool = True,
        receive_buffer: int | None = None,
        bare: bool = False,
    ) -> LiveStream:
        """Send a request over a new raw socket.

        The profile's headers are added unless the request has them (`bare`: not at all, as a client without
        credentials), and `Accept-Encoding: identity`, without which any coding would be acceptable
        (RFC 9110 §12.5.3). The transcript holds the request as sent, `Host` and `Content-Length` included.
        `receive_buffer` sets SO_RCVBUF in bytes. Raises `TargetUnreachable`; `ValueError` for a request that
        cannot be written as HTTP.
        """
        address = parse_url(request.url)
        added = (*self.extra, *(() if bare else self._profile.headers), ("Accept-Encoding", "identity"))
        request = _complete(request, address, added)
        payload = _serialise(request, address)
        context = self._tls() if address.secure else None
        seconds = self._profile.limits.connect * self._profile.timeout_scale
        sock = await connect(address, timeout=seconds, receive_buffer=receive_buffer)
        stream = LiveStream(request, self._clock, self._profile.limits, from_start=from_start)
        try:
            await _attach(stream, sock, address, context, seconds)
        except BaseException:
            sock.close()
            raise
        stream.begin(payload, sock)
        self._streams.append(stream)
        return stream

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = tls_context(self._profile.tls)
        return self._context

    async def call(self, request: Request, *, timeout: float, bare: bool = False) -> Answer:
        """An ordinary exchange by httpx; the profile's headers are added unless `bare`.

        Follows a few redirects within the origin. A timeout (`timeout` seconds for all of it), a broken or
        endless answer and a redirect loop are an `Answer.error`. Raises `TargetUnreachable` where no
        connection was made.
        """
        try:
            address = parse_url(request.url)
            request = _complete(request, address, () if bare else self._profile.headers, framed=False)
            with unlogged():
                async with asyncio.timeout(timeout):
                    return await self._follow(request, address)
        except TimeoutError:
            return Answer(None, error=f"no whole answer within {timeout:g} s")
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise TargetUnreachable(_unreachable(parse_url(request.url), error)) from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as error:
            return Answer(None, error=f"{type(error).__name__}: {' '.join(str(error).split())}")

    async def _follow(self, request: Request, origin: Address) -> Answer:
        for _ in range(MAX_REDIRECTS + 1):
            answer, location = await self._exchange(request)
            if location is None:
                return answer
            url = str(httpx.URL(request.url).join(location))
            target = parse_url(url)
            if (target.secure, target.host, target.port) != (origin.secure, origin.host, origin.port):
                return replace(answer, error=f"a redirect to another origin: {target.where}")
            # RFC 9110 §15.4: 303 asks for a GET, and clients do the same after 301 and 302 to a POST.
            if answer.status == 303 or (answer.status in (301, 302) and request.method == "POST"):
                request = replace(request, method="GET", body=None)
            request = replace(request, url=url)
        return Answer(None, error=f"more than {MAX_REDIRECTS} redirects: a redirect loop?")

    async def _exchange(self, request: Request) -> tuple[Answer, str | None]:
        if self._client is None:
            # No connection is kept: an idle one that the server closes would look like its failure.
            self._client = httpx.AsyncClient(
                verify=self._tls() if request.url.lower().startswith("https:") else False,
                trust_env=False,
                follow_redirects=False,
                timeout=None,
                limits=httpx.Limits(max_keepalive_connections=0),
                headers={"user-agent": f"sse-conformance/{__version__}"},
            )
        headers = [(name.encode("ascii"), _octets(value)) for name, value in request.headers]
        outgoing = self._client.build_request(
            request.method, request.url, headers=headers, content=request.body
        )
        outgoing.extensions["timeout"] = httpx.Timeout(
            None, connect=self._profile.limits.connect * self._profile.timeout_scale
        ).as_dict()
        response = await self._client.send(outgoing, stream=True)
        try:
            pieces: list[bytes] = []
            size = 0
            async for piece in response.aiter_bytes():
                pieces.append(piece)
                size += len(piece)
                if size > MAX_ANSWER:
                    return Answer(None, error=f"an answer larger than {MAX_ANSWER} bytes"), None
        finally:
            await response.aclose()
        body = b"".join(pieces)
        answer = Answer(
            response.status_code,
            tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers.raw),
            body,
            _json(body),
        )
        return answer, response.headers.get("location") if response.is_redirect else None

    async def close(self) -> None:
        """Hang up what is still open, and release what is held."""
        for stream in self._streams:
            await stream.close()
        if self._client is not None:
            with contextlib.suppress(Exception):
                await self._client.aclose()
            self._client = None


async def _attach(
    stream: LiveStream, sock: socket.socket, address: Address, context: ssl.SSLContext | None, seconds: float
) -> None:
    """Let the stream receive what the socket gives, through TLS where there is a context."""
    loop = asyncio.get_running_loop()
    if context is None:
        await loop.create_connection(lambda: stream, sock=sock)
        return
    try:
        await loop.create_connection(
            lambda: stream,
            sock=sock,
            ssl=context,
            server_hostname=address.host,
            ssl_handshake_timeout=seconds,
        )
    except (OSError, EOFError, TimeoutError) as error:
        raise TargetUnreachable(tls_reason(address, error)) from None


def _complete(
    request: Request, address: Address, added: tuple[tuple[str, str], ...], *, framed: bool = True
) -> Request:
    """The request with the headers that it lacks; `framed`: also those that httpx would add itself."""
    present = {name.lower() for name, _ in request.headers}
    headers = list(request.headers)
    for name, value in added:
        if name.lower() not in present:
            headers.append((name, value))
            present.add(name.lower())
    if framed:
        if "host" not in present:
            headers.insert(0, ("Host", address.authority))
        if "user-agent" not in present:
            headers.append(("User-Agent", f"sse-conformance/{__version__}"))
        if request.body is not None and not present & {"content-length", "transfer-encoding"}:
            headers.append(("Content-Length", str(len(request.body))))
    return replace(request, headers=tuple(headers))


def _serialise(request: Request, address: Address) -> bytes:
    """The request as bytes. Raises `ValueError` where it would not be one request."""
    lines = [f"{request.method} {address.target} HTTP/{request.http_version}".encode("ascii")]
    for name, value in request.headers:
        lines.append(name.encode("ascii") + b": " + _octets(value))
    if any(b"\r" in line or b"\n" in line for line in lines):
        raise ValueError("a line end inside a request line or header")
    return b"\r\n".join(lines) + b"\r\n\r\n" + (request.body or b"")


def _octets(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        return b"".join(_octet(character) for character in value)


def _octet(character: str) -> bytes:
    code = ord(character)
    if code < 0x100:
        return bytes((code,))
    if 0xDC80 <= code <= 0xDCFF:
        return bytes((code - 0xDC00,))
    return character.encode("utf-8", "surrogatepass")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _unreachable(address: Address, error: Exception) -> str:
    if isinstance(error, httpx.ConnectTimeout):
        tls = ", or no TLS handshake (is it http://?)" if address.secure else ""
        return f"{address.where}: no connection in time{tls}"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return tls_reason(address, cause)
        if isinstance(cause, ConnectionRefusedError):
            return f"{address.where}: connection refused"
        if isinstance(cause, socket.gaierror):
            return f"{address.where}: name not resolved: {cause.strerror}"
        cause = cause.__cause__ or cause.__context__
    return f"{address.where}: {' '.join(str(error).split()) or 'no connection'}"


__all__ = ["Answer", "LiveStream", "TargetUnreachable", "Transport"]
