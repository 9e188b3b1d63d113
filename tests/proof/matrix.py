"""The kill matrix: the suite as a user runs it, against every fault and every variant of the reference server.

    python tests/proof/matrix.py                 everything, in every revision that an entry names
    python tests/proof/matrix.py --only NAME     one entry, judged by the rows it names: seconds
    python tests/proof/matrix.py --quick         every entry, judged by the rows it names

A fault is caught when the requirement that it names fails (level S: warns; level I: is noted with something
that it does not say of the correct server) by its own judgement. A crash or a timeout of the suite is no catch.
Writes `proof.json` and `proof.md`.
Exit status 0 when every fault is caught, nothing unforeseen turned red
and every variant stayed green, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from reference_server.faults.catalogue import Entry, entries

TOKEN = "proof"
ORIGIN = "http://localhost:3000"
MAX_BODY = 8 * 1_048_576
REPLAY = 2_000
HEARTBEAT = 1.0
RED = ("fail", "inconclusive")
CRASHED = 3  # the suite's exit codes from here on are no verdicts: harness error, usage, nothing selected

Rows = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One entry in one revision: what became of it.

    `verdict`: that of the requirement which a fault names ("" for a variant). `ok`: the fault is caught, or
    the variant green. `foreseen` and `unforeseen`: the other requirements that turned red ("fail"), yellow
    ("warn") or grey ("inconclusive" of a MUST), by whether the catalogue says so; `missing` are those that
    it says follow and that did not turn. `trouble`: why there is no verdict at all.
    """

    name: str
    kind: str
    revision: str
    breaks: str
    verdict: str = ""
    ok: bool = False
    observed: str = ""
    foreseen: tuple[str, ...] = ()
    unforeseen: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    trouble: str = ""
    judged: int = 0
    whole: bool = False
    seconds: float = 0.0


@contextmanager
def server(arguments: Sequence[str], workspace: str) -> Iterator[str]:
    """A reference server's base URL, while it runs."""
    command = [sys.executable, "-m", "reference_server", "--port", "0", "--heartbeat", f"{HEARTBEAT:g}"]
    command += ["--workspace", workspace, "--auth", f"bearer:{TOKEN}", "--cors", ORIGIN]
    command += ["--max-body", str(MAX_BODY), "--replay-buffer", str(REPLAY), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            raise RuntimeError(f"the reference server did not start: {' '.join(command[3:])}")
        yield line.removeprefix("listening on ").strip()
    finally:
        process.kill()
        process.communicate()


def profile(revision: str, workspace: str, declare: Sequence[tuple[str, Any]]) -> str:
    """The target's profile, as a TOML file has it."""
    capabilities: dict[str, Any] = {
        "heartbeat": HEARTBEAT,
        "auth": "bearer",
        "cors": [ORIGIN],
        "max_body": MAX_BODY,
        "workspace": True,
        "history": revision.startswith("agentsmithy"),
    }
    if revision == "penguin/2":
        capabilities["retention"] = REPLAY
    limits = {name: value for name, value in declare if name in ("turn", "settle", "head")}
    capabilities |= {name: value for name, value in declare if name not in limits}
    lines = [f'protocol = "{revision}"', f'workspace = "{Path(workspace).resolve().as_posix()}"']
    lines += ["[headers]", f'Authorization = "Bearer {TOKEN}"', "[capabilities]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in capabilities.items()]
    lines += ["[limits]", *(f"{name} = {json.dumps(value)}" for name, value in limits.items())]
    return "\n".join(lines) + "\n"


def judge(
    revision: str,
    *,
    fault: str | None = None,
    serve: Sequence[str] = (),
    declare: Sequence[tuple[str, Any]] = (),
    only: Sequence[str] = (),
    keep: Path | None = None,
) -> tuple[Rows, str]:
    """Run the suite as a user does; its rows by requirement, and what went wrong with the run itself."""
    with tempfile.TemporaryDirectory(prefix="proof-") as folder:
        report = keep or Path(folder)
        target = Path(folder) / "target.toml"
        target.write_text(profile(revision, folder, declare), encoding="utf-8")
        chosen = ["--fault", fault] if fault else []
        with server([*chosen, *serve], folder) as url:
            command = [sys.executable, "-m", "conformance.cli", "test", f"{url}/{revision}"]
            command += ["--sse-profile", str(target), "--sse-report", str(report), "-q"]
            command += ["--sse-only", ",".join(only)] if only else []
            environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, timeout=600, env=environment, check=False
                )
            except subprocess.TimeoutExpired:
                return {}, "the suite did not end within 600 s"
        result = report / f"{revision.replace('/', '-')}.json"
        if done.returncode >= CRASHED or not result.is_file():
            said = [line for line in done.stdout.splitlines() if line.strip()][-3:]
            return {}, f"the suite ended with {done.returncode}: {' / '.join(said)}"
        rows = json.loads(result.read_text(encoding="utf-8"))["results"]
    return {row["requirement"]: row for row in rows}, ""


def applies(ids: Sequence[str], revision: str) -> tuple[str, ...]:
    """The requirement ids that hold in this revision: "penguin/2:PG-2-01b" or plain."""
    return tuple(
        name.rpartition(":")[2] for name in ids if ":" not in name or name.partition(":")[0] == revision
    )


def turned(row: dict[str, Any]) -> bool:
    """Whether a row is red or yellow: a failure, a warning, or a MUST that could not be judged."""
    return row["verdict"] in ("fail", "warn") or (row["verdict"] == "inconclusive" and row["level"] == "M")


def cell(
    entry: Entry, revision: str, rows: Rows, trouble: str, plain: Rows, *, whole: bool, seconds: float
) -> Cell:
    """What the rows say of an entry; `plain` are those of the correct server, for rows that only note."""
    foreseen = set(applies(entry.follows + entry.warns, revision))
    others = {name for name, row in rows.items() if turned(row) and name != entry.breaks}
    made = Cell(
        entry.name,
        entry.kind,
        revision,
        entry.breaks,
        trouble=trouble,
        foreseen=tuple(sorted(others & foreseen)),
        unforeseen=tuple(f"{name} ({rows[name]['verdict']})" for name in sorted(others - foreseen)),
        missing=tuple(sorted(foreseen - others)) if whole and entry.kind == "fault" else (),
        judged=len(rows),
        whole=whole,
        seconds=round(seconds, 1),
    )
    if entry.kind == "variant":
        grey = [name for name, row in rows.items() if row["verdict"] == "inconclusive"]
        return replace(made, ok=bool(rows) and not made.unforeseen and not grey)
    row = rows.get(entry.breaks)
    if row is None:
        return replace(made, verdict="absent")
    shown = row["findings"][0] if row["findings"] else {}
    said = f"{shown['title']}: {shown['observed']}" if shown else "; ".join(row["notes"]) or row["reason"]
    return replace(made, verdict=row["verdict"], observed=said[:300], ok=caught(row, plain.get(entry.breaks)))


def caught(row: dict[str, Any], plain: dict[str, Any] | None) -> bool:
    """Whether a requirement's own judgement shows the fault."""
    if row["level"] == "M":
        return bool(row["verdict"] == "fail" and row["findings"])
    if row["level"] == "S":
        return bool(row["verdict"] == "warn" and row["findings"])
    if row["verdict"] != "note":
        return False
    return bool(row["findings"]) or plain is None or row["notes"] != plain["notes"]


def run(entry: Entry, revision: str, *, quick: bool, plain: Rows, keep: Path | None = None) -> Cell:
    """Judge one entry in one revision: whole, or by the rows that it names."""
    named = (entry.breaks, *applies(entry.follows + entry.warns, revision)) if quick else ()
    only = entry.judge or tuple(name for name in named if name)
    began = time.monotonic()
    rows, trouble = judge(
        revision, fault=entry.name, serve=entry.serve, declare=entry.declare, only=only, keep=keep
    )
    rows = {name: row for name, row in rows.items() if not only or name in only or entry.judge}
    return cell(entry, revision, rows, trouble, plain, whole=not only, seconds=time.monotonic() - began)


class Plain:
    """The correct server's rows, per revision: what rows that only note say of it."""

    def __init__(self) -> None:
        self._rows: dict[str, Rows] = {}

    def rows(self, entry: Entry, revision: str) -> Rows:
        """The rows of the correct server, where they are needed."""
        if entry.kind == "fault" and not entry.judge and entry.breaks in NOTES:
            if revision not in self._rows:
                self._rows[revision], trouble = judge(revision, only=sorted(NOTES))
                if trouble:
                    raise RuntimeError(f"the correct server cannot be judged: {trouble}")
            return self._rows[revision]
        return {}


# Rows that are only noted, in some revision.
NOTES = frozenset(
    {
        *("SSE-FMT-03", "SSE-EVT-01b", "SSE-HTTP-04a", "SSE-HTTP-04b", "SSE-HTTP-08b", "SSE-INT-01"),
        *("AS-REQ-04", "AS-CONC-05", "PG-WIRE-01", "PG-FLT-06b", "PG-EVT-02", "PG-ERR-01"),
    }
)


def line(cell: Cell) -> str:
    """One line for the terminal."""
    state = "ok  " if cell.ok and not cell.unforeseen else "red " if cell.ok else "MISS"
    text = (
        f"{state} {cell.revision:13} {cell.name:40} {cell.breaks:12} {cell.verdict:14} {cell.seconds:5.1f} s"
    )
    if cell.unforeseen:
        text += f"\n       unforeseen: {', '.join(cell.unforeseen)}"
    if cell.missing:
        text += f"\n       did not follow: {', '.join(cell.missing)}"
    if cell.trouble:
        text += f"\n       {cell.trouble}"
    return text


def markdown(cells: Sequence[Cell]) -> str:
    """The matrix for readers."""
    faults = [cell for cell in cells if cell.kind == "fault"]
    variants = [cell for cell in cells if cell.kind == "variant"]
    whole = [c for c in faults if c.whole]
    clean = sum(c.ok and not c.unforeseen for c in whole)
    out = ["# Kill matrix", ""]
    out += [
        f"{len({c.name for c in faults})} faults in {len(faults)} pairs of fault and revision: "
        f"{sum(c.ok for c in faults)} caught. {len(whole)} of these pairs were judged by the whole suite, {clean} of "
        "them with nothing else red than what the catalogue says follows; the others by the rows that "
        "the entry names. "
        f"{len({c.name for c in variants})} variants in {len(variants)} pairs, each judged whole: "
        f"{sum(c.ok for c in variants)} green.",
        "",
    ]
    for title, chosen in (("Faults", faults), ("Variants", variants)):
        out += [f"## {title}", "", "| name | revision | breaks | verdict | follows | beyond the catalogue |"]
        out += ["| --- | --- | --- | --- | --- | --- |"]
        for each in sorted(chosen, key=lambda c: (c.breaks, c.name, c.revision)):
            verdict = each.verdict if each.kind == "fault" else ("green" if each.ok else "RED")
            mark = verdict if each.ok else f"**{verdict or each.trouble}**"
            out.append(
                f"| {each.name} | {each.revision} | {each.breaks} | {mark} | {', '.join(each.foreseen)} "
                f"| {', '.join(each.unforeseen)} |"
            )
        out.append("")
    return "\n".join(out)


def write(folder: Path, cells: Sequence[Cell]) -> None:
    """`proof.json` and `proof.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {"format": "sse-conformance/proof/1", "cells": [asdict(cell) for cell in cells]}
    (folder / "proof.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    (folder / "proof.md").write_text(markdown(cells), encoding="utf-8")


def earlier_cells(folder: Path) -> list[Cell]:
    """The cells of an earlier run, of entries that are still in the catalogue."""
    path, names = folder / "proof.json", entries()
    if not path.is_file():
        return []
    found = []
    for data in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        members: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        made = Cell(**members)
        if made.name in names and made.revision in names[made.name].revisions:
            found.append(made)
    return found


def together(*runs: Sequence[Cell]) -> list[Cell]:
    """The cells of several runs; of the same entry and revision the last one counts."""
    known = {(cell.name, cell.revision): cell for cells in runs for cell in cells}
    return [known[key] for key in sorted(known)]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the matrix, or a part of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="entries; quick unless --whole"
    )
    parser.add_argument("--area", action="append", default=[], help="entries of these files of the catalogue")
    parser.add_argument(
        "--breaks", action="append", default=[], metavar="ID", help="faults of these requirements"
    )
    parser.add_argument("--revision", action="append", default=[], metavar="P/R")
    parser.add_argument("--first", action="store_true", help="each entry in the first of its revisions alone")
    parser.add_argument("--quick", action="store_true", help="judge only the rows that an entry names")
    parser.add_argument("--whole", action="store_true", help="judge every row, also with --only")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--report", default="reports/published", help="where proof.json and proof.md go")
    parser.add_argument(
        "--merge", action="store_true", help="keep the other entries' cells of an earlier run"
    )
    parser.add_argument("--keep", metavar="DIR", help="keep the reports of the runs there")
    given = parser.parse_args(argv)
    unknown = set(given.only) - entries().keys()
    if unknown:
        parser.error(f"not in the catalogue: {', '.join(sorted(unknown))}")
    quick = given.quick or (bool(given.only) and not given.whole)
    chosen = [
        (entry, revision)
        for entry in entries().values()
        if (not given.only or entry.name in given.only)
        and (not given.area or entry.area in given.area)
        and (not given.breaks or entry.breaks in given.breaks)
        for revision in (entry.revisions[:1] if given.first else entry.revisions)
        if not given.revision or revision in given.revision
    ]
    plain = Plain()
    folder = Path(given.report)
    saved = not given.only or given.merge
    earlier = earlier_cells(folder) if given.merge else []
    done: list[Cell] = []
    lock = threading.Lock()

    def one(work: tuple[Entry, str]) -> Cell:
        entry, revision = work
        keep = Path(given.keep) / f"{entry.name}-{revision.replace('/', '-')}" if given.keep else None
        made = run(entry, revision, quick=quick, plain=plain.rows(entry, revision), keep=keep)
        print(line(made), flush=True)
        with lock:
            done.append(made)
            if saved:
                write(folder, together(earlier, done))
        return made

    began = time.monotonic()
    with ThreadPoolExecutor(given.workers) as pool:
        cells = list(pool.map(one, chosen))
    bad = [c for c in cells if not c.ok or c.unforeseen]
    missed = sum(not c.ok for c in cells)
    print(
        f"{len(cells)} pairs · {len(cells) - missed} as the catalogue says · {missed} not · "
        f"{len(bad) - missed} with more red than it says · {time.monotonic() - began:.0f} s"
    )
    return 1 if bad or not cells else 0


if __name__ == "__main__":
    sys.exit(main())
