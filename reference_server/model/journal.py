"""The journal of the scripted model: which calls were made, and what became of them."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

KEPT = 10_000  # calls; older ones are forgotten
_PROMPT = 500  # characters of the prompt that are kept


@dataclass(slots=True)
class Call:
    """One model call. Times are seconds since the model started; `ended` is None while it is answered.

    `state` is "open", "finished", "refused" (a status instead of an answer), "failed" (an error in the
    stream), "cut" (reset or closed by the script) or "cancelled" (the client left before the end).
    `turn` counts the prompt's model calls from 0; it is None without a script.
    """

    number: int
    path: str
    model: str
    stream: bool
    started: float
    turn: int | None = None
    side_call: str | None = None
    prompt: str = ""
    state: str = "open"
    status: int = 200
    chunks: int = 0
    ended: float | None = None


class Journal:
    """The last calls, oldest first."""

    def __init__(self) -> None:
        self._origin = time.monotonic()
        self._calls: deque[Call] = deque(maxlen=KEPT)
        self._number = 0

    def open(
        self,
        path: str,
        model: str,
        *,
        stream: bool = False,
        turn: int | None = None,
        side_call: str | None = None,
        prompt: str = "",
    ) -> Call:
        """Note a new call."""
        self._number += 1
        call = Call(self._number, path, model, stream, self._now(), turn, side_call, prompt[:_PROMPT])
        self._calls.append(call)
        return call

    def close(self, call: Call, state: str, status: int = 200) -> None:
        """Note how a call ended; what was noted first stays."""
        if call.ended is None:
            call.state, call.status, call.ended = state, status, self._now()

    def to_data(self, since: int = 0) -> list[dict[str, Any]]:
        """The calls whose number is greater than `since`."""
        return [asdict(call) for call in self._calls if call.number > since]

    def _now(self) -> float:
        return round(time.monotonic() - self._origin, 6)
