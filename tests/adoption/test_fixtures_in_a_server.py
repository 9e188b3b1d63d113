"""A server's own repository whose tests use our fixture: real pytest, real servers, none of our suite collected."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.commands import Ran, pytest_run

CONFTEST = """
import subprocess
import sys

import pytest

pytest_plugins = ["conformance.fixtures"]


def start(*arguments):
    command = [sys.executable, "-m", "reference_server", "--port", "0", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().split()[-1]


@pytest.fixture(scope="session", params=[[], ["--fault", "crlf-made-lf"]], ids=["good", "faulty"])
def server_url(request):
    process, url = start(*request.param)
    yield url + "/agentsmithy/2"
    process.terminate()
    process.communicate()
"""
TESTS = """
import pytest


def test_stream(sse_judge, server_url):
    sse_judge(server_url, "agentsmithy/2", only="SSE-FMT-07a").assert_conforms()


@pytest.fixture(scope="module")
def verdicts(sse_judge, server_url):
    return sse_judge(server_url, "agentsmithy/2", only=["SSE-FMT-07a", "AS-TXT-03"])


def test_one_row(verdicts):
    assert verdicts.row("AS-TXT-03").verdict == "pass"


def test_nothing_of_ours():
    pass
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_server.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return tmp_path


def check(ran: Ran) -> None:
    """The good server passes, the faulty one fails, with everything that is needed to see why."""
    assert ran.code == 1, ran.all
    assert "1 failed, 4 passed" in ran.out
    assert "FAILED test_server.py::test_stream[faulty]" in ran.out
    for words in (
        "SSE-FMT-07a [M] fail: ",
        "expected: ",
        "observed: ",
        "bytes ",
        "again:    curl -N -i",
        "sse-conformance explain SSE-FMT-07a",
    ):
        assert words in ran.out, words
    assert "PytestAssertRewriteWarning" not in ran.all
    assert "Traceback" not in ran.all
    assert "conformance/api.py" not in ran.out  # its frames are hidden


def test_the_fixture_in_a_servers_own_tests(repository: Path) -> None:
    check(pytest_run("-q", cwd=repository))


def test_the_same_with_workers(repository: Path) -> None:
    check(pytest_run("-q", "-n", "2", cwd=repository))
    report = repository / "kept"
    ran = pytest_run("-q", "-n", "2", "-k", "test_stream", "--sse-report", "kept", cwd=repository)
    assert ran.code == 1, ran.all
    results = sorted(report.glob("judge-*/agentsmithy-2.json"))
    assert len(results) == 2
    assert any((path.parent / "observations").is_dir() for path in results)


def test_options_of_the_run_are_defaults(repository: Path) -> None:
    (repository / "test_server.py").write_text(
        "def test_rows(sse_judge, server_url):\n"
        "    rows = sse_judge(server_url, 'agentsmithy/2').run.rows\n"
        "    assert [row.requirement for row in rows] == ['AS-TXT-03']\n"
    )
    ran = pytest_run("-q", "--sse-only", "AS-TXT-03", "-k", "good", cwd=repository)
    assert ran.code == 0, ran.all
    bad = pytest_run("-q", "--sse-timeout-scale", "fast", "-k", "good", cwd=repository)
    assert bad.code == 1
    assert "expected a number above 0" in bad.out


def test_a_server_that_is_not_there_is_an_error_of_one_line(repository: Path) -> None:
    (repository / "test_server.py").write_text(
        "def test_rows(sse_judge):\n    sse_judge('http://127.0.0.1:9', 'agentsmithy/2')\n"
    )
    ran = pytest_run("-q", cwd=repository)
    assert ran.code == 1
    assert "TargetUnreachable: http://127.0.0.1:9: connection refused" in ran.out


def test_nothing_happens_at_import(repository: Path) -> None:
    """Collecting such a repository starts no thread or process and imports neither probes nor rules."""
    (repository / "test_server.py").write_text(
        "import sys, threading\n\n\n"
        "def test_nothing():\n"
        "    assert threading.active_count() == 1\n"
        "    assert not [name for name in sys.modules if name.startswith('conformance.')\n"
        "                and name not in ('conformance.plugin', 'conformance.fixtures')]\n"
    )
    ran = pytest_run("-q", cwd=repository)
    assert ran.code == 0, ran.all
