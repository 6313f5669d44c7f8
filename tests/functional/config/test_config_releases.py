"""A release that changes a default: one entry of the platform, and everybody can see who did it, when, and to whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from sivo.base.clock import VirtualClock
from sivo.base.settings import Settings
from sivo.config import document, releases
from sivo.config.key import ByPlan, Static
from sivo.config.kinds import PLATFORM_ID
from sivo.config.registry import KEYS
from sivo.config.state import ledger_targets
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api

TURNS, RETENTION = "ai.max_turns", "recording.default_retention_days"


@pytest.fixture(autouse=True)
def declarations_of_today() -> Iterator[None]:
    """What is remembered of the declarations of another release is forgotten."""
    yield
    document._declared.cache_clear()


async def entries(database: Database) -> list[tuple[str, str]]:
    async with database.platform("test: entries of releases") as connection:
        rows = await connection.fetch(
            "select author, reason from ledger_entry where tenant_id = $1 and author like 'release:%' order by seq",
            PLATFORM_ID,
        )
    return [(row["author"], row["reason"]) for row in rows]


async def next_release(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(releases, "version", lambda _package: name)
    monkeypatch.setitem(KEYS, TURNS, replace(KEYS[TURNS], default=Static(30)))
    by_plan = ByPlan({"starter": 14, "pro": 90, "enterprise": 365})
    monkeypatch.setitem(KEYS, RETENTION, replace(KEYS[RETENTION], default=by_plan))


async def check_explained(api: RunningApi, tenant: str, own: str) -> None:
    told = await api.ok("GET", f"/api/config/{TURNS}", tenant=tenant)
    assert (told["value"], told["level"], told["author"]) == (30, "default", "release:0.2.0")
    assert told["default"]["changed"]["before"] == 20 and told["default"]["changed"]["after"] == 30
    assert told["at"] == told["default"]["changed"]["at"] and "from 20 to 30" in told["reason"]
    every = await api.ok("GET", "/api/config?explain=1", tenant=own)
    assert every[TURNS]["level"] == "tenant" and every[TURNS]["default"]["changed"]["author"] == "release:0.2.0"
    assert every["ai.max_duration_sec"]["default"]["changed"] is None


async def test_a_changed_default_is_an_entry_of_the_platform_and_seen_by_tenants(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock()
    async with running_api(settings, database, clock) as api:
        tenant, own = await api.tenant("acme"), await api.tenant("beta")
        await api.ok("PATCH", "/api/config", {TURNS: 7}, own)
        assert await entries(database) == [], "a new installation changes nothing"
        before = clock.now()
        clock.advance(timedelta(days=1).total_seconds())

    await next_release(monkeypatch, "0.2.0")
    for _start in range(2):  # a restart of the same release says nothing again
        async with running_api(settings, database, clock) as api:
            said = await entries(database)
            assert [author for author, _ in said] == ["release:0.2.0"]
            assert f"{TURNS} from 20 to 30" in said[0][1] and f'{RETENTION} from {{"enterprise": 365' in said[0][1]
            await check_explained(api, tenant, own)
            when = before.isoformat().replace("+", "%2B")
            past = await api.ok("GET", f"/api/config?at={when}", tenant=tenant)
            assert (past[TURNS], past[RETENTION]) == (20, 180), "as it was then, with the default of then"
            diff = await api.ok("GET", f"/api/config/diff?from={when}", tenant=tenant)
            moved = {one["key"]: (one["before"], one["after"]) for one in diff["effective"]}
            assert moved == {TURNS: (20, 30), RETENTION: (180, 90)} and diff["changes"] == []
            untouched = await api.ok("GET", f"/api/config/diff?from={when}", tenant=own)
            assert [one["key"] for one in untouched["effective"]] == [RETENTION]
            report = await api.ok("GET", "/api/ledger/verify?scope=platform")
            assert report["ok"] is True, report
    async with database.platform("test: targets") as connection:
        assert f"default/{TURNS}" in await ledger_targets(connection, PLATFORM_ID)

    monkeypatch.undo()  # the older release again: that changes them back, and says so
    async with running_api(settings, database, clock) as api:
        assert len(await entries(database)) == 2
        assert (await api.ok("GET", f"/api/config/{TURNS}", tenant=tenant))["value"] == 20


async def test_a_platform_rolls_back_its_own_values_not_those_of_a_release(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = VirtualClock()
    async with running_api(settings, database, clock) as api:
        await api.ok("PATCH", "/api/config?scope=platform", {"ai.max_duration_sec": 60})
    await next_release(monkeypatch, "0.2.0")
    async with running_api(settings, database, clock) as api:
        await api.ok("PATCH", "/api/config?scope=platform", {"ai.max_duration_sec": 90})
        await api.ok("POST", "/api/config/rollback?scope=platform", {"to": 1})
        found = await api.ok("GET", "/api/config?scope=platform")
        assert (found["ai.max_duration_sec"], found[TURNS]) == (60, 30)
