"""VAD windows of one voice become segments: where something was said, for engines that want to know. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sivo.media.conversation import VadWindow

WINDOW_MS = 32
#: A voice has ended after this much silence.
STOP_MS = 200
#: Three windows: less holds no word.
MIN_MS = 96
#: A monologue is cut here, so that its text does not come all at the end.
MAX_MS = 15_000


@dataclass(frozen=True, slots=True)
class Begun:
    """A voice has begun at ``start_ms``."""

    number: int
    start_ms: float


@dataclass(frozen=True, slots=True)
class Ended:
    """It has ended; ``noise``: it was too short to hold a word."""

    number: int
    start_ms: float
    end_ms: float
    noise: bool


class Voices:
    """Segments of one voice."""

    def __init__(self) -> None:
        self._count = 0
        self._open: Begun | None = None
        self._end_ms = 0.0
        self._voiced_ms = 0

    def hear(self, now_ms: float, window: VadWindow) -> list[Begun | Ended]:
        """One window, completed in the frame that ends at ``now_ms``."""
        end_ms = now_ms - window.age_ms
        out: list[Begun | Ended] = []
        if window.voiced:
            if self._open is None:
                self._count += 1
                self._open, self._voiced_ms = Begun(self._count, end_ms - WINDOW_MS), 0
                out.append(self._open)
            self._end_ms = end_ms
            self._voiced_ms += WINDOW_MS
        if self._open is None:
            return out
        if end_ms - self._end_ms >= STOP_MS or end_ms - self._open.start_ms >= MAX_MS:
            out += self.end()
        return out

    def end(self) -> list[Begun | Ended]:
        """Whatever is open ends now."""
        opened, self._open = self._open, None
        if opened is None:
            return []
        return [Ended(opened.number, opened.start_ms, self._end_ms, self._voiced_ms < MIN_MS)]
