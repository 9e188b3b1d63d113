"""`conformance.api.judge` as other programs call it: values, typed errors of one line, event loops."""

from __future__ import annotations

import asyncio
import dataclasses
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.api import (
    BaselineError,
    HarnessError,
    NotConforming,
    TargetError,
    TargetUnreachable,
    Verdicts,
    WrongEndpointError,
    judge,
    judge_async,
)
from conformance.findings import Verdict
from conformance.profile_file import default_profile
from conformance.report import files
from tests.support.odd_server import odd_server, says
from tests.support.reference import reference_server

ONLY = ("SSE-FMT-07a", "AS-TXT-03")


@pytest.fixture(scope="module")
def good() -> Iterator[str]:
    with reference_server("--auth", "bearer:s3cret-t0ken") as url:
        yield f"{url}/agentsmithy/2"


@pytest.fixture(scope="module")
def wrong() -> Iterator[str]:
    with reference_server("--fault", "crlf-made-lf") as url:
        yield f"{url}/agentsmithy/2"


HEADERS = {"Authorization": "Bearer s3cret-t0ken"}


def test_a_good_server(good: str, tmp_path: Path) -> None:
    verdicts = judge(good, "agentsmithy/2", headers=HEADERS, only=ONLY, report=tmp_path / "out")
    verdicts.assert_conforms()
    assert verdicts.ok
    assert [row.requirement for row in verdicts.run.rows] == ["SSE-FMT-07a", "AS-TXT-03"]
    assert verdicts.row("SSE-FMT-07a").verdict is Verdict.PASS
    with pytest.raises(KeyError, match="AS-2-01 was not judged"):
        verdicts.row("AS-2-01")
    saved = files.read(tmp_path / "out" / "agentsmithy-2.json")
    assert (saved.rows, saved.id, saved.summary_line()) == (
        verdicts.run.rows,
        verdicts.run.id,
        verdicts.run.summary_line(),
    )
    assert (tmp_path / "out" / "summary.md").is_file()
    with pytest.raises(dataclasses.FrozenInstanceError):
        verdicts.failures = ()  # type: ignore[misc]


def test_a_faulty_server_says_everything_about_it(wrong: str) -> None:
    verdicts = judge(wrong, "agentsmithy/2", only="SSE-FMT-07a")
    assert not verdicts.ok
    with pytest.raises(AssertionError) as caught:
        verdicts.assert_conforms()
    assert isinstance(caught.value, NotConforming)
    text = str(caught.value)
    for words in (
        "SSE-FMT-07a [M] fail",
        "source: ",
        "expected: ",
        "observed: ",
        "bytes ",
        "again:    curl -N",
    ):
        assert words in text, words
    assert text.splitlines()[-1].startswith("0 pass · 1 fail")
    saved = verdicts.row("SSE-FMT-07a").findings[0].saved
    assert (verdicts.directory / saved).is_file()


def test_a_baseline_hides_a_failure_and_a_stale_one_is_a_failure(
    good: str, wrong: str, tmp_path: Path
) -> None:
    known = tmp_path / "known.toml"
    known.write_text('[[expected]]\nrequirement = "SSE-FMT-07a"\nreason = "ticket 7"\n')
    hidden = judge(wrong, "agentsmithy/2", only="SSE-FMT-07a", baseline=known)
    hidden.assert_conforms()
    assert hidden.row("SSE-FMT-07a").verdict is Verdict.EXPECTED
    stale = judge(good, "agentsmithy/2", headers=HEADERS, only="SSE-FMT-07a", baseline=known)
    assert [failure.requirement for failure in stale.failures] == ["SSE-FMT-07a"]
    assert "remove the stale entry" in str(stale)


def test_a_profile_may_be_a_value_or_a_file(good: str, tmp_path: Path) -> None:
    value = dataclasses.replace(default_profile("agentsmithy/2", good), headers=tuple(HEADERS.items()))
    judge(profile=value, only="SSE-FMT-07a").assert_conforms()
    file = tmp_path / "server.toml"
    file.write_text(
        f'protocol = "agentsmithy/2"\nurl = "{good}"\n[headers]\nAuthorization = "Bearer s3cret-t0ken"\n'
    )
    judge(profile=file, only="SSE-FMT-07a").assert_conforms()


def test_without_credentials_it_is_no_pass(good: str) -> None:
    assert not judge(good, "agentsmithy/2", only="AS-TXT-03").ok


def test_inside_a_running_event_loop(good: str) -> None:
    async def both() -> tuple[Verdicts, Verdicts]:
        options = {"headers": HEADERS, "only": "SSE-FMT-07a"}
        return judge(good, "agentsmithy/2", **options), await judge_async(good, "agentsmithy/2", **options)  # type: ignore[arg-type]

    for verdicts in asyncio.run(both()):
        verdicts.assert_conforms()


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    body = b'{"error": "no"}'
    head = b"HTTP/1.1 401 No\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 15\r\n\r\n"
    writer.write(head + body)
    await writer.drain()
    writer.close()


def test_a_server_in_the_same_loop_needs_the_awaitable_one() -> None:
    async def run() -> None:
        server = await asyncio.start_server(_answers, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            with pytest.raises(TargetUnreachable, match="use `await judge_async"):
                judge(url, "penguin/2", only="PG-CON-01", timeout_scale=0.05)
            verdicts = await judge_async(url, "penguin/2", only="PG-CON-01", timeout_scale=0.05)
            assert not verdicts.ok  # it was asked, and answered

    asyncio.run(run())


def test_errors_are_typed_and_one_line(good: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with odd_server(says(page)) as html:
        cases: list[tuple[type[Exception], str, dict[str, object]]] = [
            (
                TargetUnreachable,
                "connection refused",
                {"url": f"http://127.0.0.1:{port}", "protocol": "penguin/2"},
            ),
            (WrongEndpointError, "no penguin endpoint", {"url": html, "protocol": "penguin/2"}),
            (TargetError, "which server", {}),
            (TargetError, "which protocol", {"url": good}),
            (TargetError, "unknown protocol 'penguin/9'", {"url": good, "protocol": "penguin/9"}),
            (
                TargetError,
                "no requirement's id begins so",
                {"url": good, "protocol": "penguin/2", "only": "XY"},
            ),
            (
                TargetError,
                "has no such requirement",
                {"url": good, "protocol": "penguin/2", "only": "AS-END"},
            ),
            (TargetError, "unknown effect class", {"url": good, "protocol": "penguin/2", "allow": ["all"]}),
            (TargetError, "timeout_scale", {"url": good, "protocol": "penguin/2", "timeout_scale": 0}),
            (TargetError, "max_seconds", {"url": good, "protocol": "penguin/2", "max_seconds": -1}),
            (TargetError, "no such file", {"url": good, "profile": "nowhere.toml"}),
            (TargetError, "cannot be sent", {"url": good, "protocol": "penguin/2", "headers": {"X": "a\nb"}}),
            (TargetError, "no header name", {"url": good, "protocol": "penguin/2", "headers": {"a b": "x"}}),
            (
                BaselineError,
                "cannot be read",
                {"url": good, "protocol": "penguin/2", "baseline": "nowhere.toml"},
            ),
        ]
        for kind, words, arguments in cases:
            with pytest.raises(kind, match=words) as caught:
                judge(**arguments)  # type: ignore[arg-type]
            assert "\n" not in str(caught.value), words


def test_a_fault_of_ours_is_no_verdict(good: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object) -> None:
        raise KeyError("s3cret-t0ken")

    monkeypatch.setattr("conformance.rules.base.Case.judge_by", breaks)
    with pytest.raises(HarnessError, match="the rule of AS-END-01 failed") as caught:
        judge(good, "agentsmithy/2", headers=HEADERS, only="AS-END-01")
    assert "s3cret-t0ken" not in str(caught.value)


def test_nothing_is_left_behind_where_nothing_was_found(good: str) -> None:
    verdicts = judge(good, "agentsmithy/2", headers=HEADERS, only="SSE-FMT-07a")
    assert not verdicts.directory.exists()
