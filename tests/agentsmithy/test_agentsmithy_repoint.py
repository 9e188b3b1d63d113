"""A target's model is pointed at the scripted one for a run, and back, whatever becomes of the run.

The server is tests/servers/agentsmithy_agent.py, which has a real model behind it; everything listens on loopback.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conformance import api, exits
from conformance.api import HarnessError, TargetError, judge
from conformance.findings import Verdict
from conformance.observe.transport import TargetUnreachable
from conformance.profile import Effect, Profile, Repoint
from conformance.profile_file import load_profile
from conformance.repoint import RepointError, Repointing
from tests.support.commands import conformance
from tests.support.good_servers import GoodServer, running
from tests.support.scripted_model import serving

NAME = "agentsmithy-1.13"
NOBODY = "http://127.0.0.1:9/v1"  # the discard port: a model that is not there
KEY = "sk-of-the-user"
DEADLINE = 60.0


@contextlib.contextmanager
def agent(folder: Path, options: str = f"--base-url {NOBODY}") -> Iterator[str]:
    with running(
        GoodServer(
            "agent", "agentsmithy_agent.py", "", judged=0, options=f"--workspace {{folder}} {options}"
        ),
        folder,
    ) as url:
        yield url


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One server for all: whatever a test does, it is pointed at nobody afterwards."""
    with agent(tmp_path_factory.mktemp("agent")) as url:
        yield url


def config(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/api/config", timeout=DEADLINE) as answer:
        told: dict[str, Any] = json.load(answer)["config"]
    return told


def base_url(url: str) -> str | None:
    found: str | None = config(url)["providers"]["openai"].get("base_url")
    return found


def set_members(value: Any) -> Any:
    """Without those that are null: taking a member away is how a server unsets it."""
    if not isinstance(value, dict):
        return value
    return {name: set_members(member) for name, member in value.items() if member is not None}


def nobody_listens(url: str) -> None:
    """Return once connections are refused: a process that dies closes its sockets one after another."""
    host, _, port = url.removeprefix("http://").partition(":")
    until = time.monotonic() + DEADLINE
    with contextlib.suppress(ConnectionRefusedError):
        while time.monotonic() < until:
            with contextlib.suppress(ConnectionResetError):
                socket.create_connection((host, int(port)), timeout=DEADLINE).close()
        pytest.fail("it still listens")


def profile_of(url: str, **members: Any) -> Profile:
    return replace(load_profile(NAME, url=url), **members)


@contextlib.contextmanager
def pointed(profile: Profile) -> Iterator[tuple[Profile, str, list[str]]]:
    """The profile as the run has it, the line on it, and the complaints at the end."""
    complaints: list[str] = []
    with ExitStack() as resources:
        made, said = Repointing(resources, complaints.append).point(profile)
        yield made, said, complaints


# ---------------------------------------------------------------- there and back


@pytest.mark.parametrize("how", ["", "--replaces-config"])
@pytest.mark.parametrize("was", [f"--base-url {NOBODY}", ""])
def test_the_model_is_pointed_there_and_back_and_nothing_else_changes(
    tmp_path: Path, how: str, was: str
) -> None:
    with agent(tmp_path, f"{was} {how}") as url:
        before = config(url)
        with pointed(profile_of(url)) as (profile, said, complaints):
            now = f"{profile.model_url}/v1"
            assert base_url(url) == now
            meanwhile = config(url)
            assert meanwhile["providers"]["openai"]["api_key"] == KEY
            assert {**meanwhile, "providers": None} == {**before, "providers": None}
            shown = NOBODY if was else "not set"
            assert said == (
                f"providers.openai.base_url is {now} for this run, was {shown}, and is put back at the end"
            )
        assert set_members(config(url)) == set_members(before)
        assert complaints == []


def test_a_model_that_is_named_is_the_one(url: str) -> None:
    with serving() as model:
        named = f"http://127.0.0.1:{model.port}"
        for model_url in (named, f"{named}/v1", f"{named}/v1/"):
            with pointed(profile_of(url, model_url=model_url)) as (profile, _, _):
                assert base_url(url) == f"{named}/v1"
                assert profile.model_url == model_url
        assert len([call for call in model.calls() if call["path"] == "/v1/responses"]) == 3
    assert base_url(url) == NOBODY


def test_a_model_that_is_there_already_stays(tmp_path: Path) -> None:
    with serving() as model, agent(tmp_path, f"--base-url http://127.0.0.1:{model.port}/v1") as url:
        with pointed(profile_of(url, model_url=f"http://127.0.0.1:{model.port}")) as (_, said, _):
            assert said == f"providers.openai.base_url is http://127.0.0.1:{model.port}/v1 already"
        assert base_url(url) == f"http://127.0.0.1:{model.port}/v1"
        assert model.calls() == [], "nothing has to be seen"


def test_targets_of_one_run_share_the_model_that_it_starts(tmp_path: Path, url: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    with ExitStack() as resources, agent(other) as second:
        repointing = Repointing(resources, pytest.fail)
        assert (
            repointing.point(profile_of(url))[0].model_url
            == repointing.point(profile_of(second))[0].model_url
        )
        # The same server once more, as another revision of its protocol.
        again, said = repointing.point(profile_of(url, protocol="agentsmithy/1"))
        assert said == f"providers.openai.base_url is {again.model_url}/v1 already"
        resources.close()
        assert (base_url(url), base_url(second)) == (NOBODY, NOBODY)


# ---------------------------------------------------------------- consent


def test_without_leave_nothing_is_touched(url: str) -> None:
    profile = profile_of(url, repoint=None)
    with pointed(profile) as (made, said, _):
        assert (made, said) == (profile, "")
        assert base_url(url) == NOBODY


def test_another_machine_s_settings_need_to_be_allowed() -> None:
    profile = profile_of("http://agents.example:1")
    with pointed(profile) as (made, said, _):  # nothing is sent there: the name does not exist
        assert made == profile
        assert said.startswith("its model is left as it is: not on this machine (allow it with --sse-allow")
    allowed = replace(profile, allow=(Effect.CONFIGURE,))
    with pytest.raises(RepointError, match="name the scripted model in `model_url`"), pointed(allowed):
        pass
    with pytest.raises(TargetUnreachable), pointed(replace(allowed, model_url="http://127.0.0.1:9")):
        pass


# ---------------------------------------------------------------- refusals: one line, and all is as it was


def refused(profile: Profile) -> str:
    with pytest.raises(RepointError) as caught, pointed(profile):
        pass
    said = str(caught.value)
    assert said.startswith(f"{profile.url}: its model is not re-pointed: ")
    assert "\n" not in said
    assert KEY not in said
    return said


def test_what_cannot_be_read_is_not_touched_unless_the_profile_names_it(tmp_path: Path) -> None:
    with agent(tmp_path, "--hides-config") as url:
        said = refused(profile_of(url))
        assert "cannot be read (GET /api/config: status 405)" in said
        assert "restore under [repoint]" in said
        named = profile_of(url, repoint=Repoint(restore=NOBODY))
        with pointed(named) as (profile, said, complaints):
            assert f"{profile.model_url}/v1 for this run, was {NOBODY}," in said
        assert complaints == []
        with serving() as model:  # it was put back: pointed once more, it is asked once more
            with pointed(replace(named, model_url=f"http://127.0.0.1:{model.port}")):
                pass
            assert model.calls()


def test_a_provider_that_the_target_does_not_know(url: str) -> None:
    said = refused(profile_of(url, repoint=Repoint("gpt5")))
    assert said.endswith("its settings have no provider 'gpt5', only anthropic, openai")


def test_a_model_that_nobody_listens_at(url: str) -> None:
    said = refused(profile_of(url, model_url="http://127.0.0.1:9/x"))
    assert "did not reach the scripted model at http://127.0.0.1:9/x: the target said 'LLM error" in said
    assert base_url(url) == NOBODY


def test_a_target_without_a_key(tmp_path: Path) -> None:
    with agent(tmp_path, f"--base-url {NOBODY} --api-key=") as url:
        assert refused(profile_of(url)).endswith("the target said 'LLM error: API key not configured'")
        assert base_url(url) == NOBODY


def test_a_provider_that_is_not_in_use(tmp_path: Path) -> None:
    with serving() as used, agent(tmp_path, f"--base-url http://127.0.0.1:{used.port}/v1") as url:
        said = refused(profile_of(url, repoint=Repoint("anthropic")))
        assert said.endswith("another model answered (is that provider the one in use?)")
        assert base_url(url) == f"http://127.0.0.1:{used.port}/v1"
        assert set_members(config(url)["providers"]["anthropic"]) == {"type": "anthropic", "options": {}}


# ---------------------------------------------------------------- whatever becomes of the run


def test_a_target_that_has_died_is_told_in_one_line(tmp_path: Path) -> None:
    with agent(tmp_path, f"--base-url {NOBODY} --dies-at Lebewohl") as url:
        with pointed(profile_of(url)) as (profile, _, complaints):
            body = json.dumps({"messages": [{"role": "user", "content": "Lebewohl"}]}).encode()
            with pytest.raises(OSError):  # noqa: PT011
                urllib.request.urlopen(f"{url}/api/chat", body, timeout=DEADLINE)
            nobody_listens(url)
        where = url.removeprefix("http://")
        assert complaints == [
            f"{url}: providers.openai.base_url could not be put back to {NOBODY} (http://{where}: connection "
            f"refused); it is {profile.model_url}/v1 unless you set it (PUT /api/config)"
        ]


def test_a_run_says_so_and_does_not_pass(tmp_path: Path) -> None:
    with agent(tmp_path, f"--base-url {NOBODY} --dies-at [DONE]") as url:
        ran = conformance("test", url, "--sse-profile", NAME, "--sse-only", "AS-TXT-03", "-q", cwd=tmp_path)
    assert ran.code == exits.FAILED
    assert f"{url}: providers.openai.base_url could not be put back to {NOBODY} (" in ran.out


def test_a_run_that_is_green_and_leaves_something_behind_is_not(tmp_path: Path) -> None:
    with agent(tmp_path, f"--base-url {NOBODY} --puts-once") as url:
        ran = conformance("test", url, "--sse-profile", NAME, "--sse-only", "AS-REQ-02a", "-q", cwd=tmp_path)
    assert ran.code == exits.HARNESS
    assert f"could not be put back to {NOBODY} (PUT /api/config: status 500); it is http://127." in ran.out
    assert "1 pass · 0 fail" in ran.last_line


def test_a_run_at_its_head_and_end(tmp_path: Path, url: str) -> None:
    loud = conformance("test", url, "--sse-profile", NAME, "--sse-only", "AS-REQ-02a", cwd=tmp_path)
    quiet = conformance("test", url, "--sse-profile", NAME, "--sse-only", "AS-REQ-02a", "-q", cwd=tmp_path)
    spread = conformance(
        "test", url, "--sse-profile", NAME, "--sse-only", "AS-CONC-05", "-n", "2", cwd=tmp_path
    )
    for ran in (loud, quiet, spread):
        assert ran.code == exits.OK, ran.all
        lines = [line for line in ran.out.splitlines() if "is put back at the end" in line]
        assert len(lines) == 1, ran.out
        assert f"was {NOBODY}" in lines[0]
    assert "effects allowed: configure, disrupt" in loud.out
    assert "1 note · 0 n/a" in spread.last_line, "a worker knows the scripted model's journal"
    assert base_url(url) == NOBODY


def test_nothing_is_touched_where_nothing_is_judged(tmp_path: Path, url: str) -> None:
    ran = conformance("test", url, "--sse-profile", NAME, "--collect-only", "-q", cwd=tmp_path)
    assert ran.code == exits.OK
    assert base_url(url) == NOBODY


@pytest.mark.parametrize(
    ("stop", "background"),
    [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGHUP, False), (signal.SIGTERM, True)],
    ids=["SIGINT", "SIGTERM", "SIGHUP", "SIGTERM in the background of a shell, where interrupts are ignored"],
)
def test_a_run_that_is_stopped_puts_it_back(
    tmp_path: Path, url: str, stop: signal.Signals, background: bool
) -> None:
    # The whole run takes minutes, so it is stopped in its middle.
    command = [sys.executable, "-m", "conformance.cli", "test", url, "--sse-profile", NAME, "-q"]
    handler = signal.SIG_IGN if background else signal.SIG_DFL
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, handler) and None,
    )
    try:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        assert any("will send" in line for line in lines), "it said that it begins"
        assert base_url(url) != NOBODY
        process.send_signal(stop)
        out, _ = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == exits.INTERRUPTED, out
    assert base_url(url) == NOBODY


def test_a_fault_of_the_harness_leaves_it_as_it_was(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(profile: Profile) -> None:
        assert base_url(url) != NOBODY
        raise OSError("disk")

    monkeypatch.setattr("conformance.lab.driver_for", broken)
    with pytest.raises(HarnessError, match="disk"):
        judge(url, profile=NAME, only="AS-TXT-01")
    assert base_url(url) == NOBODY


def test_the_function_judges_with_the_scripted_model(url: str) -> None:
    verdicts = judge(url, profile=NAME, only=["AS-TXT-02", "AS-CONC-05"])
    verdicts.assert_conforms()
    assert verdicts.row("AS-TXT-02").verdict is Verdict.PASS
    assert any(note.endswith("the model call was cancelled") for note in verdicts.row("AS-CONC-05").notes)
    assert base_url(url) == NOBODY
    with pytest.raises(TargetError, match="no provider 'gpt5'"):
        judge(url, profile=profile_of(url, repoint=Repoint("gpt5")))


def test_the_function_warns_of_what_is_not_put_back(tmp_path: Path) -> None:
    with (
        agent(tmp_path, f"--base-url {NOBODY} --dies-at [DONE]") as url,
        pytest.warns(RuntimeWarning, match=r"base_url could not be put back to http://127\.0\.0\.1:9/v1"),
    ):
        assert not judge(url, profile=NAME, only="AS-TXT-03").ok


def test_an_interrupt_inside_an_event_loop_closes_the_run() -> None:
    closed, hold = threading.Event(), threading.Event()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        api._outside_of_any_loop(lambda: hold.wait() and pytest.fail("nobody waits for it"), closed.set)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(main())
    finally:
        signal.signal(signal.SIGALRM, before)
    assert closed.is_set()


def test_interrupts_wait_until_it_is_put_back(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who presses Ctrl-C twice gets the target back as it was, too."""
    import conformance.repoint as module

    real, under_way = module.put, threading.Event()

    async def slow(*arguments: Any) -> None:
        if arguments[2] == NOBODY:
            under_way.set()
            await asyncio.sleep(0.5)
        await real(*arguments)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "put", slow)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt), pointed(profile_of(url)):
            signal.setitimer(signal.ITIMER_REAL, 0.2)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert under_way.is_set()
    assert base_url(url) == NOBODY
