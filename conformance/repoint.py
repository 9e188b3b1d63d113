"""A target's model pointed at the scripted one for a run, and back, whatever becomes of the run.

Only with leave in the profile (`[repoint]`) and where the effect class `configure` is allowed. What was there before
is read first; where it cannot be read, the profile names it, or nothing is touched.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from conformance.lab import allowed_effects, is_loopback
from conformance.observe.drivers import driver_for
from conformance.observe.journal import base_of, model_calls
from conformance.observe.model_settings import ModelSettings, SettingsError, put, read
from conformance.observe.recording import Recording
from conformance.observe.transport import LiveStream
from conformance.profile import Effect, Profile
from conformance.program import Program
from conformance.redact import Redactor
from conformance.script import say


class RepointError(Exception):
    """The target's model was not pointed at the scripted one, and is as it was. One line."""


class Repointing:
    """The models of a run's targets, pointed elsewhere until `resources` are closed.

    `complain` is told, in one line, what could not be put back.
    """

    def __init__(self, resources: ExitStack, complain: Callable[[str], None]) -> None:
        self._resources = resources
        self._complain = complain
        self._own: Program | None = None  # the scripted model that this run started

    def point(self, profile: Profile) -> tuple[Profile, str]:
        """The profile with the model that the target is now pointed at, and a line on it ("" where there is no leave).

        Without a `model_url` a scripted model is started for a target on this machine. One prompt is sent, to see
        that the scripted model is asked. Raises `RepointError`, and `TargetUnreachable`.
        """
        leave = profile.repoint
        if leave is None or not profile.script:
            return profile, ""
        if Effect.CONFIGURE not in allowed_effects(profile):
            return (
                profile,
                "its model is left as it is: not on this machine (allow it with --sse-allow configure)",
            )
        profile = replace(profile, model_url=profile.model_url or self._started(profile))
        try:
            return profile, self._point(profile, leave.provider)
        except SettingsError as error:
            raise RepointError(
                f"{profile.url}: its model is not re-pointed: {_clean(profile, error)}"
            ) from None

    def _started(self, profile: Profile) -> str:
        if not is_loopback(profile.url):
            raise RepointError(
                f"{profile.url}: its model is not re-pointed: name the scripted model in `model_url`, as the target "
                "reaches it (`sse-conformance model`): one on the loopback of this machine is not there for it"
            )
        if self._own is None:
            try:
                self._own = self._resources.enter_context(Program("scripted model", "reference_server.model"))
            except RuntimeError as error:
                raise RepointError(str(error)) from None
        return self._own.url

    def _point(self, profile: Profile, provider: str) -> str:
        assert profile.repoint is not None
        assert profile.model_url is not None
        base_url = f"{base_of(profile.model_url)}/v1"
        before = asyncio.run(read(profile, provider))
        if before.providers is None:
            if profile.repoint.restore is None:
                raise SettingsError(
                    f"what is there now cannot be read ({before.problem}), so it could not be put back: say what it "
                    "is in the profile (restore under [repoint]), or leave [repoint] out and point it yourself"
                )
            before = replace(before, base_url=profile.repoint.restore)
        name = f"providers.{provider}.base_url"
        if before.base_url == base_url:
            said = f"{name} is {base_url} already"
        else:
            back = _Back(profile, provider, before, base_url, self._complain)
            # From here on, whatever happens: a request that was broken off may have been obeyed.
            with ExitStack() as undo:
                undo.callback(back.put)
                asyncio.run(put(profile, provider, base_url, before))
                asyncio.run(_see_that_it_is_asked(profile))
                self._resources.push(undo.pop_all())
            was = "not set" if before.base_url is None else before.base_url
            said = f"{name} is {base_url} for this run, was {was}, and is put back at the end"
        return _clean(profile, said)


class _Back:
    """Puts back what was there, once, on a thread of its own: no interrupt and no running event loop is in its way."""

    def __init__(
        self,
        profile: Profile,
        provider: str,
        before: ModelSettings,
        pointed: str,
        complain: Callable[[str], None],
    ) -> None:
        self._profile = profile
        self._provider = provider
        self._before = before
        self._pointed = pointed
        self._complain = complain

    def put(self) -> None:
        """Put it back, or say that it could not be done. It takes a few of the profile's head limits at most."""
        done = threading.Event()
        threading.Thread(target=self._put, args=(done,), name="sse-conformance-repoint").start()
        interrupted: KeyboardInterrupt | None = None
        while not done.is_set():
            # Not `Thread.join`: interrupted, it takes a thread that runs for one that has ended (CPython 3.11).
            try:
                done.wait()
            except KeyboardInterrupt as again:
                interrupted = again
        if interrupted is not None:
            raise interrupted

    def _put(self, done: threading.Event) -> None:
        profile, provider, before = self._profile, self._provider, self._before
        try:
            asyncio.run(put(profile, provider, before.base_url, before))
        except Exception as error:  # whatever it is, somebody must know
            said = (
                f"{profile.url}: providers.{provider}.base_url could not be put back to {before.base_url or 'null'} "
                f"({error}); it is {self._pointed} unless you set it (PUT /api/config)"
            )
            self._complain(_clean(profile, said))
        finally:
            done.set()


async def _see_that_it_is_asked(profile: Profile) -> None:
    """Send one prompt, and look for it in the scripted model's journal. Raises `SettingsError` where it is not there.

    A journal that cannot be read from here shows nothing; then it is enough that the prompt was answered.
    """
    assert profile.model_url is not None
    word = f"asked-{secrets.token_hex(4)}"
    driver, recording = driver_for(profile), Recording("repoint", profile)
    try:
        turn = await driver.turn(recording, say(word))
        calls = await model_calls(recording.transport, profile.model_url, timeout=profile.limits.head)
    finally:
        await recording.finish()
        await driver.cleanup()
    problem = _problem(turn.stream)
    if any(word in str(call.get("prompt")) for call in calls or ()) or (calls is None and not problem):
        return
    raise SettingsError(
        f"a prompt did not reach the scripted model at {profile.model_url}: "
        f"{problem or 'another model answered (is that provider the one in use?)'}"
    )


def _problem(stream: LiveStream) -> str:
    """Why a prompt was not answered, "" if it was."""
    if stream.head is None:
        return "the target answered nothing"
    if stream.head.status >= 300:
        return f"the target answered with status {stream.head.status}"
    error = next((message.body.get("error") for message in stream.messages if message.type == "error"), None)
    return "" if error is None else f"the target said {str(error)[:200]!r}"


def _clean(profile: Profile, said: object) -> str:
    return Redactor(profile).text(str(said))


__all__ = ["RepointError", "Repointing"]
