"""`sse-conformance model`: serves the scripted model."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import get_args

import uvicorn

from reference_server.model.app import create_model_app
from reference_server.model.chat import Reasoning


class ModelServer(uvicorn.Server):
    """uvicorn that says where it listens, on stdout, once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then print `listening on URL`."""
        await super().startup(sockets)
        if self.started:
            assert sockets is not None
            host, port = sockets[0].getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            print(f"listening on http://{shown}:{port}", flush=True)


_EPILOG = """examples:
  sse-conformance model --port 8001
  sse-conformance model --port 8001 --token secret --reasoning reasoning_content
"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    known = argparse.ArgumentParser(
        prog="sse-conformance model",
        description="An OpenAI-compatible model that answers what the script in the prompt says.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    known.add_argument("--port", type=_port, default=0, help="port; 0, the default, takes a free one")
    known.add_argument("--token", help="bearer token that clients must send (default: any or none)")
    known.add_argument(
        "--reasoning",
        choices=get_args(Reasoning),
        default="both",
        help="members of a delta that carry reasoning (default: %(default)s)",
    )
    return known


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. Returns 0, or 1 with a line on stderr where it cannot listen."""
    options = parser().parse_args(argv)
    try:
        sock = _listen(options.host, options.port)
    except OSError as error:
        reason = error.strerror or error
        print(
            f"sse-conformance model: cannot listen on {options.host}:{options.port}: {reason}",
            file=sys.stderr,
        )
        return 1
    app = create_model_app(token=options.token, reasoning=options.reasoning)
    config = uvicorn.Config(
        app,
        http="h11",  # httptools sends chunks to HTTP/1.0 clients
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    if threading.current_thread() is threading.main_thread():
        # uvicorn raises the signal that stopped it once more when it is done; a stop on request is a success.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
    with sock:
        ModelServer(config).run(sockets=[sock])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(1024)
    except OSError:
        sock.close()
        raise
    return sock


def _port(text: str) -> int:
    if text.isdecimal() and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port (0 to 65535)")
