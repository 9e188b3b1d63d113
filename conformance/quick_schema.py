"""The quick yes of validation: by jsonschema-rs, where it is installed, else by schemas made into functions.

Either only says *whether* a value matches. A value that is refused, or that the quick check cannot read, is judged
again by the `jsonschema` validator, which stays the referee and says what is wrong.
"""

from __future__ import annotations

from typing import Any

from conformance.schema_compile import Check, compiled

try:
    from jsonschema_rs import Draft202012Validator as _Validator
except ImportError:  # it is an extra
    _Validator = None  # type: ignore[assignment, misc]


def quick_check(schema: Any) -> Check | None:
    """A function that says whether a value matches; None where the schema uses a keyword that is unknown to us.

    False may also mean that it cannot tell.
    """
    check = compiled(schema)
    if check is None or _Validator is None:
        return check
    return _by_jsonschema_rs(schema)


def _by_jsonschema_rs(schema: Any) -> Check:
    is_valid = _Validator(schema).is_valid

    def check(value: Any) -> bool:
        try:
            return is_valid(value)
        except ValueError:  # a lone surrogate, which JSON may escape
            return False

    return check


__all__ = ["Check", "quick_check"]
