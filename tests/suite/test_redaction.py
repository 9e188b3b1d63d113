"""No secret reaches an artefact: pure redaction here, a whole run with secrets in `test_run.py`."""

from __future__ import annotations

from dataclasses import replace

from conformance.profile import Profile
from conformance.redact import Redactor
from conformance.transcript import Action, Chunk, Ended, Head, Observation, Request, Transcript, to_json

SECRET = "s3cr3t-t0ken"
PROFILE = Profile(
    "penguin/2",
    "http://127.0.0.1:9",
    headers=(("Authorization", f"Bearer {SECRET}"),),
    redact=("apiKey", "access_token"),
)


def test_nothing_of_an_observation_holds_a_secret() -> None:
    body = f'data: {{"echo": "{SECRET}", "apiKey": "zzz-1", "x": 1}}\n\n'.encode()
    observation = Observation(
        "text",
        PROFILE,
        transcripts=(
            (
                "stream",
                Transcript(
                    Request(
                        "GET",
                        "http://h/p?access_token=zzz-2&a=1",
                        (("authorization", f"Bearer {SECRET}"),),
                        b'{"apiKey":"zzz-3"}',
                    ),
                    0.0,
                    Head(0.1, 200, "OK", "1.1", (("set-cookie", "zzz-4"), ("x-echo", SECRET))),
                    (Chunk(0.1, body[:12]), Chunk(0.2, body[12:])),
                    Ended.COMPLETE,
                    0.3,
                    detail=SECRET,
                ),
            ),
        ),
        actions=(
            Action(0.0, "call", prompt=SECRET, answer={"apiKey": "zzz-5", "list": [SECRET]}, note=SECRET),
        ),
        facts=(("f", {"apikey": "zzz-6"}),),
    )
    saved = to_json(Redactor(PROFILE).observation(observation))
    assert SECRET not in saved
    assert "zzz" not in saved
    assert "a=1" in saved


def test_common_words_in_headers_do_not_spoil_the_evidence() -> None:
    profile = replace(PROFILE, headers=(("X-Debug", "true"), ("Accept", "text/event-stream")))
    assert Redactor(profile).text('{"type": "done", "done": true} text/event-stream') == (
        '{"type": "done", "done": true} text/event-stream'
    )
    assert Redactor(profile).headers(profile.headers) == (("X-Debug", "***"), ("Accept", "***"))


def test_what_is_no_secret_stays_as_it_was() -> None:
    transcript = Transcript(
        Request("GET", "http://h/p"),
        0.0,
        None,
        (Chunk(0.1, b"da"), Chunk(0.2, b"ta: 1\n\n")),
        Ended.COMPLETE,
        1.0,
    )
    observation = Observation("text", replace(PROFILE, headers=()), transcripts=(("stream", transcript),))
    assert Redactor(PROFILE).observation(observation).transcripts[0][1].chunks == transcript.chunks
