"""Debian's nginx before another server, as it comes: buffering on, HTTP/1.0 to the upstream, bodies of 1 MiB."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

# What `apt install nginx` writes into nginx.conf, as far as it bears on a proxy, and nothing about buffering.
# Only the places of its files are ours, and that it stays in the foreground.
CONFIGURATION = """
daemon off;
user {user};
worker_processes 1;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 768; }}
http {{
    sendfile on;
    tcp_nopush on;
    default_type application/octet-stream;
    access_log off;
    gzip on;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass {upstream}; {more} }}
    }}
}}
"""


def nginx_program() -> str:
    """Where nginx is; skips the test where there is none."""
    # Debian keeps it where only root's path leads.
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip("nginx is not installed: apt install nginx")
    return found


@contextlib.contextmanager
def nginx(upstream: str, folder: Path, more: str = "") -> Iterator[str]:
    """The base URL of an nginx that passes everything on to `upstream`, while it runs.

    `folder` is its own; `more` are directives for its only location.
    """
    program = nginx_program()
    with socket.create_server(("127.0.0.1", 0), backlog=511) as listening:
        port = listening.getsockname()[1]
        user = pwd.getpwuid(os.geteuid()).pw_name
        configuration = folder / "nginx.conf"
        values = {"user": user, "port": port, "upstream": upstream, "more": more}
        configuration.write_text(CONFIGURATION.format_map(values))
        listening.setblocking(False)
        number = listening.fileno()
        # A socket that is bound is passed on as nginx does to its own successor, so that no port is guessed.
        process = subprocess.Popen(
            [program, "-p", str(folder), "-c", str(configuration), "-e", str(folder / "error.log")],
            pass_fds=(number,),
            env={**os.environ, "NGINX": f"{number};"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        _await(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=20)


def _await(port: int, process: subprocess.Popen[str]) -> None:
    """Until it answers: the socket takes connections before anybody does."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if process.poll() is not None:
            assert process.stderr is not None
            pytest.fail(f"nginx does not start: {process.stderr.read()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            if connection.recv(1):
                return
    pytest.fail("nginx does not answer")
