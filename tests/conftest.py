"""What every test of ours may use."""

from __future__ import annotations

import os
import signal

import pytest

# Shells have what they start in the background ignore interrupts, and children inherit that: some tests send them one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    """With SSE_REQUIRE_ALL set (CI), a test that would be skipped for want of a program fails instead."""
    report = yield
    if os.environ.get("SSE_REQUIRE_ALL") and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, although SSE_REQUIRE_ALL is set: {report.longrepr}"
    return report
