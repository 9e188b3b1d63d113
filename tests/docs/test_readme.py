"""The README's commands are run as they are written, against a reference server in the place of `127.0.0.1:8000`."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import ROOT, conformance, run
from tests.support.reference import reference_server

README = (ROOT / "README.md").read_text(encoding="utf-8")
SERVER = "http://127.0.0.1:8000"
# Few rows, of one probe each, are enough to see a command work; one that names rows itself is not affected.
ENVIRONMENT = {
    "SSE_ONLY": "SSE-HTTP-06,AS-REQ-02a,PG-FLT-08",
    "AGENT_TOKEN": "some-token",
}


def blocks(language: str) -> list[tuple[str, str]]:
    """Fenced blocks of a language: why it is not run ("" if it is), and the text."""
    found = re.findall(rf"(?:<!-- not run: (.*?) -->\n)?```{language}\n(.*?)```", README, re.DOTALL)
    return [(why, text) for why, text in found]


RUN = [text for why, text in blocks("sh") if not why]
COMMANDS = [line for text in RUN for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with reference_server("--auth", f"bearer:{ENVIRONMENT['AGENT_TOKEN']}") as url:
        yield url


@pytest.fixture(scope="module")
def open_server() -> Iterator[str]:
    with reference_server() as url:
        yield url


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, open_server: str) -> Path:
    """A folder with the files that the README speaks of: a recording, and the reports of two runs."""
    path = tmp_path_factory.mktemp("readme")
    recording = ROOT / "tests" / "recordings" / "agentsmithy-1.13.0" / "multi.sse"
    shutil.copy(recording, path / "recording.sse")
    shutil.copy(recording.with_suffix(".json"), path / "recording.json")
    judge = ("test", open_server, "--sse-protocol", "penguin/2", "--sse-report", "reports/latest")
    ran = conformance(*judge, cwd=path, env=ENVIRONMENT)
    assert ran.code == 0, ran.all
    shutil.copytree(path / "reports/latest", path / "reports/before")
    return path


def test_there_is_something_to_run() -> None:
    assert len(COMMANDS) >= 12
    assert "@@" not in README


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_works_as_written(command: str, folder: Path, server: str, open_server: str) -> None:
    if shutil.which("curl") is None and "curl" in command:
        pytest.skip("curl is missing: install curl")
    # Only the profile carries credentials.
    url = server if "my-server.toml" in command else open_server
    (profile,) = (text for _, text in blocks("toml"))
    (folder / "my-server.toml").write_text(profile.replace(SERVER, url), encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    chosen = {"SSE_ONLY": "PG-CON-01"} if "-k PG-CON-01" in command else {}
    env = ENVIRONMENT | {"PATH": path} | chosen
    ran = run("bash", "-c", command.replace(SERVER, url), cwd=folder, env=env)
    assert ran.code == 0, ran.all


def test_the_test_of_a_server_s_own_works_as_written(tmp_path: Path, open_server: str) -> None:
    (example,) = (text for _, text in blocks("python"))
    conftest, test = example.split("# test_events.py\n")
    fixture = f"import pytest\n@pytest.fixture\ndef server_url(): return {open_server!r}\n"
    (tmp_path / "conftest.py").write_text(conftest + fixture, encoding="utf-8")
    (tmp_path / "test_events.py").write_text(test, encoding="utf-8")
    ran = run(sys.executable, "-m", "pytest", "-q", cwd=tmp_path, env=ENVIRONMENT)
    assert ran.code == 0, ran.all
    assert "1 passed" in ran.out


def test_the_job_for_gitlab_is_the_one_to_copy() -> None:
    (job,) = (text for _, text in blocks("yaml"))
    assert job == (ROOT / "docs/ci/gitlab-ci.yml").read_text(encoding="utf-8")


def test_every_option_is_in_the_reference() -> None:
    from conformance.plugin import OPTIONS

    for flag, variable, _ in OPTIONS.values():
        assert f"`{flag} " in README, flag
        assert f"`{variable}`" in README, variable


def test_every_exit_code_is_in_the_reference() -> None:
    from conformance import exits

    for code in (value for name, value in vars(exits).items() if name.isupper()):
        assert re.search(rf"^\| {code} \|", README, re.MULTILINE), code


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / link).exists(), link
