"""Gives every SIP message to the call it belongs to, also those that came before the call was known.

The INVITE is seen before there is a call, and so are the 401 and the second INVITE. Messages of unknown Call-IDs are
kept for a moment, in a bounded store, and handed over when a call claims its Call-ID.
"""

from __future__ import annotations

from collections import OrderedDict

from sivo.base.ids import uuid7
from sivo.calls.rows import MessageRow
from sivo.calls.writer import CallWriter
from sivo.sip.ladder import LadderEntry

#: Call-IDs whose messages are kept although nobody has claimed them, and messages of each.
MAX_UNCLAIMED = 500
MAX_MESSAGES = 20


class LadderKeeper:
    """The tap of the SIP transport."""

    def __init__(self) -> None:
        self._writers: dict[str, CallWriter] = {}
        self._unclaimed: OrderedDict[str, list[LadderEntry]] = OrderedDict()

    def tap(self, entry: LadderEntry) -> None:
        """One message went by."""
        writer = self._writers.get(entry.call_id)
        if writer is not None:
            writer.message(_row(entry))
            return
        if entry.cseq.endswith(("REGISTER", "OPTIONS")):
            return
        kept = self._unclaimed.setdefault(entry.call_id, [])
        if len(kept) < MAX_MESSAGES:
            kept.append(entry)
        while len(self._unclaimed) > MAX_UNCLAIMED:
            self._unclaimed.popitem(last=False)

    def claim(self, sip_call_id: str, writer: CallWriter) -> None:
        """Messages with this Call-ID belong to this call."""
        self._writers[sip_call_id] = writer
        for entry in self._unclaimed.pop(sip_call_id, []):
            writer.message(_row(entry))

    def owner(self, sip_call_id: str) -> str:
        """Id of the call that has claimed this Call-ID; empty: none has."""
        writer = self._writers.get(sip_call_id)
        return str(writer.row.id) if writer is not None else ""

    def release(self, sip_call_id: str) -> None:
        """The call is over."""
        self._writers.pop(sip_call_id, None)


def _row(entry: LadderEntry) -> MessageRow:
    summary = f"{entry.first_line} [{entry.cseq}]" + (" (again)" if entry.again else "")
    text, summary = entry.text.replace("\0", "�"), summary.replace("\0", "�")  # PostgreSQL text holds no NUL
    return MessageRow(uuid7(), entry.at, entry.direction, str(entry.peer), summary[:300], text)
