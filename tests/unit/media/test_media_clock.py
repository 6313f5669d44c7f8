"""The 20 ms clock: absolute, catching up, honest about its lateness."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from sivo.media.clock import MAX_BEHIND, STALE_MS, Lateness, Ticker, TickSchedule


def test_no_drift_over_ten_minutes_of_late_wake_ups() -> None:
    schedule = TickSchedule(100.0)
    rng = random.Random(3)
    ran: list[int] = []
    while len(ran) < 30_000:
        now = schedule.due() + rng.uniform(0, 0.019)
        number = schedule.take(now)
        assert number is not None
        ran.append(number)
    assert ran == list(range(30_000))
    assert schedule.due(30_000) == pytest.approx(100.0 + 600.0, abs=1e-6)
    assert schedule.skipped == 0


def test_nothing_before_it_is_due() -> None:
    schedule = TickSchedule(5.0)
    assert schedule.take(4.9999) is None
    assert schedule.take(5.0) == 0
    assert schedule.take(5.0199) is None


def test_a_short_stall_is_caught_up_tick_by_tick() -> None:
    schedule = TickSchedule(0.0)
    assert schedule.take(0.0) == 0
    now = 0.02 * MAX_BEHIND + 0.001
    ran = []
    while (number := schedule.take(now)) is not None:
        ran.append(number)
    assert ran == list(range(1, MAX_BEHIND + 1))
    assert schedule.skipped == 0


def test_a_long_stall_is_jumped_and_counted() -> None:
    schedule = TickSchedule(0.0)
    assert schedule.take(0.0) == 0
    assert schedule.take(2.0) == 100, "the tick that is due now, not those of two seconds ago"
    assert schedule.skipped == 99
    assert schedule.take(2.0) is None
    assert schedule.due() == pytest.approx(2.02)


def test_a_clock_that_is_always_held_up_jumps_instead_of_sending_nothing() -> None:
    """Each turn of the loop takes 25 ms: what is stale must not be all that ever runs."""
    schedule, now, sent = TickSchedule(0.0), 0.0, 0
    for _ in range(2000):
        number = schedule.take(now)
        sent += number is not None and (now - schedule.due(number)) * 1000 < STALE_MS
        now += 0.025
    assert sent > 1800
    assert schedule.skipped > 400


def test_percentiles() -> None:
    lateness = Lateness()
    for n in range(1000):
        lateness.add(n / 100)  # 0 to 9.99 ms
    assert lateness.percentile(0.5) == pytest.approx(5.0, abs=0.15)
    assert lateness.percentile(0.99) == pytest.approx(9.9, abs=0.15)
    lateness.add(500.0)
    assert lateness.percentile(1.0) == 500.0
    assert Lateness().percentile(0.99) == 0.0


async def test_the_ticker_keeps_real_time_and_survives_a_blocked_loop() -> None:
    ticks: list[int] = []
    ticker = Ticker(lambda number, _late: ticks.append(number))
    begun = time.monotonic()
    ticker.start()
    await asyncio.sleep(0.1)
    time.sleep(0.1)
    await asyncio.sleep(0.2)
    ticker.stop()
    expected = (time.monotonic() - begun) / 0.020
    assert ticks == list(range(len(ticks))), "none left out after 100 ms"
    assert expected - 3 <= len(ticks) <= expected + 1
    assert ticker.lateness.max_ms >= 80
    seen = len(ticks)
    await asyncio.sleep(0.05)
    assert len(ticks) == seen
