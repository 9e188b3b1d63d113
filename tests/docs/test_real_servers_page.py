"""What docs/real-servers.md says of OpenCode is what `make real-opencode` does."""

from __future__ import annotations

import json
import re
from pathlib import Path

from conformance.profile_file import load_profile
from tests.real.opencode import OpenCode, configuration
from tests.support.commands import ROOT

PAGE = (ROOT / "docs" / "real-servers.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return str(text)


def test_configuration_is_the_one_that_is_used() -> None:
    assert json.loads(block("json")) == configuration("http://127.0.0.1:8900")


def test_environment_is_the_one_that_is_used(tmp_path: Path) -> None:
    used = OpenCode().environment(tmp_path, tmp_path, "http://127.0.0.1:1", "http://127.0.0.1:2")
    named = set(re.findall(r"`(OPENCODE_\w+)`", PAGE)) | {"OPENCODE_SERVER_PASSWORD"}
    assert named == {name for name in used if name.startswith("OPENCODE_")}


def test_profile_is_legal(tmp_path: Path) -> None:
    file = tmp_path / "my-server.toml"
    file.write_text(block("toml"), encoding="utf-8")
    profile = load_profile(file, environ={})
    assert (profile.protocol, profile.capabilities.heartbeat) == ("opencode/1", 10)
    with_credentials = re.sub(
        r"^# (auth|\[headers\]|Authorization)", r"\1", block("toml"), flags=re.MULTILINE
    )
    file.write_text(with_credentials, encoding="utf-8")
    profile = load_profile(file, environ={"OPENCODE_BASIC": "b3BlbmNvZGU6eA=="})
    assert profile.capabilities.auth == "basic"
    assert profile.headers == (("Authorization", "Basic b3BlbmNvZGU6eA=="),)
