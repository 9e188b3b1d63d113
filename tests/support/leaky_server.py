"""A server that needs secrets and tells them to everybody: whole, encoded, cut, in named members, all over HTTP.

It speaks enough of AgentSmithy and Penguin to be judged, and gets much of both wrong, so that there are findings.
"""

from __future__ import annotations

import base64
import contextlib
import html
import json
import socket
import threading
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

TOKEN = "tok-S3cr3t/9+7=zZqX4"  # the header's, with characters that encodings change
TENANT = 'te"nant\\s3cr<é>t&8'  # another header's, outside ASCII
QUERY = "qry-S3cr3t-5f81c0"  # in the query of a URL
NAMED = "nmd-S3cr3t-77ab12"  # the value of a member that the profile names
NESTED = "nst-S3cr3t-0091fe"  # and one inside such a member
NUMBER = 9081726354
COOKIE = "cke-S3cr3t-4411dd"
SECRETS = (TOKEN, TENANT, QUERY, NAMED, NESTED, str(NUMBER), COOKIE)
PROFILE = """
protocol = "{protocol}"
url = "{url}"
redact = ["apiKey", "access_token"]
[headers]
Authorization = "Bearer ${{LEAK_TOKEN}}"
X-Tenant = "${{LEAK_TENANT}}"
[stimulus.prompt]
method = "POST"
path = "{path}?access_token=QUERY&a=1"
body = {body}
"""
BODIES = {
    "agentsmithy/2": '{ messages = [{ role = "user", content = "{prompt}" }], stream = true, dialog_id = "{session}" }',
    "penguin/2": '{ text = "{prompt}", session_id = "{session}" }',
}
PATHS = {"agentsmithy/2": "/api/chat", "penguin/2": "/api/v1/chat/message"}


def profile(url: str, protocol: str) -> str:
    """The profile's text; LEAK_TOKEN and LEAK_TENANT must be in the environment."""
    text = PROFILE.format(protocol=protocol, url=url, path=PATHS[protocol], body=BODIES[protocol])
    return text.replace("QUERY", QUERY)


@contextlib.contextmanager
def leaky_server() -> Iterator[str]:
    """Its base URL, while it runs."""
    numbers = iter(range(1 << 30))
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=_serve, args=(client, next(numbers)), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _serve(client: socket.socket, number: int) -> None:
    with client, contextlib.suppress(OSError, ValueError, IndexError):
        client.settimeout(20)
        data = b""
        while b"\r\n\r\n" not in data:
            part = client.recv(65536)
            if not part:
                return
            data += part
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines[1:]}
        while len(body) < int(headers.get("content-length", 0)):
            body += client.recv(65536)
        method, target = lines[0].split(" ")[:2]
        client.sendall(_answer(method, target, headers, number))


def _answer(method: str, target: str, headers: dict[str, str], number: int) -> bytes:
    streams = target.partition("?")[0] in ("/api/chat", "/api/v1/events/sse")
    if headers.get("authorization") != f"Bearer {TOKEN}" or not streams:
        # An error that says whatever was asked, and what would have been right.
        said = {
            "error": f"{method} {target}: expected Bearer {TOKEN} and {TENANT}",
            "id": "session-1",
            "apiKey": {"value": NESTED, "number": NUMBER},
            "target": quote(f"{target}?access_token={QUERY}"),
        }
        payload = json.dumps(said).encode()
        status = "200 OK" if streams or method == "POST" else f"404 No {TOKEN}"
        if headers.get("authorization") != f"Bearer {TOKEN}":
            status = f"401 Not {TOKEN}"
        return _head(status, f"Content-Type: application/json\r\nContent-Length: {len(payload)}") + payload
    fields = "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    fields += f"X-Echo: {TOKEN}\r\nSet-Cookie: sid={COOKIE}\r\nLocation: /x?access_token={QUERY}"
    stream = b"".join(_events(number))
    pieces = [stream[at : at + 7] for at in range(0, len(stream), 7)]  # so every secret has a border in it
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    ends = (b"0\r\n\r\n", b"", b"zz" + TOKEN.encode() + b"\r\n")[number % 3]
    if number % 5 == 4:
        fields += f"\r\n{TOKEN} is no header line"
    return _head(f"200 {TOKEN}", fields) + chunks + ends


def _head(status: str, fields: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nConnection: close\r\n{fields}\r\n\r\n".encode("latin-1")


def _events(number: int) -> Iterator[bytes]:
    yield _event({"type": "user", "content": f"{TOKEN} {TENANT}"})
    for secret in (TOKEN, TENANT):
        raw = secret.encode()
        encoded = [
            secret,
            json.dumps(secret),
            quote(secret, safe=""),
            quote_plus(secret).lower().replace("%2f", "%2F"),
            html.escape(secret),
            raw.hex(),
            ascii(secret),
        ]
        encoded += [base64.b64encode(b"!" * shift + raw + b"?").decode() for shift in range(3)]
        encoded += [base64.urlsafe_b64encode(raw).decode()]
        yield _event({"type": "chat", "content": " ".join(encoded), "dialog_id": 7})
        yield (
            b'data: {"type": "chat", "content": ' + json.dumps(secret, ensure_ascii=False).encode() + b"}\n\n"
        )
    yield _event({"type": "chat", "content": TOKEN[:9]})
    yield _event({"type": "chat", "content": TOKEN[9:]})
    args = {"apiKey": NAMED, "access_token": [{"deep": NESTED, "number": NUMBER}]}
    yield _event({"type": "tool_call", "name": TOKEN, "args": args})
    yield _event({"type": "tool_call", "name": "x", "args": json.dumps(json.dumps(args))})
    yield _event({"type": "chat", "content": f"without its name: {NAMED}"})
    yield _event({"type": TOKEN, "content": f"?access_token={QUERY}"})
    yield _event(
        {"type": "error", "error": f"refused: Bearer {TOKEN} of {TENANT} at /x?access_token={QUERY}"}
    )
    yield f": {TOKEN}\nid: {TOKEN}\nevent: {TOKEN}\nodd {TOKEN}: {TENANT}\nretry: {TOKEN}\n\n".encode()
    yield f'data: {{"apiKey":\ndata: "{NAMED}"}}\n\n'.encode()
    if number % 2:
        yield b"data: \xff\xfe " + TOKEN.encode() + b" \xff" + TENANT.encode("latin-1") + b"\n\n"
    yield b'data: {"type": "chat", "apiKey": "' + NAMED.encode() + b"\n\n"
    yield b'data: {"content": "' + TOKEN.encode()


def _event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"
