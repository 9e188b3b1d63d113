"""Profile files: what they say arrives, and every mistake is one line with what, where and what instead."""

from __future__ import annotations

import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest

from conformance.catalogue import protocols
from conformance.profile import Capabilities, Effect, Limits, Profile, Repoint, Template, Tls, Tool, Tools
from conformance.profile_file import ProfileError, default_profile, load_profile, shipped_profiles
from conformance.schema_store import own_validator, problems

URL = "http://127.0.0.1:8000"


def load(tmp_path: Path, text: str, **environ: str) -> Profile:
    file = tmp_path / "p.toml"
    file.write_text(text, encoding="utf-8")
    return load_profile(file, environ=environ)


def refused(tmp_path: Path, text: str, **environ: str) -> str:
    with pytest.raises(ProfileError) as caught:
        load(tmp_path, text, **environ)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{tmp_path / 'p.toml'}: ")
    return message.removeprefix(f"{tmp_path / 'p.toml'}: ")


HEAD = f'protocol = "penguin/2"\nurl = "{URL}"\n'


@pytest.mark.parametrize("protocol", protocols())
def test_every_revision_ships_a_default(protocol: str) -> None:
    profile = default_profile(protocol, URL + "/")
    assert profile.protocol == protocol
    assert profile.url == URL
    assert profile.name == f"{protocol} default"
    assert profile.script
    assert profile.capabilities == Capabilities(resume=protocol == "penguin/2")
    if protocol == "opencode/1":
        read, edit = Tool("read", path="filePath"), Tool("write", path="filePath", content="content")
    else:
        read, edit = Tool("read_file"), Tool("write_to_file", content="content")
    delete = Tool("delete_file") if protocol == "agentsmithy/2" else None
    assert profile.tools == Tools(read=read, edit=edit, delete=delete)
    assert profile.limits == Limits()
    assert profile.allow is None


def test_what_is_shipped_is_valid_and_loads_by_name() -> None:
    shipped = shipped_profiles()
    defaults = {protocol.replace("/", "-") for protocol in protocols()}
    assert set(shipped) == defaults | {"penguin-0.9", "agentsmithy-1.13", "opencode-1.18"}
    for name, path in shipped.items():
        assert problems(own_validator("profile"), tomllib.loads(path.read_text(encoding="utf-8"))) == ()
        assert load_profile(name, url=URL).url == URL


def test_only_the_real_agentsmithy_s_profile_gives_leave_to_point_its_model_elsewhere() -> None:
    given = {name for name in shipped_profiles() if load_profile(name, url=URL).repoint is not None}
    assert given == {"agentsmithy-1.13"}


def test_real_penguin_renames_its_tools_in_the_stream() -> None:
    profile = load_profile("penguin-0.9", url=URL)
    assert profile.tools.read == Tool("read_file", "path", None, "read", "filePath")
    assert profile.tools.edit == Tool("write_file", "path", "content", "write", "filePath")
    assert profile.tools.delete is None


def test_everything_that_a_file_can_say(tmp_path: Path) -> None:
    profile = load(
        tmp_path,
        """
        name = "mine"
        protocol = "agentsmithy/2"
        url = "https://agents.example/prefix/"
        script = false
        model_url = "http://127.0.0.1:9"
        workspace = "/w"
        agent = "coder"
        allow = ["read", "edit"]
        allow_inconclusive = ["SSE-LIVE-03"]
        redact = ["secret"]
        [headers]
        Authorization = "Bearer ${TOKEN}"
        X-Both = "${A}-${B}"
        [capabilities]
        reasoning = false
        retention = 100
        heartbeat = 2.5
        auth = "header:X-API-Key"
        cors = ["https://a.example"]
        workspace = true
        [tools]
        delete = false
        [tools.edit]
        name = "put"
        path = "file"
        content = "text"
        [limits]
        turn = 5
        [tls]
        insecure = true
        [stimulus.create-session]
        method = "POST"
        path = "/new"
        answer = "/data/id"
        [stimulus.prompt]
        method = "POST"
        path = "/ask/{session}"
        body = { q = "{prompt}" }
        """,
        TOKEN="t0ken",
        A="1",
        B="2",
    )
    assert profile == Profile(
        protocol="agentsmithy/2",
        url="https://agents.example/prefix",
        name="mine",
        headers=(("Authorization", "Bearer t0ken"), ("X-Both", "1-2")),
        script=False,
        model_url="http://127.0.0.1:9",
        workspace="/w",
        agent="coder",
        capabilities=Capabilities(
            reasoning=False,
            retention=100,
            heartbeat=2.5,
            auth="header:X-API-Key",
            cors=("https://a.example",),
            workspace=True,
        ),
        tools=Tools(Tool("read_file"), Tool("put", "file", "text"), None),
        limits=Limits(turn=5),
        tls=Tls(insecure=True),
        stimulus=(
            ("create-session", Template("POST", "/new", answer="/data/id")),
            ("prompt", Template("POST", "/ask/{session}", {"q": "{prompt}"})),
        ),
        allow=(Effect.READ, Effect.EDIT),
        allow_inconclusive=("SSE-LIVE-03",),
        redact=("secret",),
    )
    assert Profile.from_data(profile.to_data()) == profile


def test_every_field_of_a_profile_can_be_said_in_a_file() -> None:
    known = own_validator("profile").schema
    run_options = {"strict", "timeout_scale"}
    assert {field.name for field in fields(Profile)} - run_options == set(known["properties"]) - {"extends"}
    kinds = {"capabilities": Capabilities, "limits": Limits, "tls": Tls, "tools": Tools, "repoint": Repoint}
    for name, kind in kinds.items():
        assert {field.name for field in fields(kind)} == set(known["properties"][name]["properties"])
    assert {field.name for field in fields(Tool)} == set(
        known["properties"]["tools"]["properties"]["read"]["properties"]
    )
    template = known["properties"]["stimulus"]["properties"]["prompt"]["properties"]
    assert {field.name for field in fields(Template)} == set(template)
    assert known["properties"]["allow"]["items"]["enum"] == [effect.value for effect in Effect]


def test_leave_to_point_a_model_elsewhere(tmp_path: Path) -> None:
    head = f'protocol = "agentsmithy/2"\nurl = "{URL}"\n'
    assert load(tmp_path, head).repoint is None
    assert load(tmp_path, head + "[repoint]\n").repoint == Repoint("openai", None)
    profile = load(tmp_path, head + '[repoint]\nprovider = "mine"\nrestore = "http://h/v1"\n')
    assert profile.repoint == Repoint("mine", "http://h/v1")
    assert Profile.from_data(profile.to_data()) == profile
    older = {name: value for name, value in profile.to_data().items() if name != "repoint"}
    assert Profile.from_data(older) == replace(profile, repoint=None)


def test_a_shipped_profile_can_be_extended(tmp_path: Path) -> None:
    text = f"""
        extends = "agentsmithy-1.13"
        url = "{URL}"
        workspace = "/w"
        [capabilities]
        workspace = true
        history = false
        """
    shipped = load_profile("agentsmithy-1.13", url=URL)
    assert load(tmp_path, text) == replace(
        shipped,
        name="p",
        workspace="/w",
        capabilities=replace(shipped.capabilities, workspace=True, history=False),
    )
    assert load(tmp_path, f'extends = "agentsmithy-1.13"\nurl = "{URL}"\nrepoint = false\n').repoint is None
    assert load(tmp_path, f'extends = "penguin-0.9"\nprotocol = "penguin/1"\nurl = "{URL}"\n') == replace(
        load_profile("penguin-0.9", url=URL), name="p", protocol="penguin/1"
    )


def test_a_default_can_be_undeclared(tmp_path: Path) -> None:
    profile = load(tmp_path, HEAD + "[capabilities]\nresume = false\n[tools]\nread = false\n")
    assert profile.capabilities == Capabilities(resume=False)
    assert profile.tools.read is None
    assert profile.tools.edit is not None


def test_the_command_line_wins(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text(HEAD, encoding="utf-8")
    profile = load_profile(file, url="http://[::1]:9/x/", protocol="agentsmithy/1", environ={})
    assert (profile.url, profile.protocol, profile.name) == ("http://[::1]:9/x", "agentsmithy/1", "p")
    assert profile.capabilities.resume is False  # of the revision that won


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[capabilites]\n", "unknown key 'capabilites'; did you mean 'capabilities'?"),
        ("[capabilities]\nresum = true\n", "unknown key 'resum' in [capabilities]; did you mean 'resume'?"),
        ("resume = true\n", "unknown key 'resume'; 'resume' belongs to [capabilities]"),
        ("[capabilities]\nturn = 3\n", "unknown key 'turn' in [capabilities]; 'turn' belongs to [limits]"),
        (
            '[stimulus.prompt]\nmethod = "GET"\npath = "/"\ncommand = "x"\n',
            "unknown key 'command' in [stimulus.prompt]; known here are answer, body, method, path",
        ),
        ("x = = 3\n", "not TOML: Invalid value (at line 1, column 5)"),
        ('[limits]\nturn = "a"\n', 'limits.turn: expected a number, got "a"'),
        ("[limits]\nturn = nan\n", "limits.turn: expected a finite number, got nan"),
        ("[limits]\nturn = 0\n", "limits.turn: expected more than 0, got 0"),
        ("[limits]\nturn = inf\n", "limits.turn: expected at most 86400, got Infinity"),
        (
            'allow = ["all"]\n',
            'allow.0: expected one of "read", "prompt", "edit", "disrupt", "configure", "load", got "all"',
        ),
        ("repoint = true\n", "repoint: got true. Leave to point the target's model"),
        (
            'extends = "agentsmithy-2.0"\n',
            "extends: shipped are agentsmithy-1.13, agentsmithy-1, ",
        ),
        (
            '[repoint]\nbase_url = "x"\n',
            "unknown key 'base_url' in [repoint]; known here are provider, restore",
        ),
        ('[repoint]\nrestore = "host"\n', 'repoint.restore: got "host". What its base_url was'),
        (HEAD + "[repoint]\n", "repoint: penguin/2 has no way to point a server's model elsewhere"),
        (
            f'protocol = "agentsmithy/1"\nurl = "{URL}"\nscript = false\n[repoint]\n',
            "repoint: there is nothing to point the model at with script = false",
        ),
        ("[tools]\nread = true\n", "tools.read: got true. A tool that reads a file"),
        ('[capabilities]\nauth = "digest"\n', 'capabilities.auth: got "digest". Which credentials'),
        ('[headers]\n"a b" = "x"\n', 'headers: got "a b". A header name is'),
        ('url = "http://x"\n', "names no protocol"),
        ('protocol = "penguin/2"\n', "names no url"),
        (f'protocol = "penguin/3"\nurl = "{URL}"\n', "protocol: there is no protocol 'penguin/3': known are"),
        (
            'protocol = "penguin/2"\nurl = "http://h:99999"\n',
            "url: 'http://h:99999' is no URL: Port out of range",
        ),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    assert refused(tmp_path, text).startswith(message)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Bearer ${NOPE}", "headers.A: the environment variable NOPE is not set"),
        ("${NO", "headers.A: '${NO' does not name a variable"),
        ("${}", "headers.A: '${}' does not name a variable"),
        ("${A B}", "headers.A: '${A B}' does not name a variable"),
        ("${LINES}", "headers.A: its value cannot be sent"),
        ("${EDGE}", "headers.A: its value cannot be sent"),
    ],
)
def test_a_header_that_cannot_be_sent(tmp_path: Path, value: str, message: str) -> None:
    text = f'{HEAD}[headers]\nA = "{value}"\n'
    found = refused(tmp_path, text, LINES="secret\r\nX: y", EDGE="secret ")
    assert found.startswith(message)
    assert "secret" not in found


def test_a_dollar_alone_is_a_dollar(tmp_path: Path) -> None:
    assert load(tmp_path, f'{HEAD}[headers]\nA = "1$2 $3"\n').headers == (("A", "1$2 $3"),)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(
        ProfileError, match=r"nope: there is no such file, and shipped are only agentsmithy-1\b.*"
    ):
        load_profile("nope", url=URL)
    with pytest.raises(ProfileError, match="is a folder"):
        load_profile(tmp_path, url=URL)
    binary = tmp_path / "b.toml"
    binary.write_bytes(b"name = '\xff'")
    with pytest.raises(ProfileError, match=r"not UTF-8 text: .* at byte 8"):
        load_profile(binary, url=URL)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://me:secret@host", "a URL with credentials would be kept in reports"),
        ("host:80", "is no base URL"),
        ("http://", "is no base URL"),
        ("ftp://host", "is no base URL"),
        ("http://ho st", "is no base URL"),
        ("http://host/?a=1", "has a query or a fragment"),
        ("http://host/#x", "has a query or a fragment"),
        ("http://[::1", "is no URL"),
    ],
)
def test_a_target_that_is_no_base_url(url: str, message: str) -> None:
    with pytest.raises(ProfileError, match=f"^--target: .*{message}") as caught:
        default_profile("penguin/2", url)
    assert "secret" not in str(caught.value)


def test_an_unknown_protocol_names_the_nearest() -> None:
    with pytest.raises(ProfileError, match=r"no protocol 'pengiun/2': .* did you mean penguin/2\?"):
        default_profile("pengiun/2", URL)


def test_a_profile_is_what_its_observation_keeps() -> None:
    profile = replace(default_profile("penguin/2", URL), allow=(Effect.READ,))
    assert Profile.from_data(profile.to_data()) == profile
