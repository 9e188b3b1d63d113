"""What a lens has shown, as data: for results, reports and other programs (schemas/own/lens.schema.json)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from conformance.lens.compare import Cause, Difference, noted


@dataclass(frozen=True, slots=True)
class Viewer:
    """A client that was asked to take part. `missing` says why it did not, or not to the end; "" if it did."""

    key: str
    title: str
    version: str = ""
    missing: str = ""

    @property
    def name(self) -> str:
        """Title and version."""
        return f"{self.title} {self.version}".strip()


@dataclass(frozen=True, slots=True)
class Glimpse:
    """How many events one client saw of one stream, and what it saw otherwise than the standard says, if anything."""

    client: str
    events: int
    difference: Difference | None = None


@dataclass(frozen=True, slots=True)
class StreamLens:
    """One stream through all clients.

    `size` is its body in bytes, `read` how many of them were played, in `chunks` chunks. `events` is how many the
    standard gives. `saved` is the file of the exchange, "" where it is not kept.
    """

    probe: str
    role: str
    size: int
    read: int
    chunks: int
    content_type: str
    events: int
    glimpses: tuple[Glimpse, ...]
    saved: str = ""


@dataclass(frozen=True, slots=True)
class Lens:
    """The streams of one target, or of one recording, as the clients saw them."""

    viewers: tuple[Viewer, ...]
    streams: tuple[StreamLens, ...]

    def differences(self, client: str) -> Iterator[tuple[StreamLens, Difference]]:
        """What that client saw otherwise, stream by stream."""
        for stream in self.streams:
            for glimpse in stream.glimpses:
                if glimpse.client == client and glimpse.difference is not None:
                    yield stream, glimpse.difference

    def looked(self, client: str) -> int:
        """How many streams that client has read."""
        return sum(glimpse.client == client for stream in self.streams for glimpse in stream.glimpses)


def notes(lens: Lens) -> Iterator[str]:
    """What is to be noted of the server: each way in which a client reads otherwise, once."""
    lines = (
        line
        for viewer in lens.viewers
        for _, found in lens.differences(viewer.key)
        for line in noted(viewer.title, found)
    )
    yield from dict.fromkeys(lines)


def first_shown(lens: Lens) -> frozenset[str]:
    """The probes in whose streams a deviation shows for the first time."""
    first: dict[tuple[str, str], str] = {}
    for viewer in lens.viewers:
        for stream, found in lens.differences(viewer.key):
            for name in found.deviations or ("",):
                first.setdefault((viewer.key, name), stream.probe)
    return frozenset(first.values())


def with_texts(lens: Lens, clean: Callable[[str], str]) -> Lens:
    """The lens with `clean` applied to what was taken from streams."""

    def glimpse(made: Glimpse) -> Glimpse:
        found = made.difference
        if found is None:
            return made
        causes = (
            replace(cause, client=clean(cause.client), without=clean(cause.without)) for cause in found.causes
        )
        cleaned = Difference(found.at, clean(found.standard), clean(found.client), tuple(causes))
        return replace(made, difference=cleaned)

    streams = (replace(stream, glimpses=tuple(map(glimpse, stream.glimpses))) for stream in lens.streams)
    return replace(lens, streams=tuple(streams))


def with_saved(lens: Lens, moved: Callable[[str], str]) -> Lens:
    """The lens with the paths of saved exchanges changed."""
    return replace(lens, streams=tuple(replace(stream, saved=moved(stream.saved)) for stream in lens.streams))


def to_data(lens: Lens) -> dict[str, Any]:
    """As plain JSON data."""
    return asdict(lens)


def from_data(raw: Mapping[str, Any]) -> Lens:
    """Read back what `to_data` made. Raises `KeyError` or `TypeError` otherwise."""
    return Lens(
        tuple(Viewer(**viewer) for viewer in raw["viewers"]),
        tuple(
            StreamLens(**{**stream, "glimpses": tuple(map(_glimpse, stream["glimpses"]))})
            for stream in raw["streams"]
        ),
    )


def _glimpse(raw: Mapping[str, Any]) -> Glimpse:
    seen = raw["difference"]
    causes = () if seen is None else tuple(Cause(**cause) for cause in seen["causes"])
    made = None if seen is None else Difference(**{**seen, "causes": causes})
    return Glimpse(raw["client"], raw["events"], made)


__all__ = [
    "Glimpse",
    "Lens",
    "StreamLens",
    "Viewer",
    "first_shown",
    "from_data",
    "notes",
    "to_data",
    "with_saved",
    "with_texts",
]
