"""Ordinary exchanges: answers as values, redirects within the origin, errors in one line."""

from __future__ import annotations

import asyncio

import pytest

from conformance.observe.transport import Answer
from conformance.transcript import Request
from tests.support.wire_server import Connection, Handler, sends, serving, transport_to


def answer_of(handler: Handler, request: Request | None = None, *, seconds: float = 5.0) -> Answer:
    async def scenario() -> Answer:
        async with serving(handler) as url, transport_to(url) as transport:
            wanted = request or Request("GET", "/")
            return await transport.call(
                Request(wanted.method, url + wanted.url, wanted.headers, wanted.body), timeout=seconds
            )

    return asyncio.run(scenario())


def says(status: str, body: bytes = b"", *headers: bytes) -> Handler:
    lines = [f"HTTP/1.1 {status}".encode(), b"Content-Length: %d" % len(body), *headers]
    return sends(b"\r\n".join(lines) + b"\r\n\r\n" + body)


def test_a_json_answer() -> None:
    answer = answer_of(says("201 Created", b'{"id": "a"}'))
    assert (answer.status, answer.json, answer.ok, answer.error) == (201, {"id": "a"}, True, "")


@pytest.mark.parametrize("body", [b"<html>", b"", b"\xff", b"[" * 100_000, b"1" * 10_000])
def test_what_is_no_json_is_none(body: bytes) -> None:
    answer = answer_of(says("200 OK", body))
    assert (answer.status, answer.json, answer.body) == (200, None, body)


def test_a_redirect_within_the_origin_is_followed() -> None:
    async def handler(connection: Connection) -> None:
        if connection.request.startswith(b"GET /new"):
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
        else:
            await connection.send(b"HTTP/1.1 307 x\r\nLocation: /new\r\nContent-Length: 0\r\n\r\n")

    assert answer_of(handler).json == 1


def test_a_see_other_to_a_post_is_fetched() -> None:
    async def handler(connection: Connection) -> None:
        if connection.request.startswith(b"GET /new"):
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
        else:
            await connection.send(b"HTTP/1.1 303 x\r\nLocation: /new\r\nContent-Length: 0\r\n\r\n")

    assert answer_of(handler, Request("POST", "/old", body=b"{}")).json == 1


@pytest.mark.parametrize(
    "location", [b"/", b"http://127.0.0.1:1/", b"https://127.0.0.1/", b"//[", b"mailto:x"]
)
def test_a_loop_and_a_foreign_redirect_are_errors(location: bytes) -> None:
    answer = answer_of(says("302 Found", b"", b"Location: " + location))
    assert answer.error
    assert "\n" not in answer.error


def test_silence_is_an_error_after_the_deadline() -> None:
    async def handler(connection: Connection) -> None:
        await connection.reader.read()

    answer = answer_of(handler, seconds=0.2)
    assert (answer.status, answer.error) == (None, "no whole answer within 0.2 s")


def test_a_drip_does_not_outlive_the_deadline() -> None:
    async def handler(connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            await connection.send(b"x")
            await asyncio.sleep(0.02)

    assert answer_of(handler, seconds=0.3).error == "no whole answer within 0.3 s"


@pytest.mark.parametrize("raw", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"])
def test_a_broken_answer_is_an_error(raw: bytes) -> None:
    answer = answer_of(sends(raw))
    assert answer.status is None
    assert answer.error
    assert "\n" not in answer.error


def test_a_reset_is_an_error() -> None:
    assert answer_of(sends(b"HTTP/1.1 200 OK\r\n", reset=True)).error


def test_headers_of_the_profile_go_along_unless_bare() -> None:
    async def scenario() -> list[bytes]:
        got: list[bytes] = []

        async def handler(connection: Connection) -> None:
            got.append(connection.request)
            await connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        async with serving(handler) as url, transport_to(url, headers=(("X-Key", "secret"),)) as transport:
            await transport.call(Request("GET", url), timeout=5)
            await transport.call(Request("GET", url), timeout=5, bare=True)
            await transport.call(Request("GET", url, (("x-key", "\xff"),)), timeout=5)
        return got

    plain, bare, own = asyncio.run(scenario())
    assert b"X-Key: secret\r\n" in plain
    assert b"secret" not in bare
    assert b"x-key: \xff\r\n" in own
    assert b"secret" not in own
