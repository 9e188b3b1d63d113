"""What every HTML page of ours is made of: one self-contained file that asks the network for nothing.

A page is a template that extends `base.html`; its styles and scripts are the files named by the caller, put
into the page and named by their hashes in its Content-Security-Policy, so that nothing else can run or style. Whatever
a template prints is made visible and escaped, wherever it came from: a server's text cannot become markup.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from conformance.report import html_text

_BASE_STYLES = ("base.css",)
_BASE_SCRIPTS = ("base.js",)


def page(template: str, *, styles: Sequence[str] = (), scripts: Sequence[str] = (), **context: object) -> str:
    """The page as HTML text.

    `template` extends "base.html"; `styles` and `scripts` are files in `templates/`, added after the base's own.
    The context must hold no markup but what `html_text` made.
    """
    style = _together((*_BASE_STYLES, *styles))
    script = _together((*_BASE_SCRIPTS, *scripts))
    return (
        environment()
        .get_template(template)
        .render(style=Markup(style), script=Markup(script), policy=_policy(style, script), **context)
    )


@cache
def environment() -> Environment:
    """The template engine: autoescaping, no undefined names, and filters for text that strangers wrote."""
    made = Environment(
        loader=PackageLoader("conformance.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printed,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "text": html_text.visible,
        "name": html_text.name,
        "prose": html_text.prose,
        "lines": html_text.lines,
        "seconds": html_text.seconds,
        "count": html_text.count,
    }
    return made


def _printed(value: Any) -> Any:
    # Also what no filter looked at: no invisible character, and no lone surrogate that could not be encoded.
    return value if isinstance(value, Markup) or not isinstance(value, str) else html_text.plain(value)


@cache
def _together(names: tuple[str, ...]) -> str:
    folder = resources.files("conformance.report") / "templates"
    return "\n".join((folder / name).read_text(encoding="utf-8").strip() for name in names)


def _policy(style: str, script: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            f"style-src {_hash(style)}",
            f"script-src {_hash(script)}",
            "img-src data:",  # the page's own icon
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
