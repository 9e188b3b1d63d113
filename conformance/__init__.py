"""Judge the event streams of AI agent servers: decode, record, judge, report."""

__version__ = "0.1.0"
