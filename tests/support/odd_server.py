"""A server that does one odd thing to every connection, in a thread of its own on a free loopback port."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

Behaviour = Callable[[socket.socket, threading.Event], None]

SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def read_request(connection: socket.socket) -> bytes:
    """Whatever has come once the head is complete; b"" if the client left."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return b""
        data += more
    return data


def says(answer: bytes) -> Behaviour:
    """Answer every request with these bytes, then close."""

    def behave(connection: socket.socket, stop: threading.Event) -> None:
        if read_request(connection):
            connection.sendall(answer)

    return behave


def silent(connection: socket.socket, stop: threading.Event) -> None:
    """Accept, and never answer."""
    read_request(connection)
    stop.wait(60)


def headers_only(connection: socket.socket, stop: threading.Event) -> None:
    """Send the head of an event stream, and nothing more."""
    read_request(connection)
    connection.sendall(SSE_HEAD)
    stop.wait(60)


def drips(connection: socket.socket, stop: threading.Event) -> None:
    """One byte every second."""
    read_request(connection)
    connection.sendall(SSE_HEAD)
    while not stop.wait(1):
        connection.sendall(b"x")


def endless_line(connection: socket.socket, stop: threading.Event) -> None:
    """A line that never ends."""
    read_request(connection)
    connection.sendall(SSE_HEAD + b"data: ")
    while not stop.is_set():
        connection.sendall(b"x" * 1_048_576)


def endless_events(connection: socket.socket, stop: threading.Event) -> None:
    """Events that never end."""
    read_request(connection)
    connection.sendall(SSE_HEAD)
    while not stop.is_set():
        connection.sendall(b'data: {"type": "server.heartbeat", "properties": {}}\n\n' * 1000)


def resets(connection: socket.socket, stop: threading.Event) -> None:
    """Reset the connection in place of an answer."""
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def redirects(connection: socket.socket, stop: threading.Event) -> None:
    """Redirect to the same place, for ever."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


@contextlib.contextmanager
def odd_server(behaviour: Behaviour) -> Iterator[str]:
    """The server's base URL, while it runs."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        threads: list[threading.Thread] = []

        def serve(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                behaviour(connection, stop)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while not stop.is_set():
                    connection, _ = listener.accept()
                    thread = threading.Thread(target=serve, args=(connection,), daemon=True)
                    threads.append(thread)
                    thread.start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            stop.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            acceptor.join(5)
