"""Exit codes: pytest's own, and one of ours."""

OK = 0  # all required requirements hold
FAILED = 1  # a requirement fails, a baseline entry is stale, or a MUST is inconclusive without leave
INTERRUPTED = 2
HARNESS = 3  # a fault of the harness, not of the target
USAGE = 4
NOTHING = 5  # nothing was selected
UNREACHABLE = 6  # the target cannot be reached
