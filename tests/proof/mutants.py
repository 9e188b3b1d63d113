"""Mutation testing of our own judgement: would the tests notice if the decoder or a rule were slightly wrong?

    python tests/proof/mutants.py                        every mutant
    python tests/proof/mutants.py --module _framing      only modules whose path holds this
    python tests/proof/mutants.py --open                 only those not tried yet, and survivors without a reason,
                                  --effort 12            by more tests than the likeliest

cosmic-ray makes the mutants of the last commit. Each is tried in a process of its own by the tests that reach its line
(as coverage measured, up to some seconds of them: those first that killed its neighbours, then quick ones that go
different ways through the module), until one fails.

Not counted: what changes wording alone (f-strings, titles, `__repr__`), annotations, decorators that register no check,
all but one or two of the many ways to replace one and the same comparison or sum, and of mutants that compile to the
same instructions all but one (see `mutation.py`).

Survivors are explained in `survivors.yaml`. What became of each mutant is kept in `.mutants.jsonl` as soon as it is
tried, for as long as its line is what it was, and `reports/published/mutants.md` is written where that is known of
all. Exit status 0 where at least 90 % are killed and every survivor is explained, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

# What the tests import beside the package: imported before any trial forks, so that none pays for it.
import httpx
import httpx_sse
import jsonschema
import orjson
import starlette.applications
import uvicorn
import yaml

from mutation import Mutant, Mutation, mutants_of  # isort: skip  (beside this file)
from reach import CHOSEN, Reach, measure, test_files  # isort: skip
from trials import Crew, Outcome, Warm, Watch, prepare_cold, run_cold, warm_session  # isort: skip

PRELOADED = (httpx, httpx_sse, jsonschema, orjson, starlette.applications, uvicorn)
ROOT = Path(__file__).resolve().parents[2]
LAST = ROOT / ".mutants.jsonl"
REACH = ROOT / ".mutants.reach.json"
PUBLISHED = ROOT / "reports/published/mutants.md"
SURVIVORS = Path(__file__).with_name("survivors.yaml")
MODULES = (
    "conformance/wire.py",
    "conformance/_framing.py",
    "conformance/_fields.py",
    "conformance/rules/*.py",
)
GOAL = 0.9
REGISTRY = "tests/rules_sse/test_checks.py"  # its tests read what importing a rule registers
LIKELY = 12  # tests of a cold trial's first round: one file or two are collected sooner than all


@dataclass(frozen=True, slots=True)
class Tried:
    """A mutant and what became of it. `state`: "killed", "lived", or "unreached" (no test runs its line)."""

    mutant: Mutant
    state: str
    killer: str = ""
    seconds: float = 0.0


class Run:
    """All trials of one run: who is tried how, and what became of them."""

    def __init__(self, root: Path, scratch: Path, reach: Reach, workers: int) -> None:
        self._root = root
        self._scratch = scratch
        self._reach = reach
        self._watch = Watch(reach.seconds)
        self._workers = workers
        self._total = self._done = 0
        self._killers: dict[str, Counter[str]] = defaultdict(Counter)  # of each module's mutants

    def all(self, mutations: Sequence[Mutation]) -> None:
        """Try them."""
        self._total = len(mutations)
        cold: list[Mutation] = []

        def body(warm: Warm) -> None:
            crew = Crew(self._workers, self._scratch, self._note)
            for mutation in mutations:
                mutant = mutation.mutant
                tests = self._order(mutant, self._reach.of(mutant.module, mutant.line))
                imported = (mutant.module, mutant.line) in self._reach.at_import
                swaps = [] if imported else warm.swaps(mutation)
                if not swaps:
                    cold.append(mutation)
                elif not tests:
                    self._add(Tried(mutant, "unreached"))
                else:
                    crew.send(mutant, lambda result, s=swaps, t=tests: warm.run(s, t, result))  # type: ignore[misc]
            crew.finish()
            self._innocent(warm)

        prepare_cold(self._root)
        # The warm session imports the package, so it has a process of its own; the cold trials come after it.
        tell, hear = _pipe()
        child = os.fork()
        if not child:
            status = 1
            try:
                hear.close()
                warm_session(self._root, [*CHOSEN, *test_files(self._root)], self._watch, body)
                with tell:
                    json.dump([mutation.mutant.identity for mutation in cold], tell)
                status = 0
            finally:
                sys.stdout.flush()
                os._exit(status)
        tell.close()
        with hear:
            said = hear.read()
        if os.waitpid(child, 0)[1]:
            sys.exit(1)
        left = {tuple(each) for each in json.loads(said)}
        self._done = self._total - len(left)
        self._cold([mutation for mutation in mutations if mutation.mutant.identity in left])

    def _innocent(self, warm: Warm) -> None:
        """Without a mutation none of the tests that killed may fail, alone as they were, or the trials say nothing.

        What they killed is forgotten then.
        """
        tried = kept()
        killers = Counter(each.killer for each in tried.values())
        told: list[Outcome] = []
        crew = Crew(self._workers, self._scratch, told.append)
        for test in warm.tests:
            if test in killers:
                name = Mutant(test, "", 0, 0, 0, 0, "")
                crew.send(name, lambda result, t=test: warm.run([], [t], result))  # type: ignore[misc]
        crew.finish()
        guilty = [outcome for outcome in told if outcome.killer]
        for outcome in guilty:
            name = outcome.mutant.module
            print(f"{name} fails without a mutation, and killed {killers[name]}:\n{outcome.said}", flush=True)
        if guilty:
            names = {outcome.mutant.module for outcome in guilty}
            keep((each for each in tried.values() if each.killer not in names), "w")
            sys.exit(1)

    def _cold(self, mutations: Sequence[Mutation]) -> None:
        crew = Crew(self._workers, self._scratch, self._note)
        for mutation in mutations:
            mutant = mutation.mutant
            tests = self._order(mutant, self._reach.of_module(mutant.module))
            registry = [each for each in self._reach.seconds if each.startswith(REGISTRY)]
            tests = list(dict.fromkeys(registry + tests if mutant.text[0] == "@" else tests + registry))
            rounds = tests[:LIKELY], tests[LIKELY:]
            crew.send(
                mutant,
                lambda result, m=mutation, r=rounds: run_cold(m, [t for t in r if t], self._watch, result),  # type: ignore[misc]
            )
        crew.finish()

    def _order(self, mutant: Mutant, tests: list[str]) -> list[str]:
        """Those first that have killed its neighbours, or have a name that its line holds."""
        killers = self._killers[mutant.module]
        named = [part for part in mutant.text.split('"')[1::2] if part.isupper() or "-" in part]
        return sorted(tests, key=lambda test: (not any(n in test for n in named), -killers[test]))

    def _note(self, outcome: Outcome) -> None:
        mutant = outcome.mutant
        if outcome.killer:
            killers = self._killers[mutant.module]
            for test in killers:
                killers[test] *= 0.8  # type: ignore[assignment]  # what killed long ago is far away
            killers[outcome.killer] += 1
        state = "killed" if outcome.killer else "lived"
        self._add(Tried(mutant, state, outcome.killer, round(outcome.seconds, 3)))

    def _add(self, tried: Tried) -> None:
        keep([tried])
        self._done += 1
        mutant = tried.mutant
        if tried.state != "killed":
            print(f"{tried.state} {mutant.module}:{mutant.line} {mutant.key}", flush=True)
        if self._done % 200 == 0:
            print(f"{self._done} of {self._total}", flush=True)


def _pipe():  # type: ignore[no-untyped-def]
    read, write = os.pipe()
    return os.fdopen(write, "w"), os.fdopen(read)


def processor() -> float:
    """Seconds of processor time that this program and its children have taken so far."""
    return sum(os.times()[:4])


def clone(scratch: Path) -> Path:
    """The last commit, where nobody edits it meanwhile."""
    root = scratch / "tree"
    subprocess.run(["git", "clone", "--quiet", "--shared", str(ROOT), str(root)], check=True)
    return root


def explained() -> dict[tuple[str, str], str]:
    """The reasons of `survivors.yaml`, by module and key."""
    if not SURVIVORS.exists():
        return {}
    rows = yaml.safe_load(SURVIVORS.read_text(encoding="utf-8")) or []
    return {
        (module, key): row["reason"]
        for row in rows
        for module, keys in row["mutants"].items()
        for key in keys
    }


def document(tried: Sequence[Tried], reasons: dict[tuple[str, str], str]) -> str:
    """The Markdown page: how many were killed, by module, and each survivor with its reason."""
    modules: dict[str, list[Tried]] = defaultdict(list)
    for each in tried:
        modules[each.mutant.module].append(each)
    killed = sum(each.state == "killed" for each in tried)
    paragraphs = (__doc__ or "").split("\n\n")
    lines = [
        "# Mutants of the decoder and the rules",
        "",
        *(p.replace("\n", " ") + "\n" for p in paragraphs[2:4]),
    ]
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
    parser.add_argument(
        "--open", action="store_true", help="only those not tried yet, and survivors without a reason"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--effort", type=float, default=4.0, help="seconds of tests that a mutant has to live through"
    )
    options = parser.parse_args()
    known, reasons = kept(), explained()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as made:
        scratch = Path(made)
        root = clone(scratch)
        paths = [path for pattern in MODULES for path in sorted(root.glob(pattern))]
        every = [mutation for path in paths for mutation in mutants_of(root, path)]
        chosen = [
            mutation
            for mutation in every
            if not options.module or any(name in mutation.mutant.module for name in options.module)
        ]
        if not chosen:
            print("no mutant is chosen", file=sys.stderr)
            return 1
        mutations = [
            mutation
            for mutation in chosen
            if not options.open or _is_open(known.get(mutation.mutant.standing), reasons)
        ]
        if mutations:
            modules = [path.relative_to(root).as_posix() for path in paths]
            reach = replace(measure(root, scratch, modules, REACH), effort=options.effort)
            print(f"{len(reach.seconds)} tests, {time.monotonic() - began:.0f} s", flush=True)
            Run(root, scratch, reach, options.workers).all(mutations)
    known = kept()
    mutants = [each.mutant for each in every]
    merged = [replace(known[each.standing], mutant=each) for each in mutants if each.standing in known]
    keep(merged, "w")
    if len(merged) == len(every):
        lived = {(each.mutant.module, each.mutant.key) for each in merged if each.state != "killed"}
        for module, key in sorted(reasons.keys() - lived):
            print(f"needs no reason any more: {module} {key}")
        PUBLISHED.write_text(document(merged, reasons), encoding="utf-8")
    killed = sum(each.state == "killed" for each in merged)
    open_ones = [each for each in merged if _is_open(each, reasons)]
    print(
        f"{killed} of {len(merged)} killed: {killed / len(merged):.1%}; "
        f"{len(open_ones)} survivors without a reason; {len(every) - len(merged)} not tried yet; "
        f"{time.monotonic() - began:.0f} s, {processor():.0f} s of processor time"
    )
    return 0 if killed >= GOAL * len(every) and not open_ones else 1


def kept() -> dict[object, Tried]:
    """What is known of mutants, by where they stand; of one tried again, the last trial counts."""
    lines = LAST.read_text(encoding="utf-8").splitlines() if LAST.exists() else []
    rows = [json.loads(line) for line in lines]
    tried = [Tried(**{**row, "mutant": Mutant(**row["mutant"])}) for row in rows]
    return {each.mutant.standing: each for each in tried}


def keep(tried: Iterable[Tried], mode: str = "a") -> None:
    """Add to what is kept, or (`mode` "w") take the place of it."""
    with LAST.open(mode, encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(each)) + "\n" for each in tried)


def _is_open(tried: Tried | None, reasons: dict[tuple[str, str], str]) -> bool:
    """Whether a mutant was not tried yet, or lived without a reason."""
    if tried is None:
        return True
    return tried.state != "killed" and (tried.mutant.module, tried.mutant.key) not in reasons


if __name__ == "__main__":
    sys.exit(main())
