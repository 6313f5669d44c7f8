"""The queue of what an agent is about to say, cut into 20 ms frames by the tick.

Speech comes in utterances (one sentence, say), each belonging to an epoch (one generation of the turn engine).
The queue keeps what it has sent of the current and the previous utterances, so that a pause can be followed by a
:meth:`Playout.resume` from an earlier word. It does no I/O and reads no clock: the tick pulls, and every pulled
frame is reported as :class:`SentFrame`, which makes "what was really played" exact.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

FRAME_MS = 20
FRAME_BYTES = 320  # 160 samples PCM16 at 8 kHz
BYTES_PER_MS = 16
#: How much audio of finished utterances is kept for a resume.
KEEP_MS = 30_000


class SentFrame(NamedTuple):
    """One frame that was handed to the socket."""

    epoch: int
    utterance: int
    #: Where in the utterance the frame starts.
    offset_ms: int
    #: Milliseconds of speech in the frame: 20, less in the last frame of an utterance, 0 for a mere end mark.
    duration_ms: int = FRAME_MS
    #: Nothing of this utterance comes after it. True exactly once for an utterance that was ended and not cleared
    #: (once more when it is replayed by a resume).
    last: bool = False


class _Utterance:
    """Audio of one utterance and how far it was sent."""

    __slots__ = ("audio", "ended", "epoch", "number", "position")

    def __init__(self, epoch: int, number: int) -> None:
        self.epoch = epoch
        self.number = number
        self.audio = bytearray()
        self.position = 0
        self.ended = False

    @property
    def waiting(self) -> int:
        """Bytes not yet sent."""
        return len(self.audio) - self.position


class Playout:
    """What is going to be said. Utterances play in the order in which they were first appended."""

    def __init__(self) -> None:
        self._queue: deque[_Utterance] = deque()
        self._done: deque[_Utterance] = deque()
        self._paused = False

    @property
    def paused(self) -> bool:
        """True between :meth:`pause` and :meth:`resume` or :meth:`clear`."""
        return self._paused

    @property
    def queued_ms(self) -> int:
        """Milliseconds of speech not sent yet (also while paused)."""
        return sum(utterance.waiting for utterance in self._queue) // BYTES_PER_MS

    def append(self, epoch: int, utterance: int, pcm16_8k: bytes) -> None:
        """Add speech (PCM16 little-endian, 8 kHz, mono) to the end of an utterance; the first call makes it.

        Audio for an utterance that was ended already is refused with ``ValueError``.
        """
        item = self._find(epoch, utterance)
        if item is None:
            item = _Utterance(epoch, utterance)
            self._queue.append(item)
        if item.ended:
            raise ValueError(f"utterance {utterance} of epoch {epoch} was ended; no audio can follow")
        item.audio += pcm16_8k

    def end(self, epoch: int, utterance: int) -> None:
        """No more audio of this utterance will come. An unknown one counts as an empty utterance."""
        item = self._find(epoch, utterance)
        if item is None:
            item = _Utterance(epoch, utterance)
            self._queue.append(item)
        item.ended = True

    def pause(self) -> None:
        """Send silence from the next tick on; queue and positions stay."""
        self._paused = True

    def resume(self, utterance: int, from_ms: int) -> None:
        """Go on from ``from_ms`` of ``utterance`` (current or kept), then with all that follows it, from its start.

        What stands before it and was not said is skipped without a report.

        ``from_ms`` is cut to what the utterance holds. ``ValueError`` when it is not known (any more).
        """
        everything = list(self._all())
        place = next((n for n in reversed(range(len(everything))) if everything[n].number == utterance), None)
        if place is None:
            raise ValueError(f"utterance {utterance} is not kept; it was cleared or played too long ago")
        again = everything[place:]
        for item in again:
            item.position = 0
        again[0].position = min(max(from_ms, 0) * BYTES_PER_MS, len(again[0].audio))
        self._done = deque(everything[:place])
        self._queue = deque(again)
        self._paused = False

    def clear(self) -> int:
        """Forget everything, sent or not, and leave a pause. Returns the milliseconds that were not sent."""
        dropped = self.queued_ms
        self._queue.clear()
        self._done.clear()
        self._paused = False
        return dropped

    def pull(self) -> tuple[bytes | None, list[SentFrame]]:
        """The next 20 ms: 320 bytes of PCM16 or None (silence), and what is to be reported for it.

        Held back while fewer than 20 ms of an utterance that has not ended are there: a short frame would click.
        """
        reports: list[SentFrame] = []
        if self._paused:
            return None, reports
        while self._queue:
            item = self._queue[0]
            if item.waiting == 0:
                if not item.ended:
                    break
                reports.append(SentFrame(item.epoch, item.number, item.position // BYTES_PER_MS, 0, True))
                self._finish()
                continue
            if item.waiting < FRAME_BYTES and not item.ended:
                break
            return self._cut(item, reports), reports
        return None, reports

    def _cut(self, item: _Utterance, reports: list[SentFrame]) -> bytes:
        start = item.position
        frame = bytes(item.audio[start : start + FRAME_BYTES])
        item.position += len(frame)
        last = item.ended and item.waiting == 0
        reports.append(SentFrame(item.epoch, item.number, start // BYTES_PER_MS, -(-len(frame) // BYTES_PER_MS), last))
        if last:
            self._finish()
        return frame if len(frame) == FRAME_BYTES else frame + bytes(FRAME_BYTES - len(frame))

    def _finish(self) -> None:
        self._done.append(self._queue.popleft())
        while sum(len(kept.audio) for kept in self._done) > KEEP_MS * BYTES_PER_MS and len(self._done) > 1:
            self._done.popleft()

    def _find(self, epoch: int, utterance: int) -> _Utterance | None:
        return next((item for item in self._all() if item.number == utterance and item.epoch == epoch), None)

    def _all(self) -> Iterator[_Utterance]:
        yield from self._done
        yield from self._queue
