"""Mutation testing of our own judgement: would the tests notice if the decoder or a rule were slightly wrong?

    python tests/proof/mutants.py                        every mutant: about an hour on two cores
    python tests/proof/mutants.py --module _framing      only modules whose path holds this
    python tests/proof/mutants.py --survivors            only those that lived last time

cosmic-ray makes the mutants; each is tried in a process of its own, in a scratch clone of the last commit. The test
files that reach the mutant's line (as coverage measured) are run, quick ones first, until one fails.

Not counted: what changes wording alone (f-strings, `__repr__`), annotations, and all but one or two of the many ways to
replace one and the same comparison or sum (`mutation.OPERATORS`). Survivors are explained in `survivors.yaml`.
Writes `reports/published/mutants.md`, and `.mutants.json` for `--survivors`. Exit status 0 where at least 90 % are
killed and every survivor is explained, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import coverage

# What the tests import beside the package: imported before any trial forks, so that none pays for it.
import httpx
import httpx_sse
import hypothesis
import jsonschema
import pytest
import starlette.applications
import uvicorn
import yaml

from mutation import Mutant, Trials, mutants_of  # isort: skip  (beside this file)

PRELOADED = (httpx, httpx_sse, hypothesis, jsonschema, pytest, starlette.applications, uvicorn)
ROOT = Path(__file__).resolve().parents[2]
LAST = ROOT / ".mutants.json"
PUBLISHED = ROOT / "reports/published/mutants.md"
SURVIVORS = Path(__file__).with_name("survivors.yaml")
MODULES = (
    "conformance/wire.py",
    "conformance/_framing.py",
    "conformance/_fields.py",
    "conformance/rules/*.py",
)
# Tests that start no server: they judge bytes and observations, so that a trial takes about a second.
TESTS = (
    "tests/wire/*.py",
    "tests/rules_sse/test_*.py",
    "tests/penguin/test_*.py",
    "tests/agentsmithy/test_*.py",
    "tests/transport/test_*_rules.py",
    "tests/schemas/test_catalogue.py",
)
SLOW = ("_reference.py", "_probes.py", "_probe.py", "_driver.py")
GOAL = 0.9
PATIENCE = 5.0  # times what the tests take without a mutation, and ten seconds: then it is taken to loop


@dataclass(frozen=True, slots=True)
class Tried:
    """A mutant and what became of it. `state`: "killed", "lived", or "unreached" (no test runs its line)."""

    mutant: Mutant
    state: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Reach:
    """Which test files run which lines (`files`, by module and line), and how long each takes."""

    files: dict[tuple[str, int], frozenset[str]]
    seconds: dict[str, float]

    def of(self, mutant: Mutant) -> list[str]:
        """The files that reach a mutant, quick ones first. A line that runs at import is reached by whatever
        reaches the module at all."""
        found = self.files.get((mutant.module, mutant.line), frozenset())
        if "" in found:
            found |= {
                name for (module, _), names in self.files.items() if module == mutant.module for name in names
            }
        return sorted(found - {""}, key=lambda name: (self.seconds.get(name, 0.0), name))


def clone(scratch: Path) -> Path:
    """The last commit, where nobody edits it meanwhile."""
    root = scratch / "tree"
    subprocess.run(["git", "clone", "--quiet", "--shared", str(ROOT), str(root)], check=True)
    return root


def measure(root: Path, scratch: Path) -> Reach:
    """Run the tests once, unmutated. Ends the program where they fail."""
    tests = [
        path.relative_to(root).as_posix()
        for pattern in TESTS
        for path in sorted(root.glob(pattern))
        if path.name.startswith("test_") and not path.name.endswith(SLOW)
    ]
    data, junit = scratch / "coverage", scratch / "junit.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += ["--cov=conformance", "--cov-context=test", "--cov-report=", f"--junit-xml={junit}", *tests]
    env = dict(os.environ, PYTHONPATH=str(root), COVERAGE_FILE=str(data))
    began = time.monotonic()
    run = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"the tests fail without any mutation:\n{run.stdout[-3000:]}{run.stderr[-1000:]}")
    print(f"{len(tests)} test files, {time.monotonic() - began:.0f} s with coverage", flush=True)
    return Reach(_reached(root, data), _durations(junit))


def _reached(root: Path, data: Path) -> dict[tuple[str, int], frozenset[str]]:
    measured = coverage.CoverageData(basename=str(data))
    measured.read()
    files: dict[tuple[str, int], frozenset[str]] = {}
    for name in measured.measured_files():
        path = Path(name)
        if not path.is_relative_to(root):
            continue
        module = path.relative_to(root).as_posix()
        for line, contexts in measured.contexts_by_lineno(name).items():
            files[module, line] = frozenset(context.partition("::")[0] for context in contexts)
    return files


def _durations(junit: Path) -> dict[str, float]:
    from xml.etree import ElementTree  # our own file, made a moment ago

    seconds: dict[str, float] = defaultdict(float)
    for case in ElementTree.parse(junit).iter("testcase"):
        name = case.get("classname", "").replace(".", "/") + ".py"
        seconds[name] += float(case.get("time", "0"))
    return dict(seconds)


def trials(
    mutants: Sequence[Mutant], root: Path, reach: Reach, workers: int, scratch: Path
) -> Iterator[Tried]:
    """Every mutant, tried."""

    unchanged = Mutant("conformance/wire.py", "", 0, 1, 0, "")
    everything = [(unchanged, root, sorted(reach.seconds), 600.0)]
    for _, killed, _, said in Trials(1, scratch).run(iter(everything)):
        if killed:
            sys.exit(f"the trial of an unchanged module fails, so no trial says anything:\n{said}")

    def work() -> Iterator[tuple[Mutant, Path, Sequence[str], float]]:
        for mutant in mutants:
            tests = reach.of(mutant)
            if tests:
                alone = sum(reach.seconds.get(name, 0.0) for name in tests)
                yield mutant, root, tests, 10 + PATIENCE * alone

    for mutant in mutants:
        if not reach.of(mutant):
            yield Tried(mutant, "unreached")
    for mutant, killed, seconds, _ in Trials(workers, scratch).run(work()):
        yield Tried(mutant, "killed" if killed else "lived", round(seconds, 1))


def explained() -> dict[tuple[str, str], str]:
    """The reasons of `survivors.yaml`, by module and key."""
    if not SURVIVORS.exists():
        return {}
    rows = yaml.safe_load(SURVIVORS.read_text(encoding="utf-8")) or []
    return {(row["module"], row["mutant"]): row["reason"] for row in rows}


def document(tried: Sequence[Tried], reasons: dict[tuple[str, str], str]) -> str:
    """The Markdown page: how many were killed, by module, and each survivor with its reason."""
    modules: dict[str, list[Tried]] = defaultdict(list)
    for each in tried:
        modules[each.mutant.module].append(each)
    killed = sum(each.state == "killed" for each in tried)
    lines = ["# Mutants of the decoder and the rules", "", __doc__.split("\n\n")[2].replace("\n", " "), ""]
    lines += [f"**{killed} of {len(tried)} killed: {killed / len(tried):.1%}** (goal: {GOAL:.0%}).", ""]
    lines += ["| module | mutants | killed | lived | unreached |", "| --- | --- | --- | --- | --- |"]
    for module, rows in sorted(modules.items()):
        count = [sum(each.state == state for each in rows) for state in ("killed", "lived", "unreached")]
        lines.append(f"| {module} | {len(rows)} | " + " | ".join(map(str, count)) + " |")
    lines += ["", "## Survivors", "", "| where | mutant | reason |", "| --- | --- | --- |"]
    for each in sorted(tried, key=lambda each: (each.mutant.module, each.mutant.line, each.mutant.column)):
        if each.state != "killed":
            mutant = each.mutant
            reason = reasons.get((mutant.module, mutant.key), "not explained yet")
            text = mutant.text.replace("|", "\\|")
            where = f"{mutant.module}:{mutant.line}:{mutant.column}"
            lines.append(f"| {where} | {mutant.operator}: `{text}` | {reason} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--module", action="append", default=[], help="only modules whose path holds this")
    parser.add_argument("--survivors", action="store_true", help="only those that lived last time")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    last = [Tried(Mutant(**row["mutant"]), row["state"], row["seconds"]) for row in _last()]
    lived = {(each.mutant.module, each.mutant.key) for each in last if each.state != "killed"}
    with tempfile.TemporaryDirectory(prefix="mutants-") as made:
        scratch = Path(made)
        root = clone(scratch)
        paths = [path for pattern in MODULES for path in sorted(root.glob(pattern))]
        mutants = [
            mutant
            for path in paths
            if not options.module or any(name in path.as_posix() for name in options.module)
            for mutant in mutants_of(root, path)
            if not options.survivors or (mutant.module, mutant.key) in lived
        ]
        if not mutants:
            print("no mutant is chosen", file=sys.stderr)
            return 1
        reach = measure(root, scratch)
        tried: list[Tried] = []
        for each in trials(mutants, root, reach, options.workers, scratch):
            tried.append(each)
            if each.state != "killed":
                print(f"{each.state} {each.mutant.module}:{each.mutant.line} {each.mutant.key}", flush=True)
            if len(tried) % 100 == 0:
                print(f"{len(tried)} of {len(mutants)}", flush=True)
    again = {(each.mutant.module, each.mutant.key, each.mutant.occurrence) for each in tried}
    partly = bool(options.module or options.survivors)
    kept = (
        [e for e in last if (e.mutant.module, e.mutant.key, e.mutant.occurrence) not in again]
        if partly
        else []
    )
    merged = kept + tried
    LAST.write_text(json.dumps([asdict(each) for each in merged]), encoding="utf-8")
    reasons = explained()
    if not partly:
        PUBLISHED.write_text(document(merged, reasons), encoding="utf-8")
    killed = sum(each.state == "killed" for each in merged)
    open_ones = [e for e in merged if e.state != "killed" and (e.mutant.module, e.mutant.key) not in reasons]
    print(
        f"{killed} of {len(merged)} killed: {killed / len(merged):.1%}; {len(open_ones)} survivors without a reason"
    )
    return 0 if killed >= GOAL * len(merged) and not open_ones else 1


def _last() -> list[dict[str, object]]:
    return json.loads(LAST.read_text(encoding="utf-8")) if LAST.exists() else []


if __name__ == "__main__":
    sys.exit(main())
