from __future__ import annotations
from typing import Any
def render(cells: Any, numbers: Any) -> str:
    return ""
