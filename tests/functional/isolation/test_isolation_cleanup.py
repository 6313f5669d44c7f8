"""What an audit leaves when it is killed, and how many there may be."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from sivo.base.clock import VirtualClock
from sivo.base.errors import SivoError
from sivo.base.node import node_id
from sivo.base.settings import Settings
from sivo.config.kinds import PLATFORM_ID
from sivo.db.scopes import Database
from sivo.isolation import cleanup, store
from support.running_api import RunningApi, running_api


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database) as running:
        yield running


async def test_canaries_of_a_killed_audit_go_at_the_next_start(api: RunningApi, database: Database) -> None:
    slugs, now = ("canary-one", "canary-two"), api.context.clock.now()
    node = node_id(api.context.settings)
    begun = await store.begin(database, PLATFORM_ID, "local:0", node, slugs, now)
    # Killed when the first of them had been made and filled a little.
    canary = await api.tenant("canary-one")
    await api.user(canary, "ana@canary-one.example", "correct horse battery")
    stays = await api.tenant("canary-three")
    with pytest.raises(SivoError) as running:
        await store.begin(database, PLATFORM_ID, "local:0", node, ("a", "b"), now)
    assert running.value.code == "ISOLATION_AUDIT_RUNNING"
    assert await cleanup.after_a_death(api.context) == 1
    slugs_left = [one["slug"] for one in (await api.ok("GET", "/api/tenants"))["items"]]
    assert slugs_left == ["canary-three"], "only what the audit had noted goes, whatever others are called"
    assert (await api.ok("GET", f"/api/tenants/{stays}"))["slug"] == "canary-three"
    found = await api.ok("GET", f"/api/audit/isolation/{begun.id}")
    assert (found["state"], found["report"]) == ("done", None)
    assert await cleanup.after_a_death(api.context) == 0


async def test_a_tenant_starts_so_many_a_day(database: Database, clock: VirtualClock) -> None:
    async def once() -> None:
        begun = await store.begin(database, PLATFORM_ID, "local:0", "n", ("a", "b"), clock.now())
        await store.finish(database, begun, {"verdict": "isolated"}, clock.now())

    for _ in range(store.DAILY):
        await once()
        clock.advance(60)
    with pytest.raises(SivoError) as refused:
        await once()
    assert refused.value.code == "RATE_LIMITED"
    wait = refused.value.details["retry_after"]
    assert wait == 24 * 3600 - store.DAILY * 60 + 1
    clock.advance(wait)
    await once()
