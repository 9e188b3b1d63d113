"""Drivers: how each protocol is stimulated. One module per protocol; `driver_for` finds the right one."""

from __future__ import annotations

from conformance.observe.drivers.base import Driver
from conformance.profile import Profile


def driver_for(profile: Profile) -> Driver:
    """A fresh driver for the profile's protocol. Raises `ValueError` for an unknown family."""
    # Imported here: a driver imports the transport, which most callers of this package never need.
    if profile.family == "agentsmithy":
        from conformance.observe.drivers.agentsmithy import AgentSmithyDriver

        return AgentSmithyDriver(profile)
    if profile.family == "penguin":
        from conformance.observe.drivers.penguin import PenguinDriver

        return PenguinDriver(profile)
    if profile.family == "opencode":
        from conformance.observe.drivers.opencode import OpenCodeDriver

        return OpenCodeDriver(profile)
    raise ValueError(f"no driver for protocol {profile.protocol!r}")
