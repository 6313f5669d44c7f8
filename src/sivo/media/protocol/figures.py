"""The numbers of a media process for whoever watches the node; told with every ``load`` note (``data["figures"]``)."""

from __future__ import annotations

import msgspec


class MediaFigures(msgspec.Struct, kw_only=True):
    """Everything since the start of the process, or as it is now. No call is named."""

    sessions: int = 0
    legs: int = 0
    #: Ticks that ran: how many were late by less than each bound (ms, rising), their number, their lateness in all.
    late_below: list[tuple[float, int]] = msgspec.field(default_factory=list)
    ticks: int = 0
    late_ms: float = 0.0
    skipped_ticks: int = 0
    #: Journal chunks that are not in their file yet, and facts that ``call`` has not acknowledged.
    journal_writes: int = 0
    facts: int = 0
    #: Tasks of the event loop.
    tasks: int = 0
