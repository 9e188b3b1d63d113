"""The catalogue of faults and variants: data only, from the YAML files beside this module."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from reference_server.yaml_file import read_yaml

FOLDER = Path(__file__).parent
REVISIONS = ("agentsmithy/1", "agentsmithy/2", "penguin/1", "penguin/2", "opencode/1")


class UnknownFaultError(ValueError):
    """A fault or variant that is not in the catalogue. One line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A fault or variant as the catalogue has it.

    `breaks` is the requirement that a fault breaks ("" for a variant), `follows` what turns red or yellow
    because of it, by revision where it differs ("*" for all). For a variant, `warns` are the warnings that
    it may cause. `serve` are further arguments of the server under which it shows, `declare` further
    members of the target's capabilities; `judge`: ids to which its judgement is restricted, where the rest
    of a run is beside the point.
    """

    name: str
    kind: str  # "fault" or "variant"
    area: str
    summary: str
    revisions: tuple[str, ...]
    breaks: str
    follows: tuple[str, ...]
    warns: tuple[str, ...]
    serve: tuple[str, ...]
    declare: tuple[tuple[str, Any], ...]
    judge: tuple[str, ...]


@cache
def entries() -> dict[str, Entry]:
    """Every entry by name. Raises `YamlError` for a catalogue that its schema refuses."""
    found: dict[str, Entry] = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        for data in read_yaml(path, "faults").data["entries"]:
            entry = _entry(path.stem, data)
            if entry.name in found:
                raise ValueError(f"{path}: the name {entry.name!r} stands twice in the catalogue")
            found[entry.name] = entry
    return found


def find(name: str) -> Entry:
    """The entry of that name. Raises `UnknownFaultError`."""
    entry = entries().get(name)
    if entry is None:
        raise UnknownFaultError(f"no fault or variant is named {name!r} (see --list-faults)")
    return entry


def _entry(area: str, data: dict[str, Any]) -> Entry:
    revisions = data.get("revisions", "all")
    return Entry(
        name=data["name"],
        kind="fault" if "breaks" in data else "variant",
        area=area,
        summary=data["summary"],
        revisions=REVISIONS if revisions == "all" else tuple(revisions),
        breaks=data.get("breaks", ""),
        follows=tuple(data.get("follows", ())),
        warns=tuple(data.get("warns", ())),
        serve=tuple(data.get("serve", ())),
        declare=tuple(sorted(data.get("declare", {}).items())),
        judge=tuple(data.get("judge", ())),
    )
