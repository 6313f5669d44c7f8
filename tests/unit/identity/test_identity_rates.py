"""The moving window is exact: against a model that keeps every accepted time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sivo.base.errors import SivoError
from sivo.identity.rates import AGENT, GENERAL, LEADS, LOGIN, Limit, Window


def test_the_published_numbers() -> None:
    assert (LOGIN.amount, LOGIN.window_sec) == (5, 900)
    assert (AGENT.amount, AGENT.window_sec) == (10, 900)
    assert (LEADS.amount, LEADS.window_sec) == (5, 3600)
    assert (GENERAL.amount, GENERAL.window_sec) == (600, 60)


@given(st.lists(st.tuples(st.integers(0, 40), st.booleans()), max_size=80), st.integers(1, 5))
def test_never_more_than_the_limit_in_any_window_and_never_less_than_allowed(
    story: list[tuple[int, bool]], amount: int
) -> None:
    """Requests arrive here or at another process that tells at once; together they keep the limit exactly."""
    limit, windows, now = Limit("x", amount, 60), (Window(), Window()), 0.0
    accepted: list[float] = []
    for pause, here in story:
        now += pause
        inside = [at for at in accepted if at > now - 60]
        mine, other = windows if here else windows[::-1]
        standing = mine.take(limit, now, list(other.taken))
        assert standing.refused == (len(inside) >= amount)
        if standing.refused:
            assert standing.reset_sec == inside[0] + 60 - now
        else:
            accepted.append(now)
            assert standing.remaining == amount - len(inside) - 1


def test_waiting_as_told_is_enough() -> None:
    window, now = Window(), 0.0
    for _ in range(5):
        assert not window.take(LOGIN, now).refused
        now += 0.3
    refused = window.take(LOGIN, now)
    assert refused.refused
    assert not window.take(LOGIN, now + refused.reset_sec).refused


def test_what_the_client_is_told() -> None:
    window = Window()
    first = window.take(LOGIN, 0.0)
    assert first.headers() == {"RateLimit-Policy": '"login";q=5;w=900', "RateLimit": '"login";r=4;t=900'}
    first.check()
    for at in (1.0, 2.0, 3.0, 4.0):
        window.take(LOGIN, at)
    refused = window.take(LOGIN, 10.5)
    assert refused.headers()["RateLimit"] == '"login";r=0;t=890'
    with pytest.raises(SivoError) as caught:
        refused.check()
    assert (caught.value.code, caught.value.status, caught.value.details["retry_after"]) == ("RATE_LIMITED", 429, 890)
