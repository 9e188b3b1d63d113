"""What docs/model.md tells AgentSmithy's maintainer to type, typed as written against that server's stand-in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import ROOT, run
from tests.support.good_servers import GoodServer, running

PAGE = (ROOT / "docs" / "model.md").read_text(encoding="utf-8")
SECTION = PAGE.split("## AgentSmithy\n")[1].split("\n## ")[0]
SERVER, MODEL, FOLDER = "http://127.0.0.1:8765", "8900", "/srv/project"
SHORT, SERVE, OWN = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)
(PROFILE,) = re.findall(r"```toml\n(.*?)```", SECTION, re.DOTALL)
ENVIRONMENT = {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "SSE_ONLY": "AS-TOOL-02,AS-CONC-05",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Its own model is not there, so what it answers is the scripted one's."""
    options = "--workspace {folder} --base-url http://127.0.0.1:9/v1"
    with running(GoodServer("", "agentsmithy_agent.py", "", judged=0, options=options), tmp_path) as url:
        yield url


def test_a_running_server_is_all_that_is_needed(server: str, tmp_path: Path) -> None:
    assert SHORT in (ROOT / "README.md").read_text(encoding="utf-8")
    ran = run("bash", "-c", SHORT.replace(SERVER, server), cwd=tmp_path, env=ENVIRONMENT)
    assert ran.code == 0, ran.all
    assert "1 pass · 0 fail · 0 warn · 1 note" in ran.last_line


def test_a_scripted_model_and_a_profile_of_one_s_own(server: str, tmp_path: Path) -> None:
    command = SERVE.partition("#")[0].replace(MODEL, "0").split()
    model = subprocess.Popen(
        [sys.executable, "-m", "conformance.cli", *command[1:]], stdout=subprocess.PIPE, text=True
    )
    try:
        assert model.stdout is not None
        port = model.stdout.readline().strip().rpartition(":")[2]
        text = PROFILE.replace(MODEL, port).replace(FOLDER, str(tmp_path))
        (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
        ran = run("bash", "-c", OWN.replace(SERVER, server), cwd=tmp_path, env=ENVIRONMENT)
    finally:
        model.terminate()
        model.communicate(timeout=20)
    assert ran.code == 0, ran.all
    assert f"providers.openai.base_url is http://127.0.0.1:{port}/v1 for this run" in ran.out
    assert "1 pass · 0 fail · 0 warn · 1 note" in ran.last_line
