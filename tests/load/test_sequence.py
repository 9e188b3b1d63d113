"""The sequence judge: what it calls lost, doubled, reordered, altered and leaked, and what it does not."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from loadtests.plan import Mark, Plan
from loadtests.sequence import Offence, Owners, Sequence

PLAN = Plan("0123abcd", chunks=6, size=64)


def _marks(key: str = "k", prompt: int = 0, total: int = 6) -> list[Mark]:
    return [Mark(key, prompt, number, total) for number in range(total)]


def _sequence(only: str | None = None, **sessions: str) -> Sequence:
    owners = Owners()
    for key, session in (sessions or {"k": "K"}).items():
        owners.bind(key, session)
    return Sequence(PLAN, owners, lambda session: only in (None, session))


def _say(sequence: Sequence, marks: list[Mark], session: str = "K") -> None:
    for mark in marks:
        sequence.text(session, PLAN.chunk(mark), 0.0)


def _counts(sequence: Sequence) -> Counter[str]:
    counts: Counter[str] = Counter()
    for offending in sequence.offences:
        counts[offending.kind.value] += offending.count
    return +counts


def _heard(marks: list[Mark], *, end: bool = True) -> Counter[str]:
    sequence = _sequence()
    sequence.owe(_marks()[0], 0.0)
    sequence.echo("K", PLAN.script("k", 0).directive(), 0.0)
    _say(sequence, marks)
    if end:
        sequence.end("K", 0.0)
    sequence.fence()
    return _counts(sequence)


def test_a_faithful_stream_has_no_offence_however_its_text_is_cut() -> None:
    text = "".join(map(PLAN.chunk, _marks()))
    draw = random.Random(7)
    for _ in range(50):
        cuts = sorted(draw.sample(range(1, len(text)), draw.randrange(12)))
        sequence = _sequence()
        sequence.owe(_marks()[0], 0.0)
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            sequence.text("K", text[start:end], 0.0)
        sequence.end("K", 0.0)
        assert not _counts(sequence)
        assert [(heard.outcome, heard.whole) for heard in sequence.heard] == [("good", True)]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([0, 1, 3, 4, 5], {"lost": 1}),
        ([1, 2, 3, 4, 5], {"lost": 1}),
        ([0, 1, 2], {"lost": 3}),
        ([], {"lost": 6}),
        ([0, 1, 1, 2, 3, 4, 5], {"doubled": 1}),
        ([0, 2, 1, 3, 4, 5], {"reordered": 1}),
        ([0, 1, 2, 3, 5, 4], {"reordered": 1}),
        ([0, 2, 1, 1, 3, 5], {"reordered": 1, "doubled": 1, "lost": 1}),
    ],
)
def test_what_is_missing_doubled_or_in_another_order_is_counted(
    order: list[int], expected: dict[str, int]
) -> None:
    marks = _marks()
    assert _heard([marks[number] for number in order]) == expected


def test_a_stream_that_ends_without_the_end_of_its_answer_is_unfinished() -> None:
    assert _heard(_marks(), end=False) == {"unfinished": 1}


def test_an_altered_chunk_is_not_called_lost_too() -> None:
    for change in (
        lambda t: t[:50] + "?" + t[51:],
        lambda t: t[:50] + t[51:],
        lambda t: t[:50] + "?" + t[50:],
    ):
        sequence = _sequence()
        sequence.owe(_marks()[0], 0.0)
        for mark in _marks():
            text = PLAN.chunk(mark)
            sequence.text("K", change(text) if mark.number == 2 else text, 0.0)
        sequence.end("K", 0.0)
        assert _counts(sequence) == {"altered": 1}


def test_the_next_prompt_is_a_fence_for_the_one_before() -> None:
    sequence = _sequence()
    for prompt in (0, 1):
        sequence.owe(_marks(prompt=prompt)[0], 0.0)
    _say(sequence, _marks(prompt=0)[:4])
    assert not _counts(sequence)  # the second prompt was sent; nothing says that the first is over
    _say(sequence, _marks(prompt=1))
    assert _counts(sequence) == {"lost": 2, "unfinished": 1}
    _say(sequence, [_marks(prompt=0)[4]])
    assert _counts(sequence) == {"lost": 1, "reordered": 1, "unfinished": 1}


def test_a_prompt_of_which_nothing_was_seen_is_lost_when_a_later_one_shows() -> None:
    sequence = _sequence()
    for prompt in (0, 1):
        sequence.owe(_marks(prompt=prompt)[0], 0.0)
    _say(sequence, _marks(prompt=1))
    sequence.end("K", 0.0)
    assert _counts(sequence) == {"lost": 6, "unfinished": 1}


def test_what_is_under_way_when_we_leave_is_not_judged() -> None:
    sequence = _sequence()
    sequence.owe(_marks()[0], 0.0)
    _say(sequence, [_marks()[0], _marks()[3]])
    sequence.leave()
    sequence.fence()
    assert not _counts(sequence)


def test_a_server_that_cuts_the_stream_has_no_end_and_lost_only_what_later_chunks_show() -> None:
    sequence = _sequence()
    sequence.owe(_marks()[0], 0.0)
    _say(sequence, [_marks()[0], _marks()[2]])
    sequence.cut()
    assert _counts(sequence) == {"lost": 1, "unfinished": 1}


def test_a_late_joiner_is_not_owed_what_came_before() -> None:
    sequence = _sequence()
    sequence.text("K", PLAN.chunk(_marks()[1])[20:] + PLAN.chunk(_marks()[2]), 0.0)
    _say(sequence, _marks()[3:])
    sequence.end("K", 0.0)
    assert not _counts(sequence)


def test_text_of_another_session_is_leaked_and_changes_nothing_else() -> None:
    sequence = _sequence(k="K", o="O")
    sequence.owe(_marks()[0], 0.0)
    _say(sequence, _marks()[:3])
    _say(sequence, [Mark("o", 0, 3, 6)])
    _say(sequence, _marks()[3:])
    sequence.end("K", 0.0)
    assert _counts(sequence) == {"leaked": 1}


def test_a_stream_for_one_prompt_shows_no_other() -> None:
    owners = Owners()
    owners.bind("k", "K")
    sequence = Sequence(PLAN, owners, "K".__eq__, prompt=1)
    sequence.owe(_marks(prompt=1)[0], 0.0)
    _say(sequence, [*_marks(prompt=1)[:2], _marks(prompt=0)[5], *_marks(prompt=1)[2:]])
    sequence.end("K", 0.0)
    assert _counts(sequence) == {"leaked": 1}


def test_events_of_another_session_do_not_belong_on_a_stream_for_one() -> None:
    sequence = _sequence("K")
    assert sequence.allowed("K")
    assert sequence.allowed("")
    assert not sequence.allowed("O")
    assert _counts(sequence) == {"leaked": 1}


def test_what_passes_by_while_a_connection_is_renewed_is_counted_apart() -> None:
    sequence = _sequence()
    sequence.owe(_marks()[0], 0.0)
    _say(sequence, _marks()[:2])
    sequence.renewed(resumes=False)
    _say(sequence, _marks()[4:])
    sequence.end("K", 0.0)
    assert not _counts(sequence)
    assert sequence.missed == 2


def test_a_connection_that_resumes_owes_all() -> None:
    sequence = _sequence()
    sequence.owe(_marks()[0], 0.0)
    _say(sequence, _marks()[:3])
    sequence.renewed(resumes=True)
    _say(sequence, [_marks()[2], *_marks()[4:]])
    sequence.end("K", 0.0)
    assert _counts(sequence) == {"lost": 1, "doubled": 1}


def test_prompts_of_others_are_nobodys_business() -> None:
    sequence = _sequence()
    sequence.echo("X", "what is the time?", 0.0)
    assert sequence.text("X", "a quarter past nine", 0.0) == 0
    sequence.end("X", 0.0)
    sequence.fence()
    assert not _counts(sequence)


def test_offences_have_the_names_of_gates() -> None:
    names = {"lost", "doubled", "reordered", "altered", "leaked", "invalid", "unfinished"}
    assert {offence.value for offence in Offence} == names
