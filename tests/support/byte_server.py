"""A server in threads that does to each connection exactly what a test says, for clients that keep a loop of gevent."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import ssl
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SECONDS = 20.0  # for what must come

Handler = Callable[["Peer"], None]


class Peer:
    """One accepted connection, its request read. `released`: set when the test is over, or says so."""

    def __init__(self, sock: socket.socket, released: threading.Event) -> None:
        self.socket = sock
        self.released = released
        self.request = b""

    def read_request(self, with_body: bool = True) -> None:
        """The head, and the body where it has a Content-Length."""
        while b"\r\n\r\n" not in self.request:
            self._more()
        if not with_body:
            return
        head, _, _ = self.request.partition(b"\r\n\r\n")
        size = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")), 0
        )
        while len(self.request) < len(head) + 4 + size:
            self._more()

    def _more(self) -> None:
        received = self.socket.recv(65_536)
        if not received:
            raise ConnectionError
        self.request += received

    def send(self, *pieces: bytes) -> None:
        """Each in a segment of its own, as far as the kernel is concerned."""
        for piece in pieces:
            self.socket.sendall(piece)

    def chunk(self, *datas: bytes) -> None:
        """An event in a chunk of its own for each."""
        for data in datas:
            event = b"data: " + data + b"\n\n"
            self.send(b"%x\r\n%s\r\n" % (len(event), event))

    def until_acknowledged(self) -> None:
        """Wait until the client's kernel has all that was sent: `send` returns before (Linux)."""
        deadline = time.monotonic() + SECONDS
        while any(fcntl.ioctl(self.socket, termios.TIOCOUTQ, bytes(4))):
            assert time.monotonic() < deadline
            self.released.wait(0.001)

    def reset(self) -> None:
        """Reset the connection, once the client has read what was sent."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def hold(self) -> None:
        """Be silent until the test is over."""
        self.released.wait(SECONDS)

    def gone(self) -> bool:
        """Wait for the client to close: whether it did."""
        self.socket.settimeout(SECONDS)
        try:
            while self.socket.recv(65_536):
                pass
        except ConnectionError:
            return True
        except OSError:
            return False
        return True


@contextlib.contextmanager
def serving(
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
    reads_bodies: bool = True,
) -> Iterator[str]:
    """Serve on a free loopback port; gives the base URL. What a handler raises comes out at the end."""
    listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    released = threading.Event()
    threads: list[threading.Thread] = []
    errors: list[Exception] = []

    def one(sock: socket.socket) -> None:
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                sock = tls.wrap_socket(sock, server_side=True)
            with sock:
                peer = Peer(sock, released)
                peer.read_request(reads_bodies)
                handler(peer)
        except (ConnectionError, ssl.SSLError):
            pass
        except Exception as error:
            errors.append(error)
        finally:
            sock.close()

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=one, args=(sock,), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    port = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    try:
        yield f"{'http' if tls is None else 'https'}://{shown}:{port}"
    finally:
        released.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        deadline = time.monotonic() + SECONDS
        for thread in [acceptor, *threads]:
            thread.join(max(0.0, deadline - time.monotonic()))
    if errors:
        raise errors[0]
