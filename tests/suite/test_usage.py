"""Options that cannot be used: one line that says what, where, and what was expected; exit code 4."""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance import exits
from tests.support.commands import conformance, pytest_run

URL = "http://127.0.0.1:9"


def usage_error(tmp_path: Path, *arguments: str) -> str:
    ran = conformance("test", *arguments, cwd=tmp_path)
    assert ran.code == exits.USAGE, ran.all
    assert "Traceback" not in ran.all
    return ran.all


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ftp://x"], "not a URL"),
        ([URL], "which protocol?"),
        ([URL, "--sse-protocol", "penguin/9"], "unknown protocol 'penguin/9'"),
        ([f"smtp/1={URL}"], "unknown protocol 'smtp/1'"),
        ([f"penguin/2={URL}", "--sse-allow", "everything"], "unknown effect class"),
        ([f"penguin/2={URL}", "--sse-timeout-scale", "0"], "expected a number above 0"),
        ([f"penguin/2={URL}", "--sse-max-seconds", "soon"], "expected a number above 0"),
        (
            [f"penguin/2={URL}", "--sse-only", "AS-END"],
            "--sse-only AS-END: penguin/2 has no such requirement",
        ),
        (
            [f"penguin/2={URL}", "--sse-only", "PG-CON,PG-KON"],
            "--sse-only PG-KON: no requirement's id begins so",
        ),
        ([f"penguin/2={URL}", "--sse-profile", "nowhere.toml"], "nowhere.toml"),
        ([f"penguin/2={URL}", "--sse-baseline", "nowhere.toml"], "nowhere.toml: cannot be read"),
    ],
)
def test_bad_options(tmp_path: Path, arguments: list[str], words: str) -> None:
    assert words in usage_error(tmp_path, *arguments)


def test_a_profile_with_an_unknown_key_or_a_missing_variable(tmp_path: Path) -> None:
    profile = tmp_path / "mine.toml"
    profile.write_text(f'protocol = "penguin/2"\nurl = "{URL}"\ncapabilties = {{}}\n')
    said = usage_error(tmp_path, "--sse-profile", "mine.toml")
    assert "mine.toml" in said
    assert "capabilties" in said
    assert "capabilities" in said
    profile.write_text(
        f'protocol = "penguin/2"\nurl = "{URL}"\n[headers]\nAuthorization = "Bearer ${{NO_SUCH_TOKEN}}"\n'
    )
    said = usage_error(tmp_path, "--sse-profile", "mine.toml")
    assert "NO_SUCH_TOKEN" in said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("expected = 1", "[[expected]]"),
        ('[[expected]]\nrequirement = "PG-NO-99"\nreason = "x"', "unknown requirement 'PG-NO-99'"),
        ('[[expected]]\nrequirement = "PG-CON-01"', "expected a reason"),
        ('[[expected]]\nrequirement = "PG-CON-01"\nreason = "x"\nexpires = "soon"', "expected a date"),
        ('[[expected]]\nrequirement = "PG-CON-01"\nreason = "x"\nuntil = 1', "unknown key 'until'"),
        ("[[expected]", "not TOML"),
    ],
)
def test_bad_baselines(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "baseline.toml").write_text(text)
    assert words in usage_error(tmp_path, f"penguin/2={URL}", "--sse-baseline", "baseline.toml")


def test_a_target_that_nothing_of_ours_will_judge(tmp_path: Path) -> None:
    """`pytest --target URL` in somebody's own repository says what to type."""
    (tmp_path / "test_own.py").write_text("def test_own(): pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    ran = pytest_run("--target", f"penguin/2={URL}", "--collect-only", cwd=tmp_path)
    assert ran.code == exits.USAGE, ran.all
    assert "sse-conformance test URL" in ran.all
    assert "Traceback" not in ran.all


def test_foreign_runs_are_left_alone(tmp_path: Path) -> None:
    """Without a target, the plugin changes nothing and imports nothing of the harness."""
    (tmp_path / "test_own.py").write_text(
        "import sys\n"
        "def test_own():\n"
        "    assert 'conformance.session' not in sys.modules\n"
        "    assert 'httpx' not in sys.modules\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    ran = pytest_run(cwd=tmp_path)
    assert ran.code == 0, ran.all
    assert "sse-conformance" not in ran.out.replace("sse-conformance-", "")


def test_collect_only_needs_no_server(tmp_path: Path) -> None:
    ran = conformance("test", f"penguin/2={URL}", "--collect-only", "-q", cwd=tmp_path)
    assert ran.code == 0, ran.all
    assert "penguin/2::PG-CON-01" in ran.out
    builtin = conformance("test", "--collect-only", "-q", cwd=tmp_path)
    assert builtin.code == 0
    for protocol in ("agentsmithy/1", "agentsmithy/2", "penguin/1", "penguin/2"):
        assert f"{protocol}::SSE-FMT-01" in builtin.out


@pytest.mark.parametrize("selection", [["-k", "PG-FLT"], ["--sse-only", "PG-FLT"]], ids=["-k", "--sse-only"])
def test_requirements_are_selected_by_prefix(tmp_path: Path, selection: list[str]) -> None:
    ran = conformance("test", f"penguin/2={URL}", "--collect-only", "-q", *selection, cwd=tmp_path)
    assert ran.code == 0, ran.all
    ids = [
        line.partition("[")[2].rstrip("]") for line in ran.out.splitlines() if "::test_requirement[" in line
    ]
    assert ids
    assert all(name.startswith("penguin/2::PG-FLT-") for name in ids)


def test_a_selection_of_nothing_is_pytests_own_code(tmp_path: Path) -> None:
    ran = conformance(
        "test", f"penguin/2={URL}", "--collect-only", "-q", "-k", "nothing_like_this", cwd=tmp_path
    )
    assert ran.code == exits.NOTHING, ran.all


def test_levels_are_markers(tmp_path: Path) -> None:
    ran = conformance("test", f"penguin/2={URL}", "--collect-only", "-q", "-m", "info", cwd=tmp_path)
    assert ran.code == 0, ran.all
    assert "SSE-FMT-03" in ran.out
    assert "SSE-FMT-01" not in ran.out
