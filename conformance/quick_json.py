"""JSON read by orjson, where it is installed and provably reads what the strict reader would.

orjson is several times faster and lax in two ways: of a name that comes twice in an object it keeps the last
value without a word, and integers beyond 64 bits become floats. Both are told from what it made, by counting.
Whatever else it refuses (lone surrogates, numbers beyond a float, deep nesting) is for the strict reader to judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

try:
    import orjson
except ImportError:  # it is an extra
    orjson = None  # type: ignore[assignment]


_EXACT = 2.0**63  # a float from here on may have been an integer of more than 64 bits


class _InexactError(ValueError):
    """A number that may not be the one that was written."""


def quick_json(data: bytes) -> Any:
    """The object or array that a JSON text is, None where the strict reader has to be asked.

    A JSON text has two quotes for each of its strings, and one more for each quote within a string, escaped. So
    where it has no more quotes than the strings of the value account for, no name was dropped.
    """
    if orjson is None:
        return None
    try:
        value = orjson.loads(data)
        quotes = 2 * _strings(value)
    except (ValueError, RecursionError):
        return None
    found = data.count(b'"')
    if found != quotes and b"\\\\" not in data:  # then each backslash before a quote escapes it
        found -= data.count(b'\\"')
    return value if found == quotes else None


def quick_jsons(texts: Sequence[bytes]) -> list[Any] | None:
    """The objects or arrays that these JSON texts are, None where they have to be looked at one by one.

    What is written again and is the text, spaces apart, has lost and changed nothing. That is so of all of them if it
    is so of all with a comma between them: no object or array is the beginning of another.
    """
    if orjson is None:
        return None
    try:
        values = [*map(orjson.loads, texts)]
        written = orjson.dumps(values)[1:-1]
    except (ValueError, TypeError):  # TypeError: nested too deep to be written
        return None
    text = b",".join(texts)
    same = written == text or written.translate(None, b" ") == text.translate(None, b" ")
    return values if same and {dict, list}.issuperset(map(type, values)) else None


def _strings(holder: Any) -> int:
    """How many strings, names included, a JSON object or array takes to be written."""
    if type(holder) is dict:
        count = 2 * len(holder)
        holder = holder.values()
    elif type(holder) is list:
        count = len(holder)
    else:
        raise _InexactError
    for item in holder:
        kind = type(item)
        if kind is str:
            continue
        count -= 1
        if kind is dict or kind is list:
            count += _strings(item)
        elif kind is float and not -_EXACT < item < _EXACT:
            raise _InexactError
    return count
