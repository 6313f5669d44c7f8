"""Snapshots: the same content has the same hash, and reads are recorded per call."""

from __future__ import annotations

from uuid import uuid4

import pytest

from sivo.config.key import Inputs, Level
from sivo.config.resolve import Stored, resolve
from sivo.config.snapshot import Snapshot

TENANT = uuid4()
ACME = Inputs(slug="acme", plan="pro")


def made(version: int = 1, *stored: Stored, language: str = "es") -> Snapshot:
    return Snapshot.make(TENANT, version, resolve(ACME, stored), language, "tenant.default_locale")


def test_the_hash_covers_content_and_not_the_version() -> None:
    assert made(1).hash == made(2).hash
    assert len(made().hash) == 64


def test_a_value_its_level_and_the_language_each_change_the_hash() -> None:
    hashes = {
        made().hash,
        made(1, Stored("ai.max_turns", Level.TENANT, 20)).hash,
        made(1, Stored("ai.max_turns", Level.PLATFORM, 20)).hash,
        made(1, Stored("ai.max_turns", Level.TENANT, 21)).hash,
        made(language="en").hash,
    }
    assert len(hashes) == 5


def test_reads_are_recorded_once_each_in_order_and_per_reader() -> None:
    snapshot = made(1, Stored("ai.max_turns", Level.TENANT, 3))
    first, second = snapshot.reader(), snapshot.reader()
    assert first.read("ai.max_turns") == 3
    assert first.read("ai.speech_min_ms") == 400
    assert first.read("ai.max_turns") == 3
    assert first.language() == "es"
    assert first.reads() == [
        ("ai.max_turns", 3, "tenant"),
        ("ai.speech_min_ms", 400, "default"),
        ("call.language", "es", "tenant.default_locale"),
    ]
    assert second.reads() == []


def test_an_unknown_key_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        made().reader().read("ai.nothing")
