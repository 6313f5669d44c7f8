"""The circuit breaker on a clock of its own."""

from __future__ import annotations

import pytest

from sivo.ai.breaker import FAILURES, OPEN_S, WINDOW_S, Breaker, counts
from sivo.media.protocol import Stage
from sivo.speech.faults import ProviderError

STAGE = Stage(protocol="openai", base_url="https://llm.example.com/v1", model="m", api_key="k")
KEY = Breaker.key("acme", STAGE)


def opened(at: float = 100.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        breaker.failed(KEY, at)
    return breaker


def test_three_failures_in_the_window_open_it_and_a_success_in_between_does_not_count() -> None:
    breaker = Breaker()
    for at in (0.0, 10.0):
        breaker.failed(KEY, at)
    assert breaker.allows(KEY, 10.0)
    breaker.failed(KEY, WINDOW_S + 1)
    assert breaker.allows(KEY, WINDOW_S + 1), "the first one was too long ago"
    breaker.failed(KEY, WINDOW_S + 2)
    assert not breaker.allows(KEY, WINDOW_S + 2)
    other = Breaker()
    for at in (0.0, 1.0):
        other.failed(KEY, at)
    other.worked(KEY)
    other.failed(KEY, 2.0)
    assert other.allows(KEY, 2.0)


def test_after_a_while_exactly_one_may_try() -> None:
    breaker = opened()
    assert not breaker.allows(KEY, 100.0 + OPEN_S - 0.1)
    assert breaker.allows(KEY, 100.0 + OPEN_S)
    assert not breaker.allows(KEY, 100.0 + OPEN_S + 1), "one is trying already"
    breaker.failed(KEY, 100.0 + OPEN_S + 2)
    assert not breaker.allows(KEY, 100.0 + OPEN_S + 3), "it still fails"
    assert breaker.allows(KEY, 100.0 + 2 * OPEN_S + 2)
    breaker.left(KEY)
    assert breaker.allows(KEY, 100.0 + 2 * OPEN_S + 3), "the one that tried has left"
    breaker.worked(KEY)
    assert breaker.allows(KEY, 0.0) and breaker.allows(KEY, 0.0)


@pytest.mark.parametrize("change", [{"api_key": "new"}, {"model": "n"}, {"base_url": "https://b.example.com"}])
def test_tenants_and_changed_configurations_have_their_own(change: dict[str, str]) -> None:
    breaker = opened()
    fields = {"protocol": "openai", "base_url": STAGE.base_url, "model": "m", "api_key": "k"}
    assert not breaker.allows(KEY, 101.0)
    assert breaker.allows(Breaker.key("other", STAGE), 101.0)
    assert breaker.allows(Breaker.key("acme", Stage(**(fields | change))), 101.0)


def test_what_counts() -> None:
    assert all(counts(ProviderError(cause, "")) for cause in ("refused", "slow", "cut", "garbage"))
    assert counts(ProviderError("rejected", "", status=429)) and counts(ProviderError("rejected", "", status=401))
    assert not counts(ProviderError("rejected", "", status=400))
    assert not counts(ProviderError("guard", ""))
