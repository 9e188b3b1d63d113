"""Dialogs of one AgentSmithy prefix: their ids and what their streams said."""

from __future__ import annotations

import re
import uuid
from collections import OrderedDict
from typing import Any

MAX_DIALOGS = 10_000  # the oldest is forgotten
MAX_EVENTS = 10_000  # of one dialog
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}")
_KEPT = {"user", "chat", "reasoning", "tool_call", "file_edit"}


class Dialog:
    """One dialog's history: chunks of one run of text are joined, as a reader of the history wants them."""

    def __init__(self, dialog_id: str) -> None:
        self.id = dialog_id
        self.events: list[dict[str, Any]] = []

    def add(self, events: list[dict[str, Any]]) -> None:
        """Append what one stream said."""
        self.events.extend(events)
        del self.events[:-MAX_EVENTS]

    def history(self) -> dict[str, Any]:
        """The answer to `GET /api/dialogs/{id}/history`."""
        events = [{**event, "idx": index} for index, event in enumerate(self.events)]
        return {
            "dialog_id": self.id,
            "events": events,
            "total_events": len(events),
            "has_more": False,
            "first_idx": 0 if events else None,
            "last_idx": len(events) - 1 if events else None,
        }


class Recorder:
    """Collects one stream's events and adds them in one piece: they do not mix in a dialog's history."""

    def __init__(self, dialog: Dialog, prompt: str) -> None:
        self._dialog = dialog
        self.events: list[dict[str, Any]] = [{"type": "user", "content": prompt}]
        self._run: str | None = None  # the type of the run of chunks that is open

    def see(self, event: dict[str, Any]) -> None:
        """Take note of an event that was sent."""
        kind = event["type"]
        if kind not in _KEPT:
            self._run = None
            return
        if kind == "user":
            return  # it is there from the start, in revision 1 too
        if kind in ("chat", "reasoning"):
            if kind == self._run:
                self.events[-1]["content"].append(event["content"])
            else:
                self.events.append({"type": kind, "content": [event["content"]]})
            self._run = kind
            return
        self._run = None
        self.events.append({key: value for key, value in event.items() if key != "dialog_id"})

    def finish(self) -> None:
        """The stream is over, for whatever reason. Later calls change nothing."""
        events, self.events = self.events, []
        for event in events:
            if isinstance(event.get("content"), list):
                event["content"] = "".join(event["content"])
        self._dialog.add(events)


class Dialogs:
    """The dialogs there are."""

    def __init__(self) -> None:
        self._dialogs: OrderedDict[str, Dialog] = OrderedDict()

    def create(self, dialog_id: str | None = None) -> Dialog:
        """A new dialog with a fresh id, or the given one."""
        dialog = Dialog(dialog_id or uuid.uuid4().hex)
        self._dialogs[dialog.id] = dialog
        if len(self._dialogs) > MAX_DIALOGS:
            self._dialogs.popitem(last=False)
        return dialog

    def get(self, dialog_id: str) -> Dialog | None:
        """A dialog that exists."""
        return self._dialogs.get(dialog_id)

    def delete(self, dialog_id: str) -> bool:
        """Forget a dialog; False if there was none."""
        return self._dialogs.pop(dialog_id, None) is not None


def legal_id(dialog_id: str) -> bool:
    """Whether a client may name a dialog so: no separators, no control characters, at most 128 characters."""
    return _ID.fullmatch(dialog_id) is not None
