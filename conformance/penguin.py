"""What the probes of an event bus and the rules over them have in common: probe names, roles, and what scripts say.

Penguin's own probes are named after it; the others are played to OpenCode, too.

Pure data; nothing here opens a socket.
"""

from __future__ import annotations

from conformance.profile import Profile
from conformance.script import ModelTurn, Script, say
from conformance.turns import TURN_PROBES, read_call

FAMILIES = ("penguin",)
BUSES = ("penguin", "opencode")  # protocols of sessions whose events come on an event bus

# Each of our probes, by what it does.
CONNECT = "connect"
TWO_TURNS = "two-turns"
FILTERS = "penguin-filters"
AGENTS = "penguin-agents"
DIRECTORIES = "directories"
SUBSCRIBING = "penguin-subscribing"
FAN_OUT = "fan-out"
TOGETHER = "together"
LOST = "lost"
RESUME = "penguin-resume"
RESUME_LIVE = "penguin-resume-live"
GAPS = "penguin-gaps"
RETENTION = "penguin-retention"
FOREIGN_CURSOR = "penguin-foreign-cursor"
ABORT = "abort"
RETRY = "retry"
ODD_TOOLS = "odd-tools"
LIFECYCLE = "lifecycle"

# Probes none of whose streams is filtered by agent: such a filter may drop a message and pass its parts.
UNFILTERED_BY_AGENT = (
    *TURN_PROBES,
    TWO_TURNS,
    FILTERS,
    FAN_OUT,
    TOGETHER,
    LOST,
    ODD_TOOLS,
    RESUME,
    RESUME_LIVE,
)
# Turns whose model fails: real servers may say more about a message after such a turn's end.
FAILING_TURNS = ("error-status", "error-in-stream", "cut-reset", "cut-close")
# Probes in which turns run to their end, each before a stream that is to show all of it.
TURN_STREAMS = (*UNFILTERED_BY_AGENT, AGENTS, DIRECTORIES, GAPS, RETENTION, FOREIGN_CURSOR)
# Every probe with event streams: for what is asked of any stream.
ALL_STREAMS = (*TURN_STREAMS, CONNECT, SUBSCRIBING, ABORT, RETRY, LIFECYCLE)

CONTROL = "control"  # the role of an unfiltered stream that sees everything
FULL = "full"  # the role of an uncut stream, beside streams that are cut and resumed

UNKNOWN_AGENT = "sse-conformance-nobody"
OTHER_AGENT = "sse-conformance-other"


def words(mark: str, *, pace_ms: int = 0) -> Script:
    """A text turn that nobody else says: every chunk carries `mark`."""
    return say(f"{mark} one, ", f"{mark} two, ", f"{mark} three.", pace_ms=pace_ms)


def busy_turn(profile: Profile, mark: str, *, pace_ms: int = 0) -> Script:
    """A turn with reasoning, text and a tool call, as far as the profile declares them; all carry `mark`."""
    reasoning = (f"{mark} hm, ", f"{mark} well. ") if profile.capabilities.reasoning else ()
    if not profile.capabilities.tools or profile.tools.read is None:
        return Script((ModelTurn(words(mark).turns[0].text, reasoning),), pace_ms=pace_ms)
    return Script(
        (
            ModelTurn((f"{mark} looks. ",), reasoning, (read_call(profile, mark),)),
            ModelTurn((f"{mark} one, ", f"{mark} two, ", f"{mark} three.")),
        ),
        pace_ms=pace_ms,
    )
