"""The rules about HTTP over several exchanges: each is judged for itself, and what cannot be judged hides nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from conformance import exchanges
from conformance.rules.http_requests import looks_chunked
from conformance.script import Failure, ModelTurn, Script, say
from conformance.transcript import Ended, Framing, Transcript
from tests.support.http_cases import CHAT, DONE, STREAM, event, exchange, profile, verdict

JSON = (("Content-Type", "application/json"),)
PAGE = exchange(b"{}", headers=JSON)
GOOD = exchange(CHAT, DONE)
NONE = exchange(status=None, ended=Ended.NO_RESPONSE)
UNSEEN = exchange(CHAT, DONE, framed=False)
CHUNKS, CLOSE, LENGTH = (Framing(kind, True) for kind in ("chunked", "close", "content-length"))


def judged(
    row: str, probe: str, *seen: Transcript, on: Any = "agentsmithy/2", **more: Any
) -> tuple[int, list[str]]:
    """How much was judged, and the numbers of the exchanges with findings, one for each."""
    said = verdict(row, probe, {f"{n}": each for n, each in enumerate(seen)}, on=on, **more)
    return said.judged, [found.role for found in said.findings]


def headers(*pairs: tuple[str, str], **more: Any) -> Transcript:
    return exchange(CHAT, DONE, headers=(*STREAM, *pairs), **more)


def framed(
    *, errors: tuple[str, ...] = (), surplus: int = 0, kind: str = "chunked", **more: Any
) -> Transcript:
    return exchange(CHAT, DONE, framing=Framing(kind, True, errors, surplus), **more)


HEAD = exchange(method="HEAD", framing=Framing("none", True, ("odd",), 3))


def test_framing() -> None:
    two = framed(errors=("a bare LF", "not a chunk size"))
    bad = exchange(ended=Ended.PROTOCOL_ERROR, framing=Framing("chunked", False, ("not a chunk size",)))
    seen = (PAGE, HEAD, UNSEEN, NONE, two, GOOD, framed(surplus=3), bad, framed(surplus=3, kind="close"))
    assert judged("SSE-HTTP-01a", "text", *seen) == (5, ["4", "4", "6", "7", "8"])
    # How much longer a body is than its length is the business of 01b alone.
    assert judged("SSE-HTTP-01a", "text", framed(surplus=3, kind="content-length")) == (1, [])
    assert judged("SSE-HTTP-01a", "text", framed(errors=("two Content-Length headers",))) == (1, [])


@pytest.mark.parametrize("delimiter", ["chunked", "close"])
def test_terminators(delimiter: str) -> None:
    def left(ended: Ended, until: float = 9.0, *, terminated: bool = False, done: bool = True) -> Transcript:
        pieces = (CHAT, (2.0, DONE)) if done else (CHAT,)
        return exchange(*pieces, ended=ended, ended_at=until, framing=Framing(delimiter, terminated))

    right = [
        left(Ended.COMPLETE, terminated=True),
        left(Ended.DEADLINE, 2.9),
        left(Ended.DEADLINE, done=False),
        left(Ended.CLOSED_BY_US),
        left(Ended.CAPPED),
        left(Ended.RESET, done=False),
        left(Ended.RESET, terminated=True),
    ]
    wrong = [left(Ended.RESET), left(Ended.TRUNCATED), left(Ended.DEADLINE, 3.0), left(Ended.DEADLINE, 9.0)]
    assert judged("SSE-HTTP-01a", "text", *right) == (len(right), [])
    assert judged("SSE-HTTP-01a", "text", *wrong) == (4, ["0", "1", "2", "3"])
    found = verdict("SSE-HTTP-01a", "text", {"x": wrong[0]}).findings[0]
    assert found.event == 1  # at `done`
    broken = verdict("SSE-HTTP-01a", "text", {"x": left(Ended.TRUNCATED, done=False)})
    assert (broken.findings, len(broken.notes)) == ((), 1)
    ours = verdict("SSE-HTTP-01a", "text", {"x": left(Ended.DEADLINE, done=False)})
    assert (ours.findings, ours.notes) == ((), ())


def test_lengths() -> None:
    declared = ("Content-Length", "100")
    short = headers(declared, framing=LENGTH, ended=Ended.TRUNCATED)
    long = headers(declared, framing=replace(LENGTH, surplus=9))
    beside = framed(errors=("Content-Length beside Transfer-Encoding", "a bare LF"))
    true = headers(declared, framing=LENGTH)
    seen = (PAGE, HEAD, UNSEEN, short, GOOD, long, framed(surplus=9), beside, true)
    assert judged("SSE-HTTP-01b", "text", *seen) == (6, ["3", "5", "7"])
    assert judged("SSE-HTTP-01b", "text", headers(framing=CHUNKS, ended=Ended.TRUNCATED)) == (1, [])
    assert judged("SSE-HTTP-01c", "text", PAGE, HEAD, NONE, short, GOOD, true) == (3, ["3", "5"])


def test_without_a_stream_nothing_is_said_of_framing() -> None:
    for row in ("SSE-HTTP-01a", "SSE-HTTP-01b"):
        assert not verdict(row, "text", {"x": PAGE, "y": HEAD}).not_applicable
        assert verdict(row, "text", {"x": UNSEEN, "y": HEAD}).not_applicable
        assert not verdict(row, "text", {"x": UNSEEN, "y": GOOD}).not_applicable


ASSUMED = {"head": "assumed"}


@pytest.mark.parametrize(
    "row", ["SSE-HTTP-01c", "SSE-HTTP-12", "SSE-HTTP-04a", "SSE-HTTP-04b", "SSE-CON-01", "SSE-HTTP-09c"]
)
def test_a_head_that_nobody_saw_is_not_judged(row: str) -> None:
    bare = exchange(
        CHAT,
        status=500,
        headers=(("content-length", "1"), ("content-encoding", "br")),
        asked=(("accept-encoding", "gzip"),),
    )
    said = verdict(row, "text", {"x": bare, "y": GOOD}, facts=ASSUMED)
    assert (said.findings, said.judged, bool(said.not_applicable)) == ((), 0, True)


def test_codings_of_each_exchange() -> None:
    asked = (("accept-encoding", "gzip"),)
    wrong = headers(("Content-Encoding", "br"), asked=asked)
    silent = headers(("Content-Encoding", "br"))
    good = headers(("Content-Encoding", "gzip"), asked=asked)
    unanswered = exchange(status=None, ended=Ended.NO_RESPONSE, asked=asked)
    page = exchange(b"{}", headers=(*JSON, ("Content-Encoding", "br")), asked=asked)
    assert judged("SSE-HTTP-12", "text", unanswered, silent, wrong, good, page) == (3, ["2", "4"])
    both = headers(("Content-Encoding", "br"), asked=(("Accept-Encoding", "gzip"), ("accept-encoding", "br")))
    assert judged("SSE-HTTP-12", "text", both) == (1, [])


@pytest.mark.parametrize(
    ("accepted", "used", "good"),
    [
        ("compress", "x-compress", True),
        ("x-gzip", "gzip", True),
        ("gzip;q=1", "gzip", True),
        ("gzip;q=0.001", "gzip", True),
        ("gzip;q=0", "gzip", False),
        ("gzip; q=0.0", "x-gzip", False),
        ("br, *;q=0.1", "gzip", True),
        ("br, *;q=0", "gzip", False),
        ("identity;q=0", "identity", True),
        ("gzip,,", "gzip", True),
        ("", "gzip", False),
    ],
)
def test_codings(accepted: str, used: str, good: bool) -> None:
    seen = headers(("Content-Encoding", used), asked=(("accept-encoding", accepted),))
    assert judged("SSE-HTTP-12", "text", seen) == (1, [] if good else ["0"])


def test_heads_of_each_exchange() -> None:
    wrong = exchange(CHAT, headers=(("content-type", "text/html; charset=latin-1"),))
    two = exchange(CHAT, headers=(("content-type", "text/event-stream"), ("content-type", "text/html")))
    bare = exchange(CHAT, headers=())
    created = exchange(CHAT, status=201)
    left = exchange(status=None, ended=Ended.CLOSED_BY_US)
    assert judged("SSE-CON-01", "text", left, GOOD, wrong, two, bare, created, NONE) == (
        6,
        ["2", "2", "3", "4", "5", "6"],
    )
    excused = verdict("SSE-CON-01", "text", {"x": left})
    assert (excused.judged, bool(excused.not_applicable)) == (0, True)
    assert not verdict("SSE-CON-01", "text", {"x": left, "y": GOOD}).not_applicable


def test_answers_that_need_be_no_stream() -> None:
    limited = profile("agentsmithy/2", rate_limit=3)
    fails = Script((ModelTurn(error=Failure("no", status=400)),))
    for status in (429, 503):
        assert judged("SSE-CON-01", "text", exchange(status=status), GOOD, on=limited) == (1, [])
    for status in (400, 404, 500):
        assert judged("SSE-CON-01", "text", exchange(status=status), on=limited) == (1, ["0"])
        assert judged("SSE-CON-01", "error-status", exchange(status=status), scripts={"0": fails}) == (0, [])
        assert judged("SSE-CON-01", "text", exchange(status=status), scripts={"0": say("x")}) == (1, ["0"])
    for status, good in ((400, True), (413, True), (499, True), (500, False), (302, False)):
        assert judged("SSE-CON-01", "large", exchange(status=status)) == ((0, []) if good else (1, ["0"]))


def test_caching_of_each_stream() -> None:
    bare = exchange(CHAT, headers=(("content-type", "text/event-stream"),))
    assert judged("SSE-HTTP-04a", "text", PAGE, exchange(method="HEAD"), bare, GOOD, bare) == (3, ["2", "4"])
    buffered = headers(("X-Accel-Buffering", " No "))
    said = verdict(
        "SSE-HTTP-04b", "text", {"w": exchange(method="HEAD"), "x": PAGE, "y": buffered, "z": buffered}
    )
    assert (said.judged, len(said.notes)) == (2, 1)
    assert "yes" in said.notes[0]
    assert (
        "— no"
        in verdict("SSE-HTTP-04b", "text", {"x": GOOD, "y": headers(("X-Accel-Buffering", "yes"))}).notes[0]
    )
    assert verdict("SSE-HTTP-04b", "text", {"x": PAGE}).judged == 0


def named(
    probe: str, row: str, on: Any = "agentsmithy/2", facts: Any = None, **seen: Transcript
) -> tuple[int, list[str]]:
    roles = {role.replace("_", "-"): made for role, made in seen.items()}
    said = verdict(row, probe, roles, on=on, facts=facts)
    return said.judged, [found.role for found in said.findings]


def refused(status: int, *more: tuple[str, str]) -> Transcript:
    return exchange(b"{}", status=status, headers=(*JSON, *more))


def test_methods_each_by_itself() -> None:
    seen = {
        "other": exchange(status=500),
        "method_PUT": refused(405),
        "method_GET": refused(500),
        "method_DELETE": refused(501),
        "method_PATCH": refused(405, ("Allow", "POST")),
        "method_TRACE": exchange(status=None, ended=Ended.DEADLINE),
    }
    assert named(exchanges.METHODS, "SSE-HTTP-05a", **seen) == (5, ["method-GET", "method-TRACE"])
    assert named(exchanges.METHODS, "SSE-HTTP-05b", **seen) == (5, ["method-GET", "method-TRACE"])
    assert named(exchanges.METHODS, "SSE-HTTP-05c", **seen) == (2, ["method-PUT"])


def test_an_answer_to_head() -> None:
    facts = {"peer_closed": True}
    for made, judged_, roles in (
        (exchange(method="HEAD", framed=False), 1, []),
        (exchange(method="HEAD", framing=Framing("none", True, surplus=1)), 1, ["head"]),
        (exchange(method="HEAD", status=None, ended=Ended.DEADLINE), 1, ["head"]),
        (exchange(method="HEAD", status=None, ended=Ended.RESET), 0, []),
    ):
        assert named(exchanges.HEAD_METHOD, "SSE-HTTP-06", facts=facts, head=made) == (judged_, roles)
    for status, roles in ((200, ["head"]), (299, ["head"]), (302, []), (404, [])):
        made = exchange(method="HEAD", status=status, framing=Framing("none", True))
        assert named(exchanges.HEAD_METHOD, "SSE-HTTP-06", facts={"peer_closed": False}, head=made) == (
            1,
            roles,
        )
        assert named(exchanges.HEAD_METHOD, "SSE-HTTP-06", head=made) == (1, [])  # nobody looked


@pytest.mark.parametrize(
    ("body", "chunks"),
    [
        (b"3\r\nabc\r\n0\r\n\r\n", True),
        (b"03;x=y\r\nabc\r\n", True),
        (b"a\r\n0123456789\r\n", True),
        (b"00000003\r\nabc\r\n", True),
        (b"000000003\r\nabc\r\n", False),
        (b"3\r\nabcd\r\n", False),
        (b"3\nabc\n", False),
        (b"data: 3\r\nabc\r\n", False),
        (b"3\r\nabc", False),
        (b"", False),
    ],
)
def test_what_looks_like_chunks(body: bytes, chunks: bool) -> None:
    assert looks_chunked(body) is chunks


def test_accept_each_by_itself() -> None:
    roles = [role for role, _ in exchanges.ACCEPTS]
    assert len(roles) > 1
    for number, role in enumerate(roles):
        good = {name: exchange(status=406) for name in roles}
        said = verdict("SSE-HTTP-08a", exchanges.ACCEPT, good | {role: exchange(status=500)})
        assert ([found.role for found in said.findings], said.judged) == ([role], len(roles))
        said = verdict("SSE-HTTP-08a", exchanges.ACCEPT, good | {role: NONE})
        assert (said.findings, said.judged, bool(said.inconclusive)) == ((), len(roles) - 1, True)
        bad = {name: exchange(status=500) for name in roles[number + 1 :]} | {role: NONE}
        assert len(verdict("SSE-HTTP-08a", exchanges.ACCEPT, bad).findings) == len(roles) - number - 1
    assert verdict("SSE-HTTP-08b", exchanges.ACCEPT, dict.fromkeys(roles, GOOD)).judged == len(roles)


def test_cursors_each_by_itself() -> None:
    opened = exchange(event({"type": "server.connected"}), method="GET", ended=Ended.CLOSED_BY_US)
    seen = {
        "cursor_a": replace(opened, ended=Ended.PROTOCOL_ERROR),
        "cursor_b": opened,
        "cursor_c": refused(500),
        "cursor_d": refused(404),
        "cursor_e": NONE,
        "other": refused(500),
    }
    assert named(exchanges.CURSORS, "SSE-CON-02a", on="penguin/2", **seen) == (4, ["cursor-a", "cursor-c"])
    assert named(exchanges.CURSORS, "SSE-CON-02b", on="penguin/2", **seen) == (
        5,
        ["cursor-c", "cursor-d", "cursor-e"],
    )


ORIGINS = ["https://a.example", "https://b.example"]


def cors(origin: str | None, *more: tuple[str, str], status: int = 200) -> Transcript:
    allowed = (("Access-Control-Allow-Origin", origin),) if origin is not None else ()
    return exchange(CHAT, status=status, headers=(*STREAM, *allowed, *more))


def judge_origins(row: str, **seen: Transcript) -> Any:
    target = profile("agentsmithy/2", cors=tuple(ORIGINS))
    roles = {role.replace("_", "-"): made for role, made in seen.items()}
    return verdict(row, exchanges.ORIGIN, roles, on=target, facts={"origins": ORIGINS})


def test_origins_each_by_itself() -> None:
    a, b = (cors(origin) for origin in ORIGINS)
    said = judge_origins("SSE-HTTP-09a", origin_0=a, cookie_0=a, origin_1=a, cookie_1=b)
    assert (said.judged, [found.role for found in said.findings]) == (4, ["origin-1"])
    # One that was not tried does not excuse the next.
    for seen in ({"origin_0": a}, {"cookie_0": a}, {}):
        said = judge_origins("SSE-HTTP-09a", **seen, origin_1=a, cookie_1=b)
        assert (said.judged, [found.role for found in said.findings]) == (2, ["origin-1"])
    said = judge_origins("SSE-HTTP-09a", origin_0=a, cookie_0=NONE, origin_1=a, cookie_1=b)
    assert (said.judged, said.findings, bool(said.inconclusive)) == (0, (), True)
    assert judge_origins("SSE-HTTP-09a").not_applicable
    said = judge_origins("SSE-HTTP-09b", preflight_1=cors(ORIGINS[0], ("Access-Control-Allow-Headers", "*")))
    assert (said.judged, len(said.findings)) == (1, 1)
    said = judge_origins("SSE-HTTP-09b", preflight_0=NONE, preflight_1=refused(204))
    assert [found.role for found in said.findings] == ["preflight-0", "preflight-1", "preflight-1"]
    assert judge_origins("SSE-HTTP-09b").not_applicable


def test_wildcards_of_each_answer() -> None:
    pair = (("Access-Control-Allow-Credentials", "true"),)
    odd = (("Access-Control-Allow-Credentials", "yes"),)
    seen = (NONE, GOOD, cors("*", *odd), cors("*", *pair), cors(ORIGINS[0], *pair), cors("*", *pair))
    assert judged("SSE-HTTP-09c", "text", *seen) == (4, ["3", "5"])
    assert verdict("SSE-HTTP-09c", "text", {"x": GOOD}).not_applicable
    assert not verdict("SSE-HTTP-09c", "text", {"x": cors("*")}).not_applicable


def test_credentials_each_by_itself() -> None:
    challenged = refused(401, ("WWW-Authenticate", "Bearer"))
    for seen, said in (
        ({"wrong": GOOD}, (1, ["wrong"])),
        ({"none": challenged, "wrong": refused(401)}, (2, ["wrong"])),
        ({"none": GOOD, "wrong": challenged}, (2, ["none"])),
        ({"none": exchange(CHAT, status=401, headers=(*STREAM, ("WWW-Authenticate", "x")))}, (1, ["none"])),
        ({"none": exchange(b": c\n\n", status=403)}, (1, [])),
        ({"none": refused(407)}, (1, ["none"])),
    ):
        assert named(exchanges.AUTH, "SSE-HTTP-10", on=profile("penguin/2", auth="bearer"), **seen) == said


def test_limits() -> None:
    target = profile("penguin/2", rate_limit=5)

    def limited(row: str, seen: Transcript, **facts: Any) -> Any:
        return verdict(row, exchanges.RATE, {"limited": seen}, on=target, facts=facts)

    for status in (429, 503):
        full = refused(status, ("Retry-After", "1"))
        assert limited("SSE-HTTP-11a", full, resumed=True).judged == 1
        late = limited("SSE-HTTP-11a", full, waited=2.0, retry_after=1)
        assert (late.judged, len(late.findings)) == (1, 1)
        for promise in (2, 3, None):
            assert limited("SSE-HTTP-11a", full, waited=2.0, retry_after=promise).inconclusive
        assert limited("SSE-HTTP-11b", full).judged == 1
        bare = limited("SSE-HTTP-11b", refused(status))
        assert (bare.judged, len(bare.findings)) == (1, 1)
    for seen in (GOOD, NONE, refused(500)):
        none = limited("SSE-HTTP-11a", seen, sent=9)
        assert (none.judged, len(none.findings)) == (1, 1)
        assert limited("SSE-HTTP-11b", seen).not_applicable
