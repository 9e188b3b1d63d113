"""A loopback server that plays answers to a browser, chunk by chunk, and ends one when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from conformance.lens.reading import Answer

_PAGE = b"<!doctype html><meta charset=utf-8><title>sse-conformance</title>"
PATIENCE = 30.0  # seconds after which an answer ends, even if nobody says so


class Player:
    """What the server plays. The page is at `url`; streams are at `put`'s addresses."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._answers: dict[str, tuple[Answer, threading.Event]] = {}
        self._put = 0

    def put(self, answer: Answer) -> str:
        """The path of this answer; a GET of that path and "/end" lets it end."""
        self._put += 1
        path = f"/{self._put}"
        self._answers[path] = (answer, threading.Event())
        return path

    def drop(self, path: str) -> None:
        """The answer of that path is not needed any more."""
        _, may_end = self._answers.pop(path)
        may_end.set()

    def find(self, path: str) -> tuple[Answer, threading.Event] | None:
        """The answer of that path, and what is set when it may end."""
        return self._answers.get(path)

    def end_all(self) -> None:
        """Let nobody wait any longer."""
        for _, may_end in [*self._answers.values()]:
            may_end.set()


@contextmanager
def player() -> Iterator[Player]:
    """The server on a free port of 127.0.0.1, while it is needed."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            path = self.path.removesuffix("/end")
            found = made.find(path)
            if found is None:
                self._whole(_PAGE, "text/html")
            elif path != self.path:
                found[1].set()
                self._whole(b"", "text/plain")
            else:
                with suppress(ConnectionError):
                    self._stream(*found)

        def _whole(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _stream(self, answer: Answer, may_end: threading.Event) -> None:
            self.send_response(200)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Cache-Control", "no-store")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in answer.chunks:
                if chunk:
                    self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            may_end.wait(PATIENCE)
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made = Player(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.end_all()
        server.shutdown()
        thread.join()
        server.server_close()


__all__ = ["Player", "player"]
