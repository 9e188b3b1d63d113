"""How AgentSmithy servers are stimulated: `POST /api/chat`, whose answer is the event stream.

Sources: AgentSmithy protocol 1, §Connection; revision 2 adds the dialogs' own routes.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any
from urllib.parse import quote

from conformance.http_status import successful
from conformance.observe.drivers.base import Driver, Turn
from conformance.observe.drivers.template import answered_id, from_template, template_of
from conformance.observe.recording import Recording
from conformance.observe.transport import LiveStream, TargetUnreachable, Transport
from conformance.profile import Profile, Template
from conformance.script import Script
from conformance.transcript import Action, Request

# What a stream request is sent with (AgentSmithy protocol 1, §Connection).
STREAM_HEADERS = (
    ("Content-Type", "application/json"),
    ("Accept", "text/event-stream"),
    ("Cache-Control", "no-cache"),
)

# Seconds, beside the profile's settle time, in which a stream must end once `done` was sent.
AFTER_DONE = 3.0

_CREATE = Template("POST", "/api/dialogs", {"set_current": False})
_DELETE = Template("DELETE", "/api/dialogs/{session}")


def prompt_text(script: Script | None) -> str:
    """A short human sentence, and the script's directive if there is one."""
    sentence = "This is a conformance test, please answer briefly."
    return sentence if script is None else f"{sentence} {script.directive()}"


def chat_body(prompt: str, *, dialog_id: str | None = None, stream: bool = True) -> dict[str, Any]:
    """The request body of `POST /api/chat` (AgentSmithy protocol 1, §Connection)."""
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": prompt}],
        "context": {},
        "stream": stream,
    }
    return body if dialog_id is None else {**body, "dialog_id": dialog_id}


class AgentSmithyDriver(Driver):
    """Prompts an AgentSmithy server, each turn in a fresh dialog where the server can make one."""

    family = "agentsmithy"
    resumable_by_get = False

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self._made: list[str] = []  # dialogs that we created
        self._can_create: bool | None = None  # None: not tried yet
        self._read: dict[LiveStream, int] = {}  # how many messages were searched for `done`
        self._final: set[LiveStream] = set()

    def chat(self, body: bytes) -> Request:
        """A chat request with exactly that body, right or wrong."""
        template = template_of(self.profile, "prompt")
        path = "/api/chat" if template is None else template.path
        return Request("POST", self.profile.url + path, STREAM_HEADERS, body)

    def prompt_request(self, prompt: str, dialog_id: str | None) -> Request:
        """The request that sends a prompt: the protocol's own, or the profile's template."""
        template = template_of(self.profile, "prompt")
        if template is None:
            return self.chat(json.dumps(chat_body(prompt, dialog_id=dialog_id), ensure_ascii=False).encode())
        values = {"prompt": prompt, "session": dialog_id, "agent": self.profile.agent}
        return from_template(self.profile, template, values, headers=STREAM_HEADERS[1:])

    def stream_request(self) -> Request:
        """A short plain prompt; the server chooses the dialog."""
        return self.prompt_request(prompt_text(None), None)

    async def fresh_request(self, recording: Recording) -> Request:
        """A short plain prompt in a dialog of its own, where the target can make one.

        Without a dialog_id a server may put the prompt into a dialog that its user works in.
        """
        return self.prompt_request(prompt_text(None), await self.new_dialog(recording))

    def history_request(self, dialog: str) -> Request:
        """The request for a dialog's history (AgentSmithy protocol 2)."""
        url = f"{self.profile.url}/api/dialogs/{quote(dialog, safe='')}/history"
        return Request("GET", url, (("Accept", "application/json"),))

    async def new_dialog(self, recording: Recording) -> str | None:
        """Make a dialog and return its id; None where the target has no way to make one."""
        if self._can_create is False:
            return None
        template = template_of(self.profile, "create-session") or _CREATE
        request = from_template(self.profile, template, {"title": "sse-conformance"})
        answer = await recording.act("create-session", request, timeout=self.profile.limits.head)
        dialog = answered_id(template, answer.json) if answer.ok else None
        self._can_create = dialog is not None
        if dialog is not None:
            self._made.append(dialog)
        return dialog

    def remember(self, dialog: str) -> None:
        """Remove this dialog too at the end; only for ids that can lead to nothing but our own dialogs."""
        self._made.append(dialog)

    async def begin(
        self, recording: Recording, script: Script | None, *, role: str = "stream", session: str | None = None
    ) -> Turn:
        """Send the prompt and return; its status is that of the recorded stream."""
        turn, action = await self._send(recording, script, role, session)
        recording.mark(action)
        return turn

    async def turn(
        self,
        recording: Recording,
        script: Script | None,
        *,
        role: str = "stream",
        session: str | None = None,
        timeout: float | None = None,
    ) -> Turn:
        """Send the prompt and wait until the exchange is over; the dialog's id may come from the stream."""
        turn, action = await self._send(recording, script, role, session)
        await self.end(recording, turn.stream, seconds=timeout)
        head = turn.stream.head
        dialog = turn.session or dialog_of(turn.stream)
        recording.mark(
            Action(
                action.at,
                action.kind,
                session=dialog,
                stream=role,
                script=script,
                prompt=action.prompt,
                status=None if head is None else head.status,
                until=recording.now(),
            )
        )
        return Turn(dialog, turn.stream)

    async def end(self, recording: Recording, stream: LiveStream, *, seconds: float | None = None) -> bool:
        """Wait for the end of an exchange under way: True where the server ended it.

        A turn may take `seconds` (unscaled; the profile's head and turn limits if None). Once `done`
        was seen, the connection has the profile's settle time and `AFTER_DONE` to end.
        """
        limits = self.profile.limits
        allowed = recording.seconds(limits.head + limits.turn if seconds is None else seconds)
        finished = await stream.wait(self.is_final, allowed)
        if not finished and not stream.ended:
            return await stream.wait_end(0.0)
        return await stream.wait_end(recording.seconds(limits.settle + AFTER_DONE))

    async def alive(self, recording: Recording, *, role: str) -> bool:
        """Whether a plain prompt is answered by an event stream with at least one event."""
        stream = await recording.open(role, await self.fresh_request(recording))
        limits = self.profile.limits
        served = await stream.wait(
            lambda live: bool(live.messages), recording.seconds(limits.head + limits.turn)
        )
        head = stream.head
        await stream.close()
        return served and head is not None and successful(head.status)

    def is_final(self, stream: LiveStream) -> bool:
        """Whether a `done` event was seen. Each message is looked at once, however often this is asked."""
        if stream in self._final:
            return True
        start = self._read.get(stream, 0)
        messages = stream.messages
        self._read[stream] = len(messages)
        if any(messages[index].type == "done" for index in range(start, len(messages))):
            self._final.add(stream)
            return True
        return False

    async def cleanup(self) -> None:
        """Remove the dialogs that we created; a target that cannot is left as it is."""
        made, self._made = self._made, []
        if not made:
            return
        template = template_of(self.profile, "delete-session") or _DELETE
        transport = Transport(self.profile, time.monotonic)
        try:
            for dialog in made:
                request = from_template(self.profile, template, {"session": dialog})
                seconds = self.profile.limits.head * self.profile.timeout_scale
                await transport.call(request, timeout=seconds)
        except TargetUnreachable:
            pass  # there is nobody left to remove them from
        finally:
            await transport.close()

    async def _send(
        self, recording: Recording, script: Script | None, role: str, session: str | None
    ) -> tuple[Turn, Action]:
        dialog = await self.new_dialog(recording) if session is None else session or None
        self._note_workspace(recording)
        prompt = prompt_text(script)
        at = recording.now()
        stream = await recording.open(role, self.prompt_request(prompt, dialog))
        action = Action(at, "prompt", session=dialog or "", stream=role, script=script, prompt=prompt)
        return Turn(dialog or "", stream), action

    def _note_workspace(self, recording: Recording) -> None:
        # Servers report paths with symbolic links resolved; a rule must not touch the file system to compare.
        workspace = self.profile.workspace
        if workspace is not None:
            recording.fact("workspace", os.path.realpath(workspace))


def dialog_of(stream: LiveStream) -> str:
    """The dialog's id as the stream's first events tell it, "" if they do not."""
    for message in stream.messages[:8]:
        dialog = message.body.get("dialog_id")
        if isinstance(dialog, str):
            return dialog
    return ""
