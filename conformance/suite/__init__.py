"""The pytest tests: one item for every requirement on every target. Options and hooks live in `conformance.plugin`."""
