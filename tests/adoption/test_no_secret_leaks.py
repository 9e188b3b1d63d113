"""A run with secrets against a server that tells them in every way: none is in any artefact, in no disguise."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_plus

import pytest

from conformance import exits
from conformance.report.formats import FORMATS
from tests.support.commands import conformance
from tests.support.leaky_server import COOKIE, SECRETS, TENANT, TOKEN, leaky_server, profile

ENVIRONMENT = {"LEAK_TOKEN": TOKEN, "LEAK_TENANT": TENANT}
PIECE = 9  # characters of a secret in a row that are too many


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (key, *strings(item))
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


def decoded(text: str) -> Iterator[str]:
    """What somebody finds who tries the usual encodings on it."""
    yield unquote(text)
    yield unquote(text, encoding="latin-1")
    yield unquote_plus(text)
    yield html.unescape(text)
    yield re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    yield re.sub(r"\\x([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), text)
    yield re.sub(r"\\+([\"'/\\])", r"\1", text)
    for found in re.findall(r"(?:[0-9a-fA-F]{2}){6,}", text):
        yield bytes.fromhex(found).decode("utf-8", "replace")
    for found in re.findall(r"[A-Za-z0-9+/_-]{12,}", text):
        for cut in range(4):  # wherever the alphabet's run began
            part = found[cut:].replace("-", "+").replace("_", "/")
            whole = part[: len(part) - (len(part) % 4 == 1)]
            data = base64.b64decode(whole + "=" * (-len(whole) % 4))
            yield data.decode("utf-8", "replace")
            yield data.decode("latin-1")


def views(text: str) -> Iterator[str]:
    yield text
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = None
    once = [*decoded(text), *strings(parsed)]
    yield from once
    for view in once:
        if len(view) < 50_000 and view != text:
            yield from decoded(view)


def told(text: str) -> set[str]:
    """Pieces of secrets that the text gives away, in any disguise."""
    grams = {secret[at : at + PIECE] for secret in SECRETS for at in range(len(secret) - PIECE + 1)}
    either = re.compile("|".join(re.escape(gram) for gram in sorted(grams)))
    return {found for view in set(views(text)) for found in either.findall(view)}


@pytest.fixture(scope="module", params=["agentsmithy/2", "penguin/2"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that came of a run, the terminal's output among it."""
    folder = tmp_path_factory.mktemp("leaks")
    with leaky_server() as url:
        (folder / "out").mkdir()
        (folder / "p.toml").write_text(profile(url, request.param), encoding="utf-8")
        ran = conformance(
            "test",
            "--sse-profile",
            "p.toml",
            "--sse-timeout-scale",
            "0.05",
            "--sse-max-seconds",
            "20",
            "--sse-report",
            "out",
            "--junit-xml",
            "out/junit.xml",
            "--sse-write-baseline",
            "out/baseline.toml",
            # As much as pytest can be made to say.
            "-rA",
            "-l",
            "--tb=long",
            "--log-level=DEBUG",
            cwd=folder,
            env=ENVIRONMENT | {"GITHUB_STEP_SUMMARY": str(folder / "out" / "step-summary.md")},
        )
    assert ran.code == exits.FAILED, ran.all[-3000:]
    out = folder / "out"
    (out / "terminal.txt").write_text(ran.all, encoding="utf-8")
    results = sorted(
        str(path.relative_to(folder)) for path in out.glob(f"{request.param.replace('/', '-')}*.json")
    )
    for name in FORMATS:
        again = conformance("report", name, *results, cwd=folder)
        assert again.code == 0, again.all
        (out / f"again.{name}").write_text(again.out, encoding="utf-8")
    for path in sorted(out.glob("observations/*.json"))[:3]:
        checked = conformance("check", str(path), "-v", cwd=folder)
        assert checked.code in (exits.OK, exits.FAILED), checked.all
        (out / f"checked-{path.stem}.txt").write_text(checked.all, encoding="utf-8")
    return out


def test_there_is_something_that_could_leak(run: Path) -> None:
    names = {path.name for path in run.rglob("*") if path.is_file()}
    assert {"summary.md", "index.html", "ctrf.json", "junit.xml", "step-summary.md", "terminal.txt"} <= names
    saved = [path.read_text(encoding="utf-8") for path in (run / "observations").iterdir()]
    assert saved
    # The server was believed, and did tell: the places where secrets stood are there, masked.
    assert any('"base64"' in text for text in saved)
    assert any("*" * len(TOKEN) in text for text in saved)
    assert any(COOKIE[:3] not in text and "Set-Cookie" in text for text in saved)
    assert "*" * len(TOKEN) in (run / "terminal.txt").read_text(encoding="utf-8")


def test_no_artefact_tells_a_secret(run: Path) -> None:
    leaks = {
        str(path.relative_to(run)): found
        for path in sorted(run.rglob("*"))
        if path.is_file() and (found := told(path.read_text(encoding="utf-8")))
    }
    assert not leaks


@pytest.mark.parametrize("secret", SECRETS)
def test_the_search_would_find_it(secret: str) -> None:
    raw = secret.encode()
    for disguise in (
        secret,
        json.dumps({"a": [secret]}),
        json.dumps(json.dumps(secret)),
        html.escape(secret),
        raw.hex(),
        json.dumps({"base64": base64.b64encode(b"\xff" + raw).decode()}),
        ascii(secret),
        f"cut: {secret[:PIECE]}…",
    ):
        assert told(f"text {disguise} text"), disguise
