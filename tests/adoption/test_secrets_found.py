"""Where a redactor finds secrets, and that what it leaves is as long and as well-formed as before."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.profile import Profile, Template
from conformance.redact import Redactor
from conformance.transcript import Chunk, Ended, Framing, Head, Observation, Request, Transcript, to_json

TOKEN = 'tok"S3cr3t/9+7\\=zZ<q>é'
PROFILE = Profile(
    "penguin/2",
    "http://127.0.0.1:9",
    headers=(("Authorization", f"Bearer {TOKEN}"), ("X-Mode", "true")),
    redact=("apiKey", "access_token"),
    stimulus=(
        ("prompt", Template("POST", "/x?access_token=qry-0123456789", {"apiKey": "bdy-0123456789", "a": 1})),
    ),
)
REDACTOR = Redactor(PROFILE)


@pytest.mark.parametrize(
    "written",
    [
        TOKEN,
        json.dumps(TOKEN),
        json.dumps(json.dumps(TOKEN)),
        json.dumps(TOKEN).replace("/", "\\/"),
        quote(TOKEN, safe=""),
        quote_plus(TOKEN).lower().replace("tok", "tok"),
        html.escape(TOKEN),
        repr(TOKEN.encode()),
        TOKEN.encode().hex(),
        TOKEN.encode("latin-1").decode("utf-8", "surrogateescape"),
        *(base64.b64encode(b"x" * shift + TOKEN.encode() + b"yz").decode() for shift in range(3)),
        base64.urlsafe_b64encode(f"Bearer {TOKEN}".encode()).decode(),
        f"the server said {TOKEN[:10]}…",
        f"… {TOKEN[9:]}",
    ],
)
def test_every_way_of_writing_it(written: str) -> None:
    shown = REDACTOR.text(f"before {written} after")
    assert "S3cr3t" not in shown
    assert "zZ" not in shown
    assert "*****" in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")


def test_what_basic_credentials_say_is_secret_too() -> None:
    secret = base64.b64encode(b"alice:hunter2-pass").decode()
    basic = Redactor(Profile("penguin/2", "http://h", headers=(("Authorization", f"Basic {secret}"),)))
    assert basic.text("no user alice:hunter2-pass, hunter2-pass is wrong") == (
        f"no user alice:{'*' * 12}, {'*' * 12} is wrong"
    )


def test_the_name_in_basic_credentials_is_no_secret() -> None:
    secret = base64.b64encode(b"opencode:hunter2-pass-8f3a").decode()
    redactor = Redactor(
        Profile("opencode/1", "http://127.0.0.1:9", headers=(("Authorization", f"Basic {secret}"),))
    )
    assert redactor.text("/home/opencode/work") == "/home/opencode/work"
    assert redactor.text("opencode:hunter2-pass-8f3a") == "opencode:" + "*" * 17


@pytest.mark.parametrize("value", ["true", "text/event-stream", "gzip"])
def test_common_words_are_no_secrets(value: str) -> None:
    common = Redactor(Profile("penguin/2", "http://h", headers=(("X-Some", value),)))
    assert common.text(f'{{"done": {value}}}') == f'{{"done": {value}}}'


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"apiKey": "abc", "b": 1}', '{"apiKey": "***", "b": 1}'),
        ('{"APIKEY" : 12.5e3, "b": 1}', '{"APIKEY" : 11.1e1, "b": 1}'),
        ('{"apiKey": true, "b": "c"}', '{"apiKey": true, "b": "c"}'),
        ('{"apiKey": {"x": ["ab", 7]}, "b": "c"}', '{"apiKey": {"*": ["**", 1]}, "b": "c"}'),
        ('"args": "{\\"apiKey\\": \\"abc\\"}"', '"args": "{\\"apiKey\\": \\"***\\"}"'),
        ('data: {"apiKey":\ndata: "abc"}', 'data: {"apiKey":\ndata: "***"}'),
        ('{"apiKey": "cut in the mid', '{"apiKey": "**************'),
        ("/x?a=1&access_token=abc&b=2", "/x?a=1&access_token=***&b=2"),
        ("access_token=abc&b=2", "access_token=***&b=2"),
        ("/r?to=%2Fx%3Faccess_token%3Dabc%26b", "/r?to=%2Fx%3Faccess_token%3D***%26b"),
        ("http://user:pass@host/", "http://*********@host/"),
        ("qry-0123456789 and bdy-0123456789", f"{'*' * 14} and {'*' * 14}"),
    ],
)
def test_values_with_a_name(text: str, shown: str) -> None:
    assert REDACTOR.text(text) == shown


@given(
    st.dictionaries(st.sampled_from(["apiKey", "b", "c"]), st.text(max_size=12), max_size=3),
    st.integers(0, 3),
)
def test_json_in_json_stays_json_of_the_same_length(value: dict[str, str], depth: int) -> None:
    text: str = json.dumps(value)
    for _ in range(depth):
        text = json.dumps(text)
    shown = REDACTOR.text(text)
    assert len(shown) == len(text)
    back = json.loads(shown)
    for _ in range(depth):
        back = json.loads(back)
    assert back.keys() == value.keys()
    for key, item in value.items():
        assert set(back[key]) <= {"*"} if key == "apiKey" else back[key] == item


def observation(body: bytes, cut: int) -> Observation:
    transcript = Transcript(
        Request("GET", f"http://h/?access_token={TOKEN[:4]}&z=1", (("authorization", TOKEN),)),
        0.0,
        Head(0.1, 401, f"not {TOKEN}", "1.1", (("www-authenticate", f'realm="{TOKEN}"'),)),
        (Chunk(0.1, body[:cut]), Chunk(0.2, body[cut:])),
        Ended.PROTOCOL_ERROR,
        0.3,
        detail=f"not a chunk size: {TOKEN.encode()!r}",
        framing=Framing("chunked", False, (f"a malformed header line: {TOKEN.encode()!r}",)),
    )
    return Observation("text", PROFILE, (("stream", transcript),), incomplete=f"answered {TOKEN}")


def test_bodies_keep_their_length_and_their_chunks() -> None:
    body = b"data: \xff " + TOKEN.encode() + b' {"apiKey": "\xc3\xa9x"}\n\n'
    for cut in range(len(body)):
        clean = REDACTOR.observation(observation(body, cut))
        (_, transcript) = clean.transcripts[0]
        assert [len(chunk.data) for chunk in transcript.chunks] == [cut, len(body) - cut]
        assert transcript.body == b"data: \xff " + b"*" * len(TOKEN.encode()) + b' {"apiKey": "***"}\n\n'
    saved = to_json(clean)
    assert "S3cr3t" not in saved
    assert "0123456789" not in saved


def test_values_of_named_members_are_learned() -> None:
    seen = observation(b'data: {"apiKey": "lrn-0123456789"}\n\ndata: lrn-0123456789\n\n', 4)
    learned = REDACTOR.learned_from(seen)
    assert learned == {"lrn-0123456789"}
    assert "lrn" not in Redactor(PROFILE, learned).text("it said lrn-0123456789")
