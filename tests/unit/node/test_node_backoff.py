"""Restart delays: at once, then doubling, forgiven after a quiet while."""

from __future__ import annotations

from sivo.node.backoff import Backoff


def test_the_first_restart_does_not_wait() -> None:
    assert Backoff().delay(0.1) == 0.0


def test_deaths_in_a_row_wait_longer_up_to_the_ceiling() -> None:
    backoff = Backoff(first=0.25, ceiling=2.0)
    assert [backoff.delay(0.1) for _ in range(6)] == [0.0, 0.25, 0.5, 1.0, 2.0, 2.0]


def test_a_long_life_is_forgiven() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.delay(0.1)
    assert backoff.delay(4.9) > 0
    assert backoff.delay(5.0) == 0.0
