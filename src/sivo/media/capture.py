"""What was said, on two channels of one clock.

Channel 0 is what the caller said (after the jitter buffer, before any mixing), channel 1 what the agent said: frames
really sent for an AI agent, what was heard from the other phone for a person. Both get their frame in the same tick
under the same number, so they cannot drift apart; a channel without sound is silent for that tick.
"""

from __future__ import annotations

from sivo.media.codec import FRAME_MS
from sivo.media.journal_writer import JournalWriter

TICK_S = 0.020


class Capture:
    """The capture clock of a session and the choice whether frames are kept."""

    def __init__(self, writer: JournalWriter) -> None:
        self._writer = writer
        self._first_tick: int | None = None
        self._first_due = 0.0
        self._index = -1
        self.recording = False
        self.frames = 0

    @property
    def running(self) -> bool:
        """Whether the clock runs."""
        return self._first_tick is not None

    @property
    def now_ms(self) -> int:
        """End of the newest captured 20 ms."""
        return (self._index + 1) * FRAME_MS

    def clock_ms(self, now: float) -> int:
        """Milliseconds since the start, between ticks too; 0 before it. Never contradicts :attr:`now_ms`."""
        if self._first_tick is None:
            return 0
        due = self._first_due + self._index * TICK_S
        return self.now_ms + min(max(int((now - due) * 1000), 0), FRAME_MS)

    def start(self, next_tick: int, due: float) -> None:
        """Start the clock: the tick with this number, due at that time, is the first 20 ms. A second start changes
        nothing."""
        if self._first_tick is None:
            self._first_tick = next_tick
            self._first_due = due

    def tick(self, number: int, caller: bytes | None, agent: bytes | None) -> None:
        """Take both channels of one tick: 160 bytes PCMU each, or None for silence."""
        if self._first_tick is None or number < self._first_tick:
            return
        self._index = number - self._first_tick
        if self.recording:
            self.frames += 1
            self._writer.frame(self._index, caller, agent)
        else:
            self._writer.clock(self._index)
