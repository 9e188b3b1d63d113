"""What the agents are told to say under load: text that says of itself whose it is and which piece.

Each chunk of a scripted answer names the run, the session (or dialog) by a key of ours, the prompt and the chunk's
number of how many: so whoever receives it, on whichever stream, can tell loss, doubling, order, alteration and leaks
without knowing who asked. All chunks of a run are of one size, so that text can be cut into them again however
a server joined or split them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from conformance.script import Script, say

LEAST = 48  # bytes: a chunk's own words take up to so many
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_MARK = re.compile(r"<([0-9a-f]{8})\.(\w{1,12})\.(\d{1,7})\.(\d{1,6})/(\d{1,6}) ")


@dataclass(frozen=True, slots=True)
class Mark:
    """Which piece of which answer a chunk is: the `number`-th (from 0) of `total`."""

    session: str
    prompt: int
    number: int
    total: int

    def __str__(self) -> str:
        return f"session {self.session}, prompt {self.prompt}, chunk {self.number} of {self.total}"


@dataclass(frozen=True, slots=True)
class Damaged:
    """Text that is no chunk; `mark` is what its beginning still says it is, None where it does not."""

    text: str
    mark: Mark | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What all prompts of a run have in common.

    `run` is eight hexadecimal digits; a prompt is answered in `chunks` chunks of `size` ASCII bytes each, with a pause
    of `pace_ms` before each. Raises `ValueError` for a run, a number or a size that cannot be.
    """

    run: str
    chunks: int = 20
    size: int = 64
    pace_ms: int = 50

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{8}", self.run):
            raise ValueError(f"run: expected eight hexadecimal digits, found {self.run!r}")
        if not 1 <= self.chunks <= 999_999:
            raise ValueError(f"chunks: expected 1 to 999999, found {self.chunks}")
        if self.size < LEAST:
            raise ValueError(f"chunk size: expected at least {LEAST} bytes, found {self.size}")
        if self.pace_ms < 0:
            raise ValueError(f"pace: expected milliseconds, 0 or more, found {self.pace_ms}")

    def chunk(self, mark: Mark) -> str:
        """The text of a chunk: `<run.session.prompt.number/total letters>`, the letters turned by its number."""
        return self.text(mark.session, mark.prompt, mark.number, mark.total)

    def text(self, session: str, prompt: int, number: int, total: int) -> str:
        """The same, for who has no mark of it."""
        head = f"<{self.run}.{session}.{prompt}.{number}/{total} "
        return f"{head}{_turned(number % len(_LETTERS), self.size)[: self.size - len(head) - 1]}>"

    def script(self, session: str, prompt: int, *, chunks: int | None = None) -> Script:
        """The script that has an agent say this prompt's chunks; `chunks` instead of the plan's number of them."""
        total = self.chunks if chunks is None else chunks
        return say(
            *(self.chunk(Mark(session, prompt, number, total)) for number in range(total)),
            pace_ms=self.pace_ms,
        )

    def mark(self, text: str) -> Mark | None:
        """Which chunk a text is, if it is one to the byte; None otherwise."""
        found = _MARK.match(text)
        if found is None or found[1] != self.run:
            return None
        mark = Mark(found[2], int(found[3]), int(found[4]), int(found[5]))
        return mark if self.chunk(mark) == text else None

    def named(self, prompt: str) -> Mark | None:
        """The first chunk that a prompt of this run asks for, as a stream echoes it; None for other prompts."""
        found = _MARK.search(prompt)
        if found is None or found[1] != self.run:
            return None
        return Mark(found[2], int(found[3]), int(found[4]), int(found[5]))


class Pieces:
    """Text in any cutting becomes chunks again. Holds less than one chunk."""

    __slots__ = ("_opening", "_plan", "_rest")

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._opening = f"<{plan.run}."
        self._rest = ""

    def feed(self, text: str) -> list[Mark | Damaged]:
        """The chunks, and what is none, that this text completes."""
        plan = self._plan
        if not self._rest and len(text) == plan.size:
            mark = plan.mark(text)
            if mark is not None:
                return [mark]
        text = self._rest + text
        out: list[Mark | Damaged] = []
        at = 0
        while len(text) - at >= plan.size:
            piece = text[at : at + plan.size]
            mark = plan.mark(piece)
            if mark is not None:
                out.append(mark)
                at += plan.size
            else:
                end = self._beginning(text, at + 1)
                out.append(Damaged(text[at:end], plan.named(text[at:end])))
                at = end
        self._rest = text[at:]
        return out

    @property
    def whole(self) -> bool:
        """Whether no piece of a chunk waits for its rest."""
        return not self._rest

    def close(self) -> Damaged | None:
        """What is left at the end of the text: None if every chunk was whole."""
        rest, self._rest = self._rest, ""
        return Damaged(rest, self._plan.named(rest)) if rest else None

    def _beginning(self, text: str, at: int) -> int:
        # Where the next chunk begins; the text's end may hold the first bytes of one.
        found = text.find(self._opening, at)
        if found < 0:
            tail = max(at, len(text) - len(self._opening) + 1)
            found = next((i for i in range(tail, len(text)) if self._opening.startswith(text[i:])), -1)
        return len(text) if found < 0 else found


@lru_cache(maxsize=256)
def _turned(by: int, size: int) -> str:
    return (_LETTERS[by:] + _LETTERS[:by]) * (size // len(_LETTERS) + 1)
