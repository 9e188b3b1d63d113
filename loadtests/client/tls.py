"""TLS between the bytes of the socket and those of HTTP, with no socket in it: the stamps of the bytes stay known."""

from __future__ import annotations

import ssl
from contextlib import suppress

_STEP = 65_536  # bytes decrypted at a time


class TlsLayer:
    """One connection's. Raises `ssl.SSLError`, `ssl.SSLCertVerificationError` among them."""

    __slots__ = ("_in", "_object", "_out", "ended", "ready")

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._in, self._out, server_hostname=host)
        self.ready = False  # the handshake is over
        self.ended = False  # the peer said that no more will come (close_notify)

    def handshake(self) -> bytes:
        """Begin it, or go on with it: what is to be sent now."""
        try:
            self._object.do_handshake()
            self.ready = True
        except ssl.SSLWantReadError:
            pass
        return self._out.read()

    def encrypt(self, data: bytes) -> bytes:
        """What is to be sent for these bytes."""
        self._object.write(data)
        return self._out.read()

    def take(self, received: bytes) -> None:
        """Received bytes."""
        self._in.write(received)

    def decrypt(self) -> bytes:
        """All that can be read of what was taken."""
        parts: list[bytes] = []
        try:
            while part := self._object.read(_STEP):
                parts.append(part)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def answer(self) -> bytes:
        """What TLS itself has to send (a key update)."""
        return self._out.read()

    def goodbye(self) -> bytes:
        """What tells the peer that no more will come."""
        with suppress(ssl.SSLError):
            self._object.unwrap()
        return self._out.read()
