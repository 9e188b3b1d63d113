"""What can be asked of a load run, beside Locust's own options."""

from __future__ import annotations

import math
import secrets
import time
from dataclasses import dataclass, replace
from typing import Any

from conformance import slo
from conformance.catalogue import protocols
from conformance.lab import is_loopback
from conformance.profile import Effect, Profile
from conformance.profile_file import ProfileError, default_profile, load_profile
from loadtests.dialects import dialect_for
from loadtests.plan import Plan
from loadtests.run import Settings
from loadtests.shapes import SHAPES, STEP, Shape

MIXED = "mixed"
FAMILIES = ("agentsmithy", "penguin", "opencode")


class OptionError(ValueError):
    """Options that ask for no load run. One line."""


def add_options(parser: Any) -> None:
    """Declare them to Locust's parser. Those that may change from one run to the next are in its web page, too."""
    add = parser.add_argument
    add("--sse-chunks", type=int, default=20, metavar="N", help="chunks of an answer (%(default)s)")
    add("--sse-chunk-bytes", type=int, default=64, metavar="N", help="bytes of a chunk (%(default)s)")
    add("--sse-pace-ms", type=int, default=50, metavar="MS", help="pause before each chunk (%(default)s)")
    add(
        "--sse-every",
        type=float,
        default=0.0,
        metavar="S",
        help="a prompt is due so often, and times count from then (default: when the answer before has ended)",
    )
    add(
        "--sse-fanout",
        type=int,
        default=2,
        metavar="N",
        help="subscribers of one session, where streams can be filtered by session (%(default)s)",
    )
    add(
        "--sse-patience",
        type=float,
        default=30.0,
        metavar="S",
        help="silence after which an answer is no longer waited for (%(default)s)",
    )
    add("--slo", default="", metavar="CONDITIONS", help="ttfe:p99<500ms, gap:p99<200ms, lost==0 …")

    hidden: dict[str, Any] = (
        {"include_in_web_ui": False} if hasattr(parser, "args_included_in_web_ui") else {}
    )

    def once(*names: str, **how: Any) -> None:
        add(*names, **hidden, **how)

    once(
        "--sse-protocol",
        action="append",
        metavar="P/R",
        help="protocol revision, agentsmithy/2; again for a mixture, or `mixed`: the newest of each",
    )
    once("--sse-profile", metavar="FILE", help="profile of the target, or the name of a shipped one")
    once("--sse-shape", choices=SHAPES, help="how users come and go (default: -u users all the time)")
    once(
        "--sse-step-users", type=int, default=0, metavar="N", help="users of a step (default: a tenth of -u)"
    )
    once(
        "--sse-step-seconds",
        type=float,
        default=STEP,
        metavar="S",
        help="seconds of a step, or between reconnect storms (%(default)s)",
    )
    once(
        "--sse-directory",
        action="append",
        default=[],
        metavar="DIR",
        help="OpenCode: a workspace; with several, each has subscribers and a session of its own",
    )
    once("--target-pid", type=int, metavar="PID", help="sample memory, CPU and descriptors of the server")
    once("--sse-load-report", metavar="DIR", help="write the result there")
    once(
        "--sse-allow",
        action="append",
        default=[],
        metavar="CLASS,…",
        help="effect classes allowed on a target that is not this machine: load",
    )
    once("--seed", type=int, metavar="N", help="of what is drawn by lot")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options ask for, checked."""

    settings: Settings
    shape: Shape | None
    conditions: tuple[slo.Condition, ...]
    families: tuple[str, ...]


def prepare(options: Any) -> None:
    """Before a run, where it is controlled: settle what all processes must know alike."""
    options.sse_seed = options.seed if options.seed is not None else secrets.randbelow(1 << 31)
    options.sse_run = secrets.token_hex(4)  # never of the seed: two runs at one server are to know their own
    options.sse_started = time.time()


def read_options(options: Any, host: str | None) -> Asked:
    """Check them. Raises `OptionError`."""
    try:
        return _read(options, host)
    except (ProfileError, slo.SloError, ValueError) as error:
        raise OptionError(str(error)) from None


def _read(options: Any, host: str | None) -> Asked:
    profiles = _profiles(options, host)
    conditions = slo.parse(options.slo or "")
    for name, value, least in (
        ("--sse-fanout", options.sse_fanout, 1),
        ("--sse-every", options.sse_every, 0.0),
        ("--sse-patience", options.sse_patience, 0.1),
        ("--sse-step-seconds", options.sse_step_seconds, 0.5),
    ):
        if not math.isfinite(value) or value < least:
            raise OptionError(f"{name}: expected {least} or more, found {value}")
    plan = Plan(
        getattr(options, "sse_run", "00000000"),
        options.sse_chunks,
        options.sse_chunk_bytes,
        options.sse_pace_ms,
    )
    settings = Settings(
        plan,
        profiles,
        getattr(options, "sse_started", 0.0),
        getattr(options, "sse_seed", 0),
        options.sse_fanout,
        options.sse_every,
        options.sse_patience,
        tuple(slo.limits(conditions).items()),
        tuple(options.sse_directory or ()),
    )
    shape = None
    if options.sse_shape:
        shape = Shape(
            options.sse_shape,
            options.num_users or 1,
            float(options.run_time or 60),
            options.sse_step_users,
            options.sse_step_seconds,
        )
    return Asked(settings, shape, conditions, tuple(profile.family for profile in profiles))


def _profiles(options: Any, host: str | None) -> tuple[Profile, ...]:
    named: list[str] = list(options.sse_protocol or ())
    if not host and not options.sse_profile:
        raise OptionError("no target: name it with --host URL")
    if MIXED in named:
        named = [_newest(family) for family in FAMILIES]
    if not named and not options.sse_profile:
        raise OptionError(
            f"no protocol: name it with --sse-protocol, one of {', '.join(_known())}, or {MIXED}"
        )
    if options.sse_profile:
        choices: list[str | None] = [*named] or [None]
        found = [load_profile(options.sse_profile, url=host, protocol=name) for name in choices]
    else:
        found = [default_profile(name, host or "") for name in named]
    families = [profile.family for profile in found]
    if len(set(families)) != len(families):
        raise OptionError("--sse-protocol: of one protocol one revision at a time")
    allowed = {name for text in options.sse_allow or () for name in text.split(",")}
    for profile in found:
        dialect_for(profile)
        if not profile.script:
            raise OptionError(
                f"{profile.name or profile.url}: a target that cannot be scripted says nothing of order"
            )
        if not is_loopback(profile.url) and Effect.LOAD.value not in {*allowed, *(profile.allow or ())}:
            raise OptionError(
                f"{profile.url} is not this machine: say --sse-allow load if it may be put under load"
            )
    return tuple(replace(profile, script=True) for profile in found)


def _known() -> list[str]:
    return [name for name in protocols() if name.partition("/")[0] in FAMILIES]


def _newest(family: str) -> str:
    return max(
        (name for name in _known() if name.startswith(f"{family}/")), key=lambda name: int(name.split("/")[1])
    )
