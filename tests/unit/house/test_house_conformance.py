"""Every configuration key has one declared conformance test, and no mark outlives what it waits for."""

from __future__ import annotations

from collections import Counter

from sivo.config.registry import KEYS
from support.conformance import WAITING, Waiting, declared

#: Halves that may wait (the contract names no others).
MAY_WAIT = {key for key in KEYS if key.startswith("sf.")} | {
    "transcription.push_to_sf",
    "recording.kms_enabled",
    "recording.default_provider_id",
    "tenant.default_locale",
    "tenant.dashboard_url",
}


def test_every_key_has_exactly_one_declared_test() -> None:
    found = Counter(one.key for one in declared() if "mail" not in one.test)
    assert found.keys() == KEYS.keys(), "keys without a test, or tests of keys that do not exist"
    assert {key: count for key, count in found.items() if count > 1} == {}


def test_effect_and_observer_are_said() -> None:
    assert all(len(one.effect) > 10 and one.observer for one in declared())


def test_only_what_may_wait_waits_and_nothing_longer_than_it_must() -> None:
    assert {one.key for one in WAITING} <= MAY_WAIT
    over = {one.key: sign for one in WAITING if (sign := one.over())}
    assert not over, "these subsystems exist now: show the other half and take the mark away"


def test_a_mark_notices_that_its_subsystem_exists() -> None:
    assert Waiting("x", "half", "webhooks", ("webhooks",)).over() == "webhooks"
    assert Waiting("x", "half", "stores", ("storage:LocalStore",)).over() == "storage:LocalStore"
    assert Waiting("x", "half", "nothing", ("no-such-room", "storage:no such text")).over() == ""
