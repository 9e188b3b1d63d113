"""The standard's algorithm, transcribed sentence by sentence: slow, obvious, and a judge of the decoder.

WHATWG HTML §9.2.5 and §9.2.6. It takes a whole body, and knows neither chunks nor spans.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SpecEvent:
    """What an event carries."""

    data: str
    type: str
    last_event_id: str


@dataclass
class Interpretation:
    """What a body means: its events, the reconnection time (ms) and the last event ID string in the end."""

    events: list[SpecEvent] = field(default_factory=list)
    retry: int | None = None
    last_event_id: str = ""


def interpret(body: bytes) -> Interpretation:
    """Decode, split into lines, and process them, as the standard says."""
    text = body.decode("utf-8", "replace")
    text = text.removeprefix("\ufeff")  # "UTF-8 decode": one byte order mark goes
    pieces = re.split("\r\n|\n|\r", text)
    lines = pieces[:-1]  # what follows the last ending is no line: it has not ended
    made = Interpretation()
    data = event_type = last_id = ""
    for line in lines:
        if line == "":
            made.last_event_id = last_id
            if data == "":
                event_type = ""
                continue
            made.events.append(SpecEvent(data.removesuffix("\n"), event_type or "message", last_id))
            data = event_type = ""
            continue
        if line.startswith(":"):
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            event_type = value
        elif name == "data":
            data += value + "\n"
        elif name == "id":
            if "\0" not in value:
                last_id = value
        elif name == "retry" and re.fullmatch("[0-9]+", value):
            made.retry = int(value)
    return made
