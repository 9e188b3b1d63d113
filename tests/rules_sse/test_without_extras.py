"""The quick libraries change speed alone: without them every recording gets the same results."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "recordings"
SCRIPT = """
import sys
for name in sys.argv[2].split(","):
    sys.modules[name] = None  # importing it fails
from pathlib import Path
from conformance.offline import judge_observation
from conformance.recorded import read_recording
for path in sorted(Path(sys.argv[1]).rglob("*.sse")):
    protocol = "penguin/2" if "penguin" in str(path) else "agentsmithy/2"
    for result in judge_observation(read_recording(str(path), protocol)):
        print(path.name, result)
if sys.argv[2] != "nothing":
    assert not any(sys.modules.get(name) for name in sys.argv[2].split(","))
"""


def _results(blocked: str) -> str:
    command = [sys.executable, "-c", SCRIPT, str(FOLDER), blocked]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


@pytest.fixture(scope="module")
def results() -> str:
    """With what is installed."""
    pytest.importorskip("orjson")
    pytest.importorskip("jsonschema_rs")
    found = _results("nothing")
    assert len(found.splitlines()) > 1000
    return found


@pytest.mark.parametrize("blocked", ["orjson", "jsonschema_rs", "orjson,jsonschema_rs"])
def test_the_same_results(blocked: str, results: str) -> None:
    assert _results(blocked) == results
