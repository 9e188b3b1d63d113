"""Reading recordings: a body, with or without what is known of its exchange, becomes an observation.

A recording is an `.sse` file with the response body, and beside it, if there is one, a `.json` file of the
same name: `{"request": {method, path, headers, body}, "status", "http", "headers",
"chunks": [[seconds, bytes], …], "ended"}`. `"from_start": false` in it says that a turn was under way when the
subscription was opened, so that this turn is not held to what came before. A body with the response head in
front of it (`curl -i`) is read too, and so is an observation that a run saved.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

from conformance import __version__
from conformance.live_input import leading_heads
from conformance.profile import Profile
from conformance.profile_file import ProfileError, default_profile
from conformance.rules.base import RECORDED
from conformance.script import OPENING, Script
from conformance.transcript import (
    FORMAT,
    Action,
    Chunk,
    Ended,
    Head,
    Observation,
    ObservationError,
    Request,
    Transcript,
    from_json,
)

PIECE = 65_536  # bytes of a body that are taken as one chunk where nothing else is known
LINES = 10  # lines that are read for each event of the profile's cap
SAVED_BYTES = 1 << 30  # cap on a saved observation
HEAD_BYTES = 16 * 1_048_576  # cap on the `.json` beside a body
NOWHERE = "http://localhost"  # the base URL of a recording that names no host


class BinaryReader(Protocol):
    """What a recording is read from: a binary file, or what may give fewer bytes than it is asked for."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; b"" at the end."""


class RecordingError(ValueError):
    """A recording that cannot be read: one line that names the file and what is wrong with it."""


def read_recording(
    path: str,
    protocol: str | None = None,
    *,
    piped: BinaryReader | None = None,
    otherwise: str | None = None,
) -> Observation:
    """Read a recording, or a saved observation; "-" is standard input, read by `piped` where that is given.

    `protocol` is what it must be of; `otherwise` is what a body is taken for that names none, for those to whom the
    protocol does not matter.

    The observation of a recording has the probe name "recorded" and one transcript of that role, under the
    default profile of `protocol`. Its fact "head" is "assumed" where nothing is known of the exchange: then
    it is taken for an event stream that the recorder cut. Bodies beyond the profile's cap are cut there.
    A saved observation comes back as it was. Raises `RecordingError`.
    """
    if path == "-":
        return _read(piped or sys.stdin.buffer, "standard input", None, protocol, otherwise)
    file = Path(path)
    try:
        with file.open("rb") as body:
            return _read(body, path, file, protocol, otherwise)
    except OSError as error:
        raise RecordingError(f"{path}: {error.strerror or error}") from None


def _read(
    body: BinaryReader, where: str, file: Path | None, protocol: str | None, otherwise: str | None
) -> Observation:
    first = body.read(PIECE)
    if first.lstrip()[:1] == b"{" and (file is None or file.suffix == ".json"):
        taken, too_long = _take(_pieces(first, body), SAVED_BYTES)
        if too_long:
            raise RecordingError(f"{where}: larger than {SAVED_BYTES} bytes")
        text = b"".join(taken)
        found = _document(text, where)
        if found is not None and found.get("format") == FORMAT:
            return _saved(text, where, protocol)
        if file is not None:
            return _body_of(file, found, protocol, otherwise)
        pieces = iter(taken)
    else:
        pieces = _pieces(first, body)
    protocol = protocol or otherwise
    if protocol is None:
        raise RecordingError(
            f"{where}: a recorded body does not say its protocol: name it with --protocol P/R"
        )
    head = _beside(file)
    profile = _profile(protocol, head)
    chunks, capped = _take(pieces, profile.limits.stream_bytes, LINES * profile.limits.stream_events)
    if head is not None:
        assert file is not None
        transcript = _transcript(head, chunks, profile, str(file.with_suffix(".json")))
        facts: tuple[tuple[str, Any], ...] = ()
    else:
        transcript, facts = _bare(chunks, profile, where)
    if capped:
        detail = f"only the first {sum(map(len, chunks))} bytes were read: the profile's limits end there"
        transcript = replace(transcript, ended=Ended.CAPPED, detail=detail)
    known = f"{where}: {transcript.detail}" if transcript.detail else where
    return Observation(
        RECORDED,
        profile,
        ((RECORDED, transcript),),
        actions=_prompt(transcript.request, profile),
        facts=(*facts, ("recording", known)),
        suite=__version__,
    )


def _document(text: bytes, where: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        if where.endswith(".json"):
            raise RecordingError(f"{where}: not JSON: {error}") from None
        return None
    return found if isinstance(found, dict) else None


def _saved(text: bytes, where: str, protocol: str | None) -> Observation:
    try:
        observation = from_json(text.decode("utf-8"), where=where)
    except (ObservationError, UnicodeDecodeError) as error:
        raise RecordingError(f"{error}") from None
    own = observation.profile.protocol
    if protocol not in (None, own):
        raise RecordingError(f"{where}: an observation of {own}, not of {protocol}")
    return observation


def _body_of(
    file: Path, head: dict[str, Any] | None, protocol: str | None, otherwise: str | None
) -> Observation:
    body = file.with_suffix(".sse")
    if head is None or "request" not in head:
        raise RecordingError(f"{file}: neither a saved observation nor what belongs to a recorded body")
    if not body.is_file():
        raise RecordingError(f"{file}: the recorded body {body.name} is missing beside it")
    return read_recording(str(body), protocol, otherwise=otherwise)


def _beside(file: Path | None) -> dict[str, Any] | None:
    """The `.json` beside a body; None where there is none."""
    if file is None or not (path := file.with_suffix(".json")).is_file() or path == file:
        return None
    with path.open("rb") as opened:
        text = opened.read(HEAD_BYTES + 1)
    if len(text) > HEAD_BYTES:
        raise RecordingError(f"{path}: larger than {HEAD_BYTES} bytes")
    head = _document(text, str(path))
    if head is None:
        raise RecordingError(f"{path}: expected a JSON object")
    return head


def _profile(protocol: str, head: dict[str, Any] | None) -> Profile:
    request = (head or {}).get("request")
    headers = request.get("headers") if isinstance(request, dict) else None
    pairs = headers if isinstance(headers, list) else []
    hosts = [pair[1] for pair in pairs if isinstance(pair, list) and str(pair[0]).lower() == "host"]
    try:
        return default_profile(protocol, f"http://{hosts[0]}" if hosts else NOWHERE)
    except ProfileError as error:
        raise RecordingError(str(error)) from None


def _pieces(first: bytes, body: BinaryReader) -> Iterator[bytes]:
    piece = first
    while piece:
        yield piece
        piece = body.read(PIECE)


def _take(pieces: Iterator[bytes], cap: int, lines: int | None = None) -> tuple[list[bytes], bool]:
    """The pieces up to a cap on bytes, and on lines; and whether one was passed."""
    taken: list[bytes] = []
    size = 0
    for piece in pieces:
        if lines is not None:
            lines -= piece.count(b"\n") + (piece.count(b"\r") if b"\r" in piece else 0)
            if lines < 0:
                return taken, True
        if size + len(piece) > cap:
            taken.append(piece[: cap - size])
            return taken, True
        taken.append(piece)
        size += len(piece)
    return taken, False


def _transcript(head: dict[str, Any], pieces: list[bytes], profile: Profile, where: str) -> Transcript:
    try:
        request = _request(head["request"], profile)
        status, headers = int(head["status"]), tuple((str(k), str(v)) for k, v in head["headers"])
        version = str(head.get("http", "HTTP/1.1")).removeprefix("HTTP/")
        chunks, whole = _cut(b"".join(pieces), [(float(at), int(size)) for at, size in head["chunks"]], where)
        said = str(head.get("ended", ""))
        from_start = bool(head.get("from_start", not request.resumes))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(f"{where}: damaged: {type(error).__name__}: {error}") from None
    # When the head came is not recorded: at the first chunk, and nobody is blamed for a silence before it.
    at = chunks[0].at if chunks else 0.0
    end = chunks[-1].at if chunks else 0.0
    ended = _ended(said) if whole else Ended.CLOSED_BY_US
    return Transcript(
        request,
        0.0,
        Head(at, status, _reason(status), version, headers),
        tuple(chunks),
        ended,
        end,
        detail=f"recorded as {said!r}"
        if whole
        else "the body is shorter than its chunks: cut by the recorder",
        from_start=from_start,
    )


def _request(raw: dict[str, Any], profile: Profile) -> Request:
    target = str(raw.get("url") or raw.get("path") or "/")
    body = raw.get("body")
    return Request(
        str(raw["method"]),
        target if "://" in target else profile.url + target,
        tuple((str(name), str(value)) for name, value in raw.get("headers") or ()),
        body.encode("utf-8", "surrogatepass") if isinstance(body, str) else None,
    )


def _cut(body: bytes, table: list[tuple[float, int]], where: str) -> tuple[list[Chunk], bool]:
    chunks: list[Chunk] = []
    offset = 0
    for at, size in table:
        if size < 0 or offset > len(body):
            break
        chunks.append(Chunk(at, body[offset : offset + size]))
        offset += size
    if offset < len(body):
        raise RecordingError(f"{where}: its chunks add up to {offset} bytes, the body has {len(body)}")
    return chunks, offset == len(body)


def _ended(said: str) -> Ended:
    """How the exchange ended, in a recorder's words; one that is not understood is taken as having cut it."""
    word = said.lower()
    if word in set(Ended):
        return Ended(word)
    if word.startswith("server"):
        return Ended.COMPLETE if "complete" in word else Ended.TRUNCATED
    return Ended.RESET if "reset" in word and "client" not in word else Ended.CLOSED_BY_US


def _bare(
    pieces: list[bytes], profile: Profile, where: str
) -> tuple[Transcript, tuple[tuple[str, Any], ...]]:
    """A body alone, or one with its response head in front."""
    if not any(pieces):
        raise RecordingError(f"{where}: empty: there is nothing to judge")
    request = Request("GET" if profile.family != "agentsmithy" else "POST", profile.url + "/")
    head, rest = _leading_head(pieces)
    chunks = tuple(Chunk(0.0, piece) for piece in rest if piece)
    facts: tuple[tuple[str, Any], ...] = (("request", "unknown"),)
    detail = "recorded with its head; the request and who ended it are not known"
    if head is None:
        detail = "recorded without its head: taken for a 200 text/event-stream that the recorder cut"
        head = Head(0.0, 200, "OK", "1.1", (("content-type", "text/event-stream"),))
        facts = (("head", "assumed"), *facts)
    # Only an answer to a POST is known to be seen from its start; a GET may have resumed.
    from_start = profile.family == "agentsmithy"
    made = Transcript(
        request, 0.0, head, chunks, Ended.CLOSED_BY_US, 0.0, detail=detail, from_start=from_start
    )
    return made, facts


def _leading_head(pieces: list[bytes]) -> tuple[Head | None, list[bytes]]:
    """The response head that stands in front of the body (as `curl -i` writes it), and the body.

    Of several heads (`curl -iL`, interim answers) the last one counts.
    """
    first = pieces[0]
    begins, offset = leading_heads(first) or (0, 0)
    if not offset:
        return None, pieces
    rest = first[offset:]
    lines = first[begins:offset].decode("latin-1").strip().splitlines()
    version, _, status = lines[0].removeprefix("HTTP/").partition(" ")
    code, _, reason = status.partition(" ")
    if not code.isdigit():
        return None, pieces
    fields = (line.partition(":") for line in lines[1:])
    headers = tuple((name.strip(), value.strip()) for name, _, value in fields)
    return Head(0.0, int(code), reason, version, headers), [rest, *pieces[1:]]


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _prompt(request: Request, profile: Profile) -> tuple[Action, ...]:
    """The prompt that an AgentSmithy stream answers, read from its request; () where there is none."""
    if profile.family != "agentsmithy" or request.body is None:
        return ()
    try:
        body = json.loads(request.body)
        spoken = [m["content"] for m in body["messages"] if m["role"] == "user"]
        dialog = body.get("dialog_id")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return ()
    if not spoken or not isinstance(spoken[-1], str):
        return ()
    prompt = spoken[-1]
    session = dialog if isinstance(dialog, str) else ""
    return (Action(0.0, "prompt", session=session, stream=RECORDED, script=_script(prompt), prompt=prompt),)


def _script(prompt: str) -> Script | None:
    _, found, rest = prompt.partition(OPENING)
    if not found:
        return None
    try:
        return Script.from_data(json.JSONDecoder().raw_decode(rest)[0])
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return None


__all__ = ["RecordingError", "read_recording"]
