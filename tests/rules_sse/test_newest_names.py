"""The window of newest names is exact: the same answers as a list that forgets its first entry."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conformance.rules._newest import Newest
from tests.support.generated_profile import examples


@examples(100)
@given(st.integers(1, 5), st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=60))
def test_as_a_list_that_forgets(size: int, asked: list[tuple[str, bool]]) -> None:
    newest: Newest[str] = Newest(size)
    window: list[tuple[str, int]] = []
    for number, (name, added) in enumerate(asked):
        known = dict(window).get(name)
        assert newest.get(name) == known
        if added:
            assert newest.add(name, number) == known
            if known is None:
                window = [*window, (name, number)][-size:]
