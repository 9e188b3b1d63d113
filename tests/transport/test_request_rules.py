"""SSE-HTTP-05 to 11 and SSE-CON-02: requests that few clients send, and who may read the stream."""

from __future__ import annotations

from typing import Any

import pytest

from conformance import exchanges
from conformance.transcript import Ended, Framing, Transcript
from tests.support.http_cases import CHAT, DONE, STREAM, event, exchange, profile, verdict

JSON = (("Content-Type", "application/json"),)
ALLOW = (*JSON, ("Allow", "POST"))


def refused(
    status: int = 405, headers: tuple[tuple[str, str], ...] = ALLOW, method: str = "PUT"
) -> Transcript:
    return exchange(b"{}", method=method, status=status, headers=headers)


def hung(status: int | None = None) -> Transcript:
    return exchange(method="PUT", status=status, ended=Ended.DEADLINE)


METHOD_CASES = [
    ("405", refused(), "abc", ""),
    ("405 with an empty Allow", refused(headers=(*JSON, ("Allow", ""))), "abc", ""),
    ("404", refused(404, JSON), "ab", ""),
    ("501", refused(501, JSON), "ab", ""),
    ("200 with a page", refused(200, (("Content-Type", "text/html"),)), "a", "b"),
    ("no answer", exchange(method="PUT", status=None, ended=Ended.NO_RESPONSE), "a", "b"),
    ("500", refused(500, JSON), "", "ab"),
    ("503", refused(503, JSON), "", "ab"),
    ("a stream", exchange(CHAT, DONE, method="PUT"), "", "ab"),
    ("a hang", hung(), "", "ab"),
    ("a 405 that never ends", hung(405), "b", "ac"),
    ("405 without Allow", refused(headers=JSON), "ab", "c"),
]


@pytest.mark.parametrize(
    ("seen", "good", "bad"), [c[1:] for c in METHOD_CASES], ids=[c[0] for c in METHOD_CASES]
)
def test_wrong_methods(seen: Transcript, good: str, bad: str) -> None:
    for clause in good:
        said = verdict(f"SSE-HTTP-05{clause}", exchanges.METHODS, {"method-PUT": seen})
        assert (said.findings, said.judged) == ((), 1), clause
    for clause in bad:
        assert len(verdict(f"SSE-HTTP-05{clause}", exchanges.METHODS, {"method-PUT": seen}).findings) == 1, (
            clause
        )


def test_one_wrong_method_among_several_is_found() -> None:
    seen = {
        "method-GET": refused(),
        "method-PUT": refused(),
        "method-DELETE": exchange(CHAT, method="DELETE"),
    }
    (found,) = verdict("SSE-HTTP-05a", exchanges.METHODS, seen).findings
    assert found.role == "method-DELETE"


def test_get_is_exempt_for_agentsmithy_1_only() -> None:
    seen = {"method-GET": exchange(CHAT, DONE, method="GET")}
    for clause in "ab":
        assert verdict(f"SSE-HTTP-05{clause}", exchanges.METHODS, seen, on="agentsmithy/1").findings == ()
        assert verdict(f"SSE-HTTP-05{clause}", exchanges.METHODS, seen, on="agentsmithy/2").findings
    without = {"method-GET": refused(headers=JSON)}
    assert verdict("SSE-HTTP-05c", exchanges.METHODS, without, on="agentsmithy/1").findings


def head(status: int | None = 200, surplus: int = 0, **more: Any) -> Transcript:
    return exchange(method="HEAD", status=status, framing=Framing("none", True, surplus=surplus), **more)


def judge_head(seen: Transcript, *, closed: bool = True) -> Any:
    facts = {"peer_closed": closed}
    return verdict("SSE-HTTP-06", exchanges.HEAD_METHOD, {"head": seen}, on="penguin/2", facts=facts)


def test_head_requests() -> None:
    assert judge_head(head()).judged == 1
    assert judge_head(head()).findings == ()
    assert judge_head(head(headers=(*STREAM, ("Content-Length", "77")))).findings == ()
    assert judge_head(head(405), closed=False).findings == ()
    assert judge_head(head(405)).judged == 1
    assert judge_head(head(405, surplus=31)).findings
    assert "body" in judge_head(head(surplus=31)).findings[0].title
    assert "end" in judge_head(head(), closed=False).findings[0].title
    said = judge_head(head(None, ended=Ended.DEADLINE))
    assert ([found.title for found in said.findings], said.judged) == (["HEAD hangs"], 1)
    unseen = {"head": exchange(method="HEAD", framed=False)}  # neither the framing nor the close
    assert verdict("SSE-HTTP-06", exchanges.HEAD_METHOD, unseen, on="penguin/2").findings == ()
    assert judge_head(head(None, ended=Ended.NO_RESPONSE)).inconclusive


def judge_10(seen: Transcript) -> Any:
    return verdict("SSE-HTTP-07", exchanges.HTTP10, {"http10": seen}, on="penguin/2")


def test_http_1_0() -> None:
    close = Framing("close", False)
    plain = exchange(CHAT, method="GET", ended=Ended.CLOSED_BY_US, framing=close)
    assert (judge_10(plain).findings, judge_10(plain).judged) == ((), 1)
    text = exchange(b"ab: cd\r\n\r\n", framing=close)
    assert judge_10(text).findings == ()
    assert judge_10(exchange(status=505)).not_applicable
    assert judge_10(exchange(status=426)).not_applicable
    chunked = exchange(CHAT, headers=(*STREAM, ("Transfer-Encoding", "chunked")))
    assert "Transfer-Encoding" in judge_10(chunked).findings[0].observed
    body = 2 * CHAT + DONE
    with_extension = exchange(b"%X;a=b\r\n%s\r\n0\r\n\r\n" % (len(body), body), framing=close)
    assert judge_10(with_extension).findings
    disguised = exchange(b"%x\r\n%s\r\n0\r\n\r\n" % (len(CHAT), CHAT), framing=close)
    assert "without the header" in judge_10(disguised).findings[0].observed
    assert judge_10(exchange(status=None, ended=Ended.NO_RESPONSE)).inconclusive


@pytest.mark.parametrize(
    ("status", "good"), [(200, True), (406, True), (404, True), (500, False), (503, False)]
)
def test_accept(status: int, good: bool) -> None:
    seen = {"accept-json": exchange(CHAT, status=status)}
    said = verdict("SSE-HTTP-08a", exchanges.ACCEPT, seen)
    assert (not said.findings, said.judged) == (good, 1)
    unanswered = {"accept-json": exchange(status=None), "accept-q0": seen["accept-json"]}
    said = verdict("SSE-HTTP-08a", exchanges.ACCEPT, unanswered)
    assert (not said.findings, said.judged, bool(said.inconclusive)) == (good, 1, True)
    note = verdict("SSE-HTTP-08b", exchanges.ACCEPT, seen)
    assert str(status) in note.notes[0]
    assert not note.findings


def judge_cursor(seen: Transcript, clause: str, on: str = "penguin/2") -> Any:
    return verdict(f"SSE-CON-02{clause}", exchanges.CURSORS, {"cursor-long": seen}, on=on)


OPEN = exchange(event({"type": "server.connected"}), method="GET", ended=Ended.CLOSED_BY_US)
CURSOR_CASES = [
    ("served", OPEN, "penguin/2", "ab", ""),
    ("refused", exchange(b"{}", method="GET", status=400, headers=JSON), "penguin/2", "a", "b"),
    ("no answer", exchange(method="GET", status=None, ended=Ended.NO_RESPONSE), "penguin/2", "", "b"),
    ("500", exchange(b"{}", method="GET", status=500, headers=JSON), "penguin/2", "", "ab"),
    ("reset", exchange(CHAT, method="GET", ended=Ended.RESET), "penguin/2", "b", "a"),
    ("truncated", exchange(method="GET", ended=Ended.TRUNCATED), "penguin/2", "b", "a"),
    ("ended at once", exchange(method="GET"), "penguin/2", "b", "a"),
    ("an answer to its end", exchange(CHAT, DONE), "agentsmithy/2", "ab", ""),
    ("an empty answer", exchange(), "agentsmithy/2", "b", "a"),
    ("silent but open", exchange(method="GET", ended=Ended.CLOSED_BY_US), "penguin/2", "ab", ""),
]


@pytest.mark.parametrize(
    ("seen", "on", "good", "bad"), [c[1:] for c in CURSOR_CASES], ids=[c[0] for c in CURSOR_CASES]
)
def test_unknown_cursors(seen: Transcript, on: str, good: str, bad: str) -> None:
    for clause in good:
        said = judge_cursor(seen, clause, on)
        assert (said.findings, said.judged) == ((), 1), clause
    for clause in bad:
        assert len(judge_cursor(seen, clause, on).findings) == 1, clause


ORIGIN = "https://app.example"


def cors(value: str | None, *more: tuple[str, str], status: int = 200) -> Transcript:
    named = (("Access-Control-Allow-Origin", value),) if value is not None else ()
    return exchange(CHAT, DONE, status=status, headers=(*STREAM, *named, *more))


def judge_cors(clause: str, plain: Transcript, cookie: Transcript, preflight: Transcript, **caps: Any) -> Any:
    target = profile("agentsmithy/2", cors=(ORIGIN,), **caps)
    seen = {"origin-0": plain, "cookie-0": cookie, "preflight-0": preflight}
    return verdict(f"SSE-HTTP-09{clause}", exchanges.ORIGIN, seen, on=target, facts={"origins": [ORIGIN]})


HEADERS = ("Access-Control-Allow-Headers", "Authorization, Content-Type")


def test_origins() -> None:
    good, star, none = cors(ORIGIN), cors("*"), cors(None)
    ready = cors(ORIGIN, HEADERS, status=204)
    assert judge_cors("a", good, good, ready).judged == 2
    assert judge_cors("a", star, good, ready).findings == ()
    assert judge_cors("a", star, none, ready).findings == ()
    assert judge_cors("a", none, good, ready).findings
    assert judge_cors("a", cors("https://other.example"), good, ready).findings
    # Readable for all, and nobody's cookies are used.
    assert judge_cors("a", star, star, ready).findings == ()
    open_to_cookies = ("Access-Control-Allow-Credentials", "true")
    assert judge_cors("a", cors(ORIGIN, open_to_cookies), cors(ORIGIN, open_to_cookies), ready).findings == ()
    for seen in (
        (good, cors("*", open_to_cookies), ready),
        (cors(ORIGIN, open_to_cookies), star, ready),
        (star, star, cors("*", HEADERS, open_to_cookies, status=204)),
    ):
        assert judge_cors("a", *seen).findings
    assert judge_cors("a", cors(ORIGIN, ("Access-Control-Allow-Origin", ORIGIN)), good, ready).findings
    assert judge_cors("a", cors(None, status=401), good, ready).inconclusive


def test_an_origin_that_was_not_tried_excuses_no_other() -> None:
    other = "https://other.example"
    target, good, bad = profile("agentsmithy/2", cors=(other, ORIGIN)), cors(ORIGIN), cors(None)
    for untried in ({}, {"origin-0": good}, {"cookie-0": good}):
        seen = {**untried, "origin-1": bad, "cookie-1": good, "preflight-1": good}
        facts = {"origins": [other, ORIGIN]}
        judgement = verdict("SSE-HTTP-09a", exchanges.ORIGIN, seen, on=target, facts=facts)
        assert ([found.role for found in judgement.findings], judgement.judged) == (["origin-1"], 2)


def test_preflights() -> None:
    good = cors(ORIGIN)
    for right in (
        cors(ORIGIN, HEADERS, status=204),
        cors("*", ("access-control-allow-headers", "*")),
        cors(ORIGIN, ("Access-Control-Allow-Headers", "content-type"), status=200),
    ):
        said = judge_cors("b", good, good, right)
        assert (said.findings, said.judged) == ((), 1)
    for wrong in (
        cors(ORIGIN, HEADERS, status=401),
        cors(ORIGIN, HEADERS, status=405),
        cors(None, HEADERS, status=204),
        cors(ORIGIN, status=204),
        cors(ORIGIN, ("Access-Control-Allow-Headers", "x-content-type"), status=204),
    ):
        assert judge_cors("b", good, good, wrong).findings


def test_where_no_origin_was_tried_there_is_nothing_to_judge() -> None:
    good, ready = cors(ORIGIN), cors(ORIGIN, HEADERS, status=204)
    for clause in "ab":
        assert judge_cors(clause, good, good, ready).not_applicable == ""
        said = verdict(f"SSE-HTTP-09{clause}", exchanges.ORIGIN, {}, on=profile("agentsmithy/2"))
        assert (said.judged, said.not_applicable) == (0, "no origin was tried")
    assert verdict("SSE-HTTP-09c", "text", {"stream": good}).not_applicable == ""
    assert verdict("SSE-HTTP-09c", "text", {"stream": cors(None)}).not_applicable


def test_a_preflight_of_a_get_needs_the_cursor_only_with_resume() -> None:
    bare = cors(ORIGIN, status=204)
    for resume in (False, True):
        target = profile("penguin/2", cors=(ORIGIN,), resume=resume)
        said = verdict(
            "SSE-HTTP-09b", exchanges.ORIGIN, {"preflight-0": bare}, on=target, facts={"origins": [ORIGIN]}
        )
        assert bool(said.findings) is resume


def test_a_wildcard_with_credentials() -> None:
    credentials = ("Access-Control-Allow-Credentials", "true")
    for seen, bad in ((cors("*", credentials), True), (cors("*"), False), (cors(ORIGIN, credentials), False)):
        said = verdict("SSE-HTTP-09c", "text", {"stream": seen})
        assert (bool(said.findings), said.judged) == (bad, 1)
    assert verdict("SSE-HTTP-09c", "text", {"stream": cors(None)}).judged == 0


CHALLENGE = (*JSON, ("WWW-Authenticate", "Bearer"))
AUTH_CASES = [
    ("a challenge", exchange(b"{}", status=401, headers=CHALLENGE), True),
    ("forbidden", exchange(b"{}", status=403, headers=JSON), True),
    ("401 without a challenge", exchange(b"{}", status=401, headers=JSON), False),
    ("served", exchange(CHAT, DONE), False),
    ("500", exchange(b"{}", status=500, headers=JSON), False),
    ("404", exchange(b"{}", status=404, headers=JSON), False),
    ("403 and events", exchange(CHAT, status=403), False),
    ("403 and a stream's head", exchange(status=403), True),
    ("403 and a page that looks like events", exchange(CHAT, status=403, headers=JSON), True),
    ("no answer", exchange(status=None, ended=Ended.DEADLINE), False),
]


@pytest.mark.parametrize(("seen", "good"), [c[1:] for c in AUTH_CASES], ids=[c[0] for c in AUTH_CASES])
@pytest.mark.parametrize("role", ["none", "wrong"])
def test_credentials(seen: Transcript, good: bool, role: str) -> None:
    both = {"none": AUTH_CASES[0][1], "wrong": AUTH_CASES[1][1]} | {role: seen}
    said = verdict("SSE-HTTP-10", exchanges.AUTH, both, on=profile("penguin/2", auth="bearer"))
    assert (not said.findings, said.judged) == (good, 2)
    alone = verdict("SSE-HTTP-10", exchanges.AUTH, {role: seen}, on=profile("penguin/2", auth="bearer"))
    assert (not alone.findings, alone.judged) == (good, 1)


def judge_rate(clause: str, seen: Transcript, **facts: Any) -> Any:
    target = profile("penguin/2", rate_limit=5)
    return verdict(f"SSE-HTTP-11{clause}", exchanges.RATE, {"limited": seen}, on=target, facts=facts)


def test_rate_limits() -> None:
    limited = exchange(b"{}", status=429, headers=(*JSON, ("Retry-After", "1")))
    assert judge_rate("a", limited, sent=6, resumed=True, waited=2.0, retry_after=1).judged == 1
    assert judge_rate("a", limited, sent=6, resumed=False, waited=60.0, retry_after=1).findings
    assert judge_rate("a", limited, sent=6, resumed=False, waited=60.0, retry_after=None).inconclusive
    assert judge_rate("a", limited, sent=6, resumed=False, waited=60.0, retry_after=3600).inconclusive
    unavailable, silent = exchange(b"{}", status=503, headers=JSON), exchange(status=None)
    assert judge_rate("a", unavailable, sent=6, resumed=True, waited=2.0).findings == ()
    for unlimited in (exchange(CHAT), silent, refused(500, JSON)):
        said = judge_rate("a", unlimited, sent=15)
        assert ([found.title for found in said.findings], said.judged) == (["no limit"], 1)
    said = judge_rate("a", limited, sent=6, resumed=False, waited=60.0, retry_after=1)
    assert ([found.title for found in said.findings], said.judged) == (["service does not resume"], 1)
    assert judge_rate("b", limited).judged == 1
    said = judge_rate("b", unavailable)
    assert (len(said.findings), said.judged) == (1, 1)
    for unlimited in (exchange(CHAT), silent, refused(500, JSON)):
        assert judge_rate("b", unlimited).not_applicable
