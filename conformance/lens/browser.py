"""A browser's `EventSource`: Chromium, driven by Playwright (the extra `lens`), reading from a loopback server."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import ExitStack
from importlib import resources
from types import TracebackType
from typing import Any, Self

from conformance.lens.deviations import of
from conformance.lens.loopback import player
from conformance.lens.model import modelled
from conformance.lens.reading import Answer, Missing, Reading, Seen

VARIABLE = "SSE_CHROMIUM"  # names the browser's program
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-sync",
)
_PATIENCE = 10.0  # seconds for events that are due before the end; then the body ends all the same
_SECONDS = 60.0  # for one stream; only keeps a broken browser from hanging the lens
_TYPE = re.compile(r"^event(?::(.*))?$", re.MULTILINE)


class Browser:
    """Chromium's `EventSource`, in a page of its own origin."""

    key = "browser"
    title = "Chromium's EventSource"
    tells_retry = False

    def __init__(self, program: str | None = None) -> None:
        self._program = program
        self.version = ""
        self._stack = ExitStack()
        self._page: Any = None
        self._error: type[Exception] = Exception

    def __enter__(self) -> Self:
        try:
            from playwright.sync_api import Error, sync_playwright
        except ImportError:
            raise Missing("Playwright is not installed: pip install 'sse-conformance[lens]'") from None
        self._error = Error
        program = self._found()
        with ExitStack() as stack:
            self._player = stack.enter_context(player())
            playwright = stack.enter_context(sync_playwright())
            try:
                browser = playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
            except Error as error:
                name = program or "the browser that Playwright brings"
                raise Missing(f"{name} does not start: {_first_line(error)}") from None
            stack.callback(browser.close)
            self.version = browser.version
            self._page = browser.new_page()
            self._page.set_default_timeout(_SECONDS * 1000)
            self._page.goto(self._player.url)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._player.end_all()
        self._stack.close()

    def read(self, answer: Answer) -> Reading:
        """What listeners of the page get."""
        script = (resources.files("conformance.lens") / "browser_reader.js").read_text(encoding="utf-8")
        # What the list says that it will not see need not be waited for.
        expected = min(len(modelled(answer, listed).reading.events) for listed in ((), of(self.key)))
        path = self._player.put(answer)
        told = {"path": path, "types": _types(answer), "expected": expected, "patience": _PATIENCE * 1000}
        try:
            found = self._page.evaluate(script, told)
        except self._error as error:
            raise Missing(f"{self.title} stopped: {_first_line(error)}") from None
        finally:
            self._player.drop(path)
        events = tuple(Seen(event["type"], event["data"], event["id"]) for event in found["events"])
        return Reading(events, found["late"], refused="the connection fails" if found["refused"] else "")

    def _found(self) -> str | None:
        named = self._program or os.environ.get(VARIABLE)
        if named:
            if shutil.which(named) is None:
                raise Missing(f"{named}: there is no such program ({VARIABLE} names the browser)")
            return named
        # None: the one that `playwright install chromium` has brought, if it is there.
        return next((path for name in _PROGRAMS if (path := shutil.which(name))), None)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _types(answer: Answer) -> list[str]:
    """Every event type that any reading of the body could give: a page must name what it listens to."""
    text = answer.body.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r", "\n")
    named = {value or "" for value in _TYPE.findall(text)}
    return sorted({"message", *named, *(value.removeprefix(" ") for value in named)} - {""})


__all__ = ["VARIABLE", "Browser"]
