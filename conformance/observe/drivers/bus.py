"""What the drivers have in common of servers with sessions, whose events come on streams of their own.

Penguin and OpenCode: sessions are made, prompted, renamed and deleted over HTTP; what happens shows on an
event bus that one subscribes to. A profile's templates replace the stimulus requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from conformance.observe.drivers.base import Driver, Turn
from conformance.observe.drivers.progress import Progress, Shows, StillComing, patiently, quiet, titles
from conformance.observe.drivers.template import answered_id, from_template, template_of
from conformance.observe.probe import Unavailable
from conformance.observe.recording import Recording
from conformance.observe.transport import Answer, LiveStream, TargetUnreachable, Transport
from conformance.profile import Profile, Template
from conformance.script import Script
from conformance.transcript import Request

TITLE = "sse-conformance"
PLAIN_PROMPT = "Please answer with one short sentence."
_QUIET = 0.1  # seconds without a byte after which a stream without any fence counts as settled

Over = Callable[[], Awaitable[float | None]]  # waits for the end of a turn and says when it was


@dataclass(frozen=True, slots=True)
class Sent:
    """A prompt under way: its session, what the agent is told, and the answer to come.

    `answer` comes when the turn has ended: by the server's own doing, or because its end is waited for.
    `before` is the number of turns that the stream had seen end in this session when the prompt was sent.
    """

    session: str
    script: Script | None
    stream: LiveStream
    before: int
    answer: asyncio.Task[Answer]


class BusDriver(Driver):
    """Sessions and their events on a bus. One instance serves one probe run."""

    resumable_by_get = True
    filters_by_session: bool  # whether a stream can be asked for one session's events alone

    def __init__(self, profile: Profile) -> None:
        super().__init__(profile)
        self._sessions: list[str] = []
        self._asked: dict[str, str | None] = {}  # the directory that each session was made for
        self._named: dict[str, str | None] = {}  # the directory that the target named for it
        self._aborted: set[str] = set()  # sessions in which a turn was aborted
        self._sent: list[Sent] = []
        self._progress: dict[int, tuple[LiveStream, Progress]] = {}
        self._mute = False  # a stream of this target has sent nothing at all: do not wait as long again
        self._fences = 0

    # --- what each protocol says for itself

    @property
    def streams_apart(self) -> bool:
        """Where one session's events can be asked for alone."""
        return self.filters_by_session

    @property
    def shows_sessions(self) -> bool:
        """Whether the protocol has events about sessions themselves: their state, their titles."""
        return True

    @abstractmethod
    def stream_of(self, session: str | None, directory: str | None) -> Request:
        """The request for a stream that shows the session (None: any), in the directory (None: any, or its own)."""

    @abstractmethod
    def _creation(self, title: str, directory: str | None) -> Request:
        """The request that makes a session."""

    @abstractmethod
    def _prompting(self, session: str, text: str, agent: str) -> Request:
        """The request that prompts a session."""

    @abstractmethod
    def _on_session(self, method: str, session: str, action: str = "", body: Any = None) -> Request:
        """A request about a session: itself, or one of its actions ("abort")."""

    @abstractmethod
    async def _over(self, recording: Recording, sent: Sent) -> bool:
        """Wait for the turn's end, at most the turn limit; False where the stream does not show it."""

    def _ending(
        self, recording: Recording, stream: LiveStream, session: str, script: Script | None
    ) -> Over | None:
        """How the end of a turn is waited for whose prompt is answered at once; None where the answer waits for it."""
        return None

    # --- streams

    def stream_request(self) -> Request:
        """The stream without a filter by session."""
        return self.stream_of(None, None)

    async def subscribe(
        self,
        recording: Recording,
        role: str,
        *,
        session: str | None = None,
        directory: str | None = None,
        required: bool = True,
        joins: bool = False,
    ) -> LiveStream:
        """Open a stream under `role` and wait for its first event, `server.connected` by the protocol.

        A stream that stays without one is returned all the same: judging it is not our business. With
        `required`, raises `Unavailable` where the answer is no event stream. `joins`: a turn is under way.
        """
        # A stream of everything may join other people's turns midway; a session of ours has begun with us.
        from_start = self.filters_by_session and session is not None and not joins
        request = self.stream_of(session, directory)
        return await self._open(recording, role, request, from_start=from_start, required=required)

    async def _open(
        self, recording: Recording, role: str, request: Request, *, from_start: bool, required: bool
    ) -> LiveStream:
        stream = await recording.open(role, request, from_start=from_start)
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
        request, template = self._stimulus(
            "create-session", {"title": title, "directory": directory}, self._creation(title, directory)
        )
        answer = await recording.act("create-session", request, note=directory or "")
        session = answered_id(template or Template("POST", "/session"), answer.json) if answer.ok else None
        if session is None:
            raise Unavailable(f"no session could be made: {_answered(answer)}")
        self._sessions.append(session)
        bound = answer.json.get("directory") if isinstance(answer.json, dict) else None
        self._asked[session] = directory
        self._named[session] = bound if isinstance(bound, str) and bound else None
        return session

    def directory_of(self, session: str) -> str | None:
        """The directory that the target named when it made the session, None if it named none."""
        return self._named.get(session)

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
        """Send a prompt; it goes on in the background until the turn has ended."""
        agent = self.profile.agent if agent is None else agent
        text = PLAIN_PROMPT if script is None else f"Do as you are told: {script.directive()}"
        request, _ = self._stimulus(
            "prompt",
            {"prompt": text, "session": session, "agent": agent},
            self._prompting(session, text, agent),
        )
        before = self.progress(stream).turns(session)
        answer = recording.background(
            recording.act(
                "prompt",
                request,
                session=session,
                agent=agent,
                stream=role,
                script=script,
                prompt=text,
                over=self._ending(recording, stream, session, script),
            )
        )
        sent = Sent(session, script, stream, before, answer)
        self._sent.append(sent)
        return sent

    async def ended(self, recording: Recording, sent: Sent, *, fence: bool = True) -> None:
        """Wait for the end of a turn and its stragglers, at most the profile's turn limit and settling time.

        The end is idle after busy, or, where a protocol shows none, the prompt's own answer. With `fence`, what
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
            self._on_session("PATCH", session, body={"title": title}),
        )
        await recording.act("rename-session", request, session=session, stream=stream, note=title)
        return title

    async def fence(self, recording: Recording, session: str, *streams: LiveStream) -> bool:
        """Cause one more event in the session's queue and wait until each stream has it; True if all have.

        Where the protocol promises no such event, the streams are waited for until they show what the newest
        turn said, and for a moment without events.
        """
        if not self.shows_sessions:
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
        request, _ = self._stimulus(
            "abort", {"session": session}, self._on_session("POST", session, "/abort")
        )
        self._aborted.add(session)
        return await recording.act("abort", request, session=session, stream=stream)

    async def delete(self, recording: Recording, session: str, *, stream: str = "") -> Answer:
        """Delete a session that this driver made."""
        answer = await recording.act(
            "delete-session", self._deletion(session), session=session, stream=stream
        )
        if answer.ok:
            self._sessions.remove(session)
        return answer

    # --- the rest of the contract

    async def alive(self, recording: Recording, *, role: str) -> bool:
        """Whether a fresh stream of everything gets its first event."""
        stream = await self.subscribe(recording, role, required=False)
        served = bool(stream.messages)
        await stream.close()
        return served

    def is_final(self, stream: LiveStream) -> bool:
        """Idle after busy in a session that was prompted on this stream.

        No document obliges a server to send statuses: where a stream has none, the prompt must have been answered and
        the stream show its messages completed. Where the protocol has no statuses, the prompt's answer is all there is.
        """
        mine = [sent for sent in self._sent if sent.stream is stream]
        answered = [sent for sent in mine if sent.answer.done()]
        if not self.shows_sessions:
            return bool(answered)
        progress = self.progress(stream)
        if progress.any_turn or progress.any_status:
            return any(progress.turns(sent.session) for sent in mine) if mine else progress.any_turn
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
        template = template_of(self.profile, name)
        return (own, None) if template is None else (from_template(self.profile, template, values), template)

    def _deletion(self, session: str) -> Request:
        return self._stimulus("delete-session", {"session": session}, self._on_session("DELETE", session))[0]

    def _idle(self, stream: LiveStream, sent: Sent) -> bool:
        return self.progress(stream).turns(sent.session) > sent.before

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
        if sent.session in self._aborted or sent.script is None or sent.script.fails or not sent.script.said:
            return self.progress(stream).closed(sent.session)
        return self._said(stream, sent.session, sent.script)

    def _said(self, stream: LiveStream, session: str, script: Script, before: int = 0) -> bool:
        """Whether the script's last words have come, if it has any, and the ends of messages and tools.

        `before`: how many messages had been completed before the turn.
        """
        progress = self.progress(stream)
        words = (chunk for turn in reversed(script.turns) for chunk in reversed(turn.text_chunks))
        return (
            progress.closed(session)
            and progress.says(session, next(words, ""))
            and (progress.completed(session) > before or not self.shows_sessions)
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


__all__ = ["PLAIN_PROMPT", "BusDriver", "Over", "Sent"]
