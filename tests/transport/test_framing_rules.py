"""SSE-HTTP-01, 04, 12 and SSE-CON-01: unusual answers that are right stay green, wrong ones are named."""

from __future__ import annotations

import pytest

from conformance.profile import Capabilities, Profile
from conformance.script import Failure, ModelTurn, Script, say
from conformance.transcript import Ended, Framing, Transcript
from tests.support.http_cases import CHAT, DONE, STREAM, exchange, profile, verdict

CLOSE = Framing("close", True)
LENGTH = (*STREAM, ("Content-Length", "100"))
BY_LENGTH = Framing("content-length", True)

RIGHT: dict[str, Transcript] = {
    "chunked": exchange(CHAT, DONE),
    "delimited by the close": exchange(CHAT, DONE, framing=CLOSE),
    "cut by us": exchange(CHAT, ended=Ended.CLOSED_BY_US),
    "cut by us after done": exchange(CHAT, DONE, ended=Ended.CLOSED_BY_US),
    "capped": exchange(CHAT, DONE, ended=Ended.CAPPED),
    "our deadline right after done": exchange(CHAT, (8.5, DONE), ended=Ended.DEADLINE),
    "our deadline without done": exchange(CHAT, ended=Ended.DEADLINE),
    "aborted before done": exchange(CHAT, ended=Ended.TRUNCATED),
    "reset before done": exchange(CHAT, ended=Ended.RESET),
    "text that says done": exchange(CHAT.replace(b'"x"', b'"{\\"type\\": \\"done\\"}"'), ended=Ended.RESET),
}
WRONG: dict[str, Transcript] = {
    "no terminator": exchange(CHAT, DONE, ended=Ended.TRUNCATED),
    "a reset after done": exchange(CHAT, DONE, ended=Ended.RESET),
    "a reset after done, no chunks": exchange(CHAT, DONE, ended=Ended.RESET, framing=Framing("close", False)),
    "left open after done": exchange(CHAT, DONE, ended=Ended.DEADLINE),
    "a framing error": exchange(CHAT, DONE, framing=Framing("chunked", True, ("a bare LF",))),
    "an error in a stream that we cut": exchange(
        CHAT, ended=Ended.CLOSED_BY_US, framing=Framing("chunked", False, ("a bare LF",))
    ),
    "a bad chunk": exchange(
        CHAT, ended=Ended.PROTOCOL_ERROR, framing=Framing("chunked", False, ("not a chunk size",))
    ),
    "no gzip": exchange(ended=Ended.PROTOCOL_ERROR, detail="the body is not gzip"),
    "bytes after the end": exchange(CHAT, DONE, framing=Framing("chunked", True, surplus=3)),
}


@pytest.mark.parametrize("name", RIGHT)
def test_legal_framing(name: str) -> None:
    said = verdict("SSE-HTTP-01a", "text", {"stream": RIGHT[name]})
    assert said.findings == ()
    assert said.judged == 1
    broken_off = RIGHT[name].ended in (Ended.TRUNCATED, Ended.RESET)
    assert ["broken off by the server" in note for note in said.notes] == [True] * broken_off


@pytest.mark.parametrize("name", WRONG)
def test_broken_framing(name: str) -> None:
    said = verdict("SSE-HTTP-01a", "text", {"stream": WRONG[name]})
    assert len(said.findings) == 1
    assert said.findings[0].role == "stream"


def test_one_bad_stream_of_many_is_found() -> None:
    streams = {f"turn-{n}": RIGHT["chunked"] for n in range(3)} | {"turn-9": WRONG["no terminator"]}
    said = verdict("SSE-HTTP-01a", "several-turns", streams)
    assert [finding.role for finding in said.findings] == ["turn-9"]
    assert said.judged == 4


def test_recorded_bodies_do_not_show_their_framing() -> None:
    said = verdict("SSE-HTTP-01a", "text", {"stream": exchange(CHAT, DONE, framed=False)})
    assert (said.judged, bool(said.not_applicable)) == (0, True)


def test_penguin_streams_have_no_done() -> None:
    seen = exchange(CHAT, DONE, method="GET", ended=Ended.TRUNCATED)
    assert verdict("SSE-HTTP-01a", "text", {"stream": seen}, on="penguin/2").findings == ()


@pytest.mark.parametrize("id_", ["SSE-HTTP-01a", "SSE-HTTP-01b", "SSE-HTTP-01c"])
def test_what_is_no_event_stream_is_not_judged(id_: str) -> None:
    seen = exchange(b"{}", headers=(("Content-Type", "application/json"), ("Content-Length", "2")))
    assert verdict(id_, "text", {"stream": seen}).judged == 0


LENGTHS_RIGHT = {
    "none": exchange(CHAT, DONE),
    "a true one": exchange(CHAT, DONE, headers=LENGTH, framing=BY_LENGTH),
    "cut by us": exchange(
        CHAT, headers=LENGTH, framing=Framing("content-length", False), ended=Ended.CLOSED_BY_US
    ),
}
LENGTHS_WRONG = {
    "beside chunks": exchange(
        CHAT, DONE, framing=Framing("chunked", True, ("Content-Length beside Transfer-Encoding",))
    ),
    "too long": exchange(
        CHAT, DONE, headers=LENGTH, framing=Framing("content-length", False), ended=Ended.TRUNCATED
    ),
    "too short": exchange(CHAT, headers=LENGTH, framing=Framing("content-length", True, surplus=9)),
}


@pytest.mark.parametrize("name", LENGTHS_RIGHT)
def test_a_true_length(name: str) -> None:
    said = verdict("SSE-HTTP-01b", "text", {"stream": LENGTHS_RIGHT[name]})
    assert (said.findings, said.judged) == ((), 1)


@pytest.mark.parametrize("name", LENGTHS_WRONG)
def test_a_false_length(name: str) -> None:
    stream = {"stream": LENGTHS_WRONG[name]}
    assert len(verdict("SSE-HTTP-01b", "text", stream).findings) == 1
    assert verdict("SSE-HTTP-01a", "text", stream).findings == ()


def test_a_length_of_one_stream_excuses_no_other() -> None:
    for first in LENGTHS_RIGHT.values():
        both = {"first": first, "second": LENGTHS_WRONG["too long"]}
        said = verdict("SSE-HTTP-01b", "text", both)
        assert ([found.role for found in said.findings], said.judged) == (["second"], 2)


def test_the_head_that_answers_head_is_of_no_stream() -> None:
    bad = (("Content-Type", "text/event-stream"), ("Content-Length", "9"))
    both = {"head": exchange(method="HEAD", headers=bad), "get": exchange(CHAT, method="GET", headers=bad)}
    for requirement in ("SSE-HTTP-01c", "SSE-HTTP-04a"):
        said = verdict(requirement, "text", both, on="penguin/2")
        assert ([found.role for found in said.findings], said.judged) == (["get"], 1)
    assert verdict("SSE-HTTP-04b", "text", both, on="penguin/2").judged == 1


def test_any_length_is_no_good_sign() -> None:
    said = verdict("SSE-HTTP-01c", "text", {"stream": LENGTHS_RIGHT["a true one"]})
    assert len(said.findings) == 1
    assert verdict("SSE-HTTP-01c", "text", {"stream": LENGTHS_RIGHT["none"]}).findings == ()


CODINGS = [
    ("identity", "", True),
    ("identity", "identity", True),
    ("identity", "gzip", False),
    ("gzip", "gzip", True),
    ("gzip", "x-gzip", True),
    ("GZIP, br", "Br", True),
    ("gzip;q=0.5", "gzip", True),
    ("gzip;q=0, *", "gzip", False),
    ("gzip; q=0.000", "gzip", False),
    ("*", "zstd", True),
    ("*;q=0", "gzip", False),
    ("gzip", "deflate", False),
    ("gzip", "gzip, br", False),
]


@pytest.mark.parametrize(("accepted", "used", "good"), CODINGS)
def test_codings(accepted: str, used: str, good: bool) -> None:
    headers = (*STREAM, *((("Content-Encoding", used),) if used else ()))
    seen = exchange(CHAT, DONE, headers=headers, asked=(("accept-encoding", accepted),))
    said = verdict("SSE-HTTP-12", "text", {"stream": seen})
    assert (not said.findings, said.judged) == (good, 1)


def test_without_accept_encoding_every_coding_is_acceptable() -> None:
    seen = exchange(CHAT, DONE, headers=(*STREAM, ("Content-Encoding", "br")))
    assert verdict("SSE-HTTP-12", "text", {"stream": seen}).judged == 0


TYPES_RIGHT = [
    "text/event-stream",
    "Text/Event-Stream",
    "text/event-stream; charset=utf-8",
    'text/event-stream;charset="UTF-8"; x=y',
    "text/event-stream ;charset=utf8",
    "text/event-stream;",
]
TYPES_WRONG = [
    "text/html",
    "text/event-stream2",
    "application/json",
    "text/event-stream; charset=iso-8859-1",
    "text/plain; x=text/event-stream",
    "",
]


@pytest.mark.parametrize("kind", TYPES_RIGHT)
def test_right_media_types(kind: str) -> None:
    said = verdict("SSE-CON-01", "text", {"stream": exchange(CHAT, headers=(("content-type", kind),))})
    assert (said.findings, said.judged) == ((), 1)


@pytest.mark.parametrize("kind", TYPES_WRONG)
def test_wrong_media_types(kind: str) -> None:
    headers = (("content-type", kind),) if kind else ()
    said = verdict("SSE-CON-01", "text", {"stream": exchange(CHAT, headers=headers)})
    assert len(said.findings) == 1


@pytest.mark.parametrize("status", [201, 202, 204, 302, 400, 404, 500])
def test_other_statuses(status: int) -> None:
    said = verdict(
        "SSE-CON-01", "text", {"stream": exchange(CHAT, status=status)}, scripts={"stream": say("x")}
    )
    assert len(said.findings) == 1


@pytest.mark.parametrize("ended", [Ended.DEADLINE, Ended.NO_RESPONSE, Ended.PROTOCOL_ERROR])
def test_no_head(ended: Ended) -> None:
    said = verdict("SSE-CON-01", "plain", {"stream": exchange(status=None, ended=ended)})
    assert len(said.findings) == 1


def test_refusals_that_are_legal() -> None:
    refused = {"stream": exchange(status=500)}
    fails = Script((ModelTurn(error=Failure("no", status=400)),))
    assert verdict("SSE-CON-01", "error-status", refused, scripts={"stream": fails}).judged == 0
    assert verdict("SSE-CON-01", "large", {"stream": exchange(status=413)}).judged == 0
    assert verdict("SSE-CON-01", "large", refused).findings
    limited = profile("agentsmithy/2", rate_limit=3)
    for status in (429, 503):
        said = verdict("SSE-CON-01", "text", {"stream": exchange(status=status)}, on=limited)
        assert said.judged == 0
        assert said.not_applicable.startswith("limited")
        assert verdict("SSE-CON-01", "text", {"stream": exchange(status=status)}).findings


def test_a_refusal_that_is_legal_excuses_no_other_exchange() -> None:
    limited = profile("agentsmithy/2", rate_limit=3)
    both = {"first": exchange(status=429), "second": exchange(CHAT, headers=())}
    said = verdict("SSE-CON-01", "text", both, on=limited)
    assert ([found.role for found in said.findings], said.not_applicable) == (["second"], "")


CACHING = [
    ("no-cache", True),
    ("No-Store, max-age=0", True),
    ("private, no-cache, no-transform", True),
    ('no-cache="x"', True),
    ("no-transform", False),
    ("max-age=60", False),
    ("", False),
]


@pytest.mark.parametrize(("said", "good"), CACHING)
@pytest.mark.parametrize("on", ["penguin/2", "agentsmithy/1"])
def test_caching(said: str, good: bool, on: str) -> None:
    headers = (("content-type", "text/event-stream"), *((("cache-control", said),) if said else ()))
    judged = verdict("SSE-HTTP-04a", "text", {"stream": exchange(CHAT, headers=headers)}, on=on)
    assert (not judged.findings, judged.judged) == (good, 1)


def test_buffering_is_reported() -> None:
    buffered = exchange(CHAT, headers=(*STREAM, ("X-Accel-Buffering", "No")))
    both = {"a": buffered, "b": exchange(CHAT)}
    assert "yes" in verdict("SSE-HTTP-04b", "two-dialogs", {"a": buffered}).notes[0]
    assert "some" in verdict("SSE-HTTP-04b", "two-dialogs", both).notes[0]
    assert verdict("SSE-HTTP-04b", "two-dialogs", both).findings == ()


def test_defaults_of_profiles_are_what_these_tests_assume() -> None:
    assert isinstance(profile("penguin/2"), Profile)
    assert Capabilities().rate_limit is None
