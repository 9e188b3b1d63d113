"""The Penguin driver: sessions over HTTP, their events on `GET /api/v1/events/sse`.

Routes: Penguin SSE Endpoint Documentation (the stream) and the server's session API (the stimulus). A
profile's templates replace the stimulus requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlencode

from conformance.observe.drivers.base import Driver, Turn
from conformance.observe.drivers.penguin_requests import json_request, subscription
from conformance.observe.drivers.progress import Progress, Shows, StillComing, patiently, quiet, titles
from conformance.observe.drivers.template import answered_id, from_template
from conformance.observe.probe import Unavailable
from conformance.observe.recording import Recording
from conformance.observe.transport import Answer, LiveStream, TargetUnreachable, Transport
from conformance.profile import Profile, Template
from conformance.script import Script
from conformance.transcript import Request

TITLE = "sse-conformance"
PLAIN_PROMPT = "Please answer with one short sentence."
_QUIET = 0.1  # seconds without a byte after which a stream without any fence counts as settled


@dataclass(frozen=True, slots=True)
class Sent:
    """A prompt under way: its session, what the agent is told, and the answer to come.

    `before` is the number of turns that the stream had seen end in this session when the prompt was sent.
    """

    session: str
    script: Script | None
    stream: LiveStream
    before: int
    answer: asyncio.Task[Answer]


class PenguinDriver(Driver):
    """Speaks penguin/1 and penguin/2. One instance serves one probe run."""

    family = "penguin"
    resumable_by_get = True

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self._sessions: list[str] = []
        self._directories: dict[str, str | None] = {}
        self._sent: list[Sent] = []
        self._aborted: set[str] = set()
        self._progress: dict[int, tuple[LiveStream, Progress]] = {}
        self._mute = False  # a stream of this target has sent nothing at all: do not wait as long again
        self._fences = 0

    # --- streams

    def stream_request(self) -> Request:
        """The unfiltered stream."""
        return subscription(self.profile)

    async def subscribe(
        self,
        recording: Recording,
        role: str,
        *,
        session: str | None = None,
        agent: str | None = None,
        directory: str | None = None,
        cursor: str | None = None,
        cursor_in: Literal["header", "query"] = "header",
        extra: tuple[tuple[str, str], ...] = (),
        required: bool = True,
        joins: bool = False,
    ) -> LiveStream:
        """Open a stream under `role` and wait for its first event, `server.connected` by the protocol.

        A stream that stays without one is returned all the same: judging it is not our business. With
        `required`, raises `Unavailable` where the answer is no event stream. `joins`: a turn is under way.
        """
        request = subscription(
            self.profile,
            session=session,
            agent=agent,
            directory=directory,
            cursor=cursor,
            cursor_in=cursor_in,
            extra=extra,
        )
        # An unfiltered stream may join other people's turns midway; a session of ours has begun with us.
        stream = await recording.open(
            role, request, from_start=session is not None and cursor is None and not joins
        )
        limits = self.profile.limits
        head = await stream.wait_head(recording.seconds(limits.head))
        if head is None or head.status != 200 or head.media_type != "text/event-stream":
            if required:
                raise Unavailable(f"the event stream was answered {_said(head)}")
            return stream
        patience = limits.settle if self._mute else limits.head
        if not await stream.wait(lambda live: bool(live.messages), recording.seconds(patience)):
            self._mute = True
        return stream

    def progress(self, stream: LiveStream) -> Progress:
        """What the stream has shown so far, read incrementally."""
        _, progress = self._progress.setdefault(id(stream), (stream, Progress()))
        progress.read(stream.messages)
        return progress

    # --- sessions and prompts

    async def create_session(
        self, recording: Recording, *, title: str = TITLE, directory: str | None = None
    ) -> str:
        """A fresh session's id; with `directory`, bound to it. Raises `Unavailable` where there is none."""
        query = "" if directory is None else f"?{urlencode({'directory': directory}, quote_via=quote)}"
        body = {"title": title} if directory is None else {"title": title, "directory": directory}
        request, template = self._stimulus(
            "create-session",
            {"title": title, "directory": directory},
            json_request("POST", f"{self.profile.url}/session{query}", body),
        )
        answer = await recording.act("create-session", request, note=directory or "")
        session = answered_id(template or Template("POST", "/session"), answer.json) if answer.ok else None
        if session is None:
            raise Unavailable(f"no session could be made: {_answered(answer)}")
        self._sessions.append(session)
        bound = answer.json.get("directory") if isinstance(answer.json, dict) else None
        self._directories[session] = bound if isinstance(bound, str) and bound else None
        return session

    def directory_of(self, session: str) -> str | None:
        """The directory that the target named when it made the session, None if it named none."""
        return self._directories.get(session)

    def prompt(
        self,
        recording: Recording,
        session: str,
        script: Script | None,
        *,
        stream: LiveStream,
        role: str,
        agent: str | None = None,
    ) -> Sent:
        """Send a prompt; it goes on in the background, for its answer comes when the turn has ended."""
        agent = self.profile.agent if agent is None else agent
        text = PLAIN_PROMPT if script is None else f"Do as you are told: {script.directive()}"
        body = {"text": text, "session_id": session, "agent_id": agent, "streaming": True}
        request, _ = self._stimulus(
            "prompt",
            {"prompt": text, "session": session, "agent": agent},
            json_request("POST", f"{self.profile.url}/api/v1/chat/message", body),
        )
        before = self.progress(stream).turns(session)
        answer = recording.background(
            recording.act(
                "prompt", request, session=session, agent=agent, stream=role, script=script, prompt=text
            )
        )
        sent = Sent(session, script, stream, before, answer)
        self._sent.append(sent)
        return sent

    async def ended(self, recording: Recording, sent: Sent, *, fence: bool = True) -> None:
        """Wait for the end of a turn and its stragglers, at most the profile's turn limit and settling time.

        penguin/2: idle after busy; penguin/1, which shows none: the prompt's own answer. With `fence`, what
        the session's queue still holds is then flushed by an event of the same queue.
        """
        stream, limits = sent.stream, self.profile.limits
        if await self._over(recording, sent):
            await self._patiently(recording, stream, lambda live: self._whole(live, sent))
        answer = await _answer(sent)
        if not sent.answer.done() or (answer is None and not self._idle(stream, sent)):
            recording.incomplete(f"a turn did not end within {limits.turn:g} s")
        elif answer is not None and not answer.ok and not (sent.script and sent.script.fails):
            recording.incomplete(f"a prompt was {_answered(answer)}")
        if fence:
            await self.fence(recording, sent.session, stream)

    async def latest_ended(self, recording: Recording) -> None:
        """`ended` for the prompt that was sent last."""
        await self.ended(recording, self._sent[-1])

    async def turn(
        self,
        recording: Recording,
        script: Script | None,
        *,
        role: str = "stream",
        session: str | None = None,
        timeout: float | None = None,
    ) -> Turn:
        """Subscribe to the session, play the script to its end, flush."""
        turn = await self.begin(recording, script, role=role, session=session)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if timeout is None else recording.seconds(timeout)):
                await self.latest_ended(recording)
        return turn

    async def begin(
        self, recording: Recording, script: Script | None, *, role: str = "stream", session: str | None = None
    ) -> Turn:
        """Subscribe to the session and send the prompt."""
        owner = session or await self.create_session(recording)
        stream = await self.subscribe(recording, role, session=owner)
        before = len(stream.messages)
        sent = self.prompt(recording, owner, script, stream=stream, role=role)
        # It is sent when it shows: its first event is the session's status or the user's message.
        shown = stream.wait(
            lambda live: len(live.messages) > before, recording.seconds(self.profile.limits.settle)
        )
        waiting = asyncio.create_task(shown)
        await asyncio.wait({waiting, sent.answer}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        return Turn(owner, stream)

    async def rename(
        self, recording: Recording, session: str, *, title: str | None = None, stream: str = ""
    ) -> str:
        """Give the session a new title, which causes an event without a model; returns the title."""
        self._fences += 1
        title = title or f"{TITLE} {self._fences}"
        request, _ = self._stimulus(
            "rename-session",
            {"session": session, "title": title},
            json_request("PATCH", self._session_url(session), {"title": title}),
        )
        await recording.act("rename-session", request, session=session, stream=stream, note=title)
        return title

    async def fence(self, recording: Recording, session: str, *streams: LiveStream) -> bool:
        """Cause one more event in the session's queue and wait until each stream has it; True if all have.

        penguin/1 promises no such event: its streams are waited for until they show what the newest turn said,
        and for a moment without events.
        """
        if self.profile.revision < 2:
            await asyncio.gather(*(self._shown(recording, session, stream) for stream in streams))
            return False
        title = await self.rename(recording, session)
        waits = (self._patiently(recording, stream, lambda live: title in titles(live)) for stream in streams)
        return all(await asyncio.gather(*waits))

    async def _shown(self, recording: Recording, session: str, stream: LiveStream) -> None:
        own = [sent for sent in self._sent if sent.session == session]
        newest = [sent for sent in (*own[-1:], *self._sent[-1:]) if sent.session not in self._aborted]
        if newest:
            await self._patiently(
                recording, stream, lambda live: any(self._whole(live, sent) for sent in newest)
            )
        settle = recording.seconds(self.profile.limits.settle)
        await quiet(stream, recording.seconds(_QUIET), settle)

    async def has_title(self, stream: LiveStream, title: str, timeout: float) -> bool:
        """Wait until the stream shows a session with this title."""
        return await stream.wait(lambda live: title in titles(live), timeout)

    async def abort(self, recording: Recording, session: str, *, stream: str = "") -> Answer:
        """Abort what the session is doing: its script's last words will not come."""
        self._aborted.add(session)
        request, _ = self._stimulus(
            "abort", {"session": session}, json_request("POST", f"{self._session_url(session)}/abort")
        )
        return await recording.act("abort", request, session=session, stream=stream)

    async def delete(self, recording: Recording, session: str, *, stream: str = "") -> Answer:
        """Delete a session that this driver made."""
        answer = await recording.act(
            "delete-session", self._deletion(session), session=session, stream=stream
        )
        if answer.ok:
            self._sessions.remove(session)
        return answer

    async def sessions(self, recording: Recording, *, note: str = "") -> Any:
        """The target's list of sessions, None where it gives none."""
        request = json_request("GET", f"{self.profile.url}/session")
        answer = await recording.act("call", request, note=note or "list sessions")
        return answer.json if answer.ok else None

    # --- the rest of the contract

    async def alive(self, recording: Recording, *, role: str) -> bool:
        """Whether a fresh unfiltered stream gets its first event."""
        stream = await self.subscribe(recording, role, required=False)
        served = bool(stream.messages)
        await stream.close()
        return served

    def is_final(self, stream: LiveStream) -> bool:
        """Idle after busy; for penguin/1, the answer of the prompt whose effect shows in this stream.

        No document obliges a server to send statuses: where a stream has none, the prompt must have been answered and
        the stream show its messages completed.
        """
        answered = [sent for sent in self._sent if sent.stream is stream and sent.answer.done()]
        if self.profile.revision < 2:
            return bool(answered)
        progress = self.progress(stream)
        if progress.any_turn or progress.any_status:
            return progress.any_turn
        return any(progress.completed(sent.session) and progress.closed(sent.session) for sent in answered)

    async def cleanup(self) -> None:
        """Delete the sessions that this driver made."""
        if not self._sessions:
            return
        transport = Transport(self.profile, time.monotonic)
        limit = self.profile.limits.head * self.profile.timeout_scale
        try:
            for session in self._sessions:
                answer = await transport.call(self._deletion(session), timeout=limit)
                if answer.status is None:
                    break  # it answers no more: the others would only wait as well
        except TargetUnreachable:
            pass
        finally:
            await transport.close()

    # --- how

    def _stimulus(
        self, name: str, values: dict[str, str | None], own: Request
    ) -> tuple[Request, Template | None]:
        template = next((given for key, given in self.profile.stimulus if key == name), None)
        return (own, None) if template is None else (from_template(self.profile, template, values), template)

    def _session_url(self, session: str) -> str:
        return f"{self.profile.url}/session/{quote(session, safe='')}"

    def _deletion(self, session: str) -> Request:
        return self._stimulus(
            "delete-session", {"session": session}, json_request("DELETE", self._session_url(session))
        )[0]

    def _idle(self, stream: LiveStream, sent: Sent) -> bool:
        return self.progress(stream).turns(sent.session) > sent.before

    async def _over(self, recording: Recording, sent: Sent) -> bool:
        """Wait for the turn's end; False where only its answer came, or nothing."""
        limits = self.profile.limits
        deadline = recording.seconds(limits.turn)
        if self.profile.revision < 2:
            await asyncio.wait({sent.answer}, timeout=deadline)
            return sent.answer.done()
        idle = asyncio.create_task(sent.stream.wait(lambda live: self._idle(live, sent), deadline))
        try:
            await asyncio.wait({idle, sent.answer}, timeout=deadline, return_when=asyncio.FIRST_COMPLETED)
            if not idle.done():
                # The protocol's own prompt is answered when the turn has ended; a template's may be at once.
                if any(name == "prompt" for name, _ in self.profile.stimulus):
                    await asyncio.wait({idle}, timeout=deadline)
                else:
                    await self._patiently(recording, sent.stream, lambda live: self._idle(live, sent))
            seen = self._idle(sent.stream, sent)
            if (seen or idle.done()) and not sent.answer.done():
                await asyncio.wait({sent.answer}, timeout=deadline)
            return seen
        finally:
            idle.cancel()

    async def _patiently(self, recording: Recording, stream: LiveStream, shows: Shows) -> bool:
        settle, most = self.profile.limits.settle, self.profile.limits.turn
        try:
            return await patiently(stream, shows, recording.seconds(settle), recording.seconds(most))
        except StillComing:
            reason = f"what a turn said was still arriving {most:g} s after its end"
            recording.incomplete(reason)
            await stream.give_up(reason)
            return False

    def _whole(self, stream: LiveStream, sent: Sent) -> bool:
        """Whether what a finished turn must still show has come: ends of messages and tools, its text."""
        progress = self.progress(stream)
        if not progress.closed(sent.session):
            return False
        if sent.session in self._aborted or sent.script is None or sent.script.fails or not sent.script.said:
            return True
        last = next(chunk for turn in reversed(sent.script.turns) for chunk in reversed(turn.text_chunks))
        return progress.says(sent.session, last) and (
            self.profile.revision < 2 or progress.completed(sent.session) > 0
        )


async def _answer(sent: Sent) -> Answer | None:
    """The prompt's answer if it has come with a status; an unreachable target is raised."""
    if not sent.answer.done():
        return None
    answer = await sent.answer
    return answer if answer.status is not None else None


def _answered(answer: Answer) -> str:
    return f"answered {answer.status}" if answer.status is not None else f"not answered: {answer.error}"


def _said(head: Any) -> str:
    return "by nothing within the deadline" if head is None else f"{head.status} {head.media_type}".strip()


__all__ = ["PLAIN_PROMPT", "PenguinDriver", "Sent"]
