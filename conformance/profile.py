"""Profiles: what is declared about a target. Values only; reading TOML lives in `profile_file.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class Effect(StrEnum):
    """What a probe does to a target, from harmless to rough; consent is given per class."""

    READ = "read"  # subscribe, GET, refused requests
    PROMPT = "prompt"  # costs model calls
    EDIT = "edit"  # tools that write inside the workspace
    DISRUPT = "disrupt"  # resets in numbers, stalled readers, floods, path escapes
    CONFIGURE = "configure"  # changes the target's settings for the run, and puts them back
    LOAD = "load"  # as many users at once as a load run is told to make


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the target says it can do. Undeclared (None, False, empty): what needs it is not applicable."""

    reasoning: bool = True
    tools: bool = True
    resume: bool = False
    retention: int | None = None  # events that a replay buffer holds, where it can be passed
    heartbeat: float | None = None  # seconds between heartbeats on a silent stream
    auth: str | None = (
        None  # "bearer", "basic" or "header:NAME": which credentials the profile's headers carry
    )
    cors: tuple[str, ...] = ()  # allowed origins
    rate_limit: int | None = None  # requests after which a client is limited
    max_body: int | None = None  # bytes of a request body that are still accepted
    history: bool = False  # a dialog's history can be read back
    workspace: bool = False  # file edits are confined to `Profile.workspace`


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool of the target's agent, as scripts call it: its name and the names of its arguments."""

    name: str
    path: str = "path"
    content: str | None = None  # argument that holds the new content (edit)
    # What the stream calls the tool and its arguments, where it renames them (None: as they were called).
    shown_name: str | None = None
    shown_path: str | None = None
    shown_content: str | None = None

    def args(self, path: str, content: str = "") -> dict[str, Any]:
        """Arguments for a call on `path`."""
        return {self.path: path} | ({self.content: content} if self.content else {})


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools that scripts use; None where the agent has none of that kind."""

    read: Tool | None = Tool("read_file")
    edit: Tool | None = Tool("write_to_file", content="content")
    delete: Tool | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds that the profile sets, and that some rows are judged by."""

    connect: float = 5.0  # seconds until a connection stands
    head: float = 10.0  # seconds until a response head
    turn: float = 30.0  # seconds that one scripted turn may take
    settle: float = 2.0  # seconds that stragglers after a turn's end are waited for
    large_answer: int = 1_048_576  # bytes of the large answer (SSE-FMT-08)
    stream_bytes: int = 256 * 1_048_576  # cap on one recorded body
    stream_events: int = 200_000  # cap on the events of one recorded stream
    dialog_delay: float = 5.0  # seconds that one slow dialog may delay another (AS-CONC-03)
    failing_tool_calls: int = (
        100  # model calls after which an agent whose tool always fails must have stopped
    )
    vanishing_clients: int = 50  # clients of SSE-LIVE-01


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS options: paths of a CA bundle and of a client certificate with its key, or no verification."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class Template:
    """An HTTP request with `{prompt}`, `{session}`, `{agent}`, `{title}` … in its path and body strings.

    `answer` is the JSON pointer at which the answer holds the new session's id.
    """

    method: str
    path: str
    body: Any = field(default=None, hash=False)  # JSON: tables and lists have no hash
    answer: str = "/id"


@dataclass(frozen=True, slots=True)
class Implementation:
    """Which program the target is, in reports: its name, version and home page; "" where that is not said."""

    name: str = ""
    version: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Repoint:
    """Leave to point the target's model at the scripted one for a run (AgentSmithy: `PUT /api/config`).

    `provider` is the one of the target's settings whose `base_url` is changed; `restore` is what that was, for a
    target whose settings cannot be read.
    """

    provider: str = "openai"
    restore: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What is declared about a target.

    `url` is the base URL without a trailing slash; it may have a path prefix. `headers` go with every
    request and are secrets. `stimulus` overrides the driver's own requests by name: "create-session",
    "prompt", "rename-session", "delete-session", "abort".
    """

    protocol: str  # "penguin/2"
    url: str
    name: str = ""
    implementation: Implementation = Implementation()
    headers: tuple[tuple[str, str], ...] = ()
    script: bool = True
    rewrites_text: bool = (
        False  # a plugin of the target rewrites what was said, so the increments tell what it was
    )
    model_url: str | None = None
    repoint: Repoint | None = None
    workspace: str | None = None
    agent: str = "default"
    capabilities: Capabilities = Capabilities()
    tools: Tools = Tools()
    limits: Limits = Limits()
    tls: Tls = Tls()
    stimulus: tuple[tuple[str, Template], ...] = ()
    allow: tuple[Effect, ...] | None = None  # None: all on loopback, else read and prompt
    allow_inconclusive: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()  # names of JSON members and query parameters whose values are secrets
    strict: bool = False
    timeout_scale: float = 1.0

    @property
    def family(self) -> str:
        """The protocol without its revision: "penguin"."""
        return self.protocol.partition("/")[0]

    @property
    def revision(self) -> int:
        """The revision's number."""
        return int(self.protocol.partition("/")[2])

    def to_data(self) -> dict[str, Any]:
        """As plain JSON data (for observations)."""
        data: dict[str, Any] = _plain(asdict(self))
        return data

    @classmethod
    def from_data(cls, raw: Mapping[str, Any]) -> Profile:
        """Read back what `to_data` wrote. Raises `TypeError`, `KeyError` or `ValueError` otherwise."""
        data = dict(raw)
        caps = dict(data["capabilities"])
        caps["cors"] = tuple(caps["cors"])
        tools = {k: None if v is None else Tool(**v) for k, v in data["tools"].items()}
        allow, repoint = data["allow"], data.get("repoint")  # older observations have no such member
        data |= {
            "implementation": Implementation(**data.get("implementation", {})),
            "headers": tuple((k, v) for k, v in data["headers"]),
            "capabilities": Capabilities(**caps),
            "tools": Tools(**tools),
            "limits": Limits(**data["limits"]),
            "tls": Tls(**data["tls"]),
            "repoint": None if repoint is None else Repoint(**repoint),
            "stimulus": tuple((name, Template(**t)) for name, t in data["stimulus"]),
            "allow": None if allow is None else tuple(Effect(e) for e in allow),
            "allow_inconclusive": tuple(data["allow_inconclusive"]),
            "redact": tuple(data["redact"]),
        }
        return cls(**data)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


__all__ = [
    "Capabilities",
    "Effect",
    "Implementation",
    "Limits",
    "Profile",
    "Repoint",
    "Template",
    "Tls",
    "Tool",
    "Tools",
]
