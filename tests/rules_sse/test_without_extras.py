"""orjson changes speed alone: without it every recording gets the same results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "recordings"
SCRIPT = """
import sys
if blocked := sys.argv[2:]:
    sys.modules["orjson"] = None  # importing it fails
from pathlib import Path
from conformance.offline import judge_observation
from conformance.recorded import read_recording
for path in sorted(Path(sys.argv[1]).rglob("*.sse")):
    protocol = "penguin/2" if "penguin" in str(path) else "agentsmithy/2"
    for result in judge_observation(read_recording(str(path), protocol)):
        print(path.name, result)
assert bool(sys.modules.get("orjson")) is not bool(blocked)
"""


def _results(*blocked: str) -> str:
    command = [sys.executable, "-c", SCRIPT, str(FOLDER), *blocked]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def test_the_same_results() -> None:
    pytest.importorskip("orjson")
    found = _results()
    assert len(found.splitlines()) > 1000
    assert _results("without") == found
