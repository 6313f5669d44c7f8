"""Resolution: which of several values counts, and what a value without a setter follows from."""

from __future__ import annotations

import random
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from sivo.config.key import Inputs, Level
from sivo.config.resolve import Resolver, Stored, resolve

ACME = Inputs(slug="acme", name="Acme", plan="pro")
LEVELS = [Level.PLATFORM, Level.PLAN, Level.TENANT, Level.ENDPOINT, Level.DID, Level.AGENT]


def test_most_specific_wins_and_says_where_it_came_from() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    stored = [
        Stored("ai.max_turns", Level.TENANT, 5, author="user:1", at=at, reason="shorter"),
        Stored("ai.max_turns", Level.PLATFORM, 40),
        Stored("ai.max_turns", Level.PLAN, 30, target="pro"),
    ]
    found = resolve(ACME, stored)["ai.max_turns"]
    assert (found.value, found.level, found.source) == (5, Level.TENANT, "tenant")
    assert found.provenance() == {
        "level": "tenant",
        "source": "tenant",
        "author": "user:1",
        "at": at.isoformat(),
        "reason": "shorter",
    }
    assert resolve(ACME, stored[1:])["ai.max_turns"].source == "plan:pro"


def test_a_locked_value_cannot_be_overridden_below() -> None:
    stored = [
        Stored("ai.max_turns", Level.PLATFORM, 40, locked=True),
        Stored("ai.max_turns", Level.TENANT, 5),
        Stored("ai.max_turns", Level.PLAN, 7, locked=True),
    ]
    assert resolve(ACME, stored)["ai.max_turns"].value == 40


def test_domains_follow_the_slug_and_the_platforms_suffixes() -> None:
    inputs = Inputs(slug="acme", sip_suffix="sip.localhost", app_suffix="app.localhost")
    found = resolve(inputs, [Stored("tenant.slug", Level.TENANT, "beta")])
    assert found["tenant.sip_domain"].value == "beta.sip.localhost"
    assert found["tenant.dashboard_url"].value == "beta.app.localhost"
    assert found["tenant.sip_domain"].level is Level.DEFAULT
    assert "<slug>" in found["tenant.sip_domain"].how


def test_the_voice_follows_provider_and_language() -> None:
    local = [Stored("ai.tts_provider", Level.TENANT, "local")]
    assert resolve(ACME, local)["ai.tts_voice_id"].value == "es"
    german = [*local, Stored("tenant.default_locale", Level.TENANT, "de")]
    assert resolve(ACME, german)["ai.tts_voice_id"].value == "de"
    assert resolve(ACME, german, call_language="en")["ai.tts_voice_id"].value == "en-us"
    chosen = [*german, Stored("ai.tts_voice_id", Level.AGENT, "mb-1", target="a")]
    assert resolve(ACME, chosen)["ai.tts_voice_id"].value == "mb-1"


def _naive(stored: list[Stored]) -> int:
    """The rule said slowly: walk from the least specific, stop at a lock."""
    value = 20
    for level in LEVELS:
        for one in stored:
            if one.level is level:
                value = one.value
                if one.locked:
                    return value
    return value


@given(
    st.lists(
        st.tuples(st.sampled_from(LEVELS), st.integers(1, 200), st.booleans()), unique_by=lambda row: row[0], max_size=6
    ),
    st.randoms(use_true_random=False),
)
def test_resolution_equals_the_naive_model_in_any_order(
    rows: list[tuple[Level, int, bool]], shuffle: random.Random
) -> None:
    stored = [Stored("ai.max_turns", level, value, locked=locked) for level, value, locked in rows]
    expected = _naive(stored)
    shuffle.shuffle(stored)
    assert Resolver(ACME, stored).effective("ai.max_turns").value == expected
