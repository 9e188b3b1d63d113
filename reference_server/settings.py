"""What a running reference server was told: addresses, limits and the optional behaviours."""

from __future__ import annotations

from dataclasses import dataclass

from reference_server.script import PLAIN, Script

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Auth:
    """Credentials that every request but `GET /health` must carry: `header` with exactly `value`.

    `challenge` goes into `WWW-Authenticate` of a 401.
    """

    header: str
    value: str
    challenge: str


@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most `requests` within any `seconds` per client address."""

    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Settings:
    """All there is to choose. Times in seconds, sizes in bytes.

    A subscriber of an event bus that does not read is kept `queue_events` events and `queue_bytes` bytes;
    then its stream ends, and its connection is dropped when it has not read that end for `stall_timeout`.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    heartbeat: float | None = None  # None: what the protocol itself has
    line_ending: str = "lf"  # "lf" or "crlf"
    auth: Auth | None = None
    cors: tuple[str, ...] = ()  # origins
    rate_limit: RateLimit | None = None
    max_body: int = 16 * MIB
    workspace: str = "/workspace"  # nothing is ever written there
    resume: bool = False  # whether Penguin 1, too, gives its events ids and replays what a cursor missed
    replay_events: int = 4096
    replay_bytes: int = 64 * MIB
    queue_events: int = 4096
    queue_bytes: int = 8 * MIB
    stall_timeout: float = 30.0
    default_script: Script = PLAIN  # what the agent does on a prompt without a directive
    log_level: str = "warning"
    coalesce: float = 0.0  # seconds that an event may wait for others, to go out with them
    fast: bool = False  # uvloop, httptools and orjson
    allow_faults: bool = False  # whether requests may choose a fault or variant
    fault: str | None = None  # the fault or variant of every request

    @property
    def breath(self) -> int:
        """After how many acts in a row an agent lets others have their turn."""
        return 16 if self.coalesce else 1

    @property
    def compact(self) -> bool:
        """Whether orjson writes the events. Faults know them by their text, as `json` writes it."""
        return self.fast and not self.allow_faults
