"""What a client sees otherwise than the standard says, where it begins, and which listed deviations explain it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from conformance.lens.deviations import deviations, of
from conformance.lens.model import Modelled, modelled
from conformance.lens.reading import Answer, Client, Reading, Seen

_SHOWN = 60  # characters of an event's data


@dataclass(frozen=True, slots=True)
class Cause:
    """A deviation that shows: from which byte on, what the client sees there, and what it would see without it."""

    deviation: str
    at: int | None
    client: str
    without: str


@dataclass(frozen=True, slots=True)
class Difference:
    """The first thing that a client sees otherwise.

    `at` is the byte of the body from which it is read otherwise (None: of no byte in particular), `standard` and
    `client` what each of the two makes of it. `causes` are the deviations of the list that give the client's whole
    reading; () where none do: then the difference is on no list.
    """

    at: int | None
    standard: str
    client: str
    causes: tuple[Cause, ...] = ()

    @property
    def deviations(self) -> tuple[str, ...]:
        """The names of what explains it."""
        return tuple(cause.deviation for cause in self.causes)


def difference(client: Client, answer: Answer, reading: Reading, truth: Reading) -> Difference | None:
    """What the client sees otherwise than the referee, whose reading is `truth`; None if nothing."""
    if same(truth, reading, client):
        return None
    standard = modelled(answer)
    explained, needed = _explained(client, answer, reading)
    causes = []
    for name in needed:
        without = modelled(answer, {*needed} - {name}) if len(needed) > 1 else standard
        at, instead, seen = _first(without, explained)
        causes.append(Cause(name, at, seen, instead))
    return Difference(*_first(standard, explained), tuple(causes))


def _explained(client: Client, answer: Answer, reading: Reading) -> tuple[Modelled, tuple[str, ...]]:
    """The model with the fewest of the client's deviations that gives this reading; the reading itself if none does."""
    listed = of(client.key)
    for name in listed:  # mostly it is one
        model = modelled(answer, (name,))
        if same(model.reading, reading, client):
            return model, (name,)
    explained = modelled(answer, listed)
    if not same(explained.reading, reading, client):
        return Modelled(reading), ()
    needed = listed
    for name in listed:
        fewer = tuple(other for other in needed if other != name)
        model = modelled(answer, fewer)
        if same(model.reading, reading, client):
            explained, needed = model, fewer
    return explained, needed


def noted(client: str, found: Difference) -> Iterator[str]:
    """Notes on the server, a line for each cause: in words that are the same wherever it shows."""
    for name in found.deviations:
        listed = deviations().get(name)  # another version's list may have others
        yield f"{client}: {listed.title} ({name})" if listed is not None else f"{client}: {name}"
    if not found.causes:
        yield f"{client}: sees {found.client} instead of {found.standard}: on no list of deviations"


def same(one: Reading, other: Reading, client: Client) -> bool:
    """Whether two readings are the same, as far as the client tells."""
    return (
        one.events == other.events
        and one.late == other.late
        and bool(one.refused) == bool(other.refused)
        and (not client.tells_retry or bool(one.refused) or one.retry == other.retry)
    )


def _first(standard: Modelled, client: Modelled) -> tuple[int | None, str, str]:
    """The first place where two readings are not the same: its byte, and what either makes of it."""
    right, wrong = standard.reading, client.reading
    if wrong.refused:
        return None, _events(len(right.events)), f"nothing: {wrong.refused}"
    for number, (expected, seen) in enumerate(zip_longest(right.events, wrong.events)):
        if expected != seen:
            starts = [part.starts[number] for part in (standard, client) if number < len(part.starts)]
            at = min((start for start in starts if start is not None), default=None)
            return at, _told(expected, seen), _told(seen, expected)
    if wrong.late != right.late:
        first = len(right.events) - wrong.late
        at = standard.starts[first] if first < len(standard.starts) else None
        return at, "an event as soon as it is there", "it only when the body ends"
    at = client.retry_at if client.retry_at is not None and wrong.retry is not None else standard.retry_at
    return at, _time(right.retry), _time(wrong.retry)


def _told(event: Seen | None, other: Seen | None) -> str:
    if event is None:
        return "no event"
    told = f"{event.type!a} with {f'data {_cut(event.data)}' if event.data else 'empty data'}"
    return (
        told
        if other is None or event.id == other.id
        else f"{told} and id {_cut(event.id) if event.id else 'none'}"
    )


def _cut(text: str) -> str:
    return f"{text[:_SHOWN]!a}{'…' if len(text) > _SHOWN else ''}"


def _time(retry: int | None) -> str:
    return "no reconnection time" if retry is None else f"a reconnection time of {retry} ms"


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"


__all__ = ["Cause", "Difference", "difference", "noted", "same"]
