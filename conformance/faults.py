"""The faults of the reference server, read as the data files that they are: which shows that a requirement can fail.

Nothing of the reference server is imported: its package is only looked up for the folder in which its catalogue lies.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from conformance.catalogue import Requirement, protocols
from conformance.schema_store import SchemaError

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Fault:
    """A way in which the reference server can be wrong on request: the requirement that it breaks, and what it does.

    `serve` are further arguments of the server under which it shows, `declare` further capabilities of the target.
    """

    name: str
    breaks: str
    summary: str
    protocols: tuple[str, ...]
    serve: tuple[str, ...] = ()
    declare: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class _Need:
    """What a requirement takes that applies to few servers: arguments of the server, and lines of the profile."""

    serve: tuple[str, ...] = ()
    top: str = ""
    capability: str = ""


_NEEDS = {
    "auth": _Need(
        ("--auth", "bearer:secret"), '[headers]\nAuthorization = "Bearer secret"\n', 'auth = "bearer"'
    ),
    "cors": _Need(("--cors", "http://localhost:3000"), "", 'cors = ["http://localhost:3000"]'),
    "max_body": _Need(("--max-body", "8388608"), "", "max_body = 8388608"),
    "retention": _Need(("--replay-buffer", "2000"), "", "retention = 2000"),
    "history": _Need((), "", "history = true"),
    "workspace": _Need((), 'workspace = "/workspace"\n', "workspace = true"),
    "rate_limit": _Need(),
}


def commands(fault: Fault, requirement: Requirement, protocol: str) -> str:
    """The shell commands that show a fault: the server with it, a profile if one is needed, the suite."""
    need = _NEEDS.get(requirement.capability)
    target = f"http://127.0.0.1:8000/{protocol}"
    serve = ["sse-conformance", "serve", "--port", "8000", "--fault", fault.name]
    serve += [*(need.serve if need else ()), *fault.serve]
    test = ["sse-conformance", "test", target, "--sse-only", requirement.id]
    if need is None and not fault.declare:
        return f"{shlex.join(serve)} &\n{shlex.join([*test, '--sse-protocol', protocol])}"
    declared = [f"{name} = {json.dumps(value)}" for name, value in fault.declare]
    declared += [need.capability] if need and need.capability else []
    top = need.top if need else ""
    profile = "\n".join([f'protocol = "{protocol}"', *top.splitlines(), "[capabilities]", *declared])
    written = f"cat > target.toml <<'END'\n{profile}\nEND"
    return f"{shlex.join(serve)} &\n{written}\n{shlex.join([*test, '--sse-profile', 'target.toml'])}"


def faults_of(requirement: str, protocol: str) -> tuple[Fault, ...]:
    """The faults that break a requirement in a protocol revision, in the catalogue's order."""
    return tuple(fault for fault in faults().get(requirement, ()) if protocol in fault.protocols)


@cache
def faults() -> Mapping[str, tuple[Fault, ...]]:
    """Every fault by the requirement that it breaks; empty where the reference server is not installed.

    Raises `SchemaError` for a catalogue that cannot be read.
    """
    found: dict[str, tuple[Fault, ...]] = {}
    package = find_spec("reference_server")
    folders = () if package is None else tuple(package.submodule_search_locations or ())
    for path in sorted(file for folder in folders for file in (Path(folder) / "faults").glob("*.yaml")):
        try:
            entries = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)["entries"]
            for entry in entries:
                if "breaks" in entry:
                    found[entry["breaks"]] = (*found.get(entry["breaks"], ()), _fault(entry))
        except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            raise SchemaError(f"{path}: {' '.join(str(error).split())}") from None
    return found


def _fault(entry: Mapping[str, Any]) -> Fault:
    revisions = entry.get("revisions", "all")
    return Fault(
        entry["name"],
        entry["breaks"],
        entry["summary"],
        protocols() if revisions == "all" else tuple(revisions),
        tuple(entry.get("serve", ())),
        tuple(sorted(entry.get("declare", {}).items())),
    )
