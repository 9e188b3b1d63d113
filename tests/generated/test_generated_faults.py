"""A valid stream at random with one fault: always caught, by the requirement that the fault names."""

from __future__ import annotations

import pytest

from tests.support import (  # noqa: F401  (they register faults)
    generated_faults_agentsmithy,
    generated_faults_penguin,
    generated_faults_penguin_tools,
    generated_faults_wire,
)
from tests.support.generated_checks import always_caught
from tests.support.generated_faults import FAULTS, Fault

CASES = [
    pytest.param(fault, protocol, id=f"{fault.name}-{protocol}")
    for fault in FAULTS
    for protocol in fault.protocols
]


@pytest.mark.parametrize(("fault", "protocol"), CASES)
def test_one_fault_is_always_caught(fault: Fault, protocol: str) -> None:
    always_caught(fault, protocol, 8)
