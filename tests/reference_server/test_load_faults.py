"""Faults that only load shows: with `over` streams the server is right, with one more it is wrong as is said."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from reference_server.faults.catalogue import entries
from tests.support.raw_sse import RawStream, chat_body, script
from tests.support.reference import reference_process

OVER = 2  # streams, with which all is still right
EVERY = 5
PIECES = 20
SAYING = {"chat", "message.part.updated", "message.part.delta"}


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """A server that lets requests choose."""
    with reference_process("--allow-faults", "--heartbeat", "30") as (url, _):
        yield url


def pieces(number: int) -> list[str]:
    return [f"{number}:{index:02d} " for index in range(PIECES)]


def said(stream: RawStream) -> list[Any]:
    """The pieces of text, as they came."""
    holders = [event.get("properties", event) for event in stream.events if event["type"] in SAYING]
    return [each[key] for each in holders for key in ("delta", "content") if key in each]


def chosen(name: str, **parameters: int) -> dict[str, str]:
    """The header of a fault. What it remembers belongs to its name and parameters: each test has its own."""
    known = dict(entries()[name].parameters)
    given = {
        key: value for key, value in {"over": OVER, "every": EVERY, **parameters}.items() if key in known
    }
    return {"X-Reference-Fault": name + ":" + ",".join(f"{key}={value}" for key, value in given.items())}


def chats(base: str, headers: dict[str, str], count: int) -> list[RawStream]:
    """So many answers of AgentSmithy at once, read to their ends."""
    with contextlib.ExitStack() as stack:
        streams = []
        for number in range(count):
            # nobody speaks before all are there
            prompt = script({"stall_ms": 150, "text": pieces(number)}, pace_ms=4)
            url, body = f"{base}/agentsmithy/2/api/chat", chat_body(prompt)
            streams.append(stack.enter_context(RawStream(url, method="POST", headers=headers, body=body)))
        for stream in streams:
            stream.until(lambda s: s.ended or s.terminated)
        return streams


def subscriptions(
    base: str, http: httpx.Client, headers: dict[str, str], count: int, protocol: str
) -> list[RawStream]:
    """So many sessions, each with a subscriber that reads its own turn to the end."""
    root, own = f"{base}/{protocol}", {"X-Reference-Fault": headers["X-Reference-Fault"]}
    penguin = protocol.startswith("penguin")
    with contextlib.ExitStack() as stack:
        streams, sessions = [], []
        for number in range(count):
            directory = f"/w/{number}"
            session = http.post(f"{root}/session", json={"directory": directory}).json()["id"]
            query = {"session_id": session} if penguin else {"directory": directory}
            path = "/api/v1/events/sse" if penguin else "/event"
            stream = RawStream(f"{root}{path}?{urlencode(query)}", headers=own)
            streams.append(stack.enter_context(stream))
            stream.until_event("server.connected")
            sessions.append(session)
        for number, session in enumerate(sessions):
            text = script({"text": pieces(number)})
            if penguin:
                http.post(f"{root}/api/v1/chat/message", json={"text": text, "session_id": session})
            else:
                http.post(
                    f"{root}/session/{session}/prompt_async", json={"parts": [{"type": "text", "text": text}]}
                )
        for (
            session
        ) in sessions:  # the end of all that is to come: with its turn over, a session's title is changed
            http.patch(f"{root}/session/{session}", json={"title": "fence"})
        if penguin:
            for stream in streams:
                stream.until_event("session.updated")
        else:
            for stream in streams:
                stream.until(lambda s: b'"session.diff"' in s.body and b'"title": "fence"' in s.body)
        return streams


Speak = Callable[[dict[str, str], int], list[RawStream]]
PROTOCOLS = ("agentsmithy/2", "penguin/2", "opencode/1")


@pytest.fixture(scope="module")
def speakers(base: str) -> Iterator[dict[str, Speak]]:
    """By protocol: so many answers at once, with these headers."""
    with httpx.Client(trust_env=False, timeout=20) as http:
        yield {
            "agentsmithy/2": partial(chats, base),
            "penguin/2": partial(subscriptions, base, http, protocol="penguin/2"),
            "opencode/1": partial(subscriptions, base, http, protocol="opencode/1"),
        }


def lost(got: list[Any], sent: list[str]) -> bool:
    return len(got) < len(sent) and got == [each for each in sent if each in got]


def doubled(got: list[Any], sent: list[str]) -> bool:
    return len(got) > len(sent) and list(dict.fromkeys(got)) == sent


def reordered(got: list[Any], sent: list[str]) -> bool:
    return got != sent and sorted(got) == sent


def altered(got: list[Any], sent: list[str]) -> bool:
    differ = [pair for pair in zip(got, sent, strict=True) if pair[0] != pair[1]]
    return bool(differ) and all(new == old[:-1] + "?" for new, old in differ)


def invalid(got: list[Any], sent: list[str]) -> bool:
    return len(got) == len(sent) and 0 < sum(isinstance(each, int) for each in got) < len(sent)


def leaked(got: list[Any], sent: list[str]) -> bool:
    return len(got) > len(sent) and [each for each in got if each in sent] == sent


WRONG = {
    "loses-under-load": lost,
    "doubles-under-load": doubled,
    "reorders-under-load": reordered,
    "alters-under-load": altered,
    "invalid-under-load": invalid,
    "leaks-under-load": leaked,
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", WRONG)
def test_pieces_of_text_go_wrong_once_there_is_load(
    speakers: dict[str, Speak], name: str, protocol: str
) -> None:
    over = OVER + PROTOCOLS.index(protocol)  # each protocol's streams are counted apart
    speak, headers = speakers[protocol], chosen(name, over=over)
    for number, stream in enumerate(speak(headers, over)):
        assert said(stream) == pieces(number)
    odd = [(said(stream), pieces(number)) for number, stream in enumerate(speak(headers, over + 1))]
    shown = [pair for pair in odd if pair[0] != pair[1]]
    assert shown
    assert all(WRONG[name](*pair) for pair in shown), shown


def ends(stream: RawStream) -> int:
    """How often a stream says that its answer is over."""
    idle = {"type": "idle"}
    return sum(
        event["type"] in ("done", "session.idle") or event.get("properties", {}).get("status") == idle
        for event in stream.events
    )


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_answers_end_without_their_end_once_there_is_load(speakers: dict[str, Speak], protocol: str) -> None:
    over = OVER + PROTOCOLS.index(protocol)
    headers = chosen("ends-missing-under-load", over=over, every=1)
    assert all(map(ends, speakers[protocol](headers, over)))
    streams = speakers[protocol](headers, over + 1)
    assert [said(stream) for stream in streams] == [pieces(number) for number in range(over + 1)]
    assert 0 in map(ends, streams)


def test_a_subscriber_that_comes_back_misses_an_event_once_there_is_load(base: str) -> None:
    headers = chosen("replay-loses-under-load", over=1, every=1)
    url = f"{base}/penguin/2"
    with httpx.Client(trust_env=False, timeout=20) as http:
        session = http.post(f"{url}/session", json={"title": "a"}).json()["id"]
        for title in "bcd":
            http.patch(f"{url}/session/{session}", json={"title": title})
    cursor = {**headers, "Last-Event-ID": f"evt:session:{session}:00000001"}
    stream = f"{url}/api/v1/events/sse?session_id={session}"
    with RawStream(stream, headers=cursor) as alone:
        assert [event["order"] for event in alone.until(lambda s: len(s.events) == 4).events[1:]] == [2, 3, 4]
        with RawStream(stream, headers=cursor) as second:
            assert [event["order"] for event in second.until(lambda s: len(s.events) == 3).events[1:]] == [
                3,
                4,
            ]


def test_a_stream_is_cut_once_there_is_load(base: str) -> None:
    headers = chosen("cuts-under-load", every=30)
    assert all(stream.terminated for stream in chats(base, headers, OVER))
    streams = chats(base, headers, OVER + 1)
    assert not all(stream.terminated for stream in streams)
    assert all(said(stream) == pieces(n)[: len(said(stream))] for n, stream in enumerate(streams))


def test_further_streams_are_refused(base: str) -> None:
    headers = chosen("refuses-under-load")
    with contextlib.ExitStack() as stack:
        url = f"{base}/opencode/1/event"
        made = [stack.enter_context(RawStream(url, headers=headers)) for _ in range(OVER + 1)]
        assert [stream.status for stream in made] == [200] * OVER + [503]


def test_further_streams_begin_late(base: str) -> None:
    headers = chosen("late-first-event-under-load", over=1, ms=300)
    with contextlib.ExitStack() as stack:
        url = f"{base}/opencode/1/event"
        stack.enter_context(RawStream(url, headers=headers))
        began = time.monotonic()
        stack.enter_context(RawStream(url, headers=headers))
        assert time.monotonic() - began >= 0.3


def test_one_stream_stands_still_and_no_other(base: str) -> None:
    headers = chosen("stalls-under-load", over=1, every=PIECES, ms=1500)
    began = time.monotonic()
    streams = chats(base, headers, 2)  # the first to be read has ended before or after the stall of the one
    assert time.monotonic() - began >= 1.5
    assert [said(stream) for stream in streams] == [pieces(0), pieces(1)]


def test_a_reader_that_does_not_read_holds_the_others_up(base: str) -> None:
    """The second of two streams does not read; more is said to it than sockets hold. The first one waits."""
    headers = chosen("slow-reader-delays-others", over=1, every=1_000, ms=0)
    url = f"{base}/agentsmithy/1/api/chat"
    much = chat_body(script({"text": [{"fill": 60_000, "times": 400}]}))
    slowly = chat_body(script({"text": [{"fill": 20, "times": 400}]}, pace_ms=5))
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(RawStream(url, method="POST", headers=headers, body=slowly))
        second = stack.enter_context(
            RawStream(url, method="POST", headers=headers, body=much, receive_buffer=4096)
        )
        with pytest.raises(TimeoutError):
            _all_told(first, within=1.0)
        second.socket.close()
        _all_told(first, within=10.0)


def _all_told(stream: RawStream, *, within: float) -> None:
    """Read all 400 pieces and `done`, each within so many seconds."""
    for count in range(401):
        stream.until(lambda s, count=count: len(s.events) > count, within)  # type: ignore[misc]


def test_every_so_manyeth_reader_holds_the_others_up(base: str) -> None:
    headers = chosen("slow-reader-delays-others", over=1, every=2, ms=500)
    url, body = f"{base}/agentsmithy/2/api/chat", chat_body(script({"text": pieces(0)}, pace_ms=20))
    with (
        RawStream(url, method="POST", headers=headers, body=body) as first,
        RawStream(url, method="POST", headers=headers, body=body) as slow,
    ):
        began = time.monotonic()
        first.to_end()
        assert time.monotonic() - began >= 0.5  # it has to wait at least once
        slow.to_end()
        assert said(first) == said(slow) == pieces(0)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc (Linux)")
def test_memory_and_descriptors_are_left_behind() -> None:
    def resident(pid: int) -> int:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def descriptors(pid: int) -> int:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))

    with reference_process("--allow-faults") as (url, pid):
        open_before = descriptors(pid)
        chats(url, {}, OVER + 1)
        before = resident(pid)
        chats(url, chosen("memory-grows-under-load", bytes=1 << 20, mib=16), OVER + 1)
        assert resident(pid) - before >= 15 << 20
        for count in (OVER, OVER + 1):
            chats(url, chosen("descriptors-leak-under-load", every=1), count)
            # the connections have gone; of three streams the first to end was one too many
            assert _waited_for(lambda left=count - OVER: descriptors(pid) == open_before + left)  # type: ignore[misc]


def _waited_for(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
