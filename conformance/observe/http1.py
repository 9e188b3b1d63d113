"""A sans-IO reader of one HTTP/1.x response that reports what is wrong with its framing instead of raising.

Libraries hide what is judged here: missing terminators, bytes after a HEAD answer or after the end, the
length beside the coding. This reader is lenient where it can go on, and writes every violation of RFC 9112
into `errors`; where it cannot go on it says why in `failed`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

MAX_HEAD = 65_536  # bytes of one response head
MAX_LINE = 16_384  # bytes of a chunk-size line with its extensions, or of the trailer section
MAX_INTERIM = 32  # 1xx answers before the final one

_STATUS_LINE = re.compile(rb"HTTP/(1\.[0-9]) +([0-9]{3})(?: (.*))?", re.DOTALL)
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(;.*)?", re.DOTALL)
_HEAD_END = re.compile(rb"\n\r?\n")
_PLAIN_SIZE = re.compile(rb"[0-9A-Fa-f]{1,8}")
_PLAIN_LINE = 10  # bytes of such a line with its end
_BODILESS = (204, 304)


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A final response head as received: names in their own case, values as Latin-1 without outer blanks."""

    status: int
    reason: str
    http_version: str
    headers: tuple[tuple[str, str], ...]

    def values(self, name: str) -> list[str]:
        """Every comma-separated element of the header's values, in order; `name` in lower case."""
        joined = ",".join(value for key, value in self.headers if key.lower() == name)
        return [element for element in (part.strip() for part in joined.split(",")) if element]


class _State(Enum):
    HEAD = auto()
    SIZE = auto()  # a chunk-size line
    DATA = auto()  # chunk data
    DATA_END = auto()  # the line end after chunk data
    TRAILERS = auto()
    LENGTH = auto()  # a body of a declared length
    CLOSE = auto()  # a body that ends with the connection
    DONE = auto()
    FAILED = auto()


class _ChunkSizes(dict[bytes, int]):
    """The sizes that plain size lines say, the last chunk's apart: for lines that are none, -1. It remembers some."""

    def __missing__(self, line: bytes) -> int:
        if not _PLAIN_SIZE.fullmatch(line):
            return -1
        size = int(line, 16) or -1
        if len(self) < 4096:
            self[line] = size
        return size


_CHUNK_SIZES = _ChunkSizes()


def _between_lines(data: bytes, out: list[bytes]) -> int:
    """As `ResponseReader._whole_chunks`, in half the time, where no chunk has a CRLF in it; 0 where one may have."""
    lines = data.split(b"\r\n")
    whole = (len(lines) - 1) // 2 * 2
    chunks = lines[1:whole:2]
    # Where a line is as long as the one before says, it is the chunk, and the next one is again a size.
    if list(map(_CHUNK_SIZES.__getitem__, lines[0:whole:2])) != list(map(len, chunks)):
        return 0
    out += chunks
    return len(data) - sum(map(len, lines[whole:])) - 2 * (len(lines) - whole - 1)


class ResponseReader:
    """Feed it what the socket gives, then `eof()`. Body bytes come back without framing, content coding kept.

    `delimiter`: "chunked", "content-length", "close", "none", "" before the head. `done`: the response's end
    was seen. `failed`: why reading stopped ("" if it did not). `capped`: it stopped at one of our own caps.
    `surplus`: bytes after the end.
    """

    __slots__ = (
        "_after",
        "_interim",
        "_left",
        "_method",
        "_pending",
        "_state",
        "_surplus",
        "_trailer_bytes",
        "capped",
        "delimiter",
        "done",
        "errors",
        "failed",
        "head",
    )

    def __init__(self, method: str) -> None:
        self._method = method.upper()
        self._state = _State.HEAD
        self._pending = bytearray()  # an incomplete head, size line or trailer section
        self._left = 0  # bytes of the chunk or the body still to come
        self._interim = 0
        self._after = b""  # the first bytes after the end
        self._trailer_bytes = 0
        self.head: ResponseHead | None = None
        self.delimiter = ""
        self.done = False
        self.errors: list[str] = []
        self.failed = ""
        self.capped = False
        self._surplus = 0

    @property
    def started(self) -> bool:
        """Whether any byte of a response head has come."""
        return self.head is not None or bool(self._pending) or self._interim > 0

    @property
    def surplus(self) -> int:
        """Bytes after the response's end; a 408 there is how servers close an idle connection."""
        return 0 if re.match(rb"HTTP/1\.[01] 408", self._after) else self._surplus

    def feed(self, data: bytes) -> bytes:
        """The body bytes that are in `data`. Nothing is raised."""
        # What a server flushes by itself mostly comes as one chunk, alone and whole.
        if self._state is _State.SIZE and not self._pending:
            cut = data.find(b"\r\n", 0, _PLAIN_LINE)
            if cut > 0 and _CHUNK_SIZES[data[:cut]] == len(data) - cut - 4 and data[-2:] == b"\r\n":
                return data[cut + 2 : -2]
        out: list[bytes] = []
        while data and self._state is not _State.FAILED:
            if self._state is _State.DONE:
                self._surplus += len(data)
                if len(self._after) < 16:
                    self._after = (self._after + data)[:16]
                break
            data = self._step(data, out)
        self.done = self._state is _State.DONE
        return out[0] if len(out) == 1 else b"".join(out)

    @staticmethod
    def _whole_chunks(data: bytes, out: list[bytes]) -> int:
        """Take the plain chunks that are whole in `data`, and say where the rest begins: speed, nothing else."""
        at, have = 0, len(data)
        while (cut := data.find(b"\r\n", at, at + _PLAIN_LINE)) > 0:
            size = _CHUNK_SIZES[data[at:cut]]
            end = cut + size + 4
            if size < 0 or end > have or data[end - 2 : end] != b"\r\n":
                break
            if not at and data.find(b"\r\n", cut + 2) == end - 2 and (taken := _between_lines(data, out)):
                return taken
            out.append(data[cut + 2 : end - 2])
            at = end
        return at

    def eof(self) -> None:
        """The peer ended the connection in order: the end of a body that close delimits."""
        if self._state is _State.CLOSE:
            self._state = _State.DONE
            self.done = True

    def _step(self, data: bytes, out: list[bytes]) -> bytes:
        """Consume some of `data` in the present state; the rest comes back."""
        match self._state:
            case _State.HEAD:
                return self._read_head(data)
            case _State.SIZE:
                taken = 0 if self._pending else self._whole_chunks(data, out)
                return data[taken:] if taken else self._read_size(data)
            case _State.DATA | _State.LENGTH:
                piece, rest = data[: self._left], data[self._left :]
                out.append(piece)
                self._left -= len(piece)
                if self._left == 0:
                    self._state = _State.DATA_END if self._state is _State.DATA else _State.DONE
                return rest
            case _State.DATA_END:
                return self._read_data_end(data)
            case _State.TRAILERS:
                return self._read_trailers(data)
            case _:
                out.append(data)
                return b""

    def _fail(self, why: str, *, error: bool = True) -> bytes:
        self.failed = why
        if error:
            self.errors.append(why)
        self._state = _State.FAILED
        self._pending.clear()
        return b""

    def _cap(self, why: str) -> bytes:
        self.capped = True
        return self._fail(why, error=False)

    # ---- the head (RFC 9112 §4, §5)

    def _read_head(self, data: bytes) -> bytes:
        pending = self._pending
        searched = max(0, len(pending) - 3)
        pending += data
        if not b"HTTP/".startswith(bytes(pending)[:5]):
            if pending[0] in (0x15, 0x16) and bytes(pending[1:2]) in (b"", b"\x03"):
                return self._fail("the answer is a TLS record: the port speaks TLS, the URL says http://")
            return self._fail(f"not an HTTP/1.x response: it begins with {bytes(pending[:40])!r}")
        blank = _HEAD_END.search(pending, searched)
        if blank is None:
            if len(pending) > MAX_HEAD:
                return self._cap(f"the response head is larger than {MAX_HEAD} bytes")
            return b""
        raw, rest = bytes(pending[: blank.end()]), bytes(pending[blank.end() :])
        pending.clear()
        if len(raw) > MAX_HEAD:
            return self._cap(f"the response head is larger than {MAX_HEAD} bytes")
        self._take_head(raw)
        return rest

    def _take_head(self, raw: bytes) -> None:
        lines = raw.split(b"\n")[:-2]
        if any(not line.endswith(b"\r") for line in lines):
            self.errors.append("a line of the response head ends in a bare LF")
        lines = [line.removesuffix(b"\r") for line in lines]
        status_line = _STATUS_LINE.fullmatch(lines[0])
        if status_line is None:
            self._fail(f"not an HTTP/1.x status line: {lines[0][:80]!r}")
            return
        version, status, reason = status_line.groups()
        head = ResponseHead(
            int(status),
            (reason or b"").decode("latin-1"),
            version.decode("ascii"),
            tuple(self._header_lines(lines[1:])),
        )
        if 100 <= head.status < 200 and head.status != 101:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                self._cap(f"more than {MAX_INTERIM} interim (1xx) answers")
            return
        self.head = head
        self._begin_body(head)

    def _header_lines(self, lines: list[bytes]) -> list[tuple[str, str]]:
        headers: list[tuple[str, str]] = []
        for line in lines:
            if line[:1] in (b" ", b"\t"):
                self.errors.append(f"a folded header line (obs-fold): {line[:60]!r}")
                if headers:
                    name, value = headers[-1]
                    headers[-1] = (name, f"{value} {line.strip().decode('latin-1')}")
                continue
            raw_name, colon, raw_value = line.partition(b":")
            if not colon or not _TOKEN.fullmatch(raw_name):
                self.errors.append(f"a malformed header line: {line[:60]!r}")
                raw_name = raw_name.strip()
                if not colon or not raw_name:
                    continue
            if b"\r" in raw_value or b"\0" in raw_value:
                self.errors.append(f"a CR or NUL in the value of {raw_name.decode('latin-1')}")
            headers.append((raw_name.decode("latin-1"), raw_value.strip(b" \t").decode("latin-1")))
        return headers

    def _begin_body(self, head: ResponseHead) -> None:
        """Choose the body's delimiter in the order of RFC 9112 §6.3."""
        codings = [coding.lower() for coding in head.values("transfer-encoding")]
        lengths = head.values("content-length")
        if codings and lengths:
            self.errors.append("Content-Length beside Transfer-Encoding (RFC 9112 §6.2)")
        if self._method == "HEAD" or head.status in _BODILESS:
            self.delimiter, self._state = "none", _State.DONE
            return
        codings = [coding for coding in codings if coding != "identity"]
        if codings:
            if head.http_version == "1.0":
                self.errors.append("Transfer-Encoding in an HTTP/1.0 response (RFC 9112 §6.1)")
            if codings.count("chunked") > 1:
                self.errors.append("chunked is applied more than once (RFC 9112 §6.1)")
            others = sorted({coding for coding in codings if coding != "chunked"})
            if others:
                self.errors.append(f"transfer codings that the request did not offer: {', '.join(others)}")
            if codings[-1] == "chunked":
                self.delimiter, self._state = "chunked", _State.SIZE
            else:
                self.delimiter, self._state = "close", _State.CLOSE
            return
        if lengths:
            self._begin_length(lengths)
            return
        self.delimiter, self._state = "close", _State.CLOSE

    def _begin_length(self, lengths: list[str]) -> None:
        if (
            len(set(lengths)) > 1
            or not (lengths[0].isascii() and lengths[0].isdigit())
            or len(lengths[0]) > 18
        ):
            self.errors.append(f"an invalid Content-Length: {', '.join(lengths)[:60]!r}")
            self.delimiter, self._state = "close", _State.CLOSE
            return
        self.delimiter, self._left = "content-length", int(lengths[0])
        self._state = _State.LENGTH if self._left else _State.DONE

    # ---- chunks (RFC 9112 §7.1)

    def _line(self, data: bytes) -> tuple[bytes | None, bytes]:
        """A whole line without its end, and the rest; None while it is incomplete. A bare LF is an error."""
        cut = data.find(b"\n")
        if cut < 0:
            self._pending += data
            if len(self._pending) > MAX_LINE:
                self._fail(f"a chunk-size or trailer line longer than {MAX_LINE} bytes")
            return None, b""
        line = bytes(self._pending) + data[:cut]
        self._pending.clear()
        if not line.endswith(b"\r"):
            self._error_once("a line of the chunk framing ends in a bare LF")
        return line.removesuffix(b"\r"), data[cut + 1 :]

    def _error_once(self, error: str) -> None:
        if error not in self.errors:
            self.errors.append(error)

    def _read_size(self, data: bytes) -> bytes:
        line, rest = self._line(data)
        if line is None:
            # Garbage need not wait for its line end: nothing but a size can begin here.
            if self._pending and not re.match(rb"[0-9A-Fa-f]", self._pending):
                return self._fail(f"not a chunk size: {bytes(self._pending[:40])!r}")
            return rest
        size = _CHUNK_SIZE.fullmatch(line)
        if size is None or len(size.group(1).lstrip(b"0")) > 15:
            return self._fail(f"not a chunk size: {line[:40]!r}")
        self._left = int(size.group(1), 16)
        self._state = _State.DATA if self._left else _State.TRAILERS
        return rest

    def _read_data_end(self, data: bytes) -> bytes:
        have = len(self._pending)
        self._pending += data[: 2 - have]
        ending = bytes(self._pending)
        if ending == b"\r":
            return b""
        self._pending.clear()
        if ending == b"\r\n":
            self._state = _State.SIZE
            return data[2 - have :]
        if ending[:1] == b"\n":
            self._error_once("a line of the chunk framing ends in a bare LF")
            self._state = _State.SIZE
            return data[1:]
        return self._fail(f"chunk data is not followed by CRLF but by {ending!r}: a wrong chunk size")

    def _read_trailers(self, data: bytes) -> bytes:
        line, rest = self._line(data)
        if line is None:
            return rest
        if not line:
            self._state = _State.DONE
            return rest
        self._trailer_bytes += len(line)
        if self._trailer_bytes > MAX_LINE:
            return self._fail(f"a trailer section larger than {MAX_LINE} bytes")
        self._header_lines([line])
        return rest


__all__ = ["MAX_HEAD", "MAX_INTERIM", "MAX_LINE", "ResponseHead", "ResponseReader"]
