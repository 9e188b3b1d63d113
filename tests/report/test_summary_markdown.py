"""The Markdown of a run: rendered by a Markdown reader, hostile text stays text."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from conformance.findings import Level, Verdict
from conformance.report import markdown, text
from conformance.report.compare import compare_all
from conformance.report.markdown import cell_code, code, escape
from conformance.report.merge import merge
from conformance.report.model import RunResult
from tests.support.result_cases import FINDING, every_verdict, row, run

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
HOSTILE = [
    "a | b",
    "`code` and ``more`` `",
    "<script>alert(1)</script> <b>",
    "two\nlines\r\n\n# heading\n\n| a | b |",
    "[link](javascript:alert(1)) ![x](y) <http://x>",
    "*not* _this_ ~~gone~~ \\| \\",
    "&lt; &amp; &#64;",
    "# no heading",
    "- no list",
    "1. no list",
    "=====",
    "-----",
    "> quote",
    "    indented",
    "| a | b |\n| --- | --- |",
    "```sh\nrm",
    "\x1b[31mred\x07\u202e\u0000",
    "]] </details> -->",
    "`" * 30,
    " ",
]


def shown(document: str) -> str:
    """What a reader of the rendered document reads."""
    return html.unescape(re.sub(r"<[^>]*>", "", READER.render(document)))


def flat(words: str) -> str:
    """Text in one line, its invisible characters escaped as in our documents."""
    return text._printed(words)


def hostile(words: str) -> RunResult:
    """A run in which a server has said these words wherever it can."""
    finding = replace(FINDING, title=words, expected=words, observed=words, role=words, curl=f"curl {words}")
    return run(
        row("PG-CON-01", Verdict.FAIL, finding=finding, reason=words),
        row("SSE-FMT-03", Verdict.NOTE, Level.INFO, notes=(words, words)),
        row("SSE-HTTP-09a", Verdict.NOT_APPLICABLE, reason=words),
        gave_up=words,
        target=f"http://h/{words}",
    )


def structure(document: str) -> list[str]:
    """The elements of the rendered document, without its text."""
    return [name for name in re.findall(r"</?([a-z0-9]+)", READER.render(document)) if name != "code"]


@pytest.mark.parametrize("words", HOSTILE)
def test_a_servers_text_changes_nothing_but_the_text(words: str) -> None:
    assert structure(markdown.render([hostile(words)])) == structure(markdown.render([hostile("harmless")]))


@pytest.mark.parametrize("words", [words for words in HOSTILE if words.strip()])
def test_and_can_be_read(words: str) -> None:
    assert flat(words) in shown(escape(words))
    assert flat(words) in shown(f"x {code(words)} y")
    table = f"| a | b |\n| --- | --- |\n| {cell_code(words)} | {escape(words)} |"
    assert READER.render(table).count("<td") == 2
    assert shown(table).count(flat(words)) == 2


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("|`<>&*_[]()!#\\~-+=.:@$1a \n\r\t\u202e"), min_size=1, max_size=24))
def test_whatever_is_said_is_shown_as_it_is(words: str) -> None:
    if not words.strip():
        return
    rendered = READER.render(escape(words))
    assert re.sub(r"<!-- -->", "", rendered).startswith("<p>")
    assert html.unescape(re.sub(r"<!-- -->|</?p>", "", rendered)).strip() == flat(words)
    table = READER.render(f"| a |\n| --- |\n| {cell_code(words)} |")
    assert table.count("<td") == 1
    assert flat(words) in html.unescape(table)


def test_nobody_is_notified() -> None:
    assert "@<!-- -->everyone" in markdown.render([hostile("hello @everyone")])
    assert not re.search(
        r"(?<!`)@everyone", re.sub(r"(`+).*?\1", "", markdown.render([hostile("@everyone")]))
    )


def test_the_summary_says_what_needs_attention_first() -> None:
    document = markdown.render([every_verdict()])
    words = shown(document)
    assert (
        words.index("PG-CON-01")
        < words.index("PG-EVT-02")
        < words.index("PG-EVT-01")
        < words.index("PG-MSG-01")
    )
    assert "Gave up: the target stopped answering" in words
    assert "1 expected" in words
    assert every_verdict().summary_line().split(" · http")[0] in document
    for line in document.splitlines():
        assert line == line.rstrip()


def test_a_command_is_whole() -> None:
    long = "curl " + '\'{"prompt":  "two  spaces"}\' ' * 60 + "http://127.0.0.1/end"
    finding = replace(FINDING, curl=long)
    assert long in markdown.render([run(row("PG-CON-01", Verdict.FAIL, finding=finding))])


def test_flaky_rows_and_changes_are_in_both_documents() -> None:
    old = run(row("PG-CON-01", Verdict.PASS), row("PG-CON-02", Verdict.FAIL))
    new = merge(
        [
            run(row("PG-CON-01", Verdict.FAIL), row("PG-CON-02", Verdict.PASS)),
            run(row("PG-CON-01", Verdict.PASS), row("PG-CON-02", Verdict.PASS)),
        ]
    )
    compared = compare_all([old], new)
    for document in (markdown.render(new, compared), text.render(new, compared)):
        assert compared.comparisons[0].summary_line() in document.replace("\\", "")
        assert "fail" in document
        assert "1 of 2" in document
    cells = [line for line in markdown.render(new, compared).splitlines() if line.startswith("| 🎲 flaky")]
    assert cells == ["| 🎲 flaky | PG-CON-01 | ✅ pass | ❌ fail (1 of 2) | What PG-CON-01 says. |"]


def test_the_terminal_is_not_obeyed_by_what_a_server_says() -> None:
    document = text.render([hostile("\x1b[2J\x1b]0;gone\x07\r\nPASS\u202e")])
    assert document.replace("\n", "").isprintable()
