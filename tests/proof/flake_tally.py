"""What repeated runs said: one record per run, kept as JSON lines, and what differed between them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

FORMAT = "sse-conformance/flake/1"
RED = ("fail", "inconclusive")
WORTH_A_WORD = ("fail", "warn", "inconclusive", "not-applicable")  # verdicts whose reason is kept


@dataclass(frozen=True, slots=True)
class Verdict:
    """One requirement's verdict in one run; `said` is the finding's text or the reason, "" of a pass or note.

    `kept` is the file of the exchange that shows it, relative to the tool's folder ("" if there is none).
    """

    revision: str
    requirement: str
    verdict: str
    said: str = ""
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the suite. `trouble` says why there are no verdicts; `code` is the fingerprint of what ran."""

    mode: str
    number: int
    seed: int
    seconds: float
    code: str
    target: str = ""
    verdicts: tuple[Verdict, ...] = ()
    trouble: str = ""

    @property
    def red(self) -> tuple[Verdict, ...]:
        """The verdicts that fail or stay open."""
        return tuple(verdict for verdict in self.verdicts if verdict.verdict in RED)


@dataclass(frozen=True, slots=True)
class Difference:
    """A requirement that was not judged alike in all runs: tallies by mode, and the rare verdicts as examples."""

    revision: str
    requirement: str
    tallies: tuple[tuple[str, tuple[tuple[str, int], ...]], ...]  # mode: verdict and how often
    rare: tuple[tuple[str, int, Verdict], ...]  # mode, number of the run, what it said


def read(path: Path, code: str, target: str) -> list[Run]:
    """The runs of that code on that target that were made earlier; a line cut off by an interruption is left out."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            raw: dict[str, Any] = json.loads(line)
        except ValueError:
            continue
        run = Run(**{**raw, "verdicts": tuple(Verdict(**each) for each in raw["verdicts"])})
        if run.code == code and run.target == target:
            found.append(run)
    return found


def append(path: Path, run: Run) -> None:
    """Keep a run."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(run), ensure_ascii=False) + "\n")


def verdicts_of(document: dict[str, Any], folder: str) -> list[Verdict]:
    """The verdicts of a result document (schemas/own/result.schema.json) kept in that folder."""
    revision = document["header"]["protocol"]
    made = []
    for row in document["results"]:
        verdict = Verdict(revision, row["requirement"], row["verdict"])
        if row["verdict"] in WORTH_A_WORD:
            shown = row["findings"][0] if row["findings"] else None
            said = row["reason"] if shown is None else f"{shown['title']}: {shown['observed']}"
            kept = f"{folder}/{shown['saved']}" if shown is not None and shown["saved"] else ""
            verdict = replace(verdict, said=said[:400], kept=kept)
        made.append(verdict)
    return made


def differences(runs: Iterable[Run]) -> list[Difference]:
    """Every requirement with more than one verdict over all runs that came to verdicts, a missing row included."""
    good = [run for run in runs if not run.trouble]
    said: dict[tuple[str, str], dict[tuple[str, int], Verdict]] = {}
    for run in good:
        for verdict in run.verdicts:
            said.setdefault((verdict.revision, verdict.requirement), {})[run.mode, run.number] = verdict
    found = []
    for (revision, requirement), by_run in sorted(said.items()):
        for run in good:
            by_run.setdefault((run.mode, run.number), Verdict(revision, requirement, "missing"))
        counts = Counter(verdict.verdict for verdict in by_run.values())
        if len(counts) < 2:
            continue
        usual = counts.most_common(1)[0][0]
        modes = dict.fromkeys(run.mode for run in good)
        tallies = tuple(
            (mode, tuple(sorted(Counter(v.verdict for (m, _), v in by_run.items() if m == mode).items())))
            for mode in modes
        )
        rare = tuple((mode, n, v) for (mode, n), v in sorted(by_run.items()) if v.verdict != usual)
        found.append(Difference(revision, requirement, tallies, rare))
    return found


def is_clean(runs: Sequence[Run]) -> bool:
    """Whether there were runs, all came to verdicts, none was red and none differed."""
    return bool(runs) and not differences(runs) and not any(run.trouble or run.red for run in runs)


def document(runs: Sequence[Run]) -> dict[str, Any]:
    """The result as data."""
    modes = {}
    for mode in dict.fromkeys(run.mode for run in runs):
        chosen = [run for run in runs if run.mode == mode]
        seconds = sorted(run.seconds for run in chosen)
        modes[mode] = {
            "runs": len(chosen),
            "seconds": {"least": seconds[0], "median": seconds[len(seconds) // 2], "most": seconds[-1]},
            "seeds": [run.seed for run in chosen],
        }
    return {
        "format": FORMAT,
        "code": runs[0].code if runs else "",
        "target": (runs[0].target if runs else "") or "reference server",
        "clean": is_clean(runs),
        "modes": modes,
        "verdicts": len(runs[0].verdicts) if runs else 0,
        "differences": [asdict(each) for each in differences(runs)],
        "red": [[run.mode, run.number, asdict(verdict)] for run in runs for verdict in run.red],
        "trouble": [[run.mode, run.number, run.trouble] for run in runs if run.trouble],
    }


def markdown(runs: Sequence[Run]) -> str:
    """The result for readers."""
    made = document(runs)
    out = ["# Repeated runs", ""]
    out += [
        "The whole default run, again and again: *plain*, with every core *busy*, and through a *proxy* that holds "
        "back every read by 0 to 50 ms and cuts what it passes on anew. A verdict that differs between two runs is a "
        "defect of the suite. Made by `make flake`.",
        "",
        f"Target: {made['target']}; code {made['code']}; {made['verdicts']} verdicts a run.",
        "",
        "| mode | runs | median (s) | slowest (s) | first seed |",
        "| --- | --- | --- | --- | --- |",
    ]
    for mode, told in made["modes"].items():
        time = told["seconds"]
        out.append(
            f"| {mode} | {told['runs']} | {time['median']:.1f} | {time['most']:.1f} | {told['seeds'][0]} |"
        )
    found = differences(runs)
    out += ["", f"Verdicts that differed: {len(found)}.", ""]
    for each in found:
        out.append(f"- {each.revision} {each.requirement}")
        for mode, tally in each.tallies:
            total = sum(count for _, count in tally)
            out.append(
                f"  - {mode}: " + ", ".join(f"{verdict} {count} of {total}" for verdict, count in tally)
            )
        for mode, number, verdict in each.rare[:5]:
            kept = f" ({verdict.kept})" if verdict.kept else ""
            out.append(f"  - {mode} run {number}: {verdict.verdict}: {verdict.said or 'nothing said'}{kept}")
    red = [(run, verdict) for run in runs for verdict in run.red]
    out += ["", f"Verdicts that were red or open: {len(red)}.", ""]
    steady = dict.fromkeys((v.revision, v.requirement, v.verdict, v.said) for _, v in red)
    out += [
        f"- {revision} {requirement}: {verdict}: {said}" for revision, requirement, verdict, said in steady
    ]
    broken = [run for run in runs if run.trouble]
    out += ["", f"Runs that came to no verdicts: {len(broken)}.", ""]
    out += [f"- {run.mode} run {run.number}: {run.trouble}" for run in broken]
    return re.sub("\n{3,}", "\n\n", "\n".join(out)).rstrip() + "\n"  # a list may be empty
