"""Which frames of a journal make the recording: every 20 ms of a recorded span, with silence where none was kept."""

from __future__ import annotations

from collections.abc import Iterator

from sivo.media.codec import FRAME_MS, SILENCE_ULAW
from sivo.media.journal import Journal
from sivo.recording.encode import Pair

_SILENCE: Pair = (SILENCE_ULAW, SILENCE_ULAW)


def spans(journal: Journal) -> list[tuple[int, int]]:
    """Recorded spans as half-open ranges of frame numbers; a span without an end lasts as long as the session lived.

    A session that was killed lived until its last frame or clock mark.
    """
    lived = -(-journal.last_ms // FRAME_MS)
    found: list[tuple[int, int]] = []
    for start_ms, end_ms in journal.recorded:
        first = start_ms // FRAME_MS
        last = lived if end_ms is None else min(lived, -(-end_ms // FRAME_MS))
        if last > first:
            found.append((first, last))
    return found


def pairs(journal: Journal) -> Iterator[Pair]:
    """Both channels of every recorded 20 ms, in order; as many as :func:`length` says."""
    kept = journal.frames()
    frame = next(kept, None)
    for first, last in spans(journal):
        for index in range(first, last):
            while frame is not None and frame.number < index:
                frame = next(kept, None)
            if frame is not None and frame.number == index:
                yield (frame.caller, frame.agent)
            else:
                yield _SILENCE


def length(journal: Journal) -> int:
    """Number of pairs."""
    return sum(last - first for first, last in spans(journal))
