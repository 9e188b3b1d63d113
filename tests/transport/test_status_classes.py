"""Which status is of which class (RFC 9110 §15)."""

from __future__ import annotations

import pytest

from conformance.http_status import client_error, server_error, successful


@pytest.mark.parametrize(
    ("status", "classes"),
    [
        (None, (False, False, False)),
        (199, (False, False, False)),
        (200, (True, False, False)),
        (299, (True, False, False)),
        (300, (False, False, False)),
        (399, (False, False, False)),
        (400, (False, True, False)),
        (499, (False, True, False)),
        (500, (False, False, True)),
        (599, (False, False, True)),
        (600, (False, False, False)),
    ],
)
def test_classes(status: int | None, classes: tuple[bool, bool, bool]) -> None:
    assert (successful(status), client_error(status), server_error(status)) == classes
