"""AS-2-04: what is a unified diff of its file, and what only looks like one."""

from __future__ import annotations

import pytest

from conformance.rules.agentsmithy_diffs import problem_of

HEADER = "--- a/w/f.txt\n+++ b/w/f.txt\n"
LAST = "\\ No newline at end of file\n"


@pytest.mark.parametrize(
    "diff",
    [
        HEADER + "@@ -1 +1 @@\n-a\n+b\n",
        HEADER + "@@ -1 +1 @@\n-a\n+b",
        HEADER + "@@ -1 +1 @@\n-a\n+b\n\n\n",
        HEADER + "@@ -1 +0,0 @@\n-a\n",
        HEADER + "@@ -0,0 +1 @@\n+a\n",
        HEADER + "@@ -0,0 +1,2 @@\n+a\n+b\n",
        HEADER + "@@ -1,3 +1,3 @@ def f():\n x\n-a\n+b\n z\n",
        HEADER + "@@ -1,3 +1,2 @@\n x\n\n-z\n",  # editors strip the space of an empty line
        HEADER + "@@ -1 +1 @@\n-a\n+b\n@@ -9,2 +9 @@\n x\n-y\n",
        HEADER + f"@@ -1 +1 @@\n-a\n{LAST}+b\n{LAST}",
        HEADER + f"@@ -1 +1 @@\n-a\n+b\n{LAST}@@ -9 +9 @@\n-c\n+d\n",
        HEADER + "@@ -1 +1 @@\n-a\r\n+b\x0cc\u2028d\n",  # only LF ends a line
        HEADER + "@@ -1,2 +1,2 @@\n---- a\n++++ b\n-\n+\n",
        "diff --git a/w/f.txt b/w/f.txt\nindex 1..2 100644\n" + HEADER + "@@ -1 +1 @@\n-a\n+b\n",
        "--- f.txt\n+++ f.txt\n@@ -1 +1 @@\n-a\n+b\n",
        '--- "a/w/f.txt"\n+++ "b/w/f.txt"\n@@ -1 +1 @@\n-a\n+b\n',
        "--- /w/f.txt\t2026-01-01\t10:00\n+++ /w/f.txt\t2026-01-01\t10:00\n@@ -1 +1 @@\n-a\n+b\n",
        "--- /dev/null\n+++ b/w/f.txt\n@@ -0,0 +1 @@\n+b\n",
        "--- a/w/f.txt\n+++ /dev/null\n@@ -1 +0,0 @@\n-b\n",
        "--- C:\\w\\f.txt\n+++ C:\\w\\f.txt\n@@ -1 +1 @@\n-a\n+b\n",
    ],
)
def test_a_unified_diff_of_its_file(diff: str) -> None:
    for file in ("/w/f.txt", "C:\\w\\f.txt", "f.txt", ""):
        assert problem_of(diff, file) == ""
    assert problem_of(diff, "/w/other.txt")


def test_only_the_header_names_the_file() -> None:
    assert problem_of(HEADER + "@@ -1 +1 @@ see /w/other.txt\n-a\n+b\n", "/w/other.txt")


@pytest.mark.parametrize(
    "diff",
    [
        "@@ -1 +1 @@\n-a\n+b\n",
        "--- a/f.txt\n",
        "--- a/f.txt",
        "--- a/f.txt\n@@ -1 +1 @@\n-a\n+b\n",
        "+++ b/f.txt\n--- a/f.txt\n@@ -1 +1 @@\n-a\n+b\n",
        "--- a/f.txt\n\n+++ b/f.txt\n@@ -1 +1 @@\n-a\n+b\n",
        HEADER,
        HEADER + "\n\n",
        HEADER + "-a\n+b\n",
        HEADER + "\n@@ -1 +1 @@\n-a\n+b\n",
        HEADER + "@@ -1 +1 @@\n-a\n+b\n+c\n",
        HEADER + "@@ -1 +1 @@\n-a\n-b\n+c\n",
        HEADER + "@@ -1 +1 @@\n-a\n",
        HEADER + "@@ -1 +1 @@\n+b\n",
        HEADER + "@@ -1,2 +1,2 @@\n x\n",
        HEADER + "@@ -0,0 +1 @@\n-a\n+b\n",
        HEADER + "@@ -1 +0,0 @@\n+a\n-b\n",
        HEADER + "@@ -1,2 +1 @@\n-a\n-b\n-c\n+d\n",
        HEADER + "@@ -1 +1,2 @@\n+a\n+b\n+c\n-d\n",
        HEADER + "@@ -1 +1 @@\n-a\n*b\n",
        HEADER + "@@ -1 +1 @@\n-a\n+b\nnothing\n@@ -9 +9 @@\n-c\n+d\n",
        HEADER + "@@ -a +b @@\n-a\n+b\n",
    ],
)
def test_no_unified_diff(diff: str) -> None:
    assert problem_of(diff, "/w/f.txt")
    assert problem_of(diff, "")
