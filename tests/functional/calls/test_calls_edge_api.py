"""Bans and trunk states over HTTP: administrators see and lift, others and other tenants do not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from sivo.base.ids import uuid7
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api

PASSWORD = "correct horse battery"


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database) as made:
        yield made


async def a_ban(database: Database, tenant: str, subject: str) -> str:
    now, row_id = datetime.now(UTC), uuid7()
    async with database.platform("test") as conn:
        await conn.execute(
            "insert into sip_ban (id, tenant_id, kind, subject, source, account, attempts, since_at, until_at) "
            "values ($1, $2, 'source', $3, $3, '100', 10, $4, $5)",
            row_id,
            UUID(tenant),
            subject,
            now,
            now + timedelta(seconds=60),
        )
    return str(row_id)


async def test_an_administrator_sees_and_lifts_bans_of_his_tenant(api: RunningApi, database: Database) -> None:
    tenant, other = await api.tenant("acme"), await api.tenant("globex")
    mine, foreign = await a_ban(database, tenant, "203.0.113.9"), await a_ban(database, other, "203.0.113.10")
    (seen,) = (await api.ok("GET", "/api/sip-bans", tenant=tenant))["items"]
    assert (seen["id"], seen["kind"], seen["subject"], seen["attempts"]) == (mine, "source", "203.0.113.9", 10)
    assert seen["liftedAt"] is None
    headers = {"X-Tenant-Id": tenant}
    assert (await api.local.delete(f"/api/sip-bans/{foreign}", headers=headers)).status_code == 404
    assert (await api.local.delete(f"/api/sip-bans/{mine}", headers=headers)).status_code == 204
    assert (await api.local.delete(f"/api/sip-bans/{mine}", headers=headers)).status_code == 404
    (seen,) = (await api.ok("GET", "/api/sip-bans", tenant=tenant))["items"]
    assert seen["liftedAt"]
    (logged,) = await api.logged(tenant, "sip_ban.lifted")
    assert logged["resource"]["id"] == mine
    await api.user(tenant, "agent@acme.example", PASSWORD, role="viewer")
    token = (await api.login("agent@acme.example", PASSWORD, "127.0.3.9")).json()["access_token"]
    for path, expected in (("/api/sip-bans", 403), ("/api/trunk-states", 200)):
        answer = await api.http.get(path, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == expected, path


async def test_the_state_of_a_trunk_is_shown_with_its_reason(api: RunningApi, database: Database) -> None:
    tenant, trunk = await api.tenant("acme"), uuid7()
    async with database.platform("test") as conn:
        await conn.execute(
            "insert into trunk_state (trunk_id, tenant_id, node, health, reason, checked_at, registration) "
            "values ($1, $2, 'n1', 'down', 'no answer to OPTIONS', now(), 'none')",
            trunk,
            UUID(tenant),
        )
    (seen,) = await api.ok("GET", "/api/trunk-states", tenant=tenant)
    assert (seen["trunk"], seen["health"], seen["reason"]) == (str(trunk), "down", "no answer to OPTIONS")
    assert await api.ok("GET", "/api/trunk-states", tenant=await api.tenant("globex")) == []
