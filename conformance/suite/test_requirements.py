"""Every requirement of every target's protocol revision, one test each."""

from __future__ import annotations

from conformance.run import Judged


def test_requirement(judged: Judged) -> None:
    """The requirement holds on the target, or the verdict says why that cannot be told."""
    __tracebackhide__ = True
    judged.enforce()
