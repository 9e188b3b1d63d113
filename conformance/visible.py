"""Bytes as text that people can read and that loses nothing: control characters stand as visible ones.

A line feed ends a line. `␍` is a carriage return, `␀` is NUL, and `⟨E9 0A⟩` are these bytes: what is no well-formed
UTF-8, and characters that nobody would see (byte order marks, Unicode's own line ends).
"""

from __future__ import annotations

import re
import unicodedata

_NAMED = {"\r": "␍", "\0": "␀"}
_HEX = re.compile(r"⟨([0-9A-F]{2}(?: [0-9A-F]{2})*)⟩")


class NotationError(ValueError):
    """Text that is not in the notation of this module. One line."""


def read_visible(text: str) -> bytes:
    """The bytes that a visible text stands for. Raises `NotationError` for a stray `⟨` or `⟩`."""
    pieces = []
    for number, piece in enumerate(_HEX.split(text)):
        if number % 2:
            pieces.append(bytes.fromhex(piece))
            continue
        if "⟨" in piece or "⟩" in piece:
            raise NotationError(f"expected ⟨ hex digits in pairs ⟩ in {piece[:60]!r}")
        for character, shown in _NAMED.items():
            piece = piece.replace(shown, character)
        pieces.append(piece.encode("utf-8"))
    return b"".join(pieces)


def visible(data: bytes) -> str:
    """Bytes as visible text, lines ended by line feeds; `read_visible` gives them back."""
    out: list[str] = []
    rest = data
    while rest:
        try:
            text, bad, rest = rest.decode("utf-8"), b"", b""
        except UnicodeDecodeError as error:
            text, bad = rest[: error.start].decode("utf-8"), rest[error.start : error.end]
            rest = rest[error.end :]
        out.extend(_shown(character) for character in text)
        if bad:
            out.append(_hex(bad))
    return "".join(out).replace("⟩⟨", " ")


def _shown(character: str) -> str:
    if character in _NAMED:
        return _NAMED[character]
    # A combining mark would join the letter before it, and two ways to write one text would look the same.
    seen = character == "\n" or (character.isprintable() and unicodedata.category(character) != "Mn")
    return character if seen and character not in "⟨⟩␍␀" else _hex(character.encode("utf-8"))


def _hex(data: bytes) -> str:
    return f"⟨{data.hex(' ').upper()}⟩"
