"""Load tests of agents' event streams, for Locust.

locust -f loadtests/locustfile.py --host http://127.0.0.1:8000 --sse-protocol agentsmithy/2 --headless -u 100 -t 60s
"""

from __future__ import annotations

from typing import Any

from locust import events
from locust.env import Environment
from locust.runners import WorkerRunner

from loadtests import locust_shape  # not the class: Locust would make one itself
from loadtests.control import Control
from loadtests.options import add_options
from loadtests.users import AgentSmithyUser, OpenCodeUser, PenguinUser

events.init_command_line_parser.add_listener(lambda parser, **_: add_options(parser))


def begin(environment: Environment, **_: Any) -> None:
    """This process's part: the options were read, nothing runs yet."""
    control = Control(environment)
    environment.sse_control = control  # type: ignore[attr-defined]
    if isinstance(environment.runner, WorkerRunner):
        control.warm_up()
        return  # what it is to do comes from its master
    control.check()
    asked = control.asked
    assert asked is not None
    environment.user_classes[:] = [user for user in environment.user_classes if user.family in asked.families]  # type: ignore[attr-defined]
    if asked.shape is not None:
        options: Any = environment.parsed_options
        shape = locust_shape.SseShape(asked.shape, float(options.spawn_rate or 1), control)
        shape.runner = environment.runner
        environment.shape_class = shape


events.init.add_listener(begin)

__all__ = ["AgentSmithyUser", "OpenCodeUser", "PenguinUser"]
