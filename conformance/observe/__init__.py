"""Observation: the transport, one driver per protocol, and the probes. Nothing here judges."""
