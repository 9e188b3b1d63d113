"""The benchmarks of server, client and judgement work: a quick run, whose figures say nothing, has all tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("script", "tables"), [("bench_server.py", 6), ("bench_client.py", 4), ("bench_check.py", 1)]
)
def test_a_quick_run(script: str, tables: int) -> None:
    done = subprocess.run(
        [sys.executable, f"tests/benchmarks/{script}", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n| ---") >= tables
