"""The two properties of generated streams: the valid are never accused, one fault is always caught.

Both shrink: what fails is raised with the smallest script, as a `[[script …]]` to paste into a prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from conformance.judge import Result
from conformance.transcript import Observation
from tests.support.generated_faults import Fault
from tests.support.generated_judging import Scene, accused, is_caught, named_probes, told, verdicts
from tests.support.generated_profile import examples
from tests.support.generated_scenes import drafts, scene
from tests.support.generated_wire import join

Judges = Callable[[Observation, Sequence[str], Sequence[str]], Mapping[str, Result]]


def never_accused(protocol: str, count: int, judges: Judges = verdicts) -> None:
    """Judge that many valid streams. Raises `AssertionError` for the smallest that is accused."""

    @examples(count)
    @given(drafts(protocol).map(scene))
    def run(made: Scene) -> None:
        found = accused(made, judges(made.observation, _probes(made), ()))
        assert not found, told(made, "\n".join(["a valid stream is accused:", *found]))

    run()


def always_caught(fault: Fault, protocol: str, count: int, judges: Judges = verdicts) -> None:
    """Judge that many streams with the fault. Raises `AssertionError` for the smallest in which it is missed.

    A fault that never applies raises Hypothesis' `Unsatisfiable`: it does not count as caught.
    """

    @examples(count)
    @given(_broken(fault, protocol))
    def run(made: Scene) -> None:
        result = judges(made.observation, _probes(made), (fault.breaks,)).get(fault.breaks)
        said = "there is no check" if result is None else f"{result.verdict.value} {result.reason}"
        assert is_caught(result), told(made, f"{fault.name} is not caught by {fault.breaks}: {said}")

    run()


def _probes(made: Scene) -> Sequence[str]:
    return named_probes(made.profile.family, made.script)


@st.composite
def _broken(draw: st.DrawFn, fault: Fault, protocol: str) -> Scene:
    """A scene with the fault in it; a draft to which it does not apply is passed over."""
    draft = draw(drafts(protocol, fault.wanted, plain=fault.plain))
    if fault.events is not None:
        events = fault.events(draw, draft, [*draft.events])
        assume(events is not None)
        draft = replace(draft, events=tuple(events or ()))
    blocks = draft.blocks()
    if fault.blocks is not None:
        changed = fault.blocks(draw, draft, blocks)
        assume(changed is not None)
        blocks = changed or []
    body = join(blocks, draft.layout)
    if fault.body is not None:
        altered = fault.body(draw, draft, body)
        assume(altered is not None)
        body = altered or b""
    return scene(draft, body, ended=fault.ended)
