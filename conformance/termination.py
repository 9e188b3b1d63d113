"""A run that is told to stop, stops in order: like one that is interrupted, with everything put back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

_STOPS = ("SIGTERM", "SIGHUP")


def as_interrupt() -> Callable[[], None]:
    """From now on, signals that would end the process at once interrupt it. Returns what undoes that.

    Handlers that somebody has set stay, and outside of the main thread nothing can be done.
    """
    taken: list[signal.Signals] = []
    if threading.current_thread() is threading.main_thread():
        for name in _STOPS:
            number = getattr(signal.Signals, name, None)
            if number is not None and signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _interrupt)
                taken.append(number)

    def undo() -> None:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)

    return undo


def _interrupt(*_: object) -> None:
    # Whoever handles an interrupt (an event loop does) shall handle this, too. In the background of a shell none does.
    if not callable(signal.getsignal(signal.SIGINT)):
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)
