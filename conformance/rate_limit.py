"""A declared limit of rate that gets in the way of a probe.

What a probe sees while it is limited tells of the limit and of nothing else: a 429 is no refusal of a wrong body,
and no proof that a cursor is not understood (RFC 6585 §4). So such a probe is run again when the limit has passed.
"""

from __future__ import annotations

from collections.abc import Iterator

from conformance import exchanges
from conformance.agentsmithy import SAME_DIALOG
from conformance.transcript import Head, Observation

LONGEST = 60.0  # seconds that are waited before a probe is run again, whatever the target asks for
# Seconds before each further attempt; where the target says how long, the first is its own to say.
PAUSES = (2.0, 10.0, 30.0)

STILL_LIMITED = "the target's limit of rate is reached by this probe alone, also after waiting"


def in_the_way(observation: Observation) -> bool:
    """Whether the limit was met where the probe is about something else."""
    if not observation.profile.capabilities.rate_limit or observation.probe == exchanges.RATE:
        return False
    if observation.probe == exchanges.VANISH:
        # It waits the limit out itself once its clients have gone.
        return not (observation.fact("served_before") and observation.fact("turn_before"))
    return any(_limits(status) for status in _statuses(observation))


def stands(observation: Observation) -> bool:
    """Whether a limit that is met each time is a right answer to what the probe does."""
    # A second stream of one dialog may be refused with 429.
    return observation.probe in (SAME_DIALOG, exchanges.VANISH)


def pause(observation: Observation, attempt: int) -> float:
    """Seconds to wait before the probe is run again; `attempt` counts from 0."""
    asked = [seconds for head in _heads(observation) if (seconds := _retry_after(head)) is not None]
    own = PAUSES[min(attempt, len(PAUSES) - 1)]
    if not asked:
        return own
    # A place for one request is none for a whole probe: where a window slides, more must pass than it asks for.
    return min(LONGEST, max(max(asked) + 1.0, own if attempt else 0.0))


def _limits(status: int | None) -> bool:
    return status in (429, 503)


def _statuses(observation: Observation) -> Iterator[int | None]:
    yield from (head.status for head in _heads(observation))
    yield from (action.status for action in observation.actions)


def _heads(observation: Observation) -> Iterator[Head]:
    for _, transcript in observation.transcripts:
        if transcript.head is not None and _limits(transcript.head.status):
            yield transcript.head


def _retry_after(head: Head) -> float | None:
    value = head.get("retry-after") or ""
    return float(value) if value.isascii() and value.isdigit() and len(value) < 9 else None
