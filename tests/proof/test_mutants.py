"""The mutation runner: which mutants count, and that a trial kills what the tests notice and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture
def mutation(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(HERE))
    import mutation

    return mutation


def mutants(mutation: Any, tmp_path: Path, source: str) -> list[tuple[int, str]]:
    path = tmp_path / "module.py"
    path.write_text(dedent(source), encoding="utf-8")
    return [(each.mutant.line, each.mutant.operator) for each in mutation.mutants_of(tmp_path, path)]


def test_what_changes_a_judgement_counts(mutation: Any, tmp_path: Path) -> None:
    found = mutants(
        mutation,
        tmp_path,
        """
        def f(a):
            if a > 1:
                return a
            return None
        """,
    )
    assert {line for line, _ in found} == {3}
    assert {operator.rpartition("_")[2] for _, operator in found} == {
        "AddNot",
        "GtE",
        "LtE",
        "NumberReplacer",
    }


def test_what_changes_words_alone_does_not(mutation: Any, tmp_path: Path) -> None:
    assert (
        mutants(
            mutation,
            tmp_path,
            """
            from dataclasses import dataclass
            Others = tuple[bytes | None, int]


            @dataclass(frozen=True)
            class A:
                a: int | None

                def __repr__(self) -> str:
                    return "" if self.a is None else "x"


            def f(a: int | None, *rest: int | None) -> int | None:
                what = "one" if a == 1 else f"{a + 1} of {rest[0]}"
                return find(a, title="a" + "b" if a else "c", expected=what[:80])
            """,
        )
        == []
    )


def test_of_mutants_that_do_the_same_one_counts(mutation: Any, tmp_path: Path) -> None:
    # `not a is None` and `a is not None` are the same instructions.
    found = mutants(mutation, tmp_path, "def f(a):\n    if a is None:\n        return a\n    return 1\n")
    assert len([each for each in found if each[0] == 2]) == 1


TRIAL = """
import sys
sys.path[:0] = [{here!r}]
from pathlib import Path
import json, reach, trials
from mutation import mutants_of

root, scratch = Path({root!r}), Path({scratch!r})
told = []

def body(warm):
    crew = trials.Crew(1, scratch, told.append)
    for mutation in mutants_of(root, root / "conformance/wire.py"):
        if mutation.mutant.text in {lines!r}:
            swaps = warm.swaps(mutation)
            assert swaps, mutation.mutant
            crew.send(mutation.mutant, lambda result, s=swaps: warm.run(s, warm.tests, result))
    crew.finish()
    crew.send(mutation.mutant, lambda result: warm.run([], warm.tests, result))
    crew.finish()

trials.warm_session(root, ["tests/wire/test_wire_spans.py"], trials.Watch({{}}), body)
(scratch / "told.json").write_text(json.dumps([[each.mutant.operator, each.killer, each.said] for each in told]))
"""


def test_a_trial_kills_what_the_tests_notice(tmp_path: Path) -> None:
    line = "if self.data is None:"  # whether a block dispatches
    code = TRIAL.format(here=str(HERE), root=str(ROOT), scratch=str(tmp_path), lines=[line])
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    *mutated, unchanged = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    assert unchanged[1] == "", unchanged[2]
    assert mutated
    assert all(killer.startswith("tests/wire/test_wire_spans.py::") for _, killer, _ in mutated), mutated
