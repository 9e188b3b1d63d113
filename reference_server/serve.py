"""`python -m reference_server`: options, one line when it listens, a clean end on SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import PurePath
from typing import NoReturn

import uvicorn

from reference_server.app import App
from reference_server.faults.catalogue import UnknownFaultError, choose, entries
from reference_server.scenarios import ScenarioError, Scenarios, load, shipped
from reference_server.settings import Auth, RateLimit, Settings

USAGE = 4  # exit code of a bad argument, as pytest's
LINGER = 2  # seconds that clients have to read what is left when the server ends
FAST = ("uvloop", "httptools", "orjson")
LEVELS = ("critical", "error", "warning", "info", "debug")


class UsageError(Exception):
    """A bad argument, said in one line."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


class _Server(uvicorn.Server):
    """uvicorn that says where it listens, and ends streams before it waits for connections."""

    def __init__(self, config: uvicorn.Config, app: App) -> None:
        super().__init__(config)
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            print(f"listening on {_url(sockets[0])}", flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        await self._app.running.stop()
        asyncio.get_running_loop().call_later(LINGER, self._drop_connections)
        await super().shutdown(sockets)

    def _drop_connections(self) -> None:
        # what is left belongs to clients that do not read: their last bytes would be waited for without end
        for connection in tuple(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        # unlike uvicorn's own, this does not raise the signal again: an end in order is exit code 0
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code: 0, or 4 for a bad argument."""
    try:
        settings, scenarios = read_arguments(sys.argv[1:] if argv is None else argv)
        listener = _listen(settings)
    except (UsageError, ScenarioError) as error:
        print(f"sse-conformance serve: {' '.join(str(error).split())}", file=sys.stderr)
        return USAGE
    app = App(settings, scenarios)
    config = uvicorn.Config(
        app,
        # h11 keeps HTTP to the letter without help; the other is twice as fast
        http="httptools" if settings.fast else "h11",
        loop="uvloop" if settings.fast else "asyncio",
        ws="none",
        lifespan="on",
        log_level=settings.log_level,
        access_log=settings.log_level in ("info", "debug"),
        timeout_graceful_shutdown=2 * LINGER,
        backlog=2048,
    )
    _Server(config, app).run(sockets=[listener])
    return 0


_EPILOG = """Base URLs: /agentsmithy/1 and /2, /penguin/1 and /2, /opencode/1; the root serves the newest of each.

examples:
  sse-conformance serve --port 8000
  sse-conformance serve --port 8000 --heartbeat 1 --auth bearer:secret --cors http://localhost:3000
  sse-conformance serve --fault done-twice
  sse-conformance serve --list-faults
"""


def read_arguments(argv: Sequence[str]) -> tuple[Settings, Scenarios]:
    """Settings and scenarios from a command line. Raises `UsageError` or `ScenarioError`."""
    default = Settings()
    parser = _Parser(
        prog="sse-conformance serve",
        description="Reference server of the AgentSmithy, Penguin and OpenCode event streams.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--host", default=default.host, help="address to listen on (%(default)s)")
    add("--port", type=int, default=default.port, help="port; 0 picks a free one (%(default)s)")
    add("--heartbeat", type=float, default=default.heartbeat, metavar="SECONDS",
        help="break the silence of a stream after so long (15; OpenCode 10)")  # fmt: skip
    add("--line-ending", choices=("lf", "crlf"), default=default.line_ending, help="(%(default)s)")
    add("--scenario", metavar="NAME|FILE", help="what the agent does on a prompt without a directive")
    add("--list-scenarios", action="store_true", help="print the shipped scenarios and exit")
    add("--auth", metavar="SCHEME", help="bearer:TOKEN, basic:USER:PASSWORD or header:NAME:VALUE")
    add("--cors", action="append", default=[], metavar="ORIGIN", help="an allowed origin; may be repeated")
    add("--rate-limit", metavar="N/SECONDS", help="requests that a client address may make")
    add("--max-body", type=int, default=default.max_body, metavar="BYTES", help="(%(default)s)")
    add("--workspace", default=default.workspace, metavar="PATH", help="of the agent's tools (%(default)s)")
    add("--resume", action="store_true",
        help="Penguin 1, too, gives its events ids and replays what a cursor missed")  # fmt: skip
    add("--replay-buffer", type=int, default=default.replay_events, metavar="EVENTS",
        help="events that a cursor can reach back (%(default)s)")  # fmt: skip
    add("--queue", type=int, default=default.queue_events, metavar="EVENTS",
        help="events kept for a subscriber that does not read (%(default)s)")  # fmt: skip
    add("--coalesce", type=float, default=0.0, metavar="MS",
        help="milliseconds that an event may wait for others, to be sent with them (0)")  # fmt: skip
    add("--fast", action="store_true", help="serve with uvloop and httptools (extra: fast)")
    add("--allow-faults", action="store_true",
        help="let requests choose a fault or variant by the header X-Reference-Fault")  # fmt: skip
    add("--fault", metavar="NAME",
        help="be wrong (or odd) in this way on every request; NAME:PARAMETER=N,... where it has some; "
        "implies leave")  # fmt: skip
    add("--list-faults", action="store_true", help="print the faults and variants and exit")
    add("--log-level", choices=LEVELS, default=default.log_level, help="(%(default)s)")
    given = parser.parse_args(argv)
    named = shipped()
    if given.list_scenarios:
        for scenario in named.values():
            print(f"{scenario.name:20} {scenario.summary}")
        raise SystemExit(0)
    if given.list_faults:
        for entry in entries().values():
            says = entry.breaks or ",".join(entry.moves) or "-"
            numbers = "".join(f" {name}={number}" for name, number in entry.parameters)
            print(f"{entry.kind:8} {entry.name:36} {says:12} {entry.summary}{numbers and ' With' + numbers}")
        raise SystemExit(0)
    if given.fault is not None:
        try:
            choose(given.fault)
        except UnknownFaultError as error:
            raise UsageError(f"argument --fault: {error}") from None
    if not 0 <= given.port <= 65535:
        raise UsageError(f"argument --port: {given.port} is not a port")
    # a period of hours is as good as none; infinity breaks the clock
    if given.heartbeat is not None and not 0.01 <= given.heartbeat <= 86400:
        raise UsageError("argument --heartbeat: expected seconds from 0.01 to 86400")
    for option in ("max_body", "replay_buffer", "queue"):
        if getattr(given, option) < (0 if option == "replay_buffer" else 1):
            raise UsageError(f"argument --{option.replace('_', '-')}: {getattr(given, option)} is too small")
    if not 0 <= given.coalesce <= 1000:
        raise UsageError("argument --coalesce: expected milliseconds from 0 to 1000")
    if given.fast and (missing := [name for name in FAST if find_spec(name) is None]):
        raise UsageError(f"argument --fast: {', '.join(missing)} is missing: install sse-conformance[fast]")
    if not os.path.isabs(given.workspace):
        raise UsageError("argument --workspace: expected an absolute path")
    settings = Settings(
        host=given.host,
        port=given.port,
        heartbeat=given.heartbeat,
        line_ending=given.line_ending,
        auth=None if given.auth is None else _auth(given.auth),
        cors=tuple(_origin(origin) for origin in given.cors),
        rate_limit=None if given.rate_limit is None else _rate_limit(given.rate_limit),
        max_body=given.max_body,
        workspace=PurePath(given.workspace).as_posix(),
        resume=given.resume,
        replay_events=given.replay_buffer,
        queue_events=given.queue,
        log_level=given.log_level,
        coalesce=given.coalesce / 1000,
        fast=given.fast,
        allow_faults=given.allow_faults or given.fault is not None,
        fault=given.fault,
    )
    if given.scenario is not None:
        settings = replace(settings, default_script=load(given.scenario, named).script)
    return settings, Scenarios(named, settings.default_script)


def _auth(text: str) -> Auth:
    scheme, _, rest = text.partition(":")
    if not rest.isascii() or not rest.isprintable():
        raise UsageError("argument --auth: expected printable ASCII")
    if scheme == "bearer" and rest:
        return Auth("authorization", f"Bearer {rest}", "Bearer")
    if scheme == "basic" and ":" in rest:
        return Auth(
            "authorization", f"Basic {base64.b64encode(rest.encode()).decode()}", 'Basic realm="agent"'
        )
    name, _, value = rest.partition(":")
    if scheme == "header" and value and name.replace("-", "").replace("_", "").isalnum():
        return Auth(name.lower(), value, f'ApiKey realm="agent", header="{name}"')
    raise UsageError("argument --auth: expected bearer:TOKEN, basic:USER:PASSWORD or header:NAME:VALUE")


def _origin(text: str) -> str:
    scheme, _, host = text.partition("://")
    if text != "*" and not (scheme and host and "/" not in host):
        raise UsageError(f"argument --cors: {text!r} is not an origin such as http://localhost:3000")
    return text


def _rate_limit(text: str) -> RateLimit:
    count, _, seconds = text.partition("/")
    try:
        limit = RateLimit(int(count), float(seconds))
    except ValueError:
        limit = RateLimit(0, 0)
    if limit.requests < 1 or not 0 < limit.seconds < math.inf:
        raise UsageError(f"argument --rate-limit: {text!r} is not N/SECONDS such as 100/60")
    return limit


def _listen(settings: Settings) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=family, backlog=2048)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot listen on {settings.host} port {settings.port}: {error}") from None
    listener.setblocking(False)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
