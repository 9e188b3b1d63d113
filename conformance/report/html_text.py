"""Text for HTML pages: strangers' text made visible and cut, our own prose, numbers."""

from __future__ import annotations

import re

from markupsafe import Markup, escape

LONGEST = 1_000  # characters of one text of a server
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_CODE = re.compile(r"`([^`]+)`")
_JOINT = re.compile(r"(?<=\w)[_/](?=\w)(?![^<]*>)")  # not within a tag
_STRESS = re.compile(r"(?<![\w*])\*(\w+)\*(?![\w*])")


def escaped(character: str) -> str:
    r"""The ASCII escape of one character: `\n`, `\x00`, `\u202e`; `\x` only below 0x80, so a lone byte differs."""
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def plain(text: str) -> str:
    """The text with everything that cannot be seen (controls, direction marks, odd spaces) as escapes."""
    return text if text.isprintable() else "".join(c if c.isprintable() else escaped(c) for c in text)


def visible(text: str, longest: int = LONGEST) -> Markup:
    """A stranger's text as markup: cut, escaped, and what cannot be seen shown as a marked escape."""
    return _marked(text, longest, keep="")


def name(text: str, longest: int = LONGEST) -> Markup:
    """The same for a name, which may be broken where its parts meet: `penguin_` `aiohttp`."""
    return Markup(_JOINT.sub(r"\g<0><wbr>", str(visible(text, longest))))


def lines(text: str, longest: int = 8_000) -> Markup:
    """The same for text that is to be copied: its line ends and tabs stay what they are."""
    return _marked(text, longest, keep="\n\t")


def prose(text: str) -> Markup:
    """Our own sentences: `code` between backticks, and *stress*."""
    made = _CODE.sub(r"<code>\1</code>", str(visible(text, 4_000)))
    return Markup(_STRESS.sub(r"<em>\1</em>", made))


def seconds(value: float) -> str:
    """A duration as people read it: 0.04 s, 5.3 s, 2 min 5 s."""
    if value < 0.0995:
        return f"{value:.2f} s"
    if value < 59.95:
        return f"{value:.1f} s"
    whole = round(value)
    return f"{whole // 60} min {whole % 60} s"


def count(number: int, noun: str = "", plural: str = "") -> str:
    """A number with its noun: 1 event, 2,104 events."""
    word = noun if number == 1 else plural or (noun and f"{noun}s")
    return f"{number:,} {word}".strip()


def _marked(text: str, longest: int, *, keep: str) -> Markup:
    shown = text[:longest]
    if shown.isprintable():
        made = escape(shown)
    else:
        parts = (
            str(escape(c)) if c.isprintable() or c in keep else f'<i class="esc">{escaped(c)}</i>'
            for c in shown
        )
        made = Markup("".join(parts))
    if len(text) > longest:
        made += Markup('<span class="cut">… (%s characters)</span>') % count(len(text))
    return made
