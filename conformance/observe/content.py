"""Content codings, undone as bytes come: what a server has not flushed is not seen."""

from __future__ import annotations

import zlib

CODINGS = ("gzip", "x-gzip", "deflate")
_STEP = 1_048_576  # bytes decompressed at a time, so that a small bomb cannot fill the memory at once


class ContentError(Exception):
    """The body is not what its Content-Encoding says, or grows past the cap. One line."""


class ContentDecoder:
    """Undoes `Content-Encoding: gzip` or `deflate` incrementally; anything else passes through.

    `unknown` names a coding that cannot be undone ("" if there is none). `cap`: bytes of output per stream.
    """

    def __init__(self, codings: list[str], *, cap: int) -> None:
        wanted = [coding.lower() for coding in codings if coding.lower() != "identity"]
        self.coding = wanted[0] if len(wanted) == 1 and wanted[0] in CODINGS else ""
        self.unknown = ", ".join(wanted) if wanted and not self.coding else ""
        self._room = cap
        self._inflate = zlib.decompressobj(31 if "gzip" in self.coding else zlib.MAX_WBITS)
        self._started = False

    def feed(self, data: bytes) -> bytes:
        """The content that these bytes make readable. Raises `ContentError`."""
        if not self.coding:
            return data
        out: list[bytes] = []
        while data:
            if self._inflate.eof:
                # RFC 1952 §2.2: members simply follow one another.
                if "gzip" not in self.coding:
                    raise ContentError("bytes after the end of the deflate body")
                self._inflate = zlib.decompressobj(31)
            out.append(self._some(data))
            self._room -= len(out[-1])
            if self._room < 0:
                raise ContentError("the decompressed body is larger than the cap")
            data = self._inflate.unconsumed_tail or self._inflate.unused_data
        return b"".join(out)

    def _some(self, data: bytes) -> bytes:
        try:
            made = self._inflate.decompress(data, _STEP)
        except zlib.error as error:
            if self.coding == "deflate" and not self._started:
                # RFC 9110 §8.4.1.2 notes senders that omit the zlib wrapper.
                self._inflate, self._started = zlib.decompressobj(-zlib.MAX_WBITS), True
                return self._some(data)
            raise ContentError(f"the body is not {self.coding}: {error}") from None
        self._started = True
        return made

    @property
    def unfinished(self) -> bool:
        """Whether the body ended before its coding did."""
        return bool(self.coding) and self._started and not self._inflate.eof
