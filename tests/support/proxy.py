"""A proxy that changes bytes on their way from a server to its client: a correct server made wrong in one thing."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit


@contextlib.contextmanager
def rewriting_proxy(url: str, replace: dict[bytes, bytes]) -> Iterator[str]:
    """The URL of a proxy before `url` that replaces bytes by others of the same length (framing stays true)."""
    if any(len(old) != len(new) for old, new in replace.items()):
        raise ValueError("replacements must keep the length")
    parts = urlsplit(url)
    assert parts.hostname is not None
    upstream = (parts.hostname, parts.port or 80)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        here = f"127.0.0.1:{listener.getsockname()[1]}"

        def pump(source: socket.socket, sink: socket.socket, changes: dict[bytes, bytes]) -> None:
            with contextlib.suppress(OSError):
                while data := source.recv(65536):
                    for old, new in changes.items():
                        data = data.replace(old, new)
                    sink.sendall(data)
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)

        def serve(client: socket.socket) -> None:
            with client, socket.create_connection(upstream) as server:
                up = threading.Thread(target=pump, args=(client, server, {}), daemon=True)
                up.start()
                pump(server, client, replace)
                # A client that hangs up must reach the server, and a finished answer the client.
                with contextlib.suppress(OSError):
                    server.shutdown(socket.SHUT_RDWR)
                up.join(5)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=serve, args=(client,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://{here}{parts.path}"
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
