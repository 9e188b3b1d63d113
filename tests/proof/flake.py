"""Repeats the default run and shows the verdicts that were not the same every time. The goal is none.

    python tests/proof/flake.py                         30 runs plain, 30 with busy cores, 30 through a delaying proxy
    python tests/proof/flake.py --runs 5 --mode proxy   some of them
    python tests/proof/flake.py --target penguin/2=URL  a server of one's own; options for pytest after --

Goes on where an earlier call of the same code stopped (`--fresh` begins anew). Writes `flake.json` and `flake.md`;
the reports of runs with a finding are kept beside them. Exit status: 0 where every run gave the same verdicts and
none was red or inconclusive, else 1.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from conformance.catalogue import protocols
from conformance.profile import Profile
from conformance.reference import ReferenceServer
from tests.proof import flake_tally as tally
from tests.support.delaying_proxy import delaying_proxy

ROOT = Path(__file__).resolve().parents[2]
MODES = ("plain", "busy", "proxy")
NO_VERDICTS = 2  # exit codes of the suite from here on
LIMIT = 1_200.0  # seconds that one run may take
CODE = ("conformance", "reference_server", "schemas")


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run. `targets` as `--target` takes them; () is the built-in server in every revision."""

    targets: tuple[str, ...]
    folder: Path
    code: str
    seed: int
    burners: int
    pytest: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the module's docstring says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=30, help="of each mode (30)")
    parser.add_argument(
        "--mode", action="append", choices=MODES, default=[], help="may be repeated (default: all)"
    )
    parser.add_argument("--target", action="append", default=[], metavar="P/R=URL")
    parser.add_argument("--seed", type=int, default=0, help="of the proxy's delays; the n-th run adds n")
    parser.add_argument(
        "--burners", type=int, default=os.cpu_count() or 2, help="busy processes in the mode busy"
    )
    parser.add_argument(
        "--jobs", type=int, default=1, help="runs at once in the mode proxy, which mostly waits (1)"
    )
    parser.add_argument("--max-seconds", type=float, default=4 * 3600.0, help="begin no run after so long")
    parser.add_argument("--report", type=Path, default=ROOT / "reports" / "latest" / "flake")
    parser.add_argument("--fresh", action="store_true", help="forget earlier runs")
    parser.add_argument(
        "--publish", action="store_true", help="write the summary to reports/published/flake.md too"
    )
    parser.add_argument("pytest", nargs="*", help="options for the suite, after --")
    given = parser.parse_args(argv)
    if given.fresh:
        shutil.rmtree(given.report, ignore_errors=True)
    given.report.mkdir(parents=True, exist_ok=True)
    order = Order(
        tuple(given.target),
        given.report.resolve(),
        fingerprint(),
        given.seed,
        given.burners,
        tuple(given.pytest),
    )
    runs = repeat(order, given.mode or MODES, given.runs, given.max_seconds, given.jobs)
    write(order.folder, runs)
    summary = tally.markdown(runs)
    print(summary, end="")
    if given.publish and runs:
        (ROOT / "reports" / "published" / "flake.md").write_text(summary, encoding="utf-8")
    return 0 if tally.is_clean(runs) else 1


def repeat(
    order: Order, modes: Sequence[str], count: int, max_seconds: float, jobs: int = 1
) -> list[tally.Run]:
    """Run what is not yet there, the modes in turn, so that an early end leaves some of each.

    `jobs`: how many runs of the mode proxy may go on at once, beside one of the others.
    """
    kept = order.folder / "runs.jsonl"
    runs = tally.read(kept, order.code, " ".join(order.targets))
    done = {(run.mode, run.number) for run in runs}
    end = time.monotonic() + max_seconds
    guard, interrupted = threading.Lock(), threading.Event()

    def run(mode: str, number: int) -> bool:
        if time.monotonic() > end:
            return False
        made = one(order, mode, number)
        if interrupted.is_set():
            return False  # its suite was cut off as well: that says nothing, and it is due again
        with guard:
            tally.append(kept, made)
            runs.append(made)
            write(order.folder, runs)
        shown = made.trouble or ", ".join(f"{v.revision} {v.requirement} {v.verdict}" for v in made.red)
        print(
            f"{mode} {number}/{count} seed {made.seed}: {len(made.verdicts)} verdicts in {made.seconds:.0f} s"
            + (f": {shown}" if shown else ""),
            flush=True,
        )
        return True

    due = [(mode, n) for n in range(1, count + 1) for mode in modes if (mode, n) not in done]
    apart = [each for each in due if each[0] == "proxy" and jobs > 1]
    with ThreadPoolExecutor(jobs) as pool:
        try:
            begun = [pool.submit(run, *each) for each in apart]
            in_time = [run(*each) for each in due if each not in apart]
            in_time += [each.result() for each in begun]
        except BaseException:
            interrupted.set()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # where it is interrupted, no run begins any more
    if not all(in_time):
        print(f"out of time after {max_seconds:g} s: call again to go on", flush=True)
    return runs


def one(order: Order, mode: str, number: int) -> tally.Run:
    """One run of the suite in that mode."""
    seed = order.seed + number
    report = order.folder / f"{mode}-{number}"
    shutil.rmtree(report, ignore_errors=True)
    began = time.monotonic()
    with burning(order.burners if mode == "busy" else 0):
        troubles = through_proxy(order, report, seed) if mode == "proxy" else [suite(order, report, [])]
    run = tally.Run(
        mode, number, seed, round(time.monotonic() - began, 1), order.code, " ".join(order.targets)
    )
    verdicts: list[tally.Verdict] = []
    for path in sorted(report.glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        if "header" in found and "results" in found:  # of the documents beside it, the result itself
            verdicts += tally.verdicts_of(found, report.name)
    run = replace(run, verdicts=tuple(verdicts), trouble="; ".join(filter(None, troubles)))
    if not run.trouble and not any(verdict.kept for verdict in verdicts):
        shutil.rmtree(report, ignore_errors=True)
    return run


def suite(order: Order, report: Path, arguments: Sequence[str]) -> str:
    """Run the suite as a user does; why it came to no verdicts, "" if it did."""
    command = [sys.executable, "-m", "conformance.cli", "test", "-q", "--sse-report", str(report)]
    command += arguments or [word for target in order.targets for word in ("--target", target)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            [*command, *order.pytest],
            capture_output=True,
            text=True,
            timeout=LIMIT,
            env=environment,
            cwd=ROOT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the suite did not end within {LIMIT:g} s"
    if done.returncode >= NO_VERDICTS:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        return f"the suite ended with {done.returncode}: {' / '.join(lines[-3:])[:600]}"
    return ""


def through_proxy(order: Order, report: Path, seed: int) -> list[str]:
    """Every target behind a delaying proxy of its own, two targets at a time, as the default run has them."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flake-")))
        calls: list[list[str]] = []
        for target in order.targets:
            protocol, _, url = target.partition("=")
            if not url:
                raise SystemExit(f"--target {target}: expected PROTOCOL/REVISION=URL")
            calls.append(["--target", f"{protocol}={stack.enter_context(delaying_proxy(url, seed))}"])
        for protocol in () if order.targets else protocols():
            profile = stack.enter_context(ReferenceServer()).profile(protocol)
            url = stack.enter_context(delaying_proxy(profile.url, seed))
            path = folder / f"{protocol.replace('/', '-')}.toml"
            path.write_text(toml(replace(profile, url=url)), encoding="utf-8")
            calls.append(["--sse-profile", str(path)])
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda call: suite(order, report, call), calls))


def toml(profile: Profile) -> str:
    """The built-in server's profile as a file; JSON's strings, numbers and lists are TOML's."""
    capabilities = profile.capabilities
    declared = {
        name: value
        for name in ("resume", "retention", "heartbeat", "auth", "max_body", "history", "workspace")
        if (value := getattr(capabilities, name)) is not None
    }
    lines = [f"protocol = {json.dumps(profile.protocol)}", f"url = {json.dumps(profile.url)}"]
    lines += [f"workspace = {json.dumps(profile.workspace)}", "[headers]"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in profile.headers]
    lines += ["[capabilities]", f"cors = {json.dumps(list(capabilities.cors))}"]
    lines += [f"{name} = {json.dumps(value)}" for name, value in declared.items()]
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def burning(count: int) -> Iterator[None]:
    """Keep that many cores busy; each process ends by itself after a run's limit, too."""
    code = f"import time\nend = time.monotonic() + {LIMIT}\nwhile time.monotonic() < end: pass"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def fingerprint() -> str:
    """What names the code that runs: earlier runs of other code prove nothing about this."""
    digest = hashlib.sha256()
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def write(folder: Path, runs: Sequence[tally.Run]) -> None:
    """`flake.json` and `flake.md`."""
    data = json.dumps(tally.document(runs), ensure_ascii=False, indent=1)
    (folder / "flake.json").write_text(data + "\n", encoding="utf-8")
    (folder / "flake.md").write_text(tally.markdown(runs), encoding="utf-8")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and end what was started
    sys.exit(main())
