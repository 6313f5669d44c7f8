"""Which words of a stream belong to which voice segment: by time, on the call's clock."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

#: A word this far from the nearest segment belongs to none.
REACH_MS = 600


@dataclass(frozen=True, slots=True)
class Word:
    """A word; times on the call's clock."""

    text: str
    start_ms: float
    end_ms: float

    @property
    def middle_ms(self) -> float:
        """What decides where it belongs."""
        return (self.start_ms + self.end_ms) / 2


@dataclass(slots=True)
class Span:
    """A voice segment. ``end_ms`` None: it still goes on."""

    number: int
    start_ms: float
    end_ms: float | None = None
    asked_at: float | None = None
    settled: bool = False
    interim: str = ""
    #: How far the server had heard when the text was given; what was said later is not in it.
    told_to: float = float("inf")

    def distance(self, word: Word) -> float:
        """0 for a word inside."""
        if self.settled and word.middle_ms > self.told_to:
            return float("inf")
        if self.end_ms is not None and word.middle_ms > self.end_ms:
            return word.middle_ms - self.end_ms
        return max(0.0, self.start_ms - word.middle_ms)


class Timeline:
    """Stream time to call time. The stream starts at 0 with each connection and stands still while nothing is sent."""

    def __init__(self) -> None:
        self._marks: list[tuple[float, float]] = []
        self.sent_ms = 0.0

    def send(self, call_start_ms: float, ms: float) -> None:
        """``ms`` of audio from ``call_start_ms`` on go out next."""
        if not self._marks or abs(self.call_ms(self.sent_ms) - call_start_ms) > 1:
            self._marks.append((self.sent_ms, call_start_ms))
        self.sent_ms += ms

    def call_ms(self, stream_ms: float) -> float:
        """Where a moment of the stream stands on the call's clock."""
        if not self._marks:
            return stream_ms
        at = max(0, bisect_right(self._marks, (stream_ms, float("inf"))) - 1)
        began, call = self._marks[at]
        return call + stream_ms - began


def nearest(spans: Iterable[Span], word: Word) -> Span | None:
    """The segment that a word belongs to, if any."""
    best = min(spans, key=lambda span: span.distance(word), default=None)
    return best if best is not None and best.distance(word) <= REACH_MS else None


def text_of(words: Iterable[Word]) -> str:
    """Words as a sentence."""
    return " ".join(word.text for word in words)
