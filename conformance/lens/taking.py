"""Take a lens: play the event streams of observations to every client that is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

from conformance.lens.browser import Browser
from conformance.lens.compare import difference
from conformance.lens.in_process import HttpxSse, Naive, Referee
from conformance.lens.node import Node
from conformance.lens.reading import Answer, Client, Missing
from conformance.lens.result import Glimpse, Lens, StreamLens, Viewer
from conformance.transcript import Observation, Transcript

MOST_BYTES = 4 * 1_048_576  # that are played of one stream
CLIENTS: Mapping[str, str] = MappingProxyType(
    {client.key: client.title for client in (HttpxSse, Browser, Node, Naive)}
)


def clients(
    keys: Iterable[str], *, node_folder: Path | None = None, npm_install: bool = False
) -> tuple[Client, ...]:
    """The clients of these names, in the order of `CLIENTS`. Raises `KeyError` for a name that is none."""
    made: Mapping[str, Callable[[], Client]] = {
        HttpxSse.key: HttpxSse,
        Browser.key: Browser,
        Node.key: lambda: Node(node_folder, install=npm_install),
        Naive.key: Naive,
    }
    wanted = {*keys}
    if unknown := wanted - made.keys():
        raise KeyError(min(unknown))
    return tuple(make() for key, make in made.items() if key in wanted)


def answers(observation: Observation) -> Iterable[tuple[str, Transcript, Answer]]:
    """The event streams of an observation, as they can be played: answers of 200 with a body."""
    for role, transcript in observation.transcripts:
        head = transcript.head
        if transcript.is_event_stream and head is not None and head.status == 200 and transcript.chunks:
            yield role, transcript, Answer(_first(transcript), head.get("content-type") or "")


def take(observations: Iterable[Observation], chosen: Sequence[Client]) -> Lens:
    """Every event stream of these observations through these clients.

    A client that is missing, or that stops, is said to be missing and takes no further part.
    """
    streams: list[StreamLens] = []
    viewers: dict[str, Viewer] = {}
    referee = Referee()
    with ExitStack() as stack:
        ready: dict[str, Client] = {}
        for client in chosen:
            try:
                ready[client.key] = stack.enter_context(client)
                viewers[client.key] = Viewer(client.key, client.title, client.version)
            except Missing as error:
                viewers[client.key] = Viewer(client.key, client.title, missing=str(error))
        for observation in observations:
            for role, transcript, answer in answers(observation):
                glimpses, truth = [], referee.read(answer)
                for key, client in [*ready.items()]:
                    try:
                        reading = client.read(answer)
                    except Missing as error:
                        del ready[key]
                        viewers[key] = Viewer(key, client.title, client.version, str(error))
                        continue
                    glimpses.append(
                        Glimpse(key, len(reading.events), difference(client, answer, reading, truth))
                    )
                streams.append(
                    StreamLens(
                        observation.probe,
                        role,
                        sum(len(chunk.data) for chunk in transcript.chunks),
                        len(answer.body),
                        len(answer.chunks),
                        answer.content_type,
                        len(truth.events),
                        tuple(glimpses),
                    )
                )
    return Lens(tuple(viewers.values()), tuple(streams))


def _first(transcript: Transcript) -> tuple[bytes, ...]:
    taken: list[bytes] = []
    left = MOST_BYTES
    for chunk in transcript.chunks:
        if left <= 0:
            break
        if chunk.data:
            taken.append(chunk.data[:left])
            left -= len(chunk.data)
    return tuple(taken)


__all__ = ["CLIENTS", "MOST_BYTES", "answers", "clients", "take"]
