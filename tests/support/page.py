"""The report page for tests: runs to render, a headless Chromium, and a server that writes down what is asked of it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from conformance.catalogue import Requirement, catalogue, revisions
from conformance.findings import Level, Verdict
from conformance.report.excerpt import Excerpt
from conformance.report.model import Declared, FoundFinding, ResultRow, RunResult
from conformance.report.timeline import Lane, Mark, MarkKind, Timeline

CHROMIUM = Path("/usr/bin/chromium")
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BODY = b'data: {"type": "connected"}\r\n\r\ndata: {"text": "\xff\x00 \xe2\x80\xae \xc3\xa9 it\'s \\ "}\n\ndata: x'
MARKED = (31, 66)
AWKWARD_CURL = (
    "curl -N -i -H 'Accept: text/event-stream' --data-binary '{\"a\": \"\u202e<b>\"}\n' 'http://h/?a=1&b=2'"
)
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'`&\u202egnp\u0000\ud800{{ 7*7 }}"
# Every text that can be seen, with the contrast of its colour to what is painted behind it (WCAG 2.2, 1.4.3).
CONTRASTS = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, below) => {
    const alpha = top[3] / 255;
    return [0, 1, 2].map((i) => top[i] * alpha + below[i] * (1 - alpha)).concat(255);
  };
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.unshift(rgba(getComputedStyle(at).backgroundColor));
    return layers.reduce((below, top) => over(top, below), [255, 255, 255, 255]);
  };
  const light = (colour) => colour.slice(0, 3)
    .map((c) => c / 255).map((c) => (c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [.2126, .7152, .0722][i], 0);
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = [];
  while (walk.nextNode()) {
    const element = walk.currentNode.parentElement;
    const text = walk.currentNode.data.trim().slice(0, 30);
    if (!text || !element.checkVisibility() || element.closest('.unseen, .skip, title, desc, script')) continue;
    const style = getComputedStyle(element);
    const ground = behind(element);
    const ink = over(rgba(element instanceof SVGElement ? style.fill : style.color), ground);
    const [low, high] = [light(ink), light(ground)].sort((a, b) => a - b);
    seen.push([(high + .05) / (low + .05), `${element.localName}.${element.getAttribute('class')}`, text]);
  }
  return seen;
}"""


def finding(title: str = "The stream does not begin so", **changes: object) -> FoundFinding:
    """A finding with everything that one can have."""
    lane = Lane(
        "stream",
        "GET /api/v1/events/sse?session_id=abc",
        0.02,
        1.9,
        head=0.05,
        status=200,
        how="reset by the server",
        marks=(
            Mark(0.06, MarkKind.EVENT, "connected"),
            Mark(0.5, MarkKind.EVENT, "message"),
            Mark(1.0, MarkKind.HEARTBEAT, "heartbeat"),
            Mark(1.2, MarkKind.COMMENT, ""),
        ),
        events=2,
        marked=1,
    )
    did = Lane("", "what the probe did", 0.0, 2.0, marks=(Mark(0.3, MarkKind.ACTION, "prompt"),))
    made = FoundFinding(
        probe="plain",
        title=title,
        expected="a user event first",
        observed="an event of type 'usex' first",
        role="stream",
        event=1,
        span=MARKED,
        saved="observations/penguin-2.plain.json",
        curl=AWKWARD_CURL,
        excerpt=Excerpt("stream", 0, BODY, MARKED, cut_after=True),
        timeline=Timeline(2.0, (did, lane), at=0.5),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def row(requirement: Requirement, verdict: Verdict, findings: Sequence[FoundFinding] = ()) -> ResultRow:
    """A row as the suite makes it."""
    return ResultRow(
        requirement.id,
        requirement.level,
        verdict,
        requirement.statement,
        requirement.source,
        reason="it could not be caused" if verdict is Verdict.INCONCLUSIVE else "",
        findings=tuple(findings),
        notes=("LF",) if verdict is Verdict.NOTE else (),
        judged=3,
        probes=("plain", "tools"),
        seconds=0.2,
        method=requirement.judged,
        group=requirement.group,
        red=verdict is Verdict.FAIL,
    )


def sample(
    protocol: str = "penguin/2", target: str = "http://127.0.0.1:8000", **verdicts: Verdict
) -> RunResult:
    """A run over the whole catalogue; every row passes, but for `verdicts` by id ("_" for "-")."""
    named = {name.replace("_", "-"): verdict for name, verdict in verdicts.items()}
    rows = []
    for requirement in catalogue(protocol).requirements:
        usual = Verdict.NOTE if requirement.level is Level.INFO else Verdict.PASS
        verdict = named.pop(requirement.id, usual)
        shown = (finding(),) if verdict in (Verdict.FAIL, Verdict.WARN, Verdict.EXPECTED) else ()
        rows.append(row(requirement, verdict, shown))
    assert not named, f"not in the catalogue: {named}"
    revision = revisions()[protocol]
    return RunResult(
        target,
        protocol,
        tuple(rows),
        name="a profile",
        started="2026-11-21T02:43:42+00:00",
        seconds=20.0,
        title=revision.title,
        document=revision.document,
        declared=Declared((("resume", "true"), ("heartbeat", "15"))),
        testable=len(rows),
        duration=24.0,
    )


def mixed() -> RunResult:
    """A run in which every verdict occurs."""
    return sample(
        PG_CON_01=Verdict.FAIL,
        PG_FLT_01=Verdict.FAIL,
        PG_FLT_02=Verdict.INCONCLUSIVE,
        SSE_CON_03=Verdict.WARN,
        PG_REC_02=Verdict.EXPECTED,
        PG_REC_03=Verdict.NOT_APPLICABLE,
    )


def hostile() -> RunResult:
    """A run in which every text is an attempt to get out of where it is shown."""
    made = finding(
        HOSTILE,
        probe=HOSTILE,
        expected=HOSTILE,
        observed=HOSTILE * 1000,
        role=HOSTILE,
        saved=f"observations/{HOSTILE}",
        curl=HOSTILE,
        excerpt=Excerpt(HOSTILE, 0, HOSTILE.encode("utf-8", "surrogatepass"), (0, 9)),
        timeline=Timeline(
            1.0,
            (
                Lane(
                    HOSTILE,
                    HOSTILE,
                    0,
                    1,
                    how=HOSTILE,
                    marks=(Mark(0.5, MarkKind.ACTION, HOSTILE),),
                    marked=0,
                ),
            ),
            at=0.5,
        ),
    )
    bad = ResultRow(
        HOSTILE,
        Level.MUST,
        Verdict.FAIL,
        HOSTILE,
        HOSTILE,
        reason=HOSTILE,
        findings=(made, made),
        notes=(HOSTILE,),
        probes=(HOSTILE,),
        method=HOSTILE,
        group=HOSTILE,
    )
    return replace(
        sample(),
        target=HOSTILE,
        protocol=HOSTILE,
        name=HOSTILE,
        started=HOSTILE,
        title=HOSTILE,
        document=HOSTILE,
        gave_up=HOSTILE,
        rows=(bad,),
    )


@dataclass
class Site:
    """A page over loopback HTTP. `asked` are the paths that were requested."""

    url: str
    pages: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def put(self, text: str, name: str = "report.html") -> str:
        """Serve the page and give its address."""
        self.pages[f"/{name}"] = text
        return f"{self.url}/{name}"


@contextlib.contextmanager
def site() -> Iterator[Site]:
    """A server on a free loopback port that serves what was put into it, and nothing else."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            page = made.pages.get(self.path)
            body = (page or "not here").encode()
            self.send_response(200 if page is not None else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Site(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def chromium() -> Iterator[object]:
    """Debian's Chromium by Playwright; skips the test where one of them is missing."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("Playwright is not installed: pip install playwright")
    if not CHROMIUM.is_file():
        pytest.skip(f"{CHROMIUM} is not there: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=_FLAGS)
        try:
            yield browser
        finally:
            browser.close()
