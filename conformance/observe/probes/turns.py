"""One probe for every scripted turn of `conformance.turns`: play it, record its stream under the role "stream"."""

from __future__ import annotations

from conformance.observe.drivers.base import Driver
from conformance.observe.probe import probe
from conformance.observe.recording import Recording
from conformance.profile import Profile
from conformance.turns import FAMILIES, TURNS, ScriptedTurn


def _register(entry: ScriptedTurn) -> None:
    def unless(profile: Profile) -> str:
        if entry.scripted and not profile.script:
            return "the target cannot be scripted (script = false)"
        return entry.unless(profile)

    async def run(driver: Driver, recording: Recording) -> None:
        await driver.turn(recording, entry.script(recording.profile))

    run.__doc__ = entry.summary
    probe(entry.name, families=FAMILIES, effect=entry.effect, prompts=1, unless=unless)(run)


for _entry in TURNS:
    _register(_entry)
