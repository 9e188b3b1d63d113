"""Draws the timeline of an observation for one of its findings."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from conformance.findings import Finding
from conformance.heartbeat import DATA_HEARTBEATS, quiet
from conformance.message import read_message
from conformance.report.timeline import MOST_LANES, MOST_MARKS, Lane, Mark, MarkKind, Timeline
from conformance.rules.base import Case
from conformance.rules.stream import Stream
from conformance.transcript import Ended
from conformance.wire import Block

_OTHERS_MARKS = 50  # marks of a lane in which nothing is wrong
_LABEL = 48  # characters
_TITLE = 200
_HOW = {
    Ended.COMPLETE: "ended in order",
    Ended.TRUNCATED: "closed by the server before its end",
    Ended.RESET: "reset by the server",
    Ended.CLOSED_BY_US: "closed by the probe",
    Ended.DEADLINE: "still open at the deadline",
    Ended.CAPPED: "cut at a cap of the probe",
    Ended.PROTOCOL_ERROR: "broken: not HTTP/1.x",
    Ended.NO_RESPONSE: "ended without a response",
}


class Lanes:
    """Timelines of one observation, redacted. Each stream is walked once, however many findings there are."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._tracks: dict[str, _Track] = {}

    def timeline(self, finding: Finding) -> Timeline | None:
        """The picture for that finding; None where the observation has no exchange at all."""
        exchanges = sorted(self._case.exchanges, key=lambda stream: stream.transcript.opened_at)
        if not exchanges:
            return None
        # The one that it is about, then event streams; what does not fit is counted.
        first = sorted(exchanges, key=lambda s: (s.role != finding.role, not s.transcript.is_event_stream))
        chosen = {stream.role for stream in first[:MOST_LANES]}
        lanes = [self._lane(stream, finding) for stream in exchanges if stream.role in chosen]
        if (actions := self._actions()) is not None:
            lanes.insert(0, actions)
        return Timeline(
            seconds=round(max(lane.closed for lane in lanes), 3),
            lanes=tuple(lanes),
            at=self._at(finding),
            hidden=len(exchanges) - len(chosen),
        )

    def _at(self, finding: Finding) -> float | None:
        stream = self._case.stream(finding.role)
        if stream is None:
            return None
        track = self._track(stream)
        place = track.place(finding)
        if place is not None:
            return round(track.ats[place], 3)
        if finding.span is None:
            return None
        received = 0
        for chunk in stream.transcript.chunks:
            received += len(chunk.data)
            if received > finding.span[0]:
                return round(chunk.at, 3)
        return None

    def _lane(self, stream: Stream, finding: Finding) -> Lane:
        transcript, track = stream.transcript, self._track(stream)
        ours = stream.role == finding.role
        place = track.place(finding) if ours else None
        places = track.thinned(MOST_MARKS if ours else _OTHERS_MARKS, place)
        url = urlsplit(transcript.request.url)
        path = (url.path or "/") + (f"?{url.query}" if url.query else "")
        how = _HOW[transcript.ended] + (f": {transcript.detail}" if transcript.detail else "")
        return Lane(
            role=stream.role,
            title=f"{transcript.request.method} {path}"[:_TITLE],
            opened=round(transcript.opened_at, 3),
            closed=round(transcript.ended_at, 3),
            head=None if transcript.head is None else round(transcript.head.at, 3),
            status=None if transcript.head is None else transcript.head.status,
            how=how[:_TITLE],
            marks=tuple(track.mark(index) for index in places),
            events=len(track.events),
            marked=None if place is None else places.index(place),
        )

    def _actions(self) -> Lane | None:
        """What the probe did, as a lane of its own; None where it did nothing."""
        actions = self._case.observation.actions
        if not actions:
            return None
        marks = sorted(
            (Mark(round(a.at, 3), MarkKind.ACTION, a.kind) for a in actions), key=lambda mark: mark.at
        )
        step = -(-len(marks) // MOST_MARKS)
        closed = max(action.at if action.until is None else action.until for action in actions)
        return Lane("", "what the probe did", marks[0].at, round(closed, 3), marks=tuple(marks[::step]))

    def _track(self, stream: Stream) -> _Track:
        if stream.role not in self._tracks:
            track = self._tracks[stream.role] = _Track()
            if stream.transcript.is_event_stream:
                head = stream.transcript.head
                greeting = (0.0 if head is None else head.at) + quiet(stream.profile)
                for block in stream.walk():
                    track.add(block, greeting)
        return self._tracks[stream.role]


@dataclass(slots=True)
class _Track:
    """The blocks of a stream in arrays: a stream may have hundreds of thousands."""

    ats: array[float] = field(default_factory=lambda: array("d"))
    starts: array[int] = field(default_factory=lambda: array("q"))  # byte offsets
    kinds: list[MarkKind] = field(default_factory=list)
    named: array[int] = field(default_factory=lambda: array("l"))  # numbers of their labels
    events: array[int] = field(default_factory=lambda: array("q"))  # the blocks that dispatch
    labels: dict[str, int] = field(default_factory=dict)  # and those numbers

    def add(self, block: Block, greeting: float) -> None:
        kind, label = _read(block, greeting)
        if block.dispatch is not None:
            self.events.append(len(self.ats))
        self.ats.append(block.at)
        self.starts.append(block.start)
        self.kinds.append(kind)
        self.named.append(self.labels.setdefault(label, len(self.labels)))

    def mark(self, index: int) -> Mark:
        label = list(self.labels)[self.named[index]]
        return Mark(round(self.ats[index], 3), self.kinds[index], label)

    def place(self, finding: Finding) -> int | None:
        """The index of the block that the finding is about."""
        if finding.event is not None and finding.event < len(self.events):
            return self.events[finding.event]
        if finding.span is None or not self.starts or finding.span[0] < self.starts[0]:
            return None
        return bisect_right(self.starts, finding.span[0]) - 1

    def thinned(self, most: int, keep: int | None) -> list[int]:
        """At most so many indexes (and `keep`) that show what came when: the first of each kind in a slice of time."""
        if len(self.ats) <= most:
            return list(range(len(self.ats)))
        slices = most // len(set(self.kinds))
        width = (self.ats[-1] - self.ats[0]) / (slices - 1) or 1.0
        seen: dict[tuple[int, MarkKind], int] = {}
        for index, at in enumerate(self.ats):
            seen.setdefault((int((at - self.ats[0]) / width), self.kinds[index]), index)
        kept = sorted(seen.values())
        return kept if keep is None or keep in kept else sorted([*kept, keep])


def _read(block: Block, greeting: float) -> tuple[MarkKind, str]:
    if block.dispatch is None:
        if block.comments:
            return (MarkKind.HEARTBEAT if block.at >= greeting else MarkKind.COMMENT), "comment"
        return MarkKind.COMMENT, "no event"
    kind = read_message(block).type
    if kind in DATA_HEARTBEATS:
        return MarkKind.HEARTBEAT, kind
    name = kind or (block.dispatch.type if block.dispatch.type != "message" else "")
    return MarkKind.EVENT, name[:_LABEL]


__all__ = ["Lanes"]
