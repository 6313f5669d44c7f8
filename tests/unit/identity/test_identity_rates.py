"""The moving window is exact: against a model that keeps every accepted time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sivo.base.clock import VirtualClock
from sivo.base.errors import SivoError
from sivo.identity.rates import GENERAL, LOGIN, Limit, Rates


def _take(rates: Rates, limit: Limit, key: str = "k") -> int | None:
    """None when accepted, else the seconds to wait."""
    try:
        rates.take(limit, key)
    except SivoError as error:
        assert (error.code, error.status) == ("RATE_LIMITED", 429)
        return int(error.details["retry_after"])
    return None


def test_the_published_numbers() -> None:
    assert (LOGIN.amount, LOGIN.window_sec) == (5, 900)
    assert (GENERAL.amount, GENERAL.window_sec) == (600, 60)


@given(st.lists(st.integers(0, 40), max_size=80), st.integers(1, 5))
def test_never_more_than_the_limit_in_any_window_and_never_less_than_allowed(pauses: list[int], amount: int) -> None:
    clock = VirtualClock()
    rates, limit = Rates(clock), Limit("x", amount, 60)
    accepted: list[float] = []
    for pause in pauses:
        now = clock.advance(pause)
        inside = [at for at in accepted if at > now - 60]
        wait = _take(rates, limit)
        assert (wait is None) == (len(inside) < amount)
        if wait is None:
            accepted.append(now)
        else:
            assert wait == inside[0] + 60 - now


def test_waiting_as_told_is_enough() -> None:
    clock = VirtualClock()
    rates = Rates(clock)
    for _ in range(5):
        assert _take(rates, LOGIN) is None
        clock.advance(0.3)
    wait = _take(rates, LOGIN)
    assert wait is not None
    clock.advance(wait)
    assert _take(rates, LOGIN) is None


def test_keys_and_limits_are_counted_apart() -> None:
    rates = Rates(VirtualClock())
    one = Limit("one", 1, 60)
    assert _take(rates, one, "a") is None
    assert _take(rates, one, "b") is None
    assert _take(rates, Limit("two", 1, 60), "a") is None
    assert _take(rates, one, "a") == 60


def test_memory_is_bounded_and_the_quietest_is_forgotten_first() -> None:
    rates = Rates(VirtualClock(), max_keys=2)
    one = Limit("one", 1, 60)
    for key in ("a", "b"):
        assert _take(rates, one, key) is None
    with pytest.raises(SivoError):
        rates.take(one, "a")
    assert _take(rates, one, "c") is None
    assert _take(rates, one, "a") == 60, "a was heard of later than b"
    assert _take(rates, one, "b") is None
