"""The reference server as a process of its own, one for each set of options and module."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.reference import reference_server

Starter = Callable[..., str]


@pytest.fixture(scope="module")
def start() -> Iterator[Starter]:
    """`start(*options)`: the base URL of a server with these options, one for the same options."""
    with contextlib.ExitStack() as stack:
        running: dict[tuple[str, ...], str] = {}

        def get(*options: str) -> str:
            if options not in running:
                running[options] = stack.enter_context(reference_server(*options))
            return running[options]

        yield get


@pytest.fixture
def base(start: Starter) -> str:
    """The base URL of a server without options but a short heartbeat."""
    return start("--heartbeat", "0.3")


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    """A client that ignores proxies."""
    with httpx.Client(trust_env=False, timeout=20) as client:
        yield client
