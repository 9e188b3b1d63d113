"""The newest names of a stream: among them one may not come twice."""

from __future__ import annotations

from typing import Generic, TypeVar

N = TypeVar("N", str, bytes)


class Newest(Generic[N]):
    """Remembers the events of the newest `size` names.

    Names are kept in two dictionaries, the older of which is dropped when the newer one is full. That costs half of
    an `OrderedDict`, and the names of the older one beyond `size` are told by the numbers of their events.
    """

    __slots__ = ("_new", "_numbers", "_old", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._new: dict[N, int] = {}
        self._old: dict[N, int] = {}
        self._numbers: list[int] = []  # of the older names' events, in order; made when first asked for

    def get(self, name: N) -> int | None:
        """The number of the event that had this name, None where none of the newest had."""
        if (number := self._new.get(name)) is not None:
            return number
        if (number := self._old.get(name)) is None:
            return None
        if not self._numbers:
            self._numbers = list(self._old.values())
        return number if number >= self._numbers[len(self._new)] else None

    def add(self, name: N, number: int) -> int | None:
        """Remember the name of an event; where an earlier one has it, give the number of that one instead.

        `number` grows from call to call.
        """
        if name in self._old and (earlier := self.get(name)) is not None:
            return earlier
        earlier = self._new.setdefault(name, number)
        if earlier != number:
            return earlier
        if len(self._new) == self._size:
            self._old, self._new, self._numbers = self._new, {}, []
        return None
