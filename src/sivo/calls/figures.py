"""What the call role counts for operators. Called from the call's own path: nothing here waits or raises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import msgspec

from sivo.base import logs
from sivo.calls.rows import CallRow, EndRow
from sivo.media import protocol as wire
from sivo.monitoring import declared as d
from sivo.monitoring.book import Book, Distribution, Reading
from sivo.monitoring.metric import OTHER
from sivo.sip.ladder import LadderEntry

_LEGS = ("caller", "callee")
_KINDS = frozenset(d.SIP_MESSAGES.labels["kind"])
log = logs.get("calls")


class CallFigures:
    """Counters of calls, SIP messages and conversations, and the newest figures of each media process."""

    def __init__(self) -> None:
        self.book = Book("call")
        self.media: dict[int, wire.MediaFigures] = {}
        #: SIP messages by direction and kind, in plain numbers: there are a dozen a call.
        self._messages = {(one["direction"], one["kind"]): 0 for one in d.SIP_MESSAGES.series()}
        self.book.source(self._read)

    # --- calls ---

    def started(self, row: CallRow) -> None:
        """A call came to be."""
        self.book.count(d.CALLS_STARTED, direction=row.direction)

    def ringing(self, row: CallRow, at: datetime) -> None:
        """The first ringing went to the caller."""
        self.book.observe(d.CALL_RINGING, _since(row, at))

    def answered(self, row: CallRow, at: datetime) -> None:
        """The caller has our 200."""
        self.book.observe(d.CALL_ANSWERED, _since(row, at), direction=row.direction)

    def ended(self, row: CallRow, end: EndRow) -> None:
        """The CDR is complete, with the quality of each leg."""
        self.book.count(d.CALLS_ENDED, direction=row.direction, category=end.category)
        for name, leg in end.stats.get("quality", {}).items():
            side = name if name in _LEGS else "other"
            for metric, field, unit in (
                (d.LEG_LOSS, "loss_percent", 0.01),
                (d.LEG_JITTER, "jitter_ms", 0.001),
                (d.LEG_RTT, "rtt_ms", 0.001),
                (d.LEG_MOS, "mos", 1.0),
            ):
                if leg.get(field) is not None:
                    self.book.observe(metric, leg[field] * unit, leg=side)

    # --- what media says ---

    def fact(self, body: wire.FactBody) -> None:
        """A fact of a conversation."""
        match body:
            case wire.ProviderFault(stage=stage, cause=cause):
                self.book.count(d.PROVIDER_FAULTS, stage=stage, cause=cause)
            case wire.Interruption(outcome=outcome):
                self.book.count(d.INTERRUPTIONS, outcome=outcome)
            case wire.Turn(latency={"first_frame": first_ms}):
                self.book.observe(d.TURN_RESPONSE, first_ms / 1000)

    def note(self, index: int, note: wire.Note) -> None:
        """A media process tells its load."""
        if note.kind == "load" and "figures" in note.data:
            try:
                self.media[index] = msgspec.convert(note.data["figures"], wire.MediaFigures)
            except msgspec.ValidationError as error:
                log.warning("figures of a media process cannot be read", media=index, error=str(error))

    # --- SIP ---

    def message(self, entry: LadderEntry) -> None:
        """A SIP message went by; our own repetitions are counted apart."""
        if not entry.again:
            self._messages[entry.direction, _kind(entry.first_line)] += 1

    def _read(self) -> Iterator[Reading]:
        for (direction, kind), number in self._messages.items():
            yield d.SIP_MESSAGES, {"direction": direction, "kind": kind}, float(number)


def _kind(first_line: str) -> str:
    word, _, rest = first_line.partition(" ")
    kind = f"{rest[:1]}xx" if word == "SIP/2.0" else word
    return kind if kind in _KINDS else OTHER


def _since(row: CallRow, at: datetime) -> float:
    return max((at - row.created_at).total_seconds(), 0.0)


def of_sip(statistics: Counter[str]) -> Iterator[Reading]:
    """The transport's own counters."""
    yield d.SIP_REPEATED, {}, float(statistics["repeated"])
    yield d.SIP_ERRORS, {"what": "send"}, float(statistics["send_errors"])
    yield d.SIP_ERRORS, {"what": "handler"}, float(statistics["handler_errors"])
    for reason in d.SIP_DROPPED.labels["reason"]:
        yield d.SIP_DROPPED, {"reason": reason}, 0.0
    for name, number in list(statistics.items()):
        if name.startswith("dropped."):
            yield d.SIP_DROPPED, {"reason": name.removeprefix("dropped.")}, float(number)


def of_media(index: int, figures: wire.MediaFigures) -> Iterator[Reading]:
    """One media process as it last said."""
    labels = {"media": str(index)}
    below = tuple((bound / 1000, number) for bound, number in figures.late_below)
    yield d.LATENESS, labels, Distribution(below, figures.late_ms / 1000, figures.ticks)
    for metric, value in (
        (d.MEDIA_SESSIONS, figures.sessions),
        (d.MEDIA_LEGS, figures.legs),
        (d.TICKS_SKIPPED, figures.skipped_ticks),
        (d.JOURNAL_WRITES, figures.journal_writes),
        (d.FACTS_WAITING, figures.facts),
        (d.MEDIA_TASKS, figures.tasks),
    ):
        yield metric, labels, float(value)
