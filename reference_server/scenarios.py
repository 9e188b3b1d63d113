"""Named scenarios: YAML files that hold scripts, and which script a prompt gets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reference_server.script import Script, ScriptError, parse_script, read_directive
from reference_server.yaml_file import YamlError, read_yaml

FOLDER = Path(__file__).parent / "scenarios"
_NAME = r"[A-Za-z0-9][A-Za-z0-9_-]*"
_DIRECTIVE = re.compile(rf"\[\[scenario ({_NAME})\]\]")


class ScenarioError(ValueError):
    """A scenario that cannot be had. One line: file, line, what is wrong."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A script with a name and one line on what it shows."""

    name: str
    summary: str
    script: Script


class Scenarios:
    """The scenarios there are, by name, and what the agent does without any directive."""

    def __init__(self, named: Mapping[str, Scenario], default: Script) -> None:
        self._named = named
        self._default = default

    def script_for(self, prompt: str) -> Script:
        """The script of a prompt: its `[[script …]]`, else its `[[scenario NAME]]`, else the default.

        Raises `ScriptError`, in one line.
        """
        script = read_directive(prompt)
        if script is not None:
            return script
        found = _DIRECTIVE.search(prompt)
        if found is None:
            return self._default
        scenario = self._named.get(found[1])
        if scenario is None:
            raise ScriptError((), _unknown(found[1], self._named))
        return scenario.script


def shipped() -> dict[str, Scenario]:
    """The scenarios that come with the server. Raises `ScenarioError`."""
    scenarios = [read_scenario(path) for path in sorted(FOLDER.glob("*.yaml"))]
    return {scenario.name: scenario for scenario in scenarios}


def load(name_or_file: str, named: Mapping[str, Scenario]) -> Scenario:
    """A shipped scenario by its name, else one from a file. Raises `ScenarioError`."""
    if name_or_file in named:
        return named[name_or_file]
    if re.fullmatch(_NAME, name_or_file) and not Path(name_or_file).is_file():
        raise ScenarioError(_unknown(name_or_file, named))
    return read_scenario(Path(name_or_file))


def read_scenario(path: Path) -> Scenario:
    """A scenario from a YAML file. Raises `ScenarioError`, which names file and line."""
    try:
        document = read_yaml(path, "scenario")
        script = parse_script(document.data["script"])
    except YamlError as error:
        raise ScenarioError(str(error)) from None
    except ScriptError as error:
        line = document.line(("script", *error.path))
        raise ScenarioError(f"{path}:{line}: {error}") from None
    return Scenario(document.data["name"], document.data["summary"], script)


def _unknown(name: str, named: Mapping[str, Scenario]) -> str:
    return f"no scenario is named {name!r}; known: {', '.join(sorted(named)) or 'none'}"
