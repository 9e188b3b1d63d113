"""Servers and suites for the kill matrix, each a process of its own, forked from one that has imported everything.

What runs is what a user runs: `python -m reference_server …` and `sse-conformance test URL …`, by the same entry
points with the same arguments. Only the time for imports, about a second of each, is spent once for all.
"""

from __future__ import annotations

import contextlib
import gc
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from importlib.metadata import entry_points
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "proof"
ORIGIN = "http://localhost:3000"
MAX_BODY = 8 * 1_048_576
REPLAY = 2_000
HEARTBEAT = 1.0
CRASHED = 3  # the suite's exit codes from here on are no verdicts: harness error, usage, nothing selected

Rows = dict[str, dict[str, Any]]


NEEDED = (
    "conformance.cli",
    "conformance.observe.probes",
    "conformance.rules",
    "conformance.session",
    "reference_server.serve",
)


def _warm() -> None:
    """Import what servers and suites need, and read the catalogues and schemas, in the process that is forked."""
    for name in NEEDED:
        import_module(name)
    from conformance.catalogue import catalogue, event_schemas, protocols
    from reference_server.faults.catalogue import entries
    from reference_server.faults.hooks import implemented
    from reference_server.scenarios import shipped

    # pytest loads all plugins, and rewrites what is not imported yet.
    for plugin in entry_points(group="pytest11"):
        if "hypothesis" not in plugin.name:
            plugin.load()
    for protocol in protocols():
        catalogue(protocol)
        event_schemas(protocol)
    for read in (entries, implemented, shipped):
        read()
    gc.collect()
    gc.freeze()


if multiprocessing.current_process().name == "MainProcess" and "forkserver" in " ".join(sys.orig_argv):
    _warm()


def context() -> ForkServerContext:
    """Where the processes come from."""
    # The process that is forked finds the checkout by the environment, whatever is installed.
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))
    made = multiprocessing.get_context("forkserver")
    made.set_forkserver_preload([__name__])
    return made


def _serve(arguments: Sequence[str], says: Connection) -> None:
    os.dup2(says.fileno(), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    from reference_server.serve import main

    sys.exit(main(arguments))


def _suite(arguments: Sequence[str], output: str) -> None:
    os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT, 0o600), 1)
    os.dup2(1, 2)
    from conformance.cli import main

    code = int(main(arguments))
    Path(f"{output}.code").write_text(str(code))
    sys.exit(code)


@contextlib.contextmanager
def server(arguments: Sequence[str], workspace: str) -> Iterator[str]:
    """A reference server's base URL, while it runs. Raises `RuntimeError` where it does not start."""
    command = ["--port", "0", "--heartbeat", f"{HEARTBEAT:g}", "--workspace", workspace]
    command += ["--auth", f"bearer:{TOKEN}", "--cors", ORIGIN, "--max-body", str(MAX_BODY)]
    command += ["--replay-buffer", str(REPLAY), *arguments]
    made = context()
    ours, theirs = made.Pipe(duplex=False)
    process = made.Process(target=_serve, args=(command, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        with os.fdopen(os.dup(ours.fileno()), "rb") as pipe:
            line = pipe.readline().decode()
        if not line.startswith("listening on "):
            raise RuntimeError(f"the reference server did not start: {' '.join(command)}")
        yield line.removeprefix("listening on ").strip()
    finally:
        ours.close()
        process.kill()
        process.join()


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
    if dict(declare).get("resume", revision == "penguin/2"):
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
    scale: float = 1.0,
    within: float = 400.0,
) -> tuple[Rows, str]:
    """Run the suite as a user does; its rows by requirement, and what went wrong with the run itself.

    `scale` is the suite's `--sse-timeout-scale`; after `within` seconds the run is ended and counts as none.
    """
    try:
        return _judge(revision, fault, serve, declare, only, keep, scale, within)
    except RuntimeError as error:
        return {}, str(error)


def _judge(
    revision: str,
    fault: str | None,
    serve: Sequence[str],
    declare: Sequence[tuple[str, Any]],
    only: Sequence[str],
    keep: Path | None,
    scale: float,
    within: float,
) -> tuple[Rows, str]:
    with tempfile.TemporaryDirectory(prefix="proof-") as folder:
        report, said = keep or Path(folder) / "report", Path(folder) / "said"
        target = Path(folder) / "target.toml"
        target.write_text(profile(revision, folder, declare), encoding="utf-8")
        chosen = ["--fault", fault] if fault else []
        with server([*chosen, *serve], folder) as url:
            # Hypothesis' plugin takes a second to say nothing at the end of a run that does not use it.
            command = ["test", f"{url}/{revision}", "--sse-profile", str(target), "--sse-report", str(report)]
            command += ["-q", "-p", "no:hypothesispytest", "--sse-timeout-scale", f"{scale:g}"]
            command += ["--sse-only", ",".join(only)] if only else []
            suite = context().Process(target=_suite, args=(command, str(said)), daemon=True)
            suite.start()
            suite.join(within)
            if suite.exitcode is None:
                suite.kill()
                suite.join()
                return {}, f"the suite did not end within {within:g} s"
        result = report / f"{revision.replace('/', '-')}.json"
        code = code_of(said, suite.exitcode)
        if code >= CRASHED or code < 0 or not result.is_file():
            words = said.read_text(errors="replace") if said.is_file() else ""
            lines = [line for line in words.splitlines() if line.strip() and not line.startswith("report: ")]
            return {}, f"the suite ended with {code}: {' / '.join(lines[-3:])}"
        rows = json.loads(result.read_text(encoding="utf-8"))["results"]
    return {row["requirement"]: row for row in rows}, ""


def code_of(said: Path, exitcode: int) -> int:
    """The exit code of a suite: as it wrote it down itself, else as multiprocessing has it.

    A thread that starts a process looks after those of all threads; of two that look after one at the same moment the
    second reads nothing, and takes 255 for its code.
    """
    file = Path(f"{said}.code")
    return int(file.read_text()) if file.is_file() else exitcode
