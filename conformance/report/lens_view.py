"""A lens as documents show it: who looked, what each client saw otherwise, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from conformance.lens.compare import Cause, Difference
from conformance.lens.deviations import Deviation, deviations
from conformance.lens.result import Lens, StreamLens, Viewer


@dataclass(frozen=True, slots=True)
class Oddity:
    """One way in which a client reads otherwise, in how many streams, and where it shows first.

    `deviation` is None for what is on no list (`id` is ""), or on the list of another version of this suite. In
    `stream` from byte `at` on (None: of no byte in particular) the client sees `client` instead of `without`.
    """

    id: str
    deviation: Deviation | None
    streams: int
    stream: StreamLens
    at: int | None
    client: str
    without: str

    @property
    def place(self) -> str:
        """ "probe text, stream events, byte 120", in as many words as are needed."""
        parts = [] if self.stream.probe == self.stream.role else [f"probe {self.stream.probe}"]
        return ", ".join(
            [*parts, f"stream {self.stream.role}", *([] if self.at is None else [f"byte {self.at:,}"])]
        )


@dataclass(frozen=True, slots=True)
class Eyes:
    """One client: how many streams it has read, how many as the standard says, and what it did in the others."""

    viewer: Viewer
    read: int
    same: int
    oddities: tuple[Oddity, ...]


def eyes(lens: Lens) -> tuple[Eyes, ...]:
    """Every client that was asked to take part."""
    made = []
    for viewer in lens.viewers:
        found = [*lens.differences(viewer.key)]
        read = lens.looked(viewer.key)
        made.append(Eyes(viewer, read, read - len(found), tuple(_oddities(found))))
    return tuple(made)


def _oddities(found: Iterable[tuple[StreamLens, Difference]]) -> Iterator[Oddity]:
    by_name: dict[str, list[tuple[StreamLens, Cause]]] = {}
    for stream, difference in found:
        unlisted = Cause("", difference.at, difference.client, difference.standard)
        for cause in difference.causes or (unlisted,):
            by_name.setdefault(cause.deviation, []).append((stream, cause))
    for name, shown in by_name.items():
        stream, cause = shown[0]
        deviation = deviations().get(name)
        yield Oddity(name, deviation, len(shown), stream, cause.at, cause.client, cause.without)


__all__ = ["Eyes", "Oddity", "eyes"]
