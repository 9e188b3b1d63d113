"""One process's share of a load run: what it was told, what it has counted, and which streams are open."""

from __future__ import annotations

import random
import secrets
import time
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from conformance.load_result import Example, Row
from conformance.profile import Profile
from conformance.transcript import Request
from loadtests.arrivals import delays, gaps, skews
from loadtests.client import Answer, Call, ClientError, End, Endpoint, Limits, exchange
from loadtests.client.request import NO_LIMIT
from loadtests.dialects import Dialect, dialect_for
from loadtests.measures import Figures
from loadtests.plan import Mark, Plan
from loadtests.sequence import Heard, Offence, Owners

STALL = 1.0  # seconds: gaps from here on are marked in the raster
STALLS = 20  # of one row


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is told, the same in every process.

    `started` is the wall-clock time of its beginning. `fanout`: subscribers of one session, where a stream can be asked
    for one alone. `every`: seconds from one prompt of a user, or of a session, to the next (0: as soon as the answer
    has ended). `patience`: seconds without anything new after which an answer is no longer waited for. `bounds`: what a
    good stream keeps to, by the name of the measure. `directories`: workspaces of an OpenCode, () for its own one.
    """

    plan: Plan
    profiles: tuple[Profile, ...]
    started: float
    seed: int
    fanout: int = 2
    every: float = 0.0
    patience: float = 30.0
    bounds: tuple[tuple[str, float], ...] = ()
    directories: tuple[str, ...] = ()


class Open(Protocol):
    """A stream, or several, that can be brought to an end."""

    def leave(self) -> None:
        """Ask for nothing more; close when all that was asked for has come."""

    def abandon(self) -> None:
        """Close now; what is under way is not judged."""

    def renew(self) -> None:
        """Hang up in the middle, and come again."""


Fire = Callable[
    [str, str, float, int, Exception | None], None
]  # method, name, seconds, bytes, what went wrong


@dataclass(slots=True)
class Skew:
    """The answers to one prompt as the subscribers of this process hear it."""

    expected: int
    heard: list[Heard] = field(default_factory=list)
    shown: dict[str, frozenset[str]] = field(
        default_factory=dict
    )  # by subscriber, the ids of other events than text


class Run:
    """The state of one process.

    `fire` is told of each request as Locust counts them.
    """

    def __init__(self, settings: Settings, fire: Fire) -> None:
        self.settings = settings
        self.plan = settings.plan
        self.name = secrets.token_hex(3)  # no other process of the run has it
        self.fire = fire
        self.figures = Figures()
        self.owners = Owners()
        self.places: dict[str, str] = {}  # of sessions, the workspace that they were made in
        self.open: set[Open] = set()
        self.draining = False
        self.connections = 0
        self.targets = tuple(Target(self, profile) for profile in settings.profiles)
        self._origin = time.monotonic() - (time.time() - settings.started)
        self._lots = random.Random(f"{settings.seed}/{self.name}")
        self._sessions = self._subscribers = 0
        self._levels: list[tuple[float, int]] = [
            (0.0, 0)
        ]  # from when on each level of concurrency is asked for
        self._bounds = dict(settings.bounds)
        self._skews: dict[Mark, Skew] = {}

    def target(self, family: str) -> Target:
        """The target of that protocol."""
        return next(target for target in self.targets if target.profile.family == family)

    def key(self) -> str:
        """A key for one more session, that no other process of the run has."""
        self._sessions += 1
        return f"{self.name}s{self._sessions}"

    def subscriber(self) -> str:
        """A name for one more subscriber."""
        self._subscribers += 1
        return f"{self.name}.{self._subscribers}"

    def at(self, moment: float) -> float:
        """Seconds since the run began, of a monotonic time."""
        return moment - self._origin

    def raise_level(self, number: int, users: int) -> None:
        """Another level of concurrency is asked for from now on."""
        self._levels.append((self.at(time.monotonic()), number))
        self.figures.level(number).users = users

    def level_at(self, at: float) -> int:
        """The number of the level that was asked for at that time."""
        return self._levels[bisect_right(self._levels, (at, 1 << 30)) - 1][1]

    # --- what streams tell

    def opened(self, moment: float) -> None:
        """A connection for a stream was begun."""
        self.connections += 1
        self.figures.second(self.at(moment))["opened"] += 1

    def closed(self, moment: float) -> None:
        """It is over."""
        self.connections -= 1
        self.figures.second(self.at(moment))["closed"] += 1

    def received(self, events: int, size: int, moment: float) -> None:
        """Bytes of a body, and the events that they completed."""
        at = self.at(moment)
        self.figures.counts["size"] += size
        second = self.figures.second(at)
        second["size"] += size
        if events:
            second["events"] += events
            self.figures.level(self.level_at(at)).counts["events"] += events

    def error(self, kind: str, moment: float) -> None:
        """A stream, or a prompt, failed in that way."""
        at = self.at(moment)
        self.figures.errors[kind] += 1
        self.figures.second(at)["errors"] += 1
        self.figures.level(self.level_at(at)).counts["errors"] += 1

    def failed(self, asked: float, moment: float, kind: str) -> None:
        """A stream that was to bring an answer brought none."""
        self._count(asked, False)
        self._row(asked, moment, kind, None, ())

    def heard(self, heard: Heard, kind: str | None = None, **measured: float) -> None:
        """An answer was heard to its end, or to what became of it; `kind` is the error that ended its stream.

        `measured` are further times that the limits of a good stream may be about.
        """
        self.figures.counts["heard"] += 1
        if heard.outcome == "missed":
            return
        times = self.figures.times
        own = measured
        first = heard.first
        if heard.asked is not None and first is not None:
            own["ttfe"] = first - heard.asked
            if heard.arrived:
                own["ttfc"] = heard.arrived[0] - heard.asked
            if heard.ended is not None:
                own["duration"] = heard.ended - heard.asked
            for name in ("ttfe", "ttfc", "duration"):
                if name in own:
                    times[name].record(own[name])
        level = None
        if heard.asked is not None:
            level = self.figures.level(self.level_at(self.at(heard.asked)))
            if "ttfe" in own:
                level.times["ttfe"].record(own["ttfe"])
        moments = [] if first is None else [first, *heard.arrived]
        if moments and heard.ended is not None:
            moments.append(heard.ended)
        stalls: list[tuple[float, float]] = []
        longest = 0.0
        for begin, end in gaps(moments):
            gap = end - begin
            times["gap"].record(gap)
            if level is not None:
                level.times["gap"].record(gap)
            longest = max(longest, gap)
            if gap >= STALL and len(stalls) < STALLS:
                stalls.append((self.at(begin), self.at(end)))
        if len(moments) > 1:
            own["gap"] = own["stall"] = longest
            times["stall"].record(longest)
        if heard.whole and self.plan.pace_ms:
            found = delays(heard.arrived, self.plan.pace_ms / 1000)
            own["delay"] = max(found)
            for delay in found:
                times["delay"].record(delay)
        outcome = kind or _OUTCOMES.get(heard.outcome, heard.outcome)
        if outcome == "good" and any(own.get(name, 0.0) > bound for name, bound in self._bounds.items()):
            outcome = "slow"
        if heard.asked is None:
            return  # somebody else's, whose answer it counts
        self._count(heard.asked, outcome == "good")
        last = moments[-1] if moments else heard.asked
        self._row(heard.asked, last, outcome, first, tuple(stalls))

    def owe(self, mark: Mark, subscribers: int) -> None:
        """A prompt that so many subscribers of this process are to hear."""
        self._skews[mark] = Skew(subscribers)

    def shared(self, mark: Mark, heard: Heard, name: str, shown: frozenset[str] | None) -> None:
        """What one of them has heard; `shown`: the ids of what it was shown beside text since the answer before.

        None where that is not known. What one subscriber was shown, all must be: they asked for the same.
        """
        skew = self._skews.get(mark)
        if skew is None:
            return
        skew.heard.append(heard)
        if shown is not None:
            skew.shown[name] = shown
        if len(skew.heard) == skew.expected:
            del self._skews[mark]
            self._compare(mark, skew)
            whole = [one.arrived for one in skew.heard if one.whole]
            if len(whole) == skew.expected > 1:
                for seconds in skews(whole):
                    self.figures.times["skew"].record(seconds)

    def _compare(self, mark: Mark, skew: Skew) -> None:
        together = frozenset[str]().union(*skew.shown.values())
        for name, shown in skew.shown.items():
            lost = sorted(together - shown)
            if lost:
                self.figures.counts[Offence.LOST.value] += len(lost)
                others = f"the events that other subscribers were shown in session {mark.session}, prompt {mark.prompt}"
                self.figures.example(
                    Example(Offence.LOST.value, name, others, f"without {', '.join(lost[:3])}")
                )

    def settled(self, mark: Mark) -> None:
        """Nobody waits any longer for the answer to that prompt."""
        self._skews.pop(mark, None)

    def _count(self, asked: float, good: bool) -> None:
        level = self.figures.level(self.level_at(self.at(asked)))
        for counts in (self.figures.counts, level.counts):
            counts["streams"] += 1
            counts["good"] += good

    def _row(
        self,
        begin: float,
        end: float,
        outcome: str,
        first: float | None,
        stalls: tuple[tuple[float, float], ...],
    ) -> None:
        begun = self.at(begin)
        lot = self._lots.random()
        shown = None if first is None else self.at(first)
        self.figures.row(lot, Row(begun, max(self.at(end), begun), outcome, shown, stalls))


_OUTCOMES = {"failed": "error_event", "cut": "unfinished"}


class Target:
    """One protocol revision of the target: where it is, how one asks."""

    def __init__(self, run: Run, profile: Profile) -> None:
        self.run = run
        self.profile = profile
        self.dialect: Dialect = dialect_for(profile)
        self.made: list[str] = []  # sessions and dialogs, to be removed at the end
        tls = profile.tls
        self.endpoint = Endpoint.of(profile.url, insecure=tls.insecure, ca=tls.ca, cert=tls.cert, key=tls.key)
        patience = run.settings.patience
        self.limits = Limits(
            connect=profile.limits.connect,
            head=max(profile.limits.head, patience),
            first=patience,
            stall=patience,
        )
        # A subscription may be silent while nobody asks; whoever asks knows when it should not.
        self.subscription_limits = replace(self.limits, stall=NO_LIMIT)

    def call(self, request: Request) -> Call:
        """A request as the client sends it, with the profile's own headers."""
        parts = urlsplit(request.url)
        path = parts.path.removeprefix(self.endpoint.prefix) or "/"
        own = {name.lower() for name, _ in self.profile.headers}
        headers = (*(pair for pair in request.headers if pair[0].lower() not in own), *self.profile.headers)
        return Call(
            request.method, path + (f"?{parts.query}" if parts.query else ""), headers, request.body or b""
        )

    def ask(self, name: str, request: Request, head: float | None = None) -> Answer | None:
        """An ordinary exchange, told to Locust under that name; None where no answer came.

        `head`: seconds until its head, instead of the usual ones.
        """
        limits = self.limits
        if head is not None:
            limits = Limits(limits.connect, head, limits.first, limits.stall)
        began = time.monotonic()
        try:
            answer = exchange(self.endpoint, self.call(request), limits)
        except ClientError as error:
            self.run.fire(request.method, name, time.monotonic() - began, 0, error)
            if error.kind is End.LOCAL:
                self.run.figures.fault(f"the generator has no resources left: {error}")
            return None
        wrong = None if answer.status < 400 else StatusError(answer.status)
        self.run.fire(request.method, name, answer.at - began, len(answer.body), wrong)
        return answer

    def create(self, dialect: Dialect | None = None) -> str | None:
        """Make a session, or a dialog; its id, or None where that failed. `dialect`: of another workspace."""
        dialect = dialect or self.dialect
        answer = self.ask(f"{self.profile.protocol} {dialect.noun}", dialect.creation())
        made = None if answer is None else dialect.created(answer.status, answer.body)
        if made is not None:
            self.made.append(made)
        return made

    def remove(self, session: str) -> None:
        """Remove it; a server that cannot is left as it is."""
        dialect = self.dialect
        with suppress(ClientError):
            exchange(
                self.endpoint, self.call(dialect.deletion(session)), Limits(connect=2.0, head=2.0, stall=2.0)
            )


class StatusError(Exception):
    """A status other than the expected one."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")


def media_type(headers: tuple[tuple[str, str], ...]) -> Any:
    """The media type of a response, in lower case, without parameters; "" where none is named."""
    value = next((value for name, value in headers if name.lower() == "content-type"), "")
    return value.split(";", 1)[0].strip().lower()
