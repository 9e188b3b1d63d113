"""The newest names of a stream: among them one may not come twice."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import chain
from operator import lt
from typing import Generic, TypeVar

N = TypeVar("N", str, bytes)


class Newest(Generic[N]):
    """Remembers the events of the newest `size` names.

    Most servers count their names up. One beyond all others is new without being looked for and joins the end of a
    sorted list, where a dictionary would touch memory all over. Only names out of order are kept in one.
    """

    __slots__ = ("_full", "_greatest", "_names", "_numbers", "_other_numbers", "_others", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._full = 2 * size  # names in either place when it is time to drop old ones
        self._greatest: N | None = None  # of all names below
        self._names: list[N] = []  # those that were beyond all others,
        self._numbers = array("q")  # and their events, in order
        self._others: dict[N, int] = {}  # the other names with their events,
        self._other_numbers = array("q")  # and these in order

    def get(self, name: N) -> int | None:
        """The number of the event that had this name, None where none of the newest had."""
        number = self._others.get(name)
        if number is None:
            at = bisect_left(self._names, name)
            if at == len(self._names) or self._names[at] != name:
                return None
            number = self._numbers[at]
        newer = sum(len(all_) - bisect_right(all_, number) for all_ in (self._numbers, self._other_numbers))
        return number if newer < self._size else None

    def add(self, name: N, number: int) -> int | None:
        """Remember the name of an event; where an earlier one has it, give the number of that one instead.

        `number` grows from call to call.
        """
        if self._greatest is None or name > self._greatest:
            self._greatest = name
            self._names.append(name)
            numbers = self._numbers
        else:
            earlier = self.get(name)
            if earlier is not None:
                return earlier
            self._others[name] = number
            numbers = self._other_numbers
        numbers.append(number)
        if len(numbers) >= self._full:
            self._forget()
        return None

    def extend(self, names: Sequence[N], numbers: Iterable[int]) -> bool:
        """Remember the names of these events, if each is beyond the one before and all others; else none of them."""
        beyond = self._greatest is None or names[0] > self._greatest
        if not beyond or not all(map(lt, names, names[1:])):
            return False
        self._greatest = names[-1]
        self._names += names
        self._numbers.extend(numbers)
        if len(self._numbers) >= self._full:
            self._forget()
        return True

    def _forget(self) -> None:
        """Drop what is not among the newest."""
        size = self._size
        oldest = sorted(self._numbers[-size:] + self._other_numbers[-size:])[-size]
        gone = bisect_left(self._numbers, oldest)
        del self._names[:gone], self._numbers[:gone]
        del self._other_numbers[: bisect_left(self._other_numbers, oldest)]
        self._others = {name: number for name, number in self._others.items() if number >= oldest}
        self._greatest = max(chain(self._names[-1:], self._others))  # `size` names are left
