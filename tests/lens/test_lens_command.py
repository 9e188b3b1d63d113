"""`sse-conformance lens`: what it prints, what it says of missing programs, and what it does with bad input."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from conformance import cli, exits
from conformance.lens import result
from conformance.recorded import read_recording
from conformance.schema_store import own_validator, problems
from conformance.transcript import to_json
from tests.support.commands import ROOT, Ran, conformance
from tests.support.lens_clients import NODE_FOLDER, browser, node, there

BODY = b'id: 1\ndata: {"a": 1}\n\n: ping\n\ndata: b\r\n\r\ndata: c\r\r'
RECORDED = ROOT / "tests/recordings/penguin-0.9.3/tool_roundtrip.json"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a recording; the command runs there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.sse").write_bytes(BODY)
    return tmp_path


Lens = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lens(here: Path, capsys: pytest.CaptureFixture[str]) -> Lens:
    """`sse-conformance lens …` in that folder: its exit code, and what it said."""

    def run_it(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(["lens", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run_it


def test_a_table_says_what_each_client_sees_from_which_byte_and_why(lens: Lens) -> None:
    with there(browser()), there(node()):
        pass
    code, out, err = lens("x.sse", "--node-folder", str(NODE_FOLDER))
    assert (code, err) == (exits.OK, "")
    lines = out.splitlines()
    assert lines[0] == f"x.sse: {len(BODY)} bytes in 1 chunk, text/event-stream"
    shown = {line.split("  ")[1]: " ".join(line.split()) for line in lines[2:7]}
    assert shown["the standard"] == "the standard 3"
    by_name = {name.split(" ")[0]: text for name, text in shown.items()}
    assert "4 from byte 22: sees 'message' with empty data" in by_name["httpx-sse"]
    assert by_name["httpx-sse"].endswith("(httpx-event-without-data, httpx-final-cr)")
    assert by_name["Chromium's"].endswith(" 3 the same")
    assert "2 from byte 30: " in by_name["Node's"]
    assert "1 from byte 30: sees no event, the standard gives 'message' with data 'b'" in by_name["a"]
    for name in (
        "httpx-event-without-data",
        "httpx-final-cr",
        "node-final-cr",
        "node-own-id",
        "naive-lf-only",
    ):
        assert f"\n{name}: " in out
    assert out.count("for a server") == 5


def test_what_is_written_as_json_is_valid_and_read_back(lens: Lens, here: Path) -> None:
    code, out, _ = lens(
        "x.sse", str(RECORDED), "--client", "httpx-sse", "--client", "naive", "--format", "json"
    )
    assert code == exits.OK
    raw = json.loads(out)
    assert problems(own_validator("lens"), raw) == ()
    read = result.from_data(raw)
    assert json.loads(json.dumps(result.to_data(read))) == raw
    assert [stream.role for stream in read.streams] == ["x.sse", "tool_roundtrip.json"]
    assert [viewer.key for viewer in read.viewers] == ["httpx-sse", "naive"]
    assert [cause.deviation for _, found in read.differences("naive") for cause in found.causes] == [
        "naive-lf-only"
    ]


def test_a_page_needs_nothing_beside_it(lens: Lens, here: Path) -> None:
    code, out, _ = lens("x.sse", "--client", "naive", "--format", "html", "-o", "lens.html")
    assert (code, out) == (exits.OK, "")
    page = (here / "lens.html").read_text(encoding="utf-8")
    assert "<h1>1 of 1 client reads it otherwise</h1>" in page
    assert "naive-lf-only" in page
    assert 'src="' not in page
    assert page.count("<script") == 1


def test_one_stream_of_a_saved_observation(lens: Lens, here: Path) -> None:
    seen = read_recording(str(RECORDED), "penguin/2")
    (_, one), *_ = seen.transcripts
    two = replace(seen, probe="text", transcripts=(("first", one), ("second", one)))
    (here / "o.json").write_text(to_json(two), encoding="utf-8")
    code, out, _ = lens("o.json", "--client", "naive", "--stream", "second")
    assert code == exits.OK
    assert out.startswith("second: ")
    assert "first: " not in out
    code, _, err = lens("o.json", "--stream", "third")
    assert code == exits.USAGE
    assert err == "o.json: there is no stream 'third' in it: it has first, second\n"


def test_standard_input_is_read(here: Path) -> None:
    ran = conformance("lens", "-", "--client", "naive", cwd=here, stdin=BODY)
    assert ran.code == 0, ran.all
    assert ran.out.startswith("standard input: ")


def test_what_is_no_event_stream_is_said_to_be_none(lens: Lens) -> None:
    plain = ROOT / "tests/recordings/agentsmithy-1.13.0/bad_json.json"
    code, out, _ = lens(str(plain), "--client", "naive")
    assert code == exits.OK
    assert out == "there is no event stream in it that could be played: an answer of 200, text/event-stream\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.sse"], "gone.sse: No such file or directory"),
        (["x.sse", "--npm-install"], "--npm-install needs --node-folder: "),
        (["x.sse", "--client", "netscape"], "invalid choice: 'netscape'"),
        (["x.sse", "--client", "naive", "-o", "no/where.txt"], "no/where.txt: cannot be written: "),
        (["empty.sse"], "empty.sse: empty: there is nothing to judge"),
        (["damaged.json"], "damaged.json: not JSON: "),
    ],
)
def test_bad_input_gets_one_line(lens: Lens, here: Path, arguments: list[str], words: str) -> None:
    (here / "empty.sse").write_bytes(b"")
    (here / "damaged.json").write_text("{")
    code, out, err = lens(*arguments)
    assert code == exits.USAGE
    assert out == ""
    assert words in err.splitlines()[-1]


@pytest.mark.parametrize("client", ["browser", "eventsource-parser"])
def test_a_missing_program_is_said_and_the_others_go_on(
    lens: Lens, here: Path, monkeypatch: pytest.MonkeyPatch, client: str
) -> None:
    monkeypatch.setenv("SSE_CHROMIUM", "/no/such/browser")
    code, out, err = lens("x.sse")  # and no eventsource-parser in this folder
    assert (code, err) == (exits.OK, "")
    assert "/no/such/browser: there is no such program (SSE_CHROMIUM names the browser)" in out
    assert (
        "did not take part: eventsource-parser is not installed in" in out or "Node is not installed" in out
    )
    assert "httpx-sse 0." in out
    code, out, err = lens("x.sse", "--client", client)
    assert (code, out) == (exits.USAGE, "")
    assert err.startswith(f"--client {client}: ")


def test_what_to_install_is_said_where_node_has_no_parser(lens: Lens, here: Path) -> None:
    with there(node()):
        pass
    code, _, err = lens("x.sse", "--client", "eventsource-parser")
    assert code == exits.USAGE
    assert f"eventsource-parser is not installed in {here} (Node says MODULE_NOT_FOUND): npm install " in err


def test_without_node_the_line_says_so(lens: Lens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    code, _, err = lens("x.sse", "--client", "eventsource-parser")
    assert code == exits.USAGE
    assert (
        err
        == "--client eventsource-parser: Node is not installed: apt-get install nodejs (version 18 or later)\n"
    )


def test_a_browser_that_does_not_start_is_said_to(
    lens: Lens, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("playwright", reason="Playwright is not installed: pip install playwright")
    broken = here / "browser"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("SSE_CHROMIUM", str(broken))
    code, out, err = lens("x.sse", "--client", "browser")
    assert (code, out) == (exits.USAGE, "")
    assert err.startswith(f"--client browser: {broken} does not start: ")
    assert len(err.splitlines()) == 1


def fake(here: Path, name: str, script: str) -> str:
    """A PATH on which that program is the given script, before the real ones."""
    folder = here / "bin"
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_npm_is_asked_to_install_into_the_named_folder_alone(
    lens: Lens, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with there(node()):
        pass
    installed = NODE_FOLDER / "node_modules"
    script = f'echo "$@" > asked; shift; test "$1" = --prefix && ln -s "{installed}" "$2/node_modules"'
    monkeypatch.setenv("PATH", fake(here, "npm", script))
    code, out, err = lens(
        "x.sse", "--client", "eventsource-parser", "--node-folder", "cache", "--npm-install"
    )
    assert code == exits.OK, err
    assert "Node's eventsource-parser 3.1.1" in out
    asked = (here / "asked").read_text()
    assert asked.startswith(f"install --prefix {here / 'cache'} ")
    assert asked.rstrip().endswith("eventsource-parser@3.1.1")


def test_npm_that_fails_is_told_in_its_own_words(
    lens: Lens, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with there(node()):
        pass
    monkeypatch.setenv("PATH", fake(here, "npm", "echo 'npm error no way' >&2; exit 1"))
    code, _, err = lens("x.sse", "--client", "eventsource-parser", "--node-folder", "cache", "--npm-install")
    assert code == exits.USAGE
    assert err.rstrip().endswith("failed: npm error no way")


def test_a_client_that_stops_is_left_out_from_then_on(
    lens: Lens, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    says_hello = """echo '{"version": "9.9.9"}'; read line; exit 1"""
    monkeypatch.setenv("PATH", fake(here, "node", says_hello))
    monkeypatch.setenv("SSE_CHROMIUM", "/no/such/browser")
    code, out, _ = lens("x.sse", "x.sse")
    assert code == exits.OK
    assert "Node's eventsource-parser did not take part: Node's eventsource-parser stopped" in out
    assert out.count("httpx-sse 0.") == 2


def test_examples_are_in_the_help(here: Path) -> None:
    ran: Ran = conformance("lens", "--help", cwd=here)
    assert ran.code == 0
    assert "examples:" in ran.out
    assert "--npm-install" in ran.out
