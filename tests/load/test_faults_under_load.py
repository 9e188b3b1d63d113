"""Each fault that only load shows is named by the count or the measure that it is about; nothing else is accused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.load_result import INTEGRITY, LoadResult
from loadtests.rooms import Subscriber
from tests.support.load_runs import Small, run_all
from tests.support.reference import reference_server

PROTOCOLS = ("agentsmithy/2", "penguin/1", "penguin/2", "opencode/1")
_SEQUENCE = {
    "loses-under-load:over=1,every=5": "lost",
    "doubles-under-load:over=1,every=5": "doubled",
    "reorders-under-load:over=1,every=5": "reordered",
    "alters-under-load:over=1,every=5": "altered",
    "invalid-under-load:over=1,every=5": "invalid",
    "leaks-under-load:over=1,every=5": "leaked",
    "ends-missing-under-load:over=1,every=3": "unfinished",
}
_COUNTED = {
    (protocol, fault): kind
    for protocol in ("agentsmithy/2", "penguin/2", "opencode/1")
    for fault, kind in _SEQUENCE.items()
}
_ERRORS = {
    ("agentsmithy/2", "cuts-under-load:over=1,every=15"): "premature_end",
    ("opencode/1", "cuts-under-load:over=1,every=15"): "premature_end",
    ("penguin/2", "cuts-under-load:over=1,every=15"): "premature_end",
    ("agentsmithy/2", "refuses-under-load:over=2"): "status",
    ("penguin/2", "refuses-under-load:over=2"): "status",
}
# The measures cannot fall below what the server adds, however busy this machine is.
_MEASURED = {
    ("agentsmithy/2", "late-first-event-under-load:over=1,ms=400"): "ttfe:max<400ms",
    ("penguin/2", "late-first-event-under-load:over=1,ms=400"): "headers:max<400ms",
    ("agentsmithy/2", "stalls-under-load:over=1,every=15,ms=700"): "stall:max<500ms",
    ("penguin/2", "stalls-under-load:over=1,every=15,ms=700"): "stall:max<500ms",
    ("agentsmithy/2", "slow-reader-delays-others:over=1,every=4,ms=100"): "gap:max<100ms",
}


@pytest.fixture(scope="module")
def results() -> Iterator[dict[tuple[str, str], LoadResult]]:
    """Every run, all at once, on one server that lets requests choose."""
    named = {(protocol, ""): Small(protocol) for protocol in PROTOCOLS}
    named |= {key: Small(*key, patience=3.0) for key in (*_COUNTED, *_ERRORS)}
    named |= {key: Small(*key, slo=gate) for key, gate in _MEASURED.items()}
    named["penguin/2", "replay-loses-under-load:over=1,every=2"] = Small(
        "penguin/2", "replay-loses-under-load:over=1,every=2", storms=3, pace_ms=50
    )
    for protocol in PROTOCOLS:
        # Gone for longer than an answer takes: its end passes by, too.
        named[protocol, "storm"] = Small(protocol, storms=3, pace_ms=10)
    with reference_server("--allow-faults") as url:
        found = run_all(url, {"|".join(key): small for key, small in named.items()})
        yield dict(zip(named, found.values(), strict=True))


def _wrong(result: LoadResult) -> dict[str, int]:
    return {kind: count for kind in INTEGRITY if (count := result.integrity.count(kind))}


@pytest.mark.parametrize("case", ["", "storm"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_correct_server_shows_zeros(
    results: dict[tuple[str, str], LoadResult], protocol: str, case: str
) -> None:
    result = results[protocol, case]
    assert not _wrong(result), result.integrity.examples
    assert result.errors == ()
    assert result.integrity.events
    assert result.totals.streams == result.totals.good > 0
    assert not result.why_not
    assert result.integrity.validated == 1.0
    assert bool(result.totals.reconnects) == (case == "storm" and protocol != "agentsmithy/2")


@pytest.mark.parametrize(("protocol", "fault"), _COUNTED)
def test_a_fault_of_events_is_named_by_its_count(
    results: dict[tuple[str, str], LoadResult], protocol: str, fault: str
) -> None:
    result = results[protocol, fault]
    kind = _COUNTED[protocol, fault]
    assert _wrong(result).keys() == {kind}, result.integrity.examples
    assert {example.kind for example in result.integrity.examples} == {kind}
    assert not result.passed
    assert result.errors == ()


@pytest.mark.parametrize(("protocol", "fault"), _ERRORS)
def test_a_fault_of_streams_is_named_by_its_kind_of_error(
    results: dict[tuple[str, str], LoadResult], protocol: str, fault: str
) -> None:
    result = results[protocol, fault]
    kind = _ERRORS[protocol, fault]
    assert dict(result.errors).keys() == {kind}
    # What a connection resumes has its end after all.
    ends = {"unfinished"} if kind == "premature_end" and protocol != "penguin/2" else set()
    assert _wrong(result).keys() == ends
    assert not result.passed


@pytest.mark.parametrize(("protocol", "fault"), _MEASURED)
def test_a_fault_of_time_is_named_by_its_measure(
    results: dict[tuple[str, str], LoadResult], protocol: str, fault: str
) -> None:
    result = results[protocol, fault]
    gate = _MEASURED[protocol, fault]
    assert [held.expression for held in result.gates if not held.held] == [gate], result.gates
    assert not _wrong(result)


def test_what_a_replay_leaves_out_is_lost(results: dict[tuple[str, str], LoadResult]) -> None:
    result = results["penguin/2", "replay-loses-under-load:over=1,every=2"]
    assert _wrong(result).keys() <= {"lost", "unfinished", "invalid"}, result.integrity.examples
    assert "lost" in _wrong(result), (result.totals, result.integrity)


def test_an_event_beside_text_that_one_of_two_subscribers_is_not_shown_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = 0
    hear = Subscriber.events

    def less(self: Subscriber, datas: list[bytes], size: int, at: float) -> None:
        nonlocal seen
        kept = []
        for data in datas:
            busy = b'"busy"' in data and self is self._room.subscribers[-1]
            seen += busy
            if not busy or seen != 3:
                kept.append(data)
        hear(self, kept, size, at)

    monkeypatch.setattr(Subscriber, "events", less)
    with reference_server() as url:
        (result,) = run_all(url, {"": Small("penguin/2", users=2, answers=10)}).values()
    assert _wrong(result) == {"lost": 1}, result.integrity.examples
    assert "other subscribers" in result.integrity.examples[0].expected


def test_what_passes_by_while_a_client_reconnects_is_not_the_servers_loss(
    results: dict[tuple[str, str], LoadResult],
) -> None:
    totals = results["opencode/1", "storm"].totals
    assert totals.reconnects
    assert "reconnect" in dict(results["opencode/1", "storm"].distributions)
