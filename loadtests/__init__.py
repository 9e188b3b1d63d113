"""Load tests: Locust users over the thin client of the conformance harness."""
