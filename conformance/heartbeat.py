"""Heartbeats: one reading for the probe that keeps a stream silent and the rule that judges the silence."""

from __future__ import annotations

from conformance.message import read_message
from conformance.profile import Profile
from conformance.wire import Block

DEFAULT_PERIOD = 15.0  # seconds; WHATWG HTML §9.2.7: "every 15 seconds or so"
# Event types by which servers keep a connection alive with data; comments are the other way.
DATA_HEARTBEATS = ("server.heartbeat", "heartbeat", "ping", "keepalive", "keep-alive")


def period(profile: Profile) -> float:
    """Seconds between heartbeats: declared, or the standard's advice."""
    return profile.capabilities.heartbeat or DEFAULT_PERIOD


def allowed_silence(profile: Profile) -> float:
    """Seconds without a byte after which a heartbeat is overdue: the period, a fifth and a second, scaled."""
    return (period(profile) * 1.2 + 1.0) * profile.timeout_scale


def quiet(profile: Profile) -> float:
    """Seconds after the response head in which a comment greets and is no heartbeat yet."""
    return min(0.5, period(profile) / 4)


def heartbeat_kind(block: Block) -> str:
    """What kind of heartbeat a block is: "comment", "data TYPE", or "" if none."""
    if block.data is None:
        return "comment" if block.comments else ""
    kind = read_message(block).type
    return f"data {kind}" if kind in DATA_HEARTBEATS else ""
