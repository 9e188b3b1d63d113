"""How many random examples are tried: few and always the same in CI, many and new ones on demand.

`SSE_GENERATED=20 pytest tests/generated` tries twenty times as many, at random; a factor below 1 fewer of the same.
Nothing is kept in a database.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings

FACTOR = float(os.environ.get("SSE_GENERATED") or 1)


def examples(count: int) -> Callable[[Any], Any]:
    """Settings of one property: `count` examples in CI, times the factor that is asked for."""
    return settings(
        max_examples=max(1, round(count * FACTOR)),
        derandomize=FACTOR <= 1,
        database=None,
        deadline=None,
        print_blob=FACTOR > 1,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
    )
