"""A shape as Locust asks for it: once a second, so many users."""

from __future__ import annotations

from locust import LoadTestShape

from loadtests.control import Control
from loadtests.shapes import Shape


class SseShape(LoadTestShape):
    """Follows a `Shape`, tells all processes of the levels, and ends steps at saturation."""

    use_common_options = True

    def __init__(self, shape: Shape, spawn_rate: float, control: Control) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._shape = shape
        self._rate = spawn_rate
        self._control = control
        self._level = 0

    def tick(self) -> tuple[int, float] | None:
        """What is asked for now; None: it is over."""
        tick = self._shape.at(self.get_run_time())  # type: ignore[no-untyped-call]
        control = self._control
        if self._shape.name == "step" and (tick is None or tick.level > self._level):
            why = control.saturated()
            if why:
                control.end_early(f"saturated: {why}")
                return None
        if tick is None:
            return None
        self._level = tick.level
        if control.running:
            control.ask_for(tick.level, tick.users, tick.storm)
        return tick.users, max(self._rate, tick.users / 10)
