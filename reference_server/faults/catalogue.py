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
    """A fault or variant, or a parameter of one, that is not in the catalogue. One line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A fault or variant as the catalogue has it.

    `breaks` is the requirement that a fault breaks ("" for a variant), `follows` what turns red or yellow
    because of it, by revision where it differs ("*" for all). For a variant, `warns` are the warnings that
    it may cause. `serve` are further arguments of the server under which it shows, `declare` further
    members of the target's capabilities; `judge`: ids to which its judgement is restricted, where the rest
    of a run is beside the point.

    Of kind "load" is what no requirement shows and a load test finds: `moves` are the counts and measures by
    which it does, the one that names it first. `parameters` can be chosen, and have these defaults.
    """

    name: str
    kind: str  # "fault", "variant" or "load"
    area: str
    summary: str
    revisions: tuple[str, ...]
    breaks: str
    follows: tuple[str, ...]
    warns: tuple[str, ...]
    serve: tuple[str, ...]
    declare: tuple[tuple[str, Any], ...]
    judge: tuple[str, ...]
    moves: tuple[str, ...]
    parameters: tuple[tuple[str, int], ...]

    @property
    def judged(self) -> bool:
        """Whether the conformance suite shows it, by turning red or by staying green."""
        return self.kind != "load"


@dataclass(frozen=True, slots=True)
class Choice:
    """An entry, and its parameters as they were chosen."""

    entry: Entry
    parameters: dict[str, int]


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


def choose(text: str) -> Choice:
    """The entry that is meant by `NAME` or `NAME:PARAMETER=N,…`. Raises `UnknownFaultError`."""
    name, _, given = text.partition(":")
    entry = find(name)
    parameters = dict(entry.parameters)
    for each in given.split(",") if given else ():
        key, _, number = each.partition("=")
        if key not in parameters:
            known = ", ".join(parameters) or "none"
            raise UnknownFaultError(f"{name} has no parameter {key!r} (it has: {known})")
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise UnknownFaultError(f"the parameter {key} of {name} must be a whole number, not {number!r}")
        parameters[key] = int(number)
    if parameters.get("every") == 0:
        raise UnknownFaultError(f"the parameter every of {name} must be at least 1")
    return Choice(entry, parameters)


def _entry(area: str, data: dict[str, Any]) -> Entry:
    revisions = data.get("revisions", "all")
    return Entry(
        name=data["name"],
        kind="fault" if "breaks" in data else "load" if "moves" in data else "variant",
        area=area,
        summary=data["summary"],
        revisions=REVISIONS if revisions == "all" else tuple(revisions),
        breaks=data.get("breaks", ""),
        follows=tuple(data.get("follows", ())),
        warns=tuple(data.get("warns", ())),
        serve=tuple(data.get("serve", ())),
        declare=tuple(sorted(data.get("declare", {}).items())),
        judge=tuple(data.get("judge", ())),
        moves=tuple(data.get("moves", ())),
        parameters=tuple(data.get("parameters", {}).items()),
    )
