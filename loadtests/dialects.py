"""What load needs to know of each protocol: how one asks, and what the answer's events say.

The requests are those of the conformance suite's drivers, or a profile's templates; the events are read by its readers.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from conformance.http_status import successful
from conformance.message import Message
from conformance.observe.drivers.agentsmithy import STREAM_HEADERS, chat_body
from conformance.observe.drivers.penguin_requests import subscription
from conformance.observe.drivers.requests import json_request
from conformance.observe.drivers.template import answered_id, from_template, template_of
from conformance.parts import (
    CONNECTED,
    DELTA,
    ERROR,
    GAP,
    MESSAGE,
    PART,
    STATUS,
    SYNTHETIC,
    increment_of,
    info_of,
    part_of,
    session_of,
    shows_failure,
    status_of,
    tells_of_sessions,
)
from conformance.profile import Profile, Template
from conformance.script import OPENING
from conformance.transcript import Request
from loadtests.sequence import Sequence

TITLE = "sse-conformance load"
_IDLE = "session.idle"


class Dialect(ABC):
    """One protocol revision at one target. Requests are absolute, without the profile's own headers."""

    answers_with_stream: ClassVar[bool] = False  # the answer to a prompt is the stream
    prompt_waits: ClassVar[bool] = False  # the answer to a prompt comes when its turn has ended
    filters: ClassVar[bool] = False  # a stream can be asked for one session alone

    noun: ClassVar[str] = "session"  # what prompts are sent to

    def __init__(self, profile: Profile) -> None:
        self.profile = profile

    # --- asking

    def creation(self) -> Request:
        """The request that makes a session, or a dialog."""
        template = template_of(self.profile, "create-session")
        if template is not None:
            return self._from(template, title=TITLE)
        return self._creation()

    def created(self, status: int, body: bytes) -> str | None:
        """The id that the answer to it names; None where it names none."""
        if not successful(status):
            return None
        template = template_of(self.profile, "create-session") or Template("POST", "")
        try:
            return answered_id(template, json.loads(body))
        except (ValueError, RecursionError):
            return None

    def deletion(self, session: str) -> Request:
        """The request that removes it."""
        template = template_of(self.profile, "delete-session")
        if template is not None:
            return self._from(template, session=session)
        return self._deletion(session)

    def prompting(self, session: str, text: str) -> Request:
        """The request that prompts it."""
        template = template_of(self.profile, "prompt")
        if template is not None:
            return self._from(template, session=session, prompt=text, agent=self.profile.agent)
        return self._prompting(session, text)

    def _from(self, template: Template, **values: str) -> Request:
        headers = STREAM_HEADERS[1:] if self.answers_with_stream and "prompt" in values else ()
        return from_template(self.profile, template, values, headers=headers)

    @abstractmethod
    def _creation(self) -> Request: ...

    @abstractmethod
    def _deletion(self, session: str) -> Request: ...

    @abstractmethod
    def _prompting(self, session: str, text: str) -> Request: ...

    # --- what events say

    @abstractmethod
    def session(self, message: Message) -> str:
        """The session or dialog that an event says it is of, "" where it names none."""

    @abstractmethod
    def show(self, message: Message, session: str, sequence: Sequence, at: float) -> int:
        """Tell the sequence judge what an event shows; how many whole chunks it completes."""

    def failed(self, message: Message) -> bool:
        """Whether an event says that a turn failed."""
        return False

    def cursor(self, message: Message) -> str | None:
        """What a connection resumes after that has seen this event; None where it is no cursor."""
        return None

    def gap(self, message: Message) -> bool:
        """Whether an event says that what was missed cannot be shown."""
        return False

    def identity(self, message: Message) -> str | None:
        """What names an event on every stream that shows it, other than those of text; None where nothing does."""
        return None


class AgentSmithy(Dialect):
    """The answer to `POST /api/chat` is the stream."""

    answers_with_stream = True
    noun = "dialog"

    def _creation(self) -> Request:
        return json_request("POST", f"{self.profile.url}/api/dialogs", {"set_current": False})

    def _deletion(self, session: str) -> Request:
        return json_request("DELETE", f"{self.profile.url}/api/dialogs/{quote(session, safe='')}")

    def _prompting(self, session: str, text: str) -> Request:
        body = json.dumps(chat_body(text, dialog_id=session)).encode()
        return Request("POST", f"{self.profile.url}/api/chat", STREAM_HEADERS, body)

    def session(self, message: Message) -> str:
        """Its `dialog_id`."""
        dialog = message.body.get("dialog_id")
        return dialog if isinstance(dialog, str) else ""

    def show(self, message: Message, session: str, sequence: Sequence, at: float) -> int:
        """`chat` has text, `user` the prompt, `done` is the end."""
        kind = message.type
        if kind == "chat":
            content = message.body.get("content")
            if isinstance(content, str):
                return sequence.text(session, content, at)
            sequence.unreadable(session, at)
        elif kind == "user":
            content = message.body.get("content")
            if isinstance(content, str) and OPENING in content:
                sequence.echo(session, content, at)
        elif kind == "error":
            sequence.end(session, at, failed=True)
        elif kind == "done":
            sequence.end(session, at)
        return 0

    def failed(self, message: Message) -> bool:
        """`error`."""
        return message.type == "error"


class Bus(Dialect):
    """Sessions, and a stream beside them that shows what happens in them."""

    @property
    def resumes(self) -> bool:
        """Whether a connection that is renewed misses nothing."""
        return False

    @abstractmethod
    def subscription(self, session: str, cursor: str | None = None) -> Request:
        """The request for a stream that shows it, after the event of that cursor (None: from now on)."""

    def session(self, message: Message) -> str:
        """Its session, "" for what belongs to a connection."""
        return "" if message.type in SYNTHETIC else session_of(message)

    def show(self, message: Message, session: str, sequence: Sequence, at: float) -> int:
        """Increments are text, a part of the user's is the prompt, the session's idling the end."""
        kind = message.type
        if kind == DELTA:
            delta = increment_of(message).delta
            if delta is not None:
                return sequence.text(session, delta, at)
            if message.properties.get("field") == "text":
                sequence.unreadable(session, at)
            return 0
        if kind == PART:
            part = part_of(message)
            if part.type != "text":
                return 0
            if part.delta is not None:
                return sequence.text(session, part.delta, at)
            if message.properties.get("delta") is not None:
                sequence.unreadable(session, at)
            elif part.text is not None and OPENING in part.text:
                sequence.echo(session, part.text, at)
        elif shows_failure(message):
            # A refused model call that is tried again is no end yet.
            status = status_of(message)
            if status is None or status[1] != "retry":
                sequence.end(session, at, failed=True)
        elif self._over(message):
            sequence.end(session, at)
        return 0

    def failed(self, message: Message) -> bool:
        """An error of a message, or of a session; told once, by the event that every revision has for it."""
        return message.type == MESSAGE and bool(info_of(message).error)

    def identity(self, message: Message) -> str | None:
        """Its `id`."""
        identity = message.body.get("id")
        if not isinstance(identity, str) or message.type in SYNTHETIC or message.type == DELTA:
            return None
        return None if "delta" in message.properties else identity

    @abstractmethod
    def _over(self, message: Message) -> bool:
        """Whether the turn is over with that event."""


class Penguin(Bus):
    """`GET /api/v1/events/sse`, of one session alone."""

    filters = True
    prompt_waits = True

    @property
    def resumes(self) -> bool:
        """Where the profile declares it."""
        return self.profile.capabilities.resume

    def subscription(self, session: str, cursor: str | None = None) -> Request:
        """The stream of that session."""
        return subscription(self.profile, session=session, cursor=cursor)

    def cursor(self, message: Message) -> str | None:
        """Its id, which is that of its block."""
        identity = message.body.get("id")
        return (
            identity if self.resumes and isinstance(identity, str) and message.type not in SYNTHETIC else None
        )

    def gap(self, message: Message) -> bool:
        """`server.replay_gap`."""
        return message.type == GAP

    def _creation(self) -> Request:
        return json_request("POST", f"{self.profile.url}/session", {"title": TITLE})

    def _deletion(self, session: str) -> Request:
        return json_request("DELETE", f"{self.profile.url}/session/{quote(session, safe='')}")

    def _prompting(self, session: str, text: str) -> Request:
        body = {"text": text, "session_id": session, "agent_id": self.profile.agent, "streaming": True}
        return json_request("POST", f"{self.profile.url}/api/v1/chat/message", body)

    def _over(self, message: Message) -> bool:
        if tells_of_sessions(self.profile.protocol):
            return message.type == STATUS and (status_of(message) or ("", ""))[1] == "idle"
        if message.type != MESSAGE:
            return False
        info = info_of(message)
        return info.role == "assistant" and info.completed is not None


class OpenCode(Bus):
    """`GET /event`, of one directory: all its sessions."""

    def subscription(self, session: str, cursor: str | None = None) -> Request:
        """The stream of the workspace."""
        return Request("GET", self._url("/event"), (("Accept", "text/event-stream"),))

    def _creation(self) -> Request:
        return json_request("POST", self._url("/session"), {"title": TITLE})

    def _deletion(self, session: str) -> Request:
        return json_request("DELETE", self._url(f"/session/{quote(session, safe='')}"))

    def _prompting(self, session: str, text: str) -> Request:
        body: dict[str, Any] = {"parts": [{"type": "text", "text": text}]}
        if self.profile.agent:
            body["agent"] = self.profile.agent
        return json_request("POST", self._url(f"/session/{quote(session, safe='')}/prompt_async"), body)

    def _over(self, message: Message) -> bool:
        # The last event of a turn that says so: another prompt's events may follow the state at once.
        return message.type == _IDLE

    def _url(self, path: str) -> str:
        workspace = self.profile.workspace
        query = f"?{urlencode({'directory': workspace}, quote_via=quote)}" if workspace else ""
        return f"{self.profile.url}{path}{query}"


def dialect_for(profile: Profile) -> Dialect:
    """The dialect of a profile's protocol revision. Raises `ValueError` for one that is not known."""
    kinds: dict[str, type[Dialect]] = {"agentsmithy": AgentSmithy, "penguin": Penguin, "opencode": OpenCode}
    if profile.family not in kinds:
        raise ValueError(f"no load test speaks {profile.protocol!r}")
    return kinds[profile.family](profile)


__all__ = ["CONNECTED", "ERROR", "Dialect", "dialect_for"]
