"""The real AgentSmithy's stand-in, judged as its maintainer would judge that server: a running server, the shipped
profile, and the scripted model, which the run starts, points the server at and takes away again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.good_servers import GoodServer, judge, nothing_is_held_against, running

PROGRAM = "agentsmithy_agent.py"
ALONE = "--workspace {folder} --base-url http://127.0.0.1:9/v1"  # its own model is not there
# What fills buffers takes minutes, and is another server's test.
MOST = "not LIVE-0"


def profile(folder: Path, workspace: Path, *, reasoning: bool, protocol: str = "agentsmithy/2") -> Path:
    """The shipped profile, with the workspace that the server's tools are confined to."""
    file = folder / "profile.toml"
    file.write_text(
        f'extends = "agentsmithy-1.13"\nname = "agentsmithy_agent"\nprotocol = "{protocol}"\n'
        f'workspace = "{workspace}"\n[capabilities]\nworkspace = true\nreasoning = {str(reasoning).lower()}\n'
    )
    return file


CASES = (
    GoodServer(
        "agent",
        PROGRAM,
        "",
        judged=74,
        options=ALONE,
        suite=("-k", MOST),
        warnings={
            "AS-2-02b": "like today's server, it ends `reasoning` after the `chat` that follows has begun"
        },
    ),
    GoodServer(
        "agent-odd",
        "agentsmithy_odd.py",
        "",
        judged=72,
        options=ALONE,
        suite=("-k", f"{MOST} and not CON-03"),
    ),
    # Asked by Chat Completions, which shows no reasoning; what is put into its settings replaces what was there.
    GoodServer(
        "agent-chat",
        PROGRAM,
        "",
        judged=70,
        options=f"{ALONE} --model local-model --replaces-config",
        suite=("-k", f"{MOST} and not CON-03"),
    ),
)


@pytest.mark.parametrize("server", CASES, ids=lambda case: case.name)
def test_nothing_is_held_against_an_agent_with_a_real_model(server: GoodServer, tmp_path: Path) -> None:
    own, report = tmp_path / "own", tmp_path / "report"
    own.mkdir()
    report.mkdir()
    toml = profile(tmp_path, own, reasoning="local-model" not in server.options)
    with running(server, own) as url:
        verdicts = judge(url, toml, report, server.suite, name=server.name)
    nothing_is_held_against(verdicts, judged=server.judged, warnings=server.warnings)
    assert verdicts["AS-CONC-04"] == verdicts["AS-TOOL-04"] == "pass"
    assert verdicts["AS-TXT-02"] == ("not-applicable" if server.name == "agent-chat" else "pass")


@pytest.mark.parametrize(("option", "state"), [("", "cancelled"), ("--keeps-calls", "open")])
def test_the_suite_sees_whether_a_model_call_ends_with_its_client(
    option: str, state: str, tmp_path: Path
) -> None:
    server = GoodServer("", PROGRAM, "", judged=1, options=f"{ALONE} {option}")
    asked = ("-k", "AS-CONC-05", "--sse-timeout-scale", "0.5")
    with running(server, tmp_path) as url:
        assert judge(url, Path("agentsmithy-1.13"), tmp_path, asked) == {"AS-CONC-05": "note"}
    (row,) = json.loads((tmp_path / "agentsmithy-2.json").read_text(encoding="utf-8"))["results"]
    (note,) = row["notes"]
    assert note.endswith(f" s after its client had gone, the model call was {state}")


def test_nothing_is_held_against_it_in_the_first_revision(tmp_path: Path) -> None:
    own, report = tmp_path / "own", tmp_path / "report"
    own.mkdir()
    report.mkdir()
    server = GoodServer("agent-first", PROGRAM, "", judged=14, options=f"{ALONE} --first")
    asked = ("-k", "AS-CONC or AS-TXT or AS-ERR or AS-END or AS-TOOL")
    toml = profile(tmp_path, own, reasoning=True, protocol="agentsmithy/1")
    with running(server, own) as url:
        verdicts = judge(url, toml, report, asked, name=server.name)
    nothing_is_held_against(verdicts, judged=server.judged, warnings={})
    assert verdicts["AS-CONC-05"] == "note"
