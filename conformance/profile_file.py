"""Profile files: TOML in, a `Profile` out, or one line that says what is wrong and where.

A file says what differs from the default profile of its protocol revision, or from the shipped one that it `extends`.
What is shipped are files of the same kind (`conformance/profiles/`). Every mistake is a `ProfileError`: nothing is
silently ignored.
"""

from __future__ import annotations

import difflib
import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jsonschema.exceptions import ValidationError

from conformance.catalogue import protocols
from conformance.profile import (
    Capabilities,
    Effect,
    Implementation,
    Limits,
    Profile,
    Repoint,
    Template,
    Tls,
    Tool,
    Tools,
)
from conformance.schema_store import describe, own_validator

_VARIABLE = re.compile(r"\$\{([^}]*)\}?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# RFC 9110 §5.5: a field value has no control characters but tab, and no bytes that Latin-1 cannot say.
_NOT_IN_A_HEADER = re.compile(r"[^\t\x20-\x7e\x80-\xff]")


class ProfileError(ValueError):
    """A profile that cannot be used; one line that names the file, the key and what would be right."""


@cache
def shipped_profiles() -> Mapping[str, Path]:
    """The profiles that come with the package, by name: "penguin-2", "agentsmithy-1.13" …"""
    folder = Path(__file__).parent / "profiles"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def default_profile(protocol: str, url: str) -> Profile:
    """What the protocol revision promises, at this base URL: the profile of a bare `--target`.

    Raises `ProfileError` for an unknown protocol revision or a URL that cannot be a base URL.
    """
    return _build(_defaults(protocol, "--sse-protocol"), protocol, _base_url(url, "--target"))


def load_profile(
    path: str | Path,
    *,
    url: str | None = None,
    protocol: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Profile:
    """Read a profile file, or a shipped profile by name; `url` and `protocol` win over what it says.

    `environ` is where `${NAME}` in header values is looked up (the process's environment if None).
    Raises `ProfileError` for everything that is wrong with it.
    """
    file = _find(path)
    own = _read(file)
    _check(own, file)
    raw = _merged(_extended(own["extends"], file), own) if "extends" in own else own
    revision = protocol or raw.get("protocol")
    if revision is None:
        raise ProfileError(f'{file}: names no protocol: say protocol = "penguin/2", or use --sse-protocol')
    base = url or raw.get("url")
    if base is None:
        raise ProfileError(f'{file}: names no url: say url = "http://…", or use --target')
    data = _merged(_defaults(revision, f"{file}: protocol"), raw)
    data["headers"] = _headers(raw.get("headers", {}), file, os.environ if environ is None else environ)
    data["name"] = own.get("name", file.stem)
    _check_repoint(data, revision, file)
    return _build(data, revision, _base_url(base, "--target" if url else f"{file}: url"))


def _extended(name: str, file: Path) -> Mapping[str, Any]:
    shipped = shipped_profiles()
    if name not in shipped:
        raise ProfileError(f"{file}: extends: shipped are {', '.join(shipped)}, but not {name!r}")
    return _read(shipped[name])


def _find(path: str | Path) -> Path:
    file = Path(path)
    if file.is_file():
        return file
    if isinstance(path, str) and path in shipped_profiles():
        return shipped_profiles()[path]
    if file.is_dir():
        raise ProfileError(f"{file}: is a folder, not a profile file")
    raise ProfileError(f"{path}: there is no such file, and shipped are only {', '.join(shipped_profiles())}")


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{file}: not TOML: {error}") from None
    except UnicodeDecodeError as error:
        raise ProfileError(f"{file}: not UTF-8 text: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise ProfileError(f"{file}: cannot be read: {error.strerror or error}") from None
    except RecursionError:
        raise ProfileError(f"{file}: nested too deeply") from None


@cache
def _shipped(protocol: str) -> Mapping[str, Any]:
    return _read(shipped_profiles()[protocol.replace("/", "-")])


def _defaults(protocol: str, where: str) -> Mapping[str, Any]:
    if protocol not in protocols():
        near = difflib.get_close_matches(protocol, protocols(), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ProfileError(
            f"{where}: there is no protocol {protocol!r}: known are {', '.join(protocols())}{hint}"
        )
    return _shipped(protocol)


def _check(raw: Mapping[str, Any], file: Path) -> None:
    validator = own_validator("profile")
    error = min(validator.iter_errors(raw), key=lambda e: (len(e.absolute_path), str(e.path)), default=None)
    if error is not None:
        raise ProfileError(f"{file}: {_explained(error)}")
    for key, value in _numbers(raw):
        if not math.isfinite(value):
            raise ProfileError(f"{file}: {key}: expected a finite number, got {value}")


def _check_repoint(data: Mapping[str, Any], protocol: str, file: Path) -> None:
    if data.get("repoint", False) is False:
        return
    if not protocol.startswith("agentsmithy/"):
        raise ProfileError(f"{file}: repoint: {protocol} has no way to point a server's model elsewhere")
    if not data.get("script", True):
        raise ProfileError(f"{file}: repoint: there is nothing to point the model at with script = false")


def _explained(error: ValidationError) -> str:
    where = ".".join(str(step) for step in error.absolute_path)
    if error.validator == "additionalProperties":
        schema: Any = error.schema
        instance: Any = error.instance
        known = schema["properties"]
        name = next(key for key in instance if key not in known)
        place = f" in [{where}]" if where else ""
        return f"unknown key {name!r}{place}{_nearest(name, where, known)}"
    problem = describe(error)
    if error.validator in ("pattern", "not") and isinstance(error.schema, Mapping):
        return f"{where}: got {problem.observed}. {error.schema.get('description', problem.expected)}"
    return f"{where or 'the file'}: expected {problem.expected}, got {problem.observed}"


def _nearest(name: str, where: str, known: Mapping[str, Any]) -> str:
    here = difflib.get_close_matches(name, known, n=1)
    if here:
        return f"; did you mean {here[0]!r}?"
    # A right key at the wrong place: `resume` at the top, `turn` in [capabilities].
    elsewhere = [path for path in _paths(own_validator("profile").schema) if path.rsplit(".", 1)[-1] == name]
    if elsewhere:
        return f"; {name!r} belongs to [{elsewhere[0].rpartition('.')[0] or 'the top of the file'}]"
    return f"; known here are {', '.join(sorted(known))}"


def _paths(schema: Any, base: str = "") -> Iterator[str]:
    for name, sub in schema.get("properties", {}).items():
        path = f"{base}.{name}" if base else name
        yield path
        yield from _paths(sub, path)


def _numbers(value: Any, path: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _numbers(item, f"{path}.{index}")
    elif isinstance(value, float):
        yield path, value


def _headers(raw: Mapping[str, str], file: Path, environ: Mapping[str, str]) -> dict[str, str]:
    made: dict[str, str] = {}
    for key, text in raw.items():

        def variable(match: re.Match[str], key: str = key) -> str:
            name = match[1]
            if not match[0].endswith("}") or not _NAME.match(name):
                raise ProfileError(
                    f"{file}: headers.{key}: {match[0]!r} does not name a variable: write ${{NAME}}"
                )
            if name not in environ:
                raise ProfileError(f"{file}: headers.{key}: the environment variable {name} is not set")
            return environ[name]

        value = _VARIABLE.sub(variable, text)
        if _NOT_IN_A_HEADER.search(value) or value != value.strip():
            # The value is a secret: it is not shown.
            raise ProfileError(
                f"{file}: headers.{key}: its value cannot be sent: it has a line end, a control character, "
                "a space at its edge, or a character outside Latin-1"
            )
        made[key] = value
    return made


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, table by table; a tool and a stimulus are replaced as a whole."""
    made = dict(base)
    for key, value in over.items():
        if key in ("capabilities", "tools", "limits", "tls", "stimulus"):
            made[key] = {**base.get(key, {}), **value}
        else:
            made[key] = value
    return made


def _base_url(url: str, where: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ProfileError(f"{where}: {url!r} is no URL: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise ProfileError(
            f"{where}: a URL with credentials would be kept in reports: put them into [headers]"
        )
    if not usable or re.search(r"[\x00-\x20\x7f]", url):
        raise ProfileError(f"{where}: {url!r} is no base URL: expected http://host:port or https://host")
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        shown = re.split("[?#]", url)[0]  # a query may hold a secret
        raise ProfileError(f"{where}: {shown!r} has a query or a fragment: a base URL has none")
    return url.rstrip("/")


def _build(data: Mapping[str, Any], protocol: str, url: str) -> Profile:
    allow = data.get("allow")
    capabilities = dict(data.get("capabilities", {}))
    capabilities["cors"] = tuple(capabilities.get("cors", ()))
    tools = {name: Tool(**tool) if tool else None for name, tool in data.get("tools", {}).items()}
    return Profile(
        protocol=protocol,
        url=url,
        name=data["name"],
        implementation=Implementation(**data.get("implementation", {})),
        headers=tuple(data.get("headers", {}).items()),
        script=data.get("script", True),
        rewrites_text=data.get("rewrites_text", False),
        model_url=data.get("model_url"),
        repoint=Repoint(**repoint) if isinstance(repoint := data.get("repoint"), Mapping) else None,
        workspace=data.get("workspace"),
        agent=data.get("agent", "default"),
        capabilities=Capabilities(**capabilities),
        tools=Tools(**tools),
        limits=Limits(**data.get("limits", {})),
        tls=Tls(**data.get("tls", {})),
        stimulus=tuple((name, Template(**entry)) for name, entry in data.get("stimulus", {}).items()),
        allow=None if allow is None else tuple(Effect(effect) for effect in allow),
        allow_inconclusive=tuple(data.get("allow_inconclusive", ())),
        redact=tuple(data.get("redact", ())),
    )


__all__ = ["ProfileError", "default_profile", "load_profile", "shipped_profiles"]
