"""The files of docs/ci: their shape, and their steps run by bash as a runner would."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.commands import ROOT, Ran, run
from tests.support.reference import reference_server

CI = ROOT / "docs" / "ci"
ACTION: dict[str, Any] = yaml.safe_load((CI / "action.yml").read_text(encoding="utf-8"))
STEPS: list[dict[str, Any]] = ACTION["runs"]["steps"]
ONLY = "PG-CONC-01,SSE-FMT-07a"


def step(name: str) -> dict[str, Any]:
    return next(entry for entry in STEPS if entry["name"] == name)


def test_it_is_a_composite_action() -> None:
    assert set(ACTION) == {"name", "description", "inputs", "outputs", "runs"}
    assert set(ACTION["runs"]) == {"using", "steps"}
    assert ACTION["runs"]["using"] == "composite"
    for name, entry in ACTION["inputs"].items():
        assert set(entry) == {"description", "default"}, name
        assert isinstance(entry["default"], str), name
    for name, entry in ACTION["outputs"].items():
        assert set(entry) == {"description", "value"}, name
    for entry in STEPS:
        assert ("run" in entry) != ("uses" in entry), entry["name"]
        assert not set(entry) - {"name", "id", "if", "uses", "with", "run", "shell", "env"}, entry["name"]
        if "run" in entry:
            assert entry["shell"] == "bash"  # a composite action has no default
        else:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", entry["uses"])


def test_every_input_is_used_and_every_one_used_is_defined() -> None:
    used = set(re.findall(r"\$\{\{ inputs\.([\w-]+) \}\}", (CI / "action.yml").read_text(encoding="utf-8")))
    assert used == set(ACTION["inputs"])


def test_nothing_of_an_input_is_put_into_a_script() -> None:
    workflow = yaml.safe_load((CI / "example-workflow.yml").read_text(encoding="utf-8"))
    steps = STEPS + [entry for job in workflow["jobs"].values() for entry in job["steps"]]
    scripts = [entry["run"] for entry in steps if "run" in entry]
    assert len(scripts) >= 4
    for script in scripts:
        assert "${{" not in script
    # What a script reads is set: by the step itself, by the runner, or in the script.
    for entry in (entry for entry in STEPS if "run" in entry):
        read = set(re.findall(r"\$\{?([A-Z_]+)", entry["run"]))
        assert read <= set(entry["env"]) | {
            "RUNNER_TEMP",
            "GITHUB_ACTION_PATH",
            "GITHUB_OUTPUT",
            "GITHUB_STEP_SUMMARY",
        }


def test_outputs_name_a_step_that_writes_them() -> None:
    for name, entry in ACTION["outputs"].items():
        found = re.fullmatch(r"\$\{\{ steps\.(\w+)\.outputs\.([\w-]+) \}\}", entry["value"])
        assert found is not None
        assert found[2] == name
        script = next(entry["run"] for entry in STEPS if entry.get("id") == found[1])
        assert f'echo "{name}=' in script


def test_the_example_workflow_uses_the_action_as_it_is() -> None:
    text = (CI / "example-workflow.yml").read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    (job,) = workflow["jobs"].values()
    assert workflow["permissions"] == {"contents": "read"}
    used = next(entry for entry in job["steps"] if "docs/ci" in entry.get("uses", ""))
    commented = re.findall(r"^ +# (\w+):", text, re.M)
    assert set(used["with"]) | set(commented) <= set(ACTION["inputs"])
    assert commented


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RUNNER_TEMP, after the install step."""
    temp = tmp_path_factory.mktemp("runner")
    environment = {
        "PYTHON": sys.executable,
        "VERSION": "",
        "RUNNER_TEMP": str(temp),
        "GITHUB_ACTION_PATH": str(CI),
    }
    ran = bash(step("Install sse-conformance")["run"], temp, environment)
    assert ran.code == 0, ran.all
    assert (temp / "sse-conformance" / "bin" / "sse-conformance").is_file()
    return temp


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with reference_server("--allow-faults") as url:
        yield url


def bash(script: str, cwd: Path, env: dict[str, str]) -> Ran:
    """As a runner runs `shell: bash`."""
    file = cwd / "step.sh"
    file.write_text(script, encoding="utf-8")
    return run("bash", "--noprofile", "--norc", "-eo", "pipefail", str(file), cwd=cwd, env=env, timeout=600)


def judged(runner: Path, cwd: Path, **inputs: str) -> tuple[Ran, dict[str, str], str]:
    """The judging step with these inputs: what it printed, its outputs, the step's summary."""
    entry = step("Judge")
    defaults = {name: str(value["default"]) for name, value in ACTION["inputs"].items()}
    given = defaults | inputs
    environment = {
        name: re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: given[found[1]], value)
        for name, value in entry["env"].items()
    }
    files = {"GITHUB_OUTPUT": cwd / "output", "GITHUB_STEP_SUMMARY": cwd / "step-summary.md"}
    for path in files.values():
        path.write_text("")
    environment |= {name: str(path) for name, path in files.items()} | {"RUNNER_TEMP": str(runner)}
    ran = bash(entry["run"], cwd, environment)
    pairs = (line.partition("=") for line in files["GITHUB_OUTPUT"].read_text().splitlines())
    return ran, {name: value for name, _, value in pairs}, files["GITHUB_STEP_SUMMARY"].read_text()


def test_a_good_server(runner: Path, server: str, tmp_path: Path) -> None:
    ran, outputs, summary = judged(
        runner, tmp_path, target=server, protocol="penguin/2", args=f"--sse-only '{ONLY}' -q"
    )
    assert ran.code == 0, ran.all
    assert outputs == {"report": "sse-report", "exit-code": "0"}
    assert "2 pass · 0 fail" in summary
    report = tmp_path / "sse-report"
    assert {"penguin-2.json", "summary.md", "junit.xml"} <= {path.name for path in report.iterdir()}


def test_several_targets_and_a_failure(runner: Path, server: str, tmp_path: Path) -> None:
    with reference_server("--fault", "crlf-made-lf") as wrong:
        ran, outputs, summary = judged(
            runner,
            tmp_path,
            target=f"penguin/2={server}\nagentsmithy/2={wrong}/agentsmithy/2\n",
            args="--sse-only PG-CONC-01,SSE-FMT-07a -q",
        )
    assert ran.code == 1, ran.all
    assert outputs["exit-code"] == "1"
    assert "2 pass · 0 fail" in summary
    assert "0 pass · 1 fail" in summary


def test_a_baseline(runner: Path, tmp_path: Path) -> None:
    (tmp_path / "known.toml").write_text('[[expected]]\nrequirement = "SSE-FMT-07a"\nreason = "line ends"\n')
    with reference_server("--fault", "crlf-made-lf") as wrong:
        ran, _, summary = judged(
            runner,
            tmp_path,
            target=f"{wrong}/agentsmithy/2",
            protocol="agentsmithy/2",
            baseline="known.toml",
            args="--sse-only SSE-FMT-07a",
        )
    assert ran.code == 0, ran.all
    assert "1 expected" in summary


def test_no_server_is_said_in_the_summary_too(runner: Path, tmp_path: Path) -> None:
    ran, outputs, summary = judged(runner, tmp_path, target="http://127.0.0.1:9", protocol="penguin/2")
    assert ran.code == 6, ran.all
    assert outputs["exit-code"] == "6"
    assert "no verdict (exit code 6)" in summary


HOSTILE = [
    {"target": "http://127.0.0.1:9/$(touch hacked)`touch hacked`; touch hacked"},
    {"target": "--collect-only"},
    {"target": "http://127.0.0.1:9", "args": "$(touch hacked) `touch hacked` ; touch hacked"},
    {"target": "http://127.0.0.1:9", "args": "'unbalanced"},
    {"target": "http://127.0.0.1:9", "profile": '"; touch hacked; "'},
    {"target": "http://127.0.0.1:9", "baseline": "$(touch hacked)", "protocol": "`touch hacked`"},
]


@pytest.mark.parametrize("inputs", HOSTILE)
def test_inputs_are_words_and_never_commands(runner: Path, tmp_path: Path, inputs: dict[str, str]) -> None:
    ran, _, _ = judged(runner, tmp_path, **({"protocol": "penguin/2"} | inputs))
    assert ran.code != 0
    assert "Traceback" not in ran.all
    assert not (tmp_path / "hacked").exists()


def instructions() -> list[tuple[str, str]]:
    """The Containerfile's instructions: name and argument."""
    text = (CI / "Containerfile").read_text(encoding="utf-8")
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.M))
    return [
        (line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in joined.splitlines() if line.strip()
    ]


def test_the_container_is_built_on_debian_and_runs_without_root() -> None:
    found = instructions()
    assert {name for name, _ in found} == {
        "FROM",
        "RUN",
        "COPY",
        "USER",
        "WORKDIR",
        "ENV",
        "ENTRYPOINT",
        "CMD",
    }
    assert [argument.split()[0] for name, argument in found if name == "FROM"] == ["debian:bookworm-slim"] * 2
    last = found[max(number for number, (name, _) in enumerate(found) if name == "FROM") :]
    users = [argument for name, argument in last if name == "USER"]
    assert users == ["judge"]
    assert any(name == "RUN" and "useradd" in argument and "judge" in argument for name, argument in last)
    assert ("ENTRYPOINT", '["sse-conformance"]') in last
    for name, argument in found:
        if name == "COPY" and not argument.startswith("--from"):
            for source in argument.split()[:-1]:
                assert (ROOT / source).exists(), source
    # What is only needed to build is not in what is shipped.
    assert [argument for name, argument in last if name == "COPY"] == [
        "--from=build /opt/sse-conformance /opt/sse-conformance"
    ]


def test_the_containers_build_step_makes_a_command_that_works(tmp_path: Path) -> None:
    """The COPY and RUN instructions of the first stage, apart from those of the package manager."""
    places = {"/src": str(tmp_path / "src"), "/opt/sse-conformance": str(tmp_path / "opt")}
    first = instructions()[: [name for name, _ in instructions()].index("FROM", 1)]
    (tmp_path / "src").mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name, argument in first:
        if name == "COPY":
            *sources, goal = argument.split()
            for source in sources:
                here = ROOT / source
                there = tmp_path / goal.strip("/")
                if here.is_dir():
                    shutil.copytree(here, there, ignore=ignored)
                else:
                    shutil.copy(here, there)
        elif name == "RUN" and "pip install" in argument:
            script = argument.replace("python3 -m venv", f"{sys.executable} -m venv")
            for place, mine in places.items():
                script = re.sub(rf"{place}\b", mine, script)
            built = run("sh", "-ec", script, cwd=tmp_path, timeout=600)
            assert built.code == 0, built.all
    command = tmp_path / "opt" / "bin" / "sse-conformance"
    shown = run(str(command), "test", "--sse-only", "PG-CONC-01", "-q", cwd=tmp_path)
    assert shown.code == 0, shown.all
    assert "1 pass · 0 fail" in shown.out


def test_the_gitlab_job_names_only_what_there_is() -> None:
    text = (CI / "gitlab-ci.yml").read_text(encoding="utf-8")
    (job,) = yaml.safe_load(text).values()
    assert set(job) == {"image", "variables", "before_script", "script", "artifacts"}
    assert job["artifacts"]["when"] == "always"
    (command,) = job["script"]
    report = re.search(r"--junit-xml (\S+)", command)
    assert report is not None
    assert job["artifacts"]["reports"]["junit"] == report[1]
    assert report[1].startswith(f"{job['artifacts']['paths'][0]}/")
