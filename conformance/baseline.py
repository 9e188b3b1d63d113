"""Expected failures, a TOML file of `[[expected]]` tables: a gate can be on before everything is green."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from conformance.catalogue import catalogue, protocols
from conformance.findings import Verdict
from conformance.report.model import ResultRow, RunResult

_KEYS = {"requirement", "reason", "expires", "target"}

_DISPROVE = (Verdict.PASS, Verdict.WARN, Verdict.NOTE)  # what is no failure, and was looked at


class BaselineError(ValueError):
    """A baseline that cannot be used. One line: what, where, what was expected."""


@dataclass(frozen=True, slots=True)
class Expected:
    """One failure that is known: why, and until when (the last day on which it counts).

    `target` is a target of the run as its test ids name it ("penguin/2", "penguin/2#2"); "" is every target.
    """

    requirement: str
    reason: str
    expires: date | None = None
    target: str = ""

    def standing(self, verdict: Verdict, today: date) -> str:
        """What became of the entry: "expected" (it hides a failure), "stale", "expired", or "" (nobody could tell).

        A stale or expired entry must be removed. What could not be judged says nothing of the entry.
        """
        if self.expires is not None and today > self.expires:
            return "expired"
        if verdict is Verdict.FAIL:
            return "expected"
        return "stale" if verdict in _DISPROVE else ""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The known failures."""

    entries: tuple[Expected, ...] = ()

    def get(self, requirement: str, target: str = "") -> Expected | None:
        """The entry for that requirement on that target of the run; one that names the target goes first."""
        own = [entry for entry in self.entries if entry.requirement == requirement]
        return next((e for e in own if e.target == target), next((e for e in own if not e.target), None))


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
    names = [(entry.requirement, entry.target) for entry in entries]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        requirement, target = twice[0]
        where = f" for {target}" if target else ""
        raise BaselineError(f"{path}: requirement {requirement} is named twice{where}")
    return Baseline(entries)


def dump(entries: Iterable[Expected]) -> str:
    """The entries as a baseline file."""
    parts = [
        "# Expected failures. An entry that passes, or has expired, turns the run red: remove it then.\n"
    ]
    for entry in entries:
        lines = [f"requirement = {_string(entry.requirement)}", f"reason = {_string(entry.reason)}"]
        lines += [f"target = {_string(entry.target)}"] if entry.target else []
        lines += [f"expires = {entry.expires.isoformat()}"] if entry.expires else []
        parts.append("\n".join(["[[expected]]", *lines, ""]))
    return "\n".join(parts)


def entries_of(runs: Mapping[str, RunResult], known: Baseline) -> tuple[Expected, ...]:
    """What a first baseline must name so that these runs, by the names of their targets, would have been green.

    What the baseline in use says of a failure, and until when, is kept. An entry names its target where another
    target of the run does not fail: there it would be stale.
    """
    failing: dict[str, dict[str, ResultRow]] = {}  # by requirement, then by target
    passing: set[str] = set()
    for target, run in runs.items():
        for row in run.rows:
            if row.verdict in (Verdict.FAIL, Verdict.EXPECTED):
                failing.setdefault(row.requirement, {})[target] = row
            elif row.verdict in _DISPROVE:
                passing.add(row.requirement)
    made: dict[Expected, None] = {}
    for requirement, rows in failing.items():
        for target, row in rows.items():
            old = known.get(requirement, target) if row.verdict is Verdict.EXPECTED else None
            said = row.findings[0].title if row.findings else row.reason
            name = target if requirement in passing or (old is not None and old.target) else ""
            entry = Expected(requirement, said, target=name) if old is None else replace(old, target=name)
            if name or not any(other.requirement == requirement for other in made):
                made[entry] = None
    return tuple(made)


def _string(text: str) -> str:
    """A TOML basic string. It is a JSON string of characters, not of UTF-16 halves, with DEL escaped."""
    shown = text.encode("utf-8", "backslashreplace").decode("utf-8")  # TOML has no lone surrogates
    return json.dumps(shown, ensure_ascii=False).replace("\x7f", "\\u007f")


def _entry(path: Path, number: int, table: Any, known: set[str]) -> Expected:
    where = f"{path}: [[expected]] number {number}"
    if not isinstance(table, dict):
        raise BaselineError(f"{where}: expected a table")
    if unknown := sorted(set(table) - _KEYS):
        raise BaselineError(f"{where}: unknown key {unknown[0]!r}: expected {', '.join(sorted(_KEYS))}")
    requirement, reason, expires = table.get("requirement"), table.get("reason"), table.get("expires")
    target = table.get("target", "")
    if requirement not in known:
        raise BaselineError(
            f"{where}: unknown requirement {requirement!r} (see `sse-conformance requirements`)"
        )
    if not isinstance(reason, str) or not reason.strip():
        raise BaselineError(f"{where} ({requirement}): expected a reason")
    if expires is not None and type(expires) is not date:
        raise BaselineError(f"{where} ({requirement}): expires: expected a date such as 2027-01-31")
    if not isinstance(target, str):
        raise BaselineError(f'{where} ({requirement}): target: expected a name such as "penguin/2"')
    return Expected(requirement, reason, expires, target)
