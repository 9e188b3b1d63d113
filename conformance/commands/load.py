"""`sse-conformance load URL`: put a server under load. A short way that only calls Locust with our users.

What is wrong with the options is said before any load is made; then Locust runs as a process of its own, and its result
says how it went. Load on a server that is not on this machine needs leave.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from conformance import exits, slo
from conformance.catalogue import protocols
from conformance.lab import allowed_effects
from conformance.load_compare import (
    DEFAULT_TOLERANCE,
    LoadComparison,
    compare_loads,
    parse_tolerance,
)
from conformance.load_result import LoadResult
from conformance.observe.transport import TargetUnreachable
from conformance.preflight import WrongEndpointError, preflight
from conformance.profile import Effect, Profile
from conformance.redact import Redactor
from conformance.targets import NoProtocolError, TargetError, TargetOptions, resolve

MIXED, FAMILIES = "mixed", ("agentsmithy", "penguin", "opencode")
SHAPES = ("ramp", "step", "spike", "soak", "storm")
_NEEDED = ("locust", "gevent", "hdrh", "psutil")  # what the extra `load` installs
_TIME = re.compile(r"(\d+h)?(\d+m)?(\d+s?)?")

_EXAMPLES = """examples:
  sse-conformance load http://127.0.0.1:8000 --sse-protocol penguin/2
  sse-conformance load http://127.0.0.1:8000 --sse-protocol agentsmithy/2 --users 50 --spawn-rate 10 --time 1m
  sse-conformance load http://127.0.0.1:8000 --sse-protocol penguin/2 --users 400 --time 5m --shape step --report load
  sse-conformance load http://127.0.0.1:8000 --sse-protocol penguin/2 --slo "ttfe:p99<500ms, gap:p99<200ms, lost==0"
  sse-conformance load http://127.0.0.1:8000 --sse-protocol penguin/2 --compare before.json --tolerance 10%
  sse-conformance load http://10.0.0.5:8000 --sse-protocol penguin/2 --sse-allow load

Any other option goes to Locust: its own (--csv, --html, --json, --loglevel …) and those of our users (--sse-chunks,
--sse-chunk-bytes, --sse-pace-ms, --sse-every, --sse-fanout, --sse-patience, --sse-step-users, --sse-step-seconds,
--sse-directory). Its web UI, and several machines (--master and --worker), are had by calling it:
locust -f LOCUSTFILE --host URL, where LOCUSTFILE is what --print-locustfile prints.

Conditions: METRIC OPERATOR VALUE, with commas between them. Times name a percentile (ttfe:p99<500ms, gap:max<2s),
counts take a number or a share (lost==0, errors<=1%, leaked<=1ppm), goodput a share (goodput>=99%). In force
without being said, unless a condition names the same:
  {defaults}
A run also fails if its generator was late or nothing was judged. Exit: 0 passed, 1 failed, or worse than --compare,
2 interrupted, 3 harness error, 4 usage, 6 target unreachable.
"""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand. What it does not know is passed on to Locust."""
    parser = commands.add_parser(
        "load",
        help="put a server under load, and judge whether it is still correct there",
        usage="sse-conformance load URL [options, and Locust's own]",
        description="Put a server under load with Locust, and judge whether every event still arrives: once, in "
        "order, unaltered, at the right client. Needs the extra `load`.",
        epilog=_EXAMPLES.format(defaults=slo.DEFAULTS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", nargs="?", metavar="URL", help="the server")
    parser.add_argument(
        "--sse-protocol",
        action="append",
        metavar="P/R",
        help="protocol revision, such as penguin/2; several mix their users, `mixed` is the newest of each",
    )
    parser.add_argument(
        "--sse-profile", metavar="FILE", help="profile of the server: a TOML file, or a shipped one's name"
    )
    parser.add_argument("-u", "--users", type=_count, default=10, metavar="N", help="most users at once (10)")
    parser.add_argument(
        "-r",
        "--spawn-rate",
        type=_rate,
        default=None,
        metavar="R",
        help="users that come in a second (all of them within five seconds)",
    )
    parser.add_argument(
        "-t",
        "--time",
        type=_time,
        default="30s",
        metavar="T",
        help="how long: 30s, 5m, 1h30m (30s)",
    )
    parser.add_argument(
        "--shape",
        choices=SHAPES,
        help="how users come and go: evenly more (ramp), level by level until it breaks (step), ten times as "
        "many for a while (spike), all of them for long (soak), all reconnect at once (storm)",
    )
    parser.add_argument(
        "--slo", default="", metavar="CONDITIONS", help='"ttfe:p99<500ms, lost==0" (see below)'
    )
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="write load.json, index.html and summary.md there"
    )
    parser.add_argument("--compare", type=Path, metavar="OLD", help="fail if this older result was better")
    parser.add_argument(
        "--tolerance", type=_tolerance, metavar="SHARE", help="what --compare forgives: 10%% or 0.1 (10%%)"
    )
    parser.add_argument(
        "--target-pid", type=_count, metavar="PID", help="watch the server's memory, CPU and descriptors"
    )
    parser.add_argument("--processes", type=_count, metavar="N", help="processes that make the load (1)")
    parser.add_argument("--seed", type=int, metavar="N", help="of what is random")
    parser.add_argument(
        "--sse-allow",
        action="append",
        metavar="CLASS",
        help="`load` is the leave that a server needs which is not on this machine",
    )
    parser.add_argument(
        "--print-locustfile", action="store_true", help="print the path of our locustfile, and end"
    )
    parser.set_defaults(run=run, takes_rest=True)


def run(options: argparse.Namespace) -> int:
    """Check the options, run Locust, say what became of it."""
    try:
        locustfile = _locustfile()
        if options.print_locustfile:
            print(locustfile)
            return exits.OK
        slo.parse(options.slo)
        _no_worker(options.rest, locustfile)
        profiles = _profiles(options)
        old = _old(options, profiles)
    except (_UsageError, slo.SloError, TargetError) as error:
        prefix = "--slo: " if isinstance(error, slo.SloError) else ""
        print(f"{prefix}{str(error).removeprefix('--target ')}", file=sys.stderr)
        return exits.USAGE
    for profile in profiles:
        clean = Redactor(profile).text
        try:
            preflight(profile)
        except TargetUnreachable as error:
            print(clean(f"target unreachable: {error}"), file=sys.stderr)
            return exits.UNREACHABLE
        except WrongEndpointError as error:
            print(clean(f"wrong target: {error}"), file=sys.stderr)
            return exits.USAGE
    with tempfile.TemporaryDirectory(prefix="sse-load-") as scratch:
        return _ran(options, locustfile, profiles, Path(scratch), old)


class _UsageError(ValueError):
    """Options that cannot be followed. One line."""


def _ran(
    options: argparse.Namespace,
    locustfile: Path,
    profiles: Sequence[Profile],
    scratch: Path,
    old: LoadResult | None,
) -> int:
    from conformance.report import load_files  # templates and charts are of no use before
    from conformance.report.files import ResultError

    code, interrupted = _locust(_arguments(options, locustfile, profiles, scratch))
    written = scratch / "load.json"
    if not written.is_file():
        if interrupted:
            return exits.INTERRUPTED
        if code in (2, exits.USAGE):  # Locust's own usage errors are 2
            return exits.USAGE
        if code == exits.UNREACHABLE:
            return code
        print(f"harness error: Locust ended with {code}, and wrote no result", file=sys.stderr)
        return exits.HARNESS
    try:
        result = replace(load_files.read(written), command=_command(profiles))
    except ResultError as error:
        print(f"harness error: {error}", file=sys.stderr)
        return exits.HARNESS
    comparison = None if old is None else compare_loads(old, result, _tolerated(options))
    if comparison is not None:
        _tell(comparison)
    if options.report is not None and not _written(options.report, result, comparison):
        return exits.USAGE
    if interrupted:
        return exits.INTERRUPTED
    if code == exits.HARNESS:  # Locust has said why
        return code
    failed = not result.passed or (comparison is not None and comparison.regressed)
    return exits.FAILED if failed else exits.OK


def _command(profiles: Sequence[Profile]) -> str:
    """What was typed, without secrets."""
    typed = shlex.join(["sse-conformance", *sys.argv[1:]])
    for profile in profiles:
        typed = Redactor(profile).text(typed)
    return typed


def _arguments(
    options: argparse.Namespace, locustfile: Path, profiles: Sequence[Profile], scratch: Path
) -> list[str]:
    """The command line of Locust."""
    rate = options.spawn_rate or max(1.0, options.users / 5)
    given = [
        ("--host", profiles[0].url),
        ("--users", options.users),
        ("--spawn-rate", f"{rate:g}"),
        ("--run-time", options.time),
        *(("--sse-protocol", profile.protocol) for profile in profiles),
        *(("--sse-allow", name) for name in options.sse_allow or ()),
        ("--sse-profile", options.sse_profile),
        ("--sse-shape", options.shape),
        ("--slo", options.slo or None),
        ("--target-pid", options.target_pid),
        ("--processes", options.processes),
        ("--seed", options.seed),
        ("--sse-load-report", scratch),
    ]
    named = [word for name, value in given if value is not None for word in (name, str(value))]
    return [
        sys.executable,
        "-m",
        "locust",
        "-f",
        str(locustfile),
        "--headless",
        "--only-summary",  # its tables at the end; what is told meanwhile is our own line of progress
        *named,
        *options.rest,
    ]


def _locust(arguments: Sequence[str]) -> tuple[int, bool]:
    """Run it to its end: its exit code, and whether it was interrupted. It is the one that hears the interrupt."""
    # The step summary is written here, with what --compare says.
    environment = {name: value for name, value in os.environ.items() if name != "GITHUB_STEP_SUMMARY"}
    interrupted = False
    process: subprocess.Popen[bytes] | None = None

    def note(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)

    # Before it is started: it then hears an interrupt also where this command runs in the background of a script, and
    # would else inherit that interrupts are ignored.
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        process = subprocess.Popen(
            arguments, env=environment, start_new_session=True, stdin=subprocess.DEVNULL
        )
        if interrupted:
            process.send_signal(signal.SIGINT)
        return process.wait(), interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if process is not None and process.poll() is None:
            with suppress(ProcessLookupError):
                process.kill()


def _written(directory: Path, result: LoadResult, comparison: LoadComparison | None) -> bool:
    from conformance.report import load_documents

    try:
        load_documents.write(
            directory, result, () if comparison is None else (comparison,), step_summary=True
        )
    except OSError as error:
        print(f"--report {directory}: cannot be written: {error.strerror}", file=sys.stderr)
        return False
    print(f"report: {directory / 'index.html'}")
    return True


def _tell(comparison: LoadComparison) -> None:
    for measure in comparison.worse:
        print(f"worse: {measure.name}: {measure.old} -> {measure.new}")
    print(f"compared: {comparison.summary_line()}")


def _locustfile() -> Path:
    """Our users. Raises `_UsageError` where what they need is not installed."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    found = importlib.util.find_spec("loadtests")
    if missing or found is None or not found.submodule_search_locations:
        raise _UsageError(
            f"the extra `load` is not installed ({', '.join(missing) or 'loadtests'} missing): "
            "pip install 'sse-conformance[load]'"
        )
    return Path(found.submodule_search_locations[0]) / "locustfile.py"


def _no_worker(rest: Sequence[str], locustfile: Path) -> None:
    if "--worker" in rest or "--master" in rest:
        raise _UsageError(
            f"--master and --worker are Locust's own: locust -f {shlex.quote(str(locustfile))} --master --host URL …"
        )
    if unknown := [word for word in rest if not word.startswith("-") and _is_url(word)]:
        raise _UsageError(
            f"{unknown[0]}: one URL at a time: a second one is put under load by a run of its own"
        )


def _is_url(word: str) -> bool:
    return re.match(r"([a-z][a-z0-9_-]*/\d+=)?https?://", word) is not None


def _profiles(options: argparse.Namespace) -> tuple[Profile, ...]:
    """What is put under load, once for each protocol. Raises `TargetError`, and `_UsageError` without leave."""
    names: Sequence[str | None] = options.sse_protocol or (None,)
    if MIXED in names:
        names = [_newest(family) for family in FAMILIES]
    allow = tuple(part for text in options.sse_allow or () for part in text.split(",") if part)
    profiles: list[Profile] = []
    for name in names:
        targets = () if options.url is None else (options.url,)
        try:
            profiles += resolve(TargetOptions(targets, name, options.sse_profile, allow))
        except NoProtocolError as error:
            known = ", ".join((*protocols(), MIXED))
            raise _UsageError(f"{error.url}: which protocol? Add --sse-protocol, one of {known}") from None
    if not profiles:
        raise _UsageError(
            "which server? sse-conformance load URL --sse-protocol P/R, or --sse-profile with a url"
        )
    for profile in profiles:
        if Effect.LOAD not in allowed_effects(profile):
            where = Redactor(profile).text(profile.url)
            raise _UsageError(
                f"{where} is not on this machine: a load run of {options.users} users needs leave: "
                '--sse-allow load, or allow = ["load"] in its profile'
            )
    return tuple(profiles)


def _newest(family: str) -> str:
    known = [name for name in protocols() if name.startswith(f"{family}/")]
    return max(known, key=lambda name: int(name.partition("/")[2]))


def _old(options: argparse.Namespace, profiles: Sequence[Profile]) -> LoadResult | None:
    """The result to compare with. Raises `_UsageError`, also where it is of another load."""
    from conformance.report import load_files
    from conformance.report.files import ResultError

    if options.compare is None:
        if options.tolerance is not None:
            raise _UsageError("--tolerance needs --compare: without an older result nothing is worse")
        return None
    try:
        old = load_files.read(options.compare)
    except ResultError as error:
        raise _UsageError(f"--compare {error}") from None
    shape = options.shape or "constant"
    protocols_now = tuple(profile.protocol for profile in profiles)
    if old.shape != shape or (shape != "step" and not 0.9 * options.users <= old.users <= options.users):
        raise _UsageError(
            f"--compare {options.compare}: another load: {old.users} users ({old.shape}) then, "
            f"{options.users} ({shape}) now"
        )
    if old.protocols != protocols_now:
        raise _UsageError(
            f"--compare {options.compare}: another load: {', '.join(old.protocols)} then, "
            f"{', '.join(protocols_now)} now"
        )
    if old.generator.late or not old.integrity.events:
        why = "its generator was late" if old.generator.late else "it judged no event"
        raise _UsageError(f"--compare {options.compare}: nothing can be compared with this run: {why}")
    return old


def _tolerated(options: argparse.Namespace) -> float:
    return DEFAULT_TOLERANCE if options.tolerance is None else float(options.tolerance)


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of users a second above 0")
    return rate


def _time(text: str) -> str:
    if not text or _TIME.fullmatch(text) is None or not re.search(r"[1-9]", text):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: expected 30s, 5m, 1h30m")
    return text


def _tolerance(text: str) -> float:
    try:
        return parse_tolerance(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
