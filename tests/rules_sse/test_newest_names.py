"""The window of newest names is exact: the same answers as a list that forgets its first entry."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conformance.rules._newest import Newest
from tests.support.generated_profile import examples

# Names that count up, as most servers' do, with others in between.
names = st.lists(st.integers(0, 3) | st.sampled_from("abcdefgh"), max_size=60)


def _counted(drawn: list[int | str]) -> list[str]:
    made, last = [], 0
    for step in drawn:
        if isinstance(step, int):
            last += step
            made.append(f"c{last:03d}")
        else:
            made.append(step)
    return made


@examples(300)
@given(st.integers(1, 5), names, st.data())
def test_as_a_list_that_forgets(size: int, drawn: list[int | str], data: st.DataObject) -> None:
    newest: Newest[str] = Newest(size)
    window: list[tuple[str, int]] = []
    for number, name in enumerate(_counted(drawn)):
        known = dict(window).get(name)
        assert newest.get(name) == known
        if data.draw(st.booleans()):
            assert newest.add(name, number) == known
            if known is None:
                window = [*window, (name, number)][-size:]


@examples(300)
@given(st.integers(1, 5), names, st.data())
def test_several_at_once_are_as_one_by_one(size: int, drawn: list[int | str], data: st.DataObject) -> None:
    at_once: Newest[str] = Newest(size)
    one_by_one: Newest[str] = Newest(size)
    left, number = _counted(drawn), 0
    while left:
        count = data.draw(st.integers(1, len(left)))
        some, left = left[:count], left[count:]
        numbers = range(number, number + count)
        number += count
        alone = [one_by_one.add(name, each) for name, each in zip(some, numbers, strict=True)]
        if at_once.extend(some, numbers):
            assert alone == [None] * count
        else:
            assert [at_once.add(name, each) for name, each in zip(some, numbers, strict=True)] == alone
        assert [at_once.get(name) for name in some] == [one_by_one.get(name) for name in some]


def test_names_that_count_up_are_taken_at_once() -> None:
    newest: Newest[bytes] = Newest(3)
    assert newest.extend([b"a", b"b"], range(2))
    assert not newest.extend([b"b", b"c"], range(2, 4))
    assert not newest.extend([b"d", b"c"], range(2, 4))
    assert newest.get(b"d") is None
    assert newest.extend([b"c", b"d"], range(2, 4))
    assert [newest.get(name) for name in (b"a", b"b", b"c", b"d")] == [None, 1, 2, 3]
