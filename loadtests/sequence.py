"""The sequence judge: which chunks of which prompts a stream has shown, and what is wrong with that.

Pure: marks in, offences out. It says nothing of a prompt before a *fence* of that prompt was seen on the same stream:
its end, the beginning of the next prompt of the same session, or the orderly end of the stream. What is still under way
when we leave is never called lost.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from loadtests.plan import Damaged, Mark, Pieces, Plan

SESSIONS = 4_096  # sessions of which a stream's judge remembers the newest prompts
SHOWN = 120  # characters of text shown in an offence


class Offence(StrEnum):
    """What can be wrong with a stream's events. The names are those of gates and reports."""

    LOST = "lost"
    DOUBLED = "doubled"
    REORDERED = "reordered"
    ALTERED = "altered"
    LEAKED = "leaked"
    INVALID = "invalid"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class Offending:
    """One offence: how many events it is about, what was expected and what was seen."""

    kind: Offence
    count: int
    expected: str
    observed: str


@dataclass(slots=True)
class _Answer:
    """The answer to one prompt as one stream shows it. `whole`: the stream was open before the prompt was sent."""

    session: str
    prompt: int
    total: int
    next: int
    whole: bool
    missing: set[int] = field(default_factory=set)
    asked: float | None = None  # when the prompt was due, or sent; None: not ours
    first: float | None = None  # when the first event of it came
    arrived: array[float] = field(default_factory=lambda: array("d"))  # when each chunk came, as they came
    interrupted: bool = (
        False  # the connection was renewed meanwhile, without a promise that nothing is missed
    )
    disordered: bool = False  # chunks did not come each in its turn
    wrong: str = ""  # the first offence in it
    over: bool = False

    def __str__(self) -> str:
        return f"session {self.session}, prompt {self.prompt}"


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer as one subscriber has heard it. Times are those of the caller.

    `asked`: when the prompt was due (None: somebody else's), `first`: when its first event came, `arrived`: when each
    chunk did, `ended`: when its end did (None: it did not). `outcome`: "good", "failed" (an error that the stream tells
    of), "cut", "missed" (a connection was renewed meanwhile), or what is wrong. `whole`: all chunks came in order.
    """

    session: str
    prompt: int
    asked: float | None
    first: float | None
    arrived: array[float]
    ended: float | None
    outcome: str
    whole: bool


class Owners:
    """Which session of the server each of our keys stands for; of an unknown key, what a stream shows first."""

    def __init__(self) -> None:
        self._sessions: dict[str, str] = {}
        self._keys: dict[str, str] = {}

    def bind(self, key: str, session: str) -> str:
        """The session that the key stands for: this one, unless another is known."""
        owner = self._sessions.setdefault(key, session)
        if owner == session:
            self._keys.setdefault(session, key)
        return owner

    def key(self, session: str) -> str | None:
        """Our key of a session of the server, None where nobody of this run is known to have asked there."""
        return self._keys.get(session)

    def session(self, key: str) -> str:
        """The session of the server that a key stands for, "" where that is not known."""
        return self._sessions.get(key, "")

    def forget(self, session: str) -> None:
        """The session is gone, and with it all that might be shown of it."""
        self._sessions.pop(self._keys.pop(session, ""), None)


class Sequence:
    """Judges one subscriber's view, through all its connections.

    `owners` is shared by the streams of a process. `belongs` says of a session of the server whether this subscriber
    may see its events. `prompt`: the one prompt that it may hear the answer to (None: any).
    """

    def __init__(
        self, plan: Plan, owners: Owners, belongs: Callable[[str], bool], prompt: int | None = None
    ) -> None:
        self._plan = plan
        self._opening = f"<{plan.run}."
        self._owners = owners
        self._belongs = belongs
        self._alone = prompt
        self._owed: dict[str, deque[_Answer]] = {}  # prompts sent of which nothing was seen yet, by key
        self._answers: OrderedDict[str, _Answer] = OrderedDict()  # the newest that was seen, by key
        self._before: dict[str, _Answer] = {}  # the one before it, by key
        self._pieces: dict[str, Pieces] = {}  # the text of each session of which something was seen
        self.offences: list[Offending] = []
        self.heard: list[Heard] = []
        self.suspect = False  # something was not as it should be: whoever asks takes it back
        self.missed = 0  # chunks that passed by while a connection was renewed

    # --- what is known beside the stream

    def owe(self, mark: Mark, asked: float) -> None:
        """A prompt is due while this subscriber listens: its whole answer must be shown."""
        answer = _Answer(mark.session, mark.prompt, mark.total, 0, True, asked=asked)
        self._owed.setdefault(mark.session, deque()).append(answer)

    def withdraw(self, mark: Mark) -> None:
        """The prompt was not taken by the server: nothing is owed for it."""
        owed = self._owed.get(mark.session)
        if owed:
            self._owed[mark.session] = deque(answer for answer in owed if answer.prompt != mark.prompt)

    def renewed(self, *, resumes: bool) -> None:
        """The connection was renewed; `resumes`: with the promise that nothing is missed."""
        if not resumes:
            for answer in self._open_answers():
                answer.interrupted = True
            self._pieces.clear()

    # --- what the stream shows

    def allowed(self, session: str) -> bool:
        """Whether an event of that session of the server may be shown here; an offence if not."""
        if not session or self._belongs(session):
            return True
        self._offend(Offence.LEAKED, 1, "events of what was asked for alone", f"an event of {session}")
        return False

    def echo(self, session: str, prompt: str, at: float) -> None:
        """The stream shows a prompt itself, in that session of the server."""
        mark = self._plan.named(prompt)
        if mark is None:
            return
        owner = self._owners.bind(mark.session, session)
        if owner != session:
            self._leak(mark, owner, session)
            return
        known = self._answers.get(mark.session)
        if known is None or known.prompt < mark.prompt:
            self._see(mark, 0, at)

    def text(self, session: str, text: str, at: float) -> int:
        """The stream shows text of an agent in that session of the server; how many whole chunks it completes."""
        pieces = self._pieces.get(session)
        if pieces is not None and pieces.whole:
            # What nearly all of a stream is: the very chunk that comes next.
            answer = self._newest(session)
            if answer is not None and not answer.over and answer.next < answer.total:
                expected = self._plan.text(answer.session, answer.prompt, answer.next, answer.total)
                if text == expected:
                    answer.next += 1
                    answer.arrived.append(at)
                    return 1
        if pieces is None:
            key = self._owners.key(session)
            if not self._owed.get(key or ""):
                # It joined, perhaps in the middle of a chunk; or nobody of this run asked.
                beginning = text.find(self._opening)
                if beginning < 0:
                    return 0
                text = text[beginning:]
            pieces = self._pieces[session] = Pieces(self._plan)
        chunks = 0
        for piece in pieces.feed(text):
            if isinstance(piece, Mark):
                chunks += 1
                self._chunk(session, piece, at)
            else:
                self._damaged(piece)
        return chunks

    def end(self, session: str, at: float, *, failed: bool = False) -> None:
        """The stream says that the agent's turn in that session is over; `failed`: by an error that it told of."""
        answer = self._newest(session)
        if answer is not None and not answer.over:
            pieces = self._pieces.get(session)
            left = None if pieces is None else pieces.close()
            if left is not None and not failed:
                self._damaged(left)
            self._close(answer, at, "failed" if failed else "good")

    def fence(self) -> None:
        """Whatever the stream had to show of the prompts sent so far has been shown: it has ended in order."""
        for answer in self._open_answers():
            self._close(answer, None, "good")
        self._owed.clear()

    def cut(self) -> None:
        """The stream was cut, not by us, and does not come again: what is under way has no end; what came is judged."""
        for answer in self._open_answers():
            self._close(answer, None, "cut")
        self._owed.clear()

    def leave(self) -> None:
        """We leave: what is under way is not judged."""
        self._owed.clear()
        self._answers.clear()
        self._before.clear()
        self._pieces.clear()

    def key(self, session: str) -> str | None:
        """Our key of a session of the server."""
        return self._owners.key(session)

    def spoil(self, session: str, wrong: Offence) -> None:
        """Something else is wrong with an event of that session: the answer under way is not a good one."""
        self.suspect = True
        answer = self._newest(session)
        if answer is not None and not answer.over:
            answer.wrong = answer.wrong or wrong.value

    def spoilt(self, session: str) -> bool:
        """Whether something was wrong with the newest answer there: what its other events say may follow from that."""
        answer = self._newest(session)
        return answer is not None and (bool(answer.wrong) or answer.disordered or bool(answer.missing))

    def awaits(self, mark: Mark) -> bool:
        """Whether the answer to that prompt is owed, or has begun, and its end was not seen."""
        if any(answer.prompt == mark.prompt for answer in self._owed.get(mark.session, ())):
            return True
        known = self._answers.get(mark.session)
        return known is not None and known.prompt == mark.prompt and not known.over

    def complete(self, mark: Mark) -> bool:
        """Whether its last chunk was seen, or it is over."""
        known = self._answers.get(mark.session)
        return known is not None and known.prompt == mark.prompt and known.next >= known.total

    # --- judgement

    def _newest(self, session: str) -> _Answer | None:
        key = self._owners.key(session)
        return None if key is None else self._answers.get(key)

    def _open_answers(self) -> list[_Answer]:
        begun = [answer for answer in self._answers.values() if not answer.over]
        return begun + [answer for owed in self._owed.values() for answer in owed]

    def _see(self, mark: Mark, number: int, at: float) -> _Answer:
        """The stream shows the first of a prompt: a fence for those before it in its session."""
        key = mark.session
        known = self._answers.pop(key, None)
        if known is not None:
            if not known.over:
                self._close(known, None, "good")
            self._before[key] = known
        answer = None
        owed = self._owed.get(key)
        while owed and owed[0].prompt <= mark.prompt:
            next_owed = owed.popleft()
            if next_owed.prompt == mark.prompt:
                answer = next_owed
            else:
                self._close(next_owed, None, "good")
        if answer is None:
            answer = _Answer(key, mark.prompt, mark.total, number, number == 0)
        answer.first = at
        self._answers[key] = answer
        if len(self._answers) > SESSIONS:
            oldest, _ = self._answers.popitem(last=False)
            self._before.pop(oldest, None)
            self._pieces.pop(self._owners.session(oldest), None)
        return answer

    def _chunk(self, session: str, mark: Mark, at: float) -> None:
        owner = self._owners.bind(mark.session, session)
        if owner != session:
            self._leak(mark, owner, session)
            return
        if self._alone is not None and mark.prompt != self._alone:
            self._offend(Offence.LEAKED, 1, f"the answer to prompt {self._alone} alone", str(mark))
            return
        answer = self._answers.get(mark.session)
        if answer is None or answer.prompt < mark.prompt:
            # Joined midway, unless it is owed: what came before is not asked for.
            answer = self._see(mark, mark.number, at)
        elif answer.prompt > mark.prompt:
            before = self._before.get(mark.session)
            if before is None or before.prompt != mark.prompt:
                self._offend(Offence.REORDERED, 1, f"prompt {answer.prompt} or later", f"{mark}, late")
                return
            answer = before
        number = mark.number
        if answer.over:
            self.suspect = True
        else:
            answer.arrived.append(at)
        if mark.total != answer.total or number >= answer.total:
            self._offend(Offence.ALTERED, 1, f"{answer}: a chunk of {answer.total}", str(mark), answer)
            return
        if number == answer.next:
            answer.next = number + 1
            return
        answer.disordered = self.suspect = True
        if number > answer.next:
            answer.missing.update(range(answer.next, number))
            answer.next = number + 1
        elif number in answer.missing:
            answer.missing.discard(number)
            if answer.over:
                self._offend(Offence.LOST, -1, "", "")  # it was called lost
            self._offend(Offence.REORDERED, 1, f"{answer}: {number} in its place", f"{mark}, late", answer)
        elif not answer.interrupted:
            self._offend(Offence.DOUBLED, 1, f"{answer}: each chunk once", f"{mark}, again", answer)

    def _damaged(self, piece: Damaged) -> None:
        mark = piece.mark
        answer = None if mark is None else self._answers.get(mark.session)
        expected = "chunks as they were asked for"
        if mark is not None and answer is not None and answer.prompt == mark.prompt:
            expected = repr(self._plan.chunk(Mark(mark.session, mark.prompt, mark.number, answer.total)))
            if (
                answer.next <= mark.number < answer.total
            ):  # it came, if not as it was said: it is not lost, too
                answer.missing.update(range(answer.next, mark.number))
                answer.next = mark.number + 1
        self._offend(Offence.ALTERED, 1, expected, repr(piece.text[:SHOWN]), answer)

    def _close(self, answer: _Answer, ended: float | None, outcome: str) -> None:
        answer.over = True
        if outcome == "good":
            answer.missing.update(range(answer.next, answer.total))
            answer.next = answer.total
        lost = sorted(answer.missing)
        if answer.interrupted:
            outcome = "missed"
            self.missed += len(lost)
            answer.missing.clear()
        else:
            if ended is None and answer.whole:
                self._offend(Offence.UNFINISHED, 1, f"{answer}: its end", "none")
                outcome = Offence.UNFINISHED if outcome == "good" else outcome
            if lost:
                shown = ", ".join(map(str, lost[:5])) + (" …" if len(lost) > 5 else "")
                self._offend(Offence.LOST, len(lost), f"{answer}: {answer.total} chunks", f"without {shown}")
                outcome = Offence.LOST if outcome == "good" else outcome
            if answer.wrong and outcome == "good":
                outcome = answer.wrong
        self.heard.append(
            Heard(
                answer.session,
                answer.prompt,
                answer.asked,
                answer.first,
                answer.arrived,
                ended,
                str(outcome),
                not answer.disordered and len(answer.arrived) == answer.total,
            )
        )
        answer.arrived = array("d")

    def unreadable(self, session: str, at: float) -> None:
        """The stream shows text that cannot be read: its chunk came, and is no longer waited for."""
        answer = self._newest(session)
        if answer is not None and not answer.over and answer.next < answer.total:
            answer.next += 1
            answer.disordered = True
            answer.arrived.append(at)
        self.suspect = True

    def _leak(self, mark: Mark, owner: str, session: str) -> None:
        self._offend(Offence.LEAKED, 1, f"{mark} in session {owner}", f"in session {session}")

    def _offend(
        self, kind: Offence, count: int, expected: str, observed: str, answer: _Answer | None = None
    ) -> None:
        self.suspect = True
        if answer is not None:
            answer.wrong = answer.wrong or kind.value
        elif kind is Offence.LEAKED:  # a stream that is sent what is somebody else's is not a good one
            for one in self._open_answers():
                one.wrong = one.wrong or kind.value
        self.offences.append(Offending(kind, count, expected, observed))
