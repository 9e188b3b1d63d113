"""The load client over TLS: trusted, untrusted, insecure, and where there is none; with monkey-patching, too."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from conformance.observe.connect import TargetUnreachable
from loadtests.client import CLOCK, Call, End, Endpoint, exchange, open_stream
from tests.support.byte_server import CHUNKED, HEAD, SECONDS, Peer, serving
from tests.support.certificates import Certificate, certificate
from tests.support.load_listener import GET, QUICK, Seen

__all__ = ["certificate"]

ROOT = Path(__file__).parents[2]


def receive(url: str, *, insecure: bool = False, ca: str | None = None) -> Seen:
    seen = Seen()
    stream = open_stream(Endpoint.of(url, insecure=insecure, ca=ca), GET, seen, QUICK)
    assert stream.wait(SECONDS) is seen.end
    return seen


def three(peer: Peer) -> None:
    """Three events, the last one of several records."""
    peer.send(CHUNKED)
    peer.chunk(b"1", b"2", b"x" * 100_000)
    peer.send(b"0\r\n\r\n")
    peer.gone()


@pytest.mark.parametrize("trust", ["ca", "insecure"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_events_come_over_tls(certificate: Certificate, trust: str, version: ssl.TLSVersion) -> None:
    with serving(three, tls=certificate.server(version)) as url:
        seen = receive(url, insecure=trust == "insecure", ca=certificate.cert if trust == "ca" else None)
        answer = exchange(Endpoint.of(url, ca=certificate.cert), Call("GET", "/"))
    assert (seen.datas, seen.end) == ([b"1", b"2", b"x" * 100_000], End.CLEAN)
    assert len(answer.body) > 100_000


def test_a_certificate_that_nobody_vouches_for_is_refused(certificate: Certificate) -> None:
    with serving(three, tls=certificate.server()) as url:
        seen = receive(url)
    assert seen.end is End.TLS
    assert "the certificate is not trusted" in seen.why


@pytest.mark.parametrize("shown", [True, False])
def test_a_server_may_ask_for_a_certificate(certificate: Certificate, shown: bool) -> None:
    context = certificate.server()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificate.cert)
    own = {"cert": certificate.cert, "key": certificate.key} if shown else {}
    with serving(three, tls=context) as url:
        seen = Seen()
        stream = open_stream(Endpoint.of(url, ca=certificate.cert, **own), GET, seen, QUICK)
        assert stream.wait(SECONDS) is (End.CLEAN if shown else End.TLS)
    assert len(seen.datas) == (3 if shown else 0)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_a_port_without_tls(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def one() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(65_536)
                sock.sendall(answer)

        thread = threading.Thread(target=one)
        thread.start()
        seen = receive(f"https://127.0.0.1:{listener.getsockname()[1]}")
        thread.join(SECONDS)
    assert seen.end is End.TLS
    assert "is it http://?" in seen.why


def test_files_that_are_no_certificates(tmp_path: Path) -> None:
    empty = tmp_path / "ca.pem"
    empty.write_bytes(b"")
    with pytest.raises(TargetUnreachable, match="cannot use"):
        Endpoint.of("https://127.0.0.1", ca=str(empty))


@pytest.mark.parametrize("in_order", [True, False])
def test_the_end_of_a_body_that_the_close_delimits_must_be_said_in_tls(
    certificate: Certificate, in_order: bool
) -> None:
    def handler(peer: Peer) -> None:
        peer.send(HEAD + b"\r\ndata: 1\n\n")
        if in_order:
            assert isinstance(peer.socket, ssl.SSLSocket)
            peer.socket.unwrap()

    with serving(handler, tls=certificate.server()) as url:
        seen = receive(url, ca=certificate.cert)
    assert (seen.datas, seen.end) == ([b"1"], End.CLEAN if in_order else End.PREMATURE)


PATCHED = """
import gevent.monkey
gevent.monkey.patch_all()
import json, sys
import gevent
from loadtests.client import CLOCK, Call, Endpoint, exchange, open_stream
from tests.support.load_listener import QUICK, Seen

endpoint = Endpoint.of(sys.argv[1], ca=sys.argv[2] or None)
seen = [Seen() for _ in range(20)]
streams = [open_stream(endpoint, Call("GET", "/"), one, QUICK) for one in seen]
asked = [gevent.spawn(exchange, endpoint, Call("POST", "/", (), b"x" * 1000)) for _ in range(5)]
ends = [stream.wait(20.0) for stream in streams]
gevent.joinall(asked, timeout=20.0)
print(json.dumps([CLOCK, [end.value for end in ends], [len(one.datas) for one in seen],
                  [greenlet.value.status for greenlet in asked]]))
"""


@pytest.mark.parametrize("tls", [False, True])
def test_monkey_patching_changes_nothing(certificate: Certificate, tls: bool) -> None:
    with serving(three, tls=certificate.server() if tls else None) as url:
        command = [sys.executable, "-W", "error", "-c", PATCHED, url, certificate.cert if tls else ""]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert said.stderr == ""
    assert json.loads(said.stdout) == [CLOCK, ["clean"] * 20, [3] * 20, [200] * 5]
