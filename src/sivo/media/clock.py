"""The 20 ms clock of a media process: absolute, so that it never drifts.

Tick ``n`` is due at ``start + n * 20 ms``, whatever happened to the ticks before. A process that was held up runs the
ticks it missed, one a loop turn so that sockets are read in between. What is later than :data:`STALE_MS` is no longer
worth sending (a receiver would throw it away), but what was heard meanwhile stands in the sockets, and the record and
the recogniser want every word of it: such ticks are run for hearing alone, up to :data:`MAX_BEHIND` of them. A process
that is held up again and again has no time for that: then, and after a longer stall, the clock jumps and says how many
ticks it skipped.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

TICK_S = 0.020
_SENT_BEHIND = 10  # ticks that are caught up with all they do
#: A tick that is as late as this is run for what it hears, and sends nothing.
STALE_MS = 1000 * TICK_S * (_SENT_BEHIND + 1)
#: Ticks that are caught up at most (1 s: as much as a jitter buffer holds).
MAX_BEHIND = 50
_REGAINED = 0.02  # so many stale ticks may be run again for each tick in time


class TickSchedule:
    """Which tick is due when; pure arithmetic on a given time."""

    def __init__(self, start: float) -> None:
        self._start = start
        self.next = 0
        self.skipped = 0
        self._stale_left = float(MAX_BEHIND)

    def due(self, number: int | None = None) -> float:
        """Time at which a tick (default: the next one) is due."""
        return self._start + (self.next if number is None else number) * TICK_S

    def take(self, now: float) -> int | None:
        """Number of the tick to run now, or None when none is due yet."""
        behind = int((now - self.due()) / TICK_S) if now >= self.due() else -1
        if behind < 0:
            return None
        if behind <= _SENT_BEHIND:
            self._stale_left = min(self._stale_left + _REGAINED, MAX_BEHIND)
        elif behind <= MAX_BEHIND and self._stale_left >= 1:
            self._stale_left -= 1
        else:
            self.skipped += behind
            self.next += behind
        number = self.next
        self.next += 1
        return number


class Lateness:
    """Distribution of how late ticks ran, in a fixed histogram (0.02 ms bins to 200 ms)."""

    BINS = 10_000
    BIN_MS = 0.02

    def __init__(self) -> None:
        self._bins = [0] * (self.BINS + 1)
        self.count = 0
        self.max_ms = 0.0
        self.total_ms = 0.0

    def add(self, late_ms: float) -> None:
        """Record one tick."""
        self._bins[min(int(max(late_ms, 0.0) / self.BIN_MS), self.BINS)] += 1
        self.count += 1
        self.max_ms = max(self.max_ms, late_ms)
        self.total_ms += max(late_ms, 0.0)

    def below(self, *bounds_ms: float) -> list[tuple[float, int]]:
        """How many ticks were late by less than each bound (whole tenths of a millisecond, up to 200)."""
        return [(bound, sum(self._bins[: round(bound / self.BIN_MS)])) for bound in bounds_ms]

    def percentile(self, share: float) -> float:
        """Milliseconds that ``share`` (0 to 1) of the ticks did not exceed; upper edge of the bin."""
        if not self.count:
            return 0.0
        rank = share * self.count
        seen = 0
        for index, number in enumerate(self._bins):
            seen += number
            if seen >= rank:
                return self.max_ms if index == self.BINS else round((index + 1) * self.BIN_MS, 2)
        return self.max_ms

    def summary(self) -> dict[str, float]:
        """What the load note and the bench report."""
        return {
            "ticks": self.count,
            "p50_ms": self.percentile(0.5),
            "p99_ms": self.percentile(0.99),
            "p999_ms": self.percentile(0.999),
            "max_ms": round(self.max_ms, 2),
        }


class Ticker:
    """Calls ``tick(number, late_ms)`` on the loop at every due time until stopped."""

    def __init__(self, tick: Callable[[int, float], None], now: Callable[[], float] | None = None) -> None:
        self._tick = tick
        self._loop = asyncio.get_running_loop()
        self._now = now or time.monotonic
        self._schedule = TickSchedule(self._now() + TICK_S)
        self._handle: asyncio.TimerHandle | None = None
        self.lateness = Lateness()
        self._recent = Lateness()

    def recent(self) -> Lateness:
        """Lateness since this was last asked."""
        recent, self._recent = self._recent, Lateness()
        return recent

    @property
    def skipped(self) -> int:
        """Ticks that never ran because the process was held for too long, or too often."""
        return self._schedule.skipped

    def start(self) -> None:
        """Begin; the first tick is due in 20 ms."""
        self._arm()

    def stop(self) -> None:
        """No further tick."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self) -> None:
        delay = max(self._schedule.due() - self._now(), 0.0)
        # The loop's timers count whole milliseconds: rounded up, a tick is late by less than one instead of being
        # asked for twice.
        delay = math.ceil(delay * 1000) / 1000
        self._handle = self._loop.call_later(delay, self._run)

    def _run(self) -> None:
        now = self._now()
        held_ms = (now - self._schedule.due()) * 1000
        number = self._schedule.take(now)
        self._arm()
        if number is None:
            return  # fired early: the loop's own idea of now is cached
        self.lateness.add(held_ms)
        self._recent.add(held_ms)
        self._tick(number, (now - self._schedule.due(number)) * 1000)
