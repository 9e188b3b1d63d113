"""Import every module of a package, so that what registers itself on import is registered."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable


def import_modules(package: str, path: Iterable[str]) -> None:
    """Import the modules directly inside `package`, in alphabetical order; those named `_…` are private."""
    for module in sorted(pkgutil.iter_modules(path), key=lambda entry: entry.name):
        if not module.name.startswith("_"):
            importlib.import_module(f"{package}.{module.name}")
