"""Valid streams at random, straight into the rules: whatever the documents allow is accused of nothing."""

from __future__ import annotations

import pytest

from tests.support.generated_checks import never_accused
from tests.support.generated_judging import PROTOCOLS


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_valid_streams_are_never_accused(protocol: str) -> None:
    never_accused(protocol, 100)
