"""Random scenes: a script, a valid stream of it laid out in some legal way, and the observation that a probe makes."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from conformance.profile import Profile
from conformance.script import Script
from conformance.transcript import Action, Ended, Framing, Head, Observation, Request, Transcript
from tests.support import generated_agentsmithy as agentsmithy
from tests.support import generated_penguin as penguin
from tests.support.generated_judging import Scene, named_probes, profile_of
from tests.support.generated_scripts import ANY, Wanted, scripts
from tests.support.generated_wire import Block, Event, Layout, blocks, chunks, join, layouts

HEADERS = (("content-type", "text/event-stream"), ("cache-control", "no-cache"))


@dataclass(frozen=True, slots=True)
class Draft:
    """A scene before it is laid out: the events of its one stream, which a fault may still change."""

    protocol: str
    script: Script
    prompt: str
    events: tuple[Event, ...]
    layout: Layout
    warned: frozenset[str] = frozenset()

    @property
    def revision(self) -> int:
        """The protocol's revision."""
        return int(self.protocol[-1])

    @property
    def smithy(self) -> bool:
        """Whether it is AgentSmithy's."""
        return self.protocol.startswith("agentsmithy")

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(f"{self.protocol} {self.script.directive()} {self.layout}")

    def blocks(self) -> list[Block]:
        """Its blocks."""
        return blocks(self.events, self.layout)


@st.composite
def drafts(draw: st.DrawFn, protocol: str, wanted: Wanted = ANY, *, plain: bool = False) -> Draft:
    """A valid stream of a random script; `plain` takes no liberty with how its text is cut."""
    script = draw(scripts(wanted))
    prompt = f"Do as you are told: {script.directive()}"
    revision = int(protocol[-1])
    layout = draw(layouts())
    if protocol.startswith("agentsmithy"):
        played = draw(agentsmithy.streams(script, revision, prompt, plain=plain))
        return Draft(protocol, script, prompt, played.events, layout, played.warned)
    liberty = draw(penguin.liberties(revision))
    if plain:
        liberty = replace(liberty, lean=False, recut=False)
    bus = penguin.Bus(revision)
    penguin.Turn(bus, liberty, penguin.SESSION, draw).play(script, prompt)
    penguin.updated(bus, penguin.SESSION, "sse-conformance 1")
    return Draft(protocol, script, prompt, (penguin.connected(penguin.SESSION), *bus.events), layout)


def scene(draft: Draft, body: bytes | None = None, *, ended: Ended | None = None) -> Scene:
    """What a probe has recorded of it; `body` in place of the draft's own, `ended` in place of a good end."""
    body = join(draft.blocks(), draft.layout) if body is None else body
    profile = profile_of(draft.protocol)
    make = _agentsmithy if draft.smithy else _penguin
    made = make(draft, body, profile, ended)
    first = replace(made, probe=named_probes(profile.family, draft.script)[0])
    return Scene(draft.script, first, draft.warned)


def _agentsmithy(draft: Draft, body: bytes, profile: Profile, ended: Ended | None) -> Observation:
    request = {
        "messages": [{"role": "user", "content": draft.prompt}],
        "stream": True,
        "dialog_id": agentsmithy.DIALOG,
    }
    transcript = _transcript(
        Request("POST", f"{profile.url}/api/chat", (), json.dumps(request).encode()),
        body,
        draft.layout,
        ended or Ended.COMPLETE,
        2.1,
    )
    actions = (
        Action(0.0, "create-session", status=200, answer={"id": agentsmithy.DIALOG}, until=0.1),
        Action(
            0.5,
            "prompt",
            session=agentsmithy.DIALOG,
            stream="stream",
            script=draft.script,
            prompt=draft.prompt,
            status=200,
            until=2.1,
        ),
    )
    return Observation("", profile, (("stream", transcript),), actions)


def _penguin(draft: Draft, body: bytes, profile: Profile, ended: Ended | None) -> Observation:
    request = Request("GET", f"{profile.url}/api/v1/events/sse?session_id={penguin.SESSION}")
    transcript = _transcript(request, body, draft.layout, ended or Ended.CLOSED_BY_US, 60.0)
    prompt = Action(
        1.0,
        "prompt",
        session=penguin.SESSION,
        agent="default",
        stream="stream",
        script=draft.script,
        prompt=draft.prompt,
        status=200,
        answer={},
        until=2.5,
    )
    return Observation("", profile, (("stream", transcript),), (prompt,))


def _transcript(request: Request, body: bytes, layout: Layout, ended: Ended, at: float) -> Transcript:
    whole = ended is Ended.COMPLETE
    return Transcript(
        request,
        0.5,
        Head(0.6, 200, "OK", "1.1", HEADERS),
        chunks(body, layout),
        ended,
        at,
        framing=Framing("chunked", whole),
    )
