"""Lockout on the virtual clock: how many failures, how long, and what a right password takes back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sivo.identity.lockout import Counter, begin, take_back

START = datetime(2026, 1, 1, tzinfo=UTC)


def _at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def _fail(counter: Counter, times: int, at: float, limit: int = 5) -> Counter:
    for number in range(times):
        counter = begin(counter, limit, _at(at + number))
    return counter


def test_the_nth_failure_locks_and_the_one_before_does_not() -> None:
    four = _fail(Counter(), 4, 0)
    assert four.wait(_at(4)) is None
    five = begin(four, 5, _at(4))
    assert five.wait(_at(4)) == timedelta(minutes=1)
    assert five.wait(_at(63.999)) is not None
    assert five.wait(_at(64)) is None


def test_waits_grow_to_an_hour_and_stay_there() -> None:
    counter, now, waits = Counter(), 0.0, []
    for _ in range(6):
        counter = _fail(counter, 5, now)
        now += 4
        wait = counter.wait(_at(now))
        assert wait is not None
        waits.append(wait.total_seconds() / 60)
        now += wait.total_seconds()
    assert waits == [1, 5, 15, 60, 60, 60]


def test_failures_older_than_fifteen_minutes_do_not_count() -> None:
    counter = _fail(Counter(), 4, 0)
    assert begin(counter, 5, _at(900.0)).wait(_at(900.0)) is None, "the first is exactly 15 minutes old"
    assert begin(counter, 5, _at(899.9)).wait(_at(899.9)) is not None


def test_a_quiet_day_is_forgiven() -> None:
    counter = _fail(Counter(), 5, 0)
    counter = _fail(counter, 5, 86_400 + 10)
    assert counter.level == 1


@given(st.integers(3, 20), st.integers(0, 19))
def test_a_right_password_leaves_no_trace(limit: int, failures: int) -> None:
    before = _fail(Counter(), min(failures, limit - 1), 0, limit)
    at = _at(30)
    during = begin(before, limit, at)
    after = take_back(before, during, at)
    assert (after.failures, after.level, after.locked_until) == (before.failures, before.level, before.locked_until)


def test_what_others_failed_meanwhile_stays() -> None:
    before = _fail(Counter(), 1, 0)
    during = begin(begin(before, 5, _at(10)), 5, _at(11))
    after = take_back(before, during, _at(10))
    assert after.failures == (_at(0), _at(11))
