"""The wheel works without the checkout, in a folder that tries to shadow everything it needs."""

from __future__ import annotations

import ast
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support import lens_clients
from tests.support.commands import ROOT, Ran, run


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout as it is."""
    out = tmp_path_factory.mktemp("dist")
    built = run(
        sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT), cwd=out, timeout=600
    )
    assert built.code == 0, built.all
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment in which nothing but the wheel is installed."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=True)
    bin_ = home / "bin"
    done = run(str(bin_ / "python"), "-m", "pip", "install", "--quiet", str(wheel), cwd=home, timeout=600)
    assert done.code == 0, done.all
    return bin_


@pytest.fixture
def decoys(tmp_path: Path) -> Path:
    """Somebody's own repository, with folders of our names in it."""
    for name in ("schemas", "reports", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"raise RuntimeError('the decoy {name} was imported')\n")
    (tmp_path / "conftest.py").write_text("raise RuntimeError('the decoy conftest was imported')\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    return tmp_path


def test_the_wheel_installs_three_import_names_and_carries_the_schemas(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"conformance", "reference_server", "loadtests"}
    assert any(name.startswith("conformance/schemas/requirements/") for name in names)
    assert any(name.startswith("conformance/schemas/penguin/2/") for name in names)
    assert "conformance/py.typed" in names
    assert any(name.startswith("reference_server/scenarios/") and name.endswith(".yaml") for name in names)
    assert any(name.startswith("conformance/profiles/") and name.endswith(".toml") for name in names)
    assert "loadtests/locustfile.py" in names


def test_load_says_which_extra_it_needs(installed: Path, decoys: Path) -> None:
    load = (str(installed / "sse-conformance"), "load", "http://127.0.0.1:1", "--sse-protocol", "penguin/2")
    ran = run(*load, cwd=decoys)
    assert ran.code == 4, ran.all
    assert ran.err.startswith("the extra `load` is not installed (locust, gevent, ")
    assert ran.err.endswith("missing): pip install 'sse-conformance[load]'\n")
    assert ran.err.count("\n") == 1


def test_the_lens_needs_neither_node_nor_a_browser(installed: Path, decoys: Path) -> None:
    (decoys / "x.sse").write_bytes(b"data: a\r\n\r\n")
    lens = (str(installed / "sse-conformance"), "lens", "x.sse")
    ran = run(*lens, cwd=decoys)
    assert ran.code == 0, ran.all
    assert "naive-lf-only" in ran.out
    assert "Playwright is not installed: pip install 'sse-conformance[lens]'" in ran.out
    assert "eventsource-parser did not take part: " in ran.out


def test_the_reader_that_runs_in_node_is_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    with lens_clients.there(lens_clients.node()):
        pass
    (tmp_path / "x.sse").write_bytes(b"data: a\n\n")
    asked = ("--client", "eventsource-parser", "--node-folder", str(lens_clients.NODE_FOLDER))
    ran = run(str(installed / "sse-conformance"), "lens", "x.sse", *asked, cwd=tmp_path)
    assert ran.code == 0, ran.all
    assert "Node's eventsource-parser 3.1.1" in ran.out


def _judge(installed: Path, cwd: Path, *arguments: str) -> Ran:
    return run(str(installed / "sse-conformance"), "test", *arguments, cwd=cwd)


def test_it_judges_from_a_folder_with_decoys(installed: Path, decoys: Path) -> None:
    ran = _judge(installed, decoys, "--sse-only", "SSE-FMT-01,PG-CON-01,AS-END-01", "-q")
    assert ran.code == 0, ran.all
    assert ran.last_line.startswith("2 pass · 0 fail")


def test_pyargs_judges_a_running_server(installed: Path, tmp_path: Path) -> None:
    with ReferenceProcess(installed, tmp_path) as url:
        named = run(
            str(installed / "pytest"),
            "--pyargs",
            "conformance",
            "--target",
            f"penguin/2={url}",
            "--sse-only",
            "PG-CON-",
            "-q",
            cwd=tmp_path,
        )
        assert named.code == 0, named.all
        assert named.last_line.startswith("2 pass · 0 fail")
        short = _judge(
            installed, tmp_path, url, "--sse-protocol", "agentsmithy/2", "--sse-only", "AS-END", "-q"
        )
        assert short.code == 0, short.all


class ReferenceProcess:
    """The installed `sse-conformance serve`, on a free port."""

    def __init__(self, installed: Path, cwd: Path) -> None:
        self.command = [str(installed / "sse-conformance"), "serve", "--port", "0"]
        self.cwd = cwd

    def __enter__(self) -> str:
        import subprocess

        self.process = subprocess.Popen(
            self.command, cwd=self.cwd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        return self.process.stdout.readline().removeprefix("listening on ").strip()

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        self.process.communicate(timeout=20)


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [("conformance", "reference_server"), ("reference_server", "conformance"), ("conformance", "loadtests")],
)
def test_the_two_readings_share_no_code(package: str, forbidden: str) -> None:
    """Arrows run one way: neither side imports the other's code, so that one misreading cannot hide in both."""
    seen = 0
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names.append(node.module)
            seen += 1
            assert not [name for name in names if name.split(".")[0] == forbidden], path
    assert seen


def test_rules_are_pure() -> None:
    """A rule opens no socket and reads no clock: rules import nothing that could."""
    impure = {
        "socket",
        "asyncio",
        "httpx",
        "time",
        "conformance.observe",
        "ssl",
        "threading",
        "random",
        "datetime",
    }
    for path in (ROOT / "conformance" / "rules").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names.append(node.module)
            for name in names:
                assert not any(name == bad or name.startswith(f"{bad}.") for bad in impure), (path, name)


def test_schemas_and_reports_hold_no_python() -> None:
    for folder in ("schemas", "reports"):
        assert not list((ROOT / folder).rglob("*.py"))
