"""The baseline file: what it says is read, what it cannot say is one line, what is written can be read."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conformance.baseline import Baseline, BaselineError, Expected, dump, entries_of, load
from conformance.findings import Verdict
from tests.support.result_cases import FINDING, row, run

TODAY = date(2026, 11, 21)
FAIL, PASS = Verdict.FAIL, Verdict.PASS
ENTRY = '[[expected]]\nrequirement = "PG-CON-01"\nreason = "later"\n'


def test_comments_are_read_over_and_every_key_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    path.write_text(f'# known\n{ENTRY}expires = 2027-01-31  # then\n\n{ENTRY}target = "penguin/2#2"\n')
    assert load(path) == Baseline(
        (
            Expected("PG-CON-01", "later", date(2027, 1, 31)),
            Expected("PG-CON-01", "later", None, "penguin/2#2"),
        )
    )
    path.write_text("# nothing is expected to fail any more\n")
    assert load(path) == Baseline()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{ENTRY}{ENTRY}", "requirement PG-CON-01 is named twice"),
        (f'{ENTRY}target = "a"\n{ENTRY}target = "a"\n', "requirement PG-CON-01 is named twice for a"),
        (f"{ENTRY}target = 3\n", "[[expected]] number 1 (PG-CON-01): target: expected a name"),
        (f"{ENTRY}until = 1\n", "[[expected]] number 1: unknown key 'until': expected expires, reason, "),
        (f"{ENTRY}expires = 2027-01-31T00:00:00Z\n", "expires: expected a date such as 2027-01-31"),
        ('[[expected]]\nrequirement = "PG-NO-99"\nreason = "x"\n', "unknown requirement 'PG-NO-99'"),
        ('[[expected]]\nrequirement = "PG-CON-01"\nreason = "  "\n', "(PG-CON-01): expected a reason"),
        (f'title = "x"\n{ENTRY}', "expected nothing but [[expected]] tables"),
        ("expected = [1]\n", "[[expected]] number 1: expected a table"),
        ("[[expected]", "not TOML: "),
        ("requirement = \xff", "not TOML: "),
    ],
)
def test_what_it_cannot_say_is_one_line_that_names_the_file(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "known.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(BaselineError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match=r"gone\.toml: cannot be read: No such file"):
        load(tmp_path / "gone.toml")


@pytest.mark.parametrize(
    ("verdict", "expires", "standing"),
    [
        (FAIL, None, "expected"),
        (FAIL, TODAY, "expected"),  # the last day on which it counts
        (FAIL, date(2026, 11, 20), "expired"),
        (PASS, date(2026, 11, 20), "expired"),
        (PASS, None, "stale"),
        (Verdict.WARN, None, "stale"),
        (Verdict.NOTE, None, "stale"),
        (Verdict.NOT_APPLICABLE, None, ""),
        (Verdict.INCONCLUSIVE, None, ""),
    ],
)
def test_what_becomes_of_an_entry(verdict: Verdict, expires: date | None, standing: str) -> None:
    assert Expected("PG-CON-01", "later", expires).standing(verdict, TODAY) == standing


def test_an_entry_for_one_target_goes_before_one_for_all() -> None:
    everywhere, there = Expected("PG-CON-01", "a"), Expected("PG-CON-01", "b", target="penguin/2#2")
    baseline = Baseline((everywhere, there))
    assert baseline.get("PG-CON-01", "penguin/2") is everywhere
    assert baseline.get("PG-CON-01", "penguin/2#2") is there
    assert Baseline((there,)).get("PG-CON-01", "penguin/2") is None
    assert baseline.get("PG-CON-02", "penguin/2") is None


def test_a_first_baseline_names_what_fails_and_nothing_else() -> None:
    rows = [row("PG-CON-01", FAIL), row("PG-CON-02", PASS), row("PG-EVT-01", Verdict.WARN)]
    rows += [row("PG-EVT-02", Verdict.INCONCLUSIVE), row("PG-MSG-01", Verdict.NOT_APPLICABLE)]
    assert entries_of({"penguin/2": run(*rows)}, Baseline()) == (Expected("PG-CON-01", FINDING.title),)


def test_where_another_target_passes_the_entry_names_the_target() -> None:
    runs = {
        "penguin/2": run(row("PG-CON-01", FAIL), row("PG-CON-02", FAIL)),
        "penguin/2#2": run(row("PG-CON-01", PASS), row("PG-CON-02", FAIL)),
    }
    assert entries_of(runs, Baseline()) == (
        Expected("PG-CON-01", FINDING.title, target="penguin/2"),
        Expected("PG-CON-02", FINDING.title),
    )


def test_what_was_said_of_a_failure_is_kept_and_what_passes_is_left_out() -> None:
    old = Baseline((Expected("PG-CON-01", "ticket 7", date(2099, 1, 1)), Expected("PG-CON-02", "gone")))
    now = run(
        row("PG-CON-01", Verdict.EXPECTED, baseline="expected"), row("PG-CON-02", PASS, baseline="stale")
    )
    assert entries_of({"penguin/2": now}, old) == (old.entries[0],)
    expired = run(row("PG-CON-01", FAIL, baseline="expired"))
    assert entries_of({"penguin/2": expired}, old) == (Expected("PG-CON-01", FINDING.title),)


@given(st.text(st.characters(exclude_categories=()), min_size=1).filter(str.strip))
def test_whatever_a_server_said_can_be_read_back(
    tmp_path_factory: pytest.TempPathFactory, reason: str
) -> None:
    path = tmp_path_factory.mktemp("baseline") / "known.toml"
    path.write_text(dump([Expected("PG-CON-01", reason, TODAY, "penguin/2")]), encoding="utf-8")
    shown = reason.encode("utf-8", "backslashreplace").decode()
    assert load(path) == Baseline((Expected("PG-CON-01", shown, TODAY, "penguin/2"),))
