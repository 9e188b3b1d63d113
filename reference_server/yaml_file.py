"""YAML files judged by a schema of ours, with the line of whatever is wrong in them."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry, Resource

MAX_FILE = 1024 * 1024  # bytes


class YamlError(ValueError):
    """A file that cannot be used. One line: file, line, what is wrong."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file's data, and where each value stands in it."""

    path: Path
    data: Any
    root: yaml.Node

    def line(self, steps: Sequence[str | int]) -> int:
        """The line (from 1) of the value that the steps lead to, or of the last one on the way to it."""
        node = self.root
        line = node.start_mark.line
        for step in steps:
            found: yaml.Node | None = None
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    if key.value == step:
                        found, line = value, key.start_mark.line
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                found = node.value[step]
                line = found.start_mark.line
            if found is None:
                break
            node = found
        return line + 1


class _Loader(yaml.SafeLoader):
    """YAML with JSON's data: no aliases (they can grow without bound), no key twice, no dates."""

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases are not allowed", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise yaml.MarkedYAMLError(problem="a key must be a string", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(path: Path, schema: str) -> Document:
    """A file that the named schema accepts. Raises `YamlError`, one line with file and line."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise YamlError(f"{path}: larger than {MAX_FILE} bytes")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise YamlError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise YamlError(f"{path}: not UTF-8") from None
    document = _parse(path, text)
    problems = list(_validator(schema).iter_errors(document.data))
    # an unknown key is often a known one mistyped: it says more than the one that is missing
    unknown_keys = (problem for problem in problems if problem.validator == "additionalProperties")
    problem = next(unknown_keys, None) or best_match(problems)
    if problem is not None:
        steps = list(problem.absolute_path)
        if problem.validator == "additionalProperties" and isinstance(problem.instance, dict):
            known = problem.schema.get("properties", {})
            unknown = [key for key in problem.instance if key not in known]
            steps += unknown[:1]
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")
        message = " ".join(problem.message.split())
        message = message if len(message) <= 200 else message[:199] + "…"
        raise YamlError(f"{path}:{document.line(steps)}: {where + ': ' if where else ''}{message}")
    return document


def _parse(path: Path, text: str) -> Document:
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        data = None if root is None else loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError(f"{path}:{mark.line + 1 if mark else 1}: {error.problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(f"{path}:{line}: {error.reason}") from None
    except ValueError as error:
        raise YamlError(f"{path}: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise YamlError(f"{path}: nested too deeply") from None
    if root is None:
        raise YamlError(f"{path}:1: the file is empty")
    return Document(path, data, root)


def schema_folder() -> Path:
    """Where the schemas lie: inside the installed package `conformance`, else beside it in a checkout.

    They are read as data: the package is found without being imported.
    """
    found = importlib.util.find_spec("conformance")
    for place in (found.submodule_search_locations or []) if found else []:
        if (inside := Path(place) / "schemas").is_dir():
            return inside
    return Path(__file__).parent.parent / "schemas"


@cache
def _validator(name: str) -> Draft202012Validator:
    own = schema_folder() / "own"
    schemas = {path.name: json.loads(path.read_text("utf-8")) for path in own.glob("*.schema.json")}
    resources = [
        (uri, Resource.from_contents(schema))
        for file, schema in schemas.items()
        for uri in {file, schema.get("$id", file)}
    ]
    registry: Registry[Any] = Registry().with_resources(resources)
    return Draft202012Validator(schemas[f"{name}.schema.json"], registry=registry)
