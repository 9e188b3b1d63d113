"""Expected failures, a TOML file of `[[expected]]` tables: a gate can be on before everything is green."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from conformance.catalogue import catalogue, protocols

_KEYS = {"requirement", "reason", "expires"}


class BaselineError(ValueError):
    """A baseline that cannot be used. One line: what, where, what was expected."""


@dataclass(frozen=True, slots=True)
class Expected:
    """One failure that is known: why, and until when (the last day on which it counts)."""

    requirement: str
    reason: str
    expires: date | None = None

    def expired(self, today: date) -> bool:
        """Whether the entry no longer counts."""
        return self.expires is not None and today > self.expires


@dataclass(frozen=True, slots=True)
class Baseline:
    """The known failures by requirement id."""

    entries: tuple[Expected, ...] = ()

    def get(self, requirement: str) -> Expected | None:
        """The entry for that requirement."""
        return next((entry for entry in self.entries if entry.requirement == requirement), None)


def load(path: Path) -> Baseline:
    """Read a baseline file. Raises `BaselineError`, also for ids that no catalogue has."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BaselineError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BaselineError(f"{path}: not TOML: {error}") from None
    tables = raw.get("expected", [])
    if set(raw) - {"expected"} or not isinstance(tables, list):
        raise BaselineError(f"{path}: expected nothing but [[expected]] tables")
    known = {row.id for protocol in protocols() for row in catalogue(protocol).requirements}
    entries = tuple(_entry(path, number, table, known) for number, table in enumerate(tables, 1))
    ids = [entry.requirement for entry in entries]
    if twice := sorted({name for name in ids if ids.count(name) > 1}):
        raise BaselineError(f"{path}: requirement {twice[0]} is named twice")
    return Baseline(entries)


def dump(failed: Iterable[tuple[str, str]]) -> str:
    """A first baseline: pairs of requirement id and what failed."""
    parts = [
        "# Expected failures. An entry that passes, or has expired, turns the run red: remove it then.\n"
    ]
    for requirement, reason in failed:
        # A JSON string is a TOML basic string.
        parts.append(
            f"[[expected]]\nrequirement = {json.dumps(requirement)}\nreason = {json.dumps(reason)}\n"
        )
    return "\n".join(parts)


def _entry(path: Path, number: int, table: Any, known: set[str]) -> Expected:
    where = f"{path}: [[expected]] number {number}"
    if not isinstance(table, dict):
        raise BaselineError(f"{where}: expected a table")
    if unknown := sorted(set(table) - _KEYS):
        raise BaselineError(f"{where}: unknown key {unknown[0]!r}: expected {', '.join(sorted(_KEYS))}")
    requirement, reason, expires = table.get("requirement"), table.get("reason"), table.get("expires")
    if requirement not in known:
        raise BaselineError(
            f"{where}: unknown requirement {requirement!r} (see `sse-conformance requirements`)"
        )
    if not isinstance(reason, str) or not reason.strip():
        raise BaselineError(f"{where} ({requirement}): expected a reason")
    if expires is not None and type(expires) is not date:
        raise BaselineError(f"{where} ({requirement}): expires: expected a date such as 2027-01-31")
    return Expected(requirement, reason, expires)
