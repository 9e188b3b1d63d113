"""How a secret may look where it comes back: whole and encoded, cut in pieces, or as the value of a named member."""

from __future__ import annotations

import base64
import binascii
import contextlib
import html
import json
import re
from collections.abc import Iterator
from itertools import islice
from urllib.parse import quote, quote_plus, unquote_plus

SHORTEST = 4  # characters: masking what is shorter wherever it occurs would only spoil the evidence
SHORTEST_PART = 6  # of a word inside a header's value, and of a value that was learned
_PIECE = 8  # characters of a token that give it away where it was cut
_MOST_PIECES = 64  # places in a token at which a piece of it is looked for
_LEARNED = 100  # values that are learned from one text

# What is no secret in any header.
_COMMON = frozenset({"true", "false", "null", "none", "gzip", "identity", "no-cache", "keep-alive", "utf-8"})
_COMMON_TYPES = frozenset({"application/json", "text/event-stream"})


def secrets_of_header(value: str) -> frozenset[str]:
    """A header's value, and the words in it: "Bearer abcdef" leaks as much through "abcdef"."""
    parts = {part for part in re.split(r"[\s;,]+", value) if len(part) >= SHORTEST_PART}
    # `name=value` of cookies and the like; the padding of base64 is no separator.
    parts |= {part.partition("=")[2] for part in parts if re.match(r"[^=]+=[^=]", part)}
    for part in set(parts):
        parts |= _credentials(part)
    found = {value, *parts}
    return frozenset(secret for secret in found if len(secret) >= SHORTEST and not _is_common(secret))


def encodings(secret: str) -> frozenset[str]:
    """The secret and the ways in which servers and documents write it: JSON, URLs, HTML, Python, hex, base64."""
    ascii_json, plain_json = json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]
    go_json = re.sub(r"[<>&]", lambda found: f"\\u{ord(found[0]):04x}", plain_json)
    written = {secret, ascii_json, plain_json, go_json, ascii_json.replace("/", "\\/")}
    written |= {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    written |= {re.sub("%..", lambda found: found[0].lower(), text) for text in tuple(written)}
    written |= {
        html.escape(secret),
        html.escape(secret, quote=False),
        html.escape(secret).replace("&#x27;", "&#39;"),
    }
    written |= {ascii(secret)[1:-1], repr(secret.encode())[2:-1]}
    written |= {json.dumps(text)[1:-1] for text in tuple(written)}  # JSON inside a string of JSON
    for data in _as_bytes(secret):
        written |= {data.hex(), data.decode("utf-8", "surrogateescape"), *_base64(data)}
    return frozenset(text for text in written if len(text) >= SHORTEST)


def simple_encodings(secret: str) -> frozenset[str]:
    """The same, only as JSON and URLs write it: enough for a value that is repeated beside its member."""
    written = {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
    }
    return frozenset(text for text in written if len(text) >= SHORTEST)


def looks_random(secret: str) -> bool:
    """Whether a piece of it says whose piece it is: long, with letters and digits; words of a language are not."""
    return len(secret) >= _PIECE + 2 and bool(re.search(r"\d", secret) and re.search("[A-Za-z]", secret))


def pieces(secret: str, text: str) -> Iterator[tuple[int, int]]:
    """Spans of the text that are pieces of the secret, where it was cut (by a limit, or between two events)."""
    last = len(secret) - _PIECE
    step = max(1, last // _MOST_PIECES)
    for offset in (*range(0, last, step), last):
        gram, at = secret[offset : offset + _PIECE], -1
        while (at := text.find(gram, at + 1)) >= 0:
            start, end = at, at + _PIECE
            while start > 0 and at - start < offset and text[start - 1] == secret[offset - (at - start) - 1]:
                start -= 1
            while (
                end < len(text) and offset + end - at < len(secret) and text[end] == secret[offset + end - at]
            ):
                end += 1
            yield start, end
            at = end - 1


class Named:
    """Values that are secrets because of the name before them: members of JSON (also of JSON in a string),
    parameters of URLs and forms.
    """

    def __init__(self, names: frozenset[str]) -> None:
        either = "|".join(re.escape(name) for name in sorted(names))
        gap = r"(?:\s|data:)*"  # JSON over several `data` lines
        self._member = re.compile(rf'(?P<quote>\\*")(?:{either})(?P=quote){gap}:{gap}', re.I)
        self._parameter = re.compile(
            rf"(?:(?:^|[?&\s\"'(;,])(?:{either})=(?P<plain>[^&#\s\"'<>\\]+))"
            rf"|(?:(?:%3F|%26)(?:{either})%3D(?P<escaped>(?:(?!%26|%23)[^&#\s\"'<>\\])+))",
            re.I | re.M,
        )

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where the values are: the insides of strings, and numbers, at any depth below the name."""
        for found in self._member.finditer(text):
            yield from _value(text, found.end(), found["quote"])
        for found in self._parameter.finditer(text):
            yield found.span("plain" if found["plain"] is not None else "escaped")

    def values(self, text: str) -> frozenset[str]:
        """The values themselves, as they are without escapes: they may be repeated without their name."""
        found: set[str] = set()
        for start, end in islice(self.spans(text), _LEARNED):
            raw = text[start:end]
            found |= {raw, unquote_plus(raw), _unescaped(raw)}
        return frozenset(value for value in found if len(value) >= SHORTEST_PART and not _is_common(value))


def _value(text: str, start: int, mark: str) -> Iterator[tuple[int, int]]:
    """Spans in the JSON value that begins at `start`; `mark` is how a quote is written at this depth."""
    token = re.compile(
        rf"(?P<string>{re.escape(mark)})|(?P<open>[\[{{])|(?P<close>[\]}}])|(?P<number>-?\d[\d.eE+-]*)"
    )
    depth, at = 0, start
    while at < len(text):
        found = token.search(text, at) if depth else token.match(text, at)
        if found is None:
            return  # true, false, null; or cut
        at = found.end()
        if found["string"]:
            end = _end_of_string(text, at, mark)
            yield at, end
            at = end + len(mark)
        elif found["number"]:
            yield found.span()
        else:
            depth += 1 if found["open"] else -1
        if depth <= 0:
            return


def _end_of_string(text: str, start: int, mark: str) -> int:
    """Where the string ends that begins at `start`: before its closing quote, or where it was cut."""
    deep = len(mark) - 1  # backslashes in front of a quote that ends a string at this depth: 0, 1, 3, 7 …
    at = start
    while (at := text.find('"', at)) >= 0:
        escapes = at - start - len(text[start:at].rstrip("\\"))
        # A quote inside the string has some more, and so has one after a backslash that ends it.
        if escapes < deep or (escapes - deep) % (2 * (deep + 1)) == 0:
            return at - min(escapes, deep)
        at += 1
    line = text.find("\n", start)  # cut: nothing of what is there is shown
    return len(text) if line < 0 else line


def _unescaped(raw: str) -> str:
    try:
        return str(json.loads(f'"{raw}"', strict=False))
    except ValueError:
        return raw


def _is_common(value: str) -> bool:
    return value.lower() in _COMMON | _COMMON_TYPES


def _credentials(part: str) -> set[str]:
    """What Basic credentials keep secret (RFC 7617): the password; a user's name is none, and is in many a path."""
    try:
        said = base64.b64decode(part, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return set()
    if not said.isprintable() or ":" not in said:
        return set()
    password = said.partition(":")[2]
    return {password if len(password) >= SHORTEST else said}


def _as_bytes(secret: str) -> set[bytes]:
    # A header's value goes out as Latin-1 (RFC 9110 §5.5); a server may have read it as UTF-8.
    made = {secret.encode("utf-8", "surrogateescape")}
    with contextlib.suppress(UnicodeEncodeError):
        made.add(secret.encode("latin-1"))
    return made


def _base64(data: bytes) -> Iterator[str]:
    """How the bytes look inside base64, wherever they stand in what was encoded."""
    for shift in range(3):
        written = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        # The first and the last character may hold bits of a neighbour.
        inner = written[(0, 2, 3)[shift] : len(written) - bool((shift + len(data)) % 3)]
        if len(inner) >= SHORTEST_PART:
            yield from {inner, inner.replace("+", "-").replace("/", "_"), quote(inner, safe="")}
