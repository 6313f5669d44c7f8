"""One clock for everything that waits, so that hours pass in milliseconds in tests.

Protocol cores never read a clock: they take ``now`` (seconds, monotonic) as an argument. Code that has to
read one takes a :class:`Clock`.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Two readings of time: one that never jumps, one that people and records use."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; never goes back."""
        ...

    def now(self) -> datetime:
        """Wall-clock time, always aware and in UTC."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)


class VirtualClock:
    """A clock that a test moves by hand; both readings move together."""

    def __init__(self, start: datetime | None = None) -> None:
        self._start = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._elapsed = 0.0

    def monotonic(self) -> float:
        return self._elapsed

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def advance(self, seconds: float) -> float:
        """Move forward by ``seconds`` (not negative) and return the new monotonic reading."""
        if seconds < 0:
            raise ValueError(f"a clock does not go back: {seconds}")
        self._elapsed += seconds
        return self._elapsed
