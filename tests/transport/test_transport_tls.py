"""TLS: trusted, untrusted, insecure, with a client certificate, and where there is none."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from conformance.observe.transport import TargetUnreachable
from conformance.profile import Limits, Tls
from conformance.transcript import Ended, Request
from tests.support.wire_server import CHUNKED, SECONDS, sends, serving, transport_to

ANSWER = sends(CHUNKED, b"9\r\ndata: 1\n\n\r\n", b"0\r\n\r\n")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A self-signed certificate for 127.0.0.1 and its key, as paths."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    what = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run([openssl, *what, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


def server_context(certificate: tuple[str, str], *, wants_client: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    if wants_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate[0])
    return context


def exchange(context: ssl.SSLContext, tls: Tls) -> tuple[Ended, bytes, int | None]:
    async def scenario() -> tuple[Ended, bytes, int | None]:
        async with serving(ANSWER, tls=context) as url, transport_to(url, tls=tls) as transport:
            stream = await transport.open(Request("GET", url))
            await stream.wait_end(SECONDS)
            answer = await transport.call(Request("GET", url), timeout=SECONDS)
            seen = stream.transcript()
            return seen.ended, seen.body, answer.status

    return asyncio.run(scenario())


def refusal(context: ssl.SSLContext, tls: Tls) -> list[str]:
    async def scenario() -> list[str]:
        reasons = []
        async with serving(ANSWER, tls=context) as url, transport_to(url, tls=tls) as transport:
            with pytest.raises(TargetUnreachable) as opened:
                await transport.open(Request("GET", url))
            reasons.append(str(opened.value))
            with pytest.raises(TargetUnreachable) as called:
                await transport.call(Request("GET", url), timeout=SECONDS)
            reasons.append(str(called.value))
        return reasons

    return asyncio.run(scenario())


def test_a_certificate_of_our_own_authority(certificate: tuple[str, str]) -> None:
    seen = exchange(server_context(certificate), Tls(ca=certificate[0]))
    assert seen == (Ended.COMPLETE, b"data: 1\n\n", 200)


def test_insecure_asks_for_nothing(certificate: tuple[str, str]) -> None:
    assert exchange(server_context(certificate), Tls(insecure=True))[0] is Ended.COMPLETE


def test_an_unknown_authority_is_said_in_one_line(certificate: tuple[str, str]) -> None:
    for reason in refusal(server_context(certificate), Tls()):
        assert "certificate is not trusted" in reason
        assert "\n" not in reason


def test_a_client_certificate(certificate: tuple[str, str]) -> None:
    cert, key = certificate
    context = server_context(certificate, wants_client=True)
    assert exchange(context, Tls(ca=cert, cert=cert, key=key))[0] is Ended.COMPLETE


def test_tls_where_none_is() -> None:
    async def scenario() -> list[str]:
        async with serving(ANSWER) as plain:
            url = plain.replace("http://", "https://")
            async with transport_to(url, limits=Limits(connect=0.5)) as transport:
                with pytest.raises(TargetUnreachable) as opened:
                    await transport.open(Request("GET", url))
                with pytest.raises(TargetUnreachable) as called:
                    await transport.call(Request("GET", url), timeout=SECONDS)
                return [str(opened.value), str(called.value)]

    for reason in asyncio.run(scenario()):
        assert "http://?" in reason
        assert "\n" not in reason


def test_a_plain_answer_to_a_client_hello() -> None:
    async def speaks_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async def scenario() -> str:
        server = await asyncio.start_server(speaks_first, "127.0.0.1", 0)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with transport_to(url) as transport:
            with pytest.raises(TargetUnreachable) as opened:
                await transport.open(Request("GET", url))
        server.close()
        await asyncio.sleep(0.01)
        return str(opened.value)

    assert "TLS where none is" in asyncio.run(scenario())


def test_plain_http_to_a_tls_port(certificate: tuple[str, str]) -> None:
    async def scenario() -> Ended:
        async with serving(ANSWER, tls=server_context(certificate)) as secure:
            url = secure.replace("https://", "http://")
            async with transport_to(url) as transport:
                stream = await transport.open(Request("GET", url))
                await stream.wait_end(SECONDS)
                return stream.transcript().ended

    assert asyncio.run(scenario()) in (Ended.PROTOCOL_ERROR, Ended.NO_RESPONSE)


def test_a_missing_bundle_is_said(tmp_path: Path) -> None:
    async def scenario() -> str:
        url = "https://127.0.0.1:1"
        async with transport_to(url, tls=Tls(ca=str(tmp_path / "none.pem"))) as transport:
            with pytest.raises(TargetUnreachable) as opened:
                await transport.open(Request("GET", url))
            return str(opened.value)

    assert "none.pem" in asyncio.run(scenario())
