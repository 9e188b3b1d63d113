"""`sse-conformance lens FILE…`: the same recorded bytes as stock clients see them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from conformance import exits
from conformance.catalogue import protocols
from conformance.lens import result
from conformance.lens.node import INSTALLED
from conformance.lens.result import Lens
from conformance.lens.taking import CLIENTS, clients, take
from conformance.recorded import RecordingError, read_recording
from conformance.redact import Redactor
from conformance.report import html_lens, lens_text
from conformance.report.files import json_text
from conformance.transcript import Observation

_EXAMPLES = f"""examples:
  sse-conformance lens recording.sse
  sse-conformance lens report/observations/penguin-2.text.json --stream stream --format html -o lens.html
  sse-conformance lens recording.sse --client httpx-sse --client naive
  sse-conformance lens recording.sse --node-folder ~/.cache/sse-lens --npm-install

Each stream is played, chunk by chunk as it came, to each client, and what the client hands on is held against the
standard. Differences are explained by the list of deviations (docs/deviations.md). They are notes on the server, so
the exit code is 0 whatever they are; 4 is a file that cannot be read, or a client named by --client that is not there.

Two clients need more than this package: the browser Playwright (pip install 'sse-conformance[lens]') and a Chromium
(on PATH, or named by SSE_CHROMIUM); eventsource-parser Node and the package itself: it is looked for from the folder
of --node-folder upwards (the current one by default), and --npm-install has npm put {INSTALLED} there.
"""
FORMATS = ("text", "json", "html")


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "lens",
        help="show the same bytes as stock clients see them",
        description="Show what stock clients make of recorded event streams, beside what the standard says.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", nargs="+", help="recording, saved observation, or -")
    parser.add_argument(
        "--client",
        action="append",
        choices=tuple(CLIENTS),
        metavar="NAME",
        help=f"only this client, which must be there; may be repeated: {', '.join(CLIENTS)}",
    )
    parser.add_argument("--stream", metavar="ROLE", help="only this stream of a saved observation")
    parser.add_argument(
        "--node-folder",
        type=Path,
        metavar="DIR",
        help="where eventsource-parser is looked for (default: here)",
    )
    parser.add_argument(
        "--npm-install", action="store_true", help="let npm install eventsource-parser into --node-folder"
    )
    parser.add_argument(
        "--format", choices=FORMATS, default="text", help="%(choices)s (default: %(default)s)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write there instead of printing")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print or write what the clients saw."""
    if options.npm_install and options.node_folder is None:
        return _usage("--npm-install needs --node-folder: nothing is installed where nobody said so")
    try:
        observations = [_read(name, options.stream) for name in options.file]
    except RecordingError as error:
        return _usage(str(error))
    chosen = clients(
        options.client or CLIENTS, node_folder=options.node_folder, npm_install=options.npm_install
    )
    lens = _redacted(take(observations, chosen), observations)
    missing = [viewer for viewer in lens.viewers if viewer.missing]
    if options.client and missing:
        return _usage(f"--client {missing[0].key}: {missing[0].missing}")
    document = _documents(", ".join(options.file))[options.format](lens)
    if options.output is None:
        print(document, end="")
        return exits.OK
    try:
        options.output.write_text(document, encoding="utf-8")
    except OSError as error:
        return _usage(f"{options.output}: cannot be written: {error.strerror}")
    return exits.OK


def _documents(name: str) -> dict[str, Callable[[Lens], str]]:
    return {
        "text": lens_text.render,
        "json": lambda lens: json_text(result.to_data(lens)),
        "html": lambda lens: html_lens.render(lens, name) + "\n",
    }


def _read(name: str, role: str | None) -> Observation:
    """The observation, its streams named after the file where there is nothing better. Raises `RecordingError`."""
    observation = read_recording(name, otherwise=protocols()[0])  # no client cares for the protocol
    kept = tuple((own, transcript) for own, transcript in observation.transcripts if role in (None, own))
    if not kept:
        known = ", ".join(own for own, _ in observation.transcripts) or "none"
        raise RecordingError(f"{name}: there is no stream {role!r} in it: it has {known}")
    if observation.probe == "recorded":
        shown = "standard input" if name == "-" else Path(name).name
        return replace(observation, probe=shown, transcripts=((shown, kept[0][1]),))
    return replace(observation, transcripts=kept)


def _redacted(lens: Lens, observations: Iterable[Observation]) -> Lens:
    cleaners = [Redactor(observation.profile).text for observation in observations]

    def clean(text: str) -> str:
        for cleaner in cleaners:
            text = cleaner(text)
        return text

    return result.with_texts(lens, clean)


def _usage(message: str) -> int:
    print(message, file=sys.stderr)
    return exits.USAGE
