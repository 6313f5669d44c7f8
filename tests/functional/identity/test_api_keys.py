"""API keys through the doors of a real ``api``: made, used, bounded, revoked in another process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api, twin

PASSWORD = "correct horse battery"


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database) as running:
        yield running


async def make(api: RunningApi, tenant: str, *scopes: str, role: str = "admin", **body: Any) -> dict[str, Any]:
    sent = {"name": "pipeline", "role": role, "scopes": list(scopes), **body}
    made: dict[str, Any] = await api.ok("POST", "/api/api-keys", sent, tenant)
    return made


def using(key: str | dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {key['key'] if isinstance(key, dict) else key}"}


async def settled(read: Any, wanted: Any, seconds: float = 3.0) -> Any:
    async with asyncio.timeout(seconds):
        while not wanted(found := await read()):
            await asyncio.sleep(0.02)
    return found


async def test_a_key_does_what_its_scopes_say_and_its_hash_is_all_that_is_kept(
    api: RunningApi, pg: Any, database_name: str
) -> None:
    tenant = await api.tenant("acme")
    made = await make(api, tenant, "config:read", "resources:write")
    assert made["key"].startswith(f"sivo_{made['prefix']}_")
    assert (await api.http.get("/api/config", headers=using(made))).status_code == 200
    did = await api.http.post("/api/dids", json={"number": "+34910000001"}, headers=using(made))
    assert did.status_code == 201, did.text
    refused = await api.http.patch("/api/config", json={"ai.max_turns": 3}, headers=using(made))
    assert (refused.status_code, refused.json()["code"]) == (403, "INSUFFICIENT_SCOPE")
    assert refused.json()["details"]["scope"] == "config:write"
    me = (await api.http.get("/api/me", headers=using(made))).json()
    assert (me["tenant_id"], me["role"], me["author"]) == (tenant, "admin", f"key:{made['prefix']}")
    history = await api.ok("GET", "/api/config/history", tenant=tenant)
    assert history["items"][0]["author"] == f"key:{made['prefix']}"
    secret = made["key"].rpartition("_")[2]
    behind = await asyncpg.connect(pg.superuser_dsn(database_name))
    try:
        tables = await behind.fetch(
            "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
        )
        for row in tables:
            told = await behind.fetchval(f"select string_agg(t::text, ' ') from {row['relname']} t")
            assert secret not in (told or ""), row["relname"]
    finally:
        await behind.close()


async def test_nobody_makes_a_key_stronger_than_themselves_and_a_key_makes_none(api: RunningApi) -> None:
    tenant = await api.tenant("acme")
    for role in ("superadmin", "owner"):
        body = {"name": "x", "role": role, "scopes": ["config:read"]}
        answer = await api.local.post("/api/api-keys", json=body, headers={"X-Tenant-Id": tenant})
        assert answer.status_code == 422, role
    await api.user(tenant, "sue@acme.example", PASSWORD, role="supervisor")
    token = (await api.login("sue@acme.example", PASSWORD)).json()["access_token"]
    body = {"name": "x", "role": "viewer", "scopes": ["config:read"]}
    answer = await api.http.post("/api/api-keys", json=body, headers=using(token))
    assert (answer.status_code, answer.json()["code"]) == (403, "INSUFFICIENT_ROLE")
    made = await make(api, tenant, "users:write", "config:apply", "resources:write")
    for method, path in (
        ("POST", "/api/api-keys"),
        ("GET", "/api/api-keys"),
        ("DELETE", f"/api/api-keys/{made['id']}"),
    ):
        answer = await api.http.request(method, path, json=body, headers=using(made))
        assert (answer.status_code, answer.json()["code"]) == (403, "API_KEY_CLOSED"), (method, path)
    viewer = await make(api, tenant, "config:write", role="viewer")
    answer = await api.http.patch("/api/config", json={"ai.max_turns": 3}, headers=using(viewer))
    assert (answer.status_code, answer.json()["code"]) == (403, "INSUFFICIENT_ROLE")


async def test_a_key_never_steps_up(api: RunningApi) -> None:
    tenant = await api.tenant("acme")
    user = await api.user(tenant, "ana@acme.example", PASSWORD, role="agent")
    made = await make(api, tenant, "users:write")
    answer = await api.http.post(f"/api/users/{user}/password", json={"password": "x" * 20}, headers=using(made))
    assert (answer.status_code, answer.json()["code"]) == (403, "API_KEY_NO_STEP_UP")
    assert (await api.login("ana@acme.example", PASSWORD)).status_code == 200
    # And making one is a step-up itself: a session that is not fresh is asked for its factor.
    await api.user(tenant, "ben@acme.example", PASSWORD)
    token = (await api.login("ben@acme.example", PASSWORD, source="127.0.0.2")).json()["access_token"]
    async with api.context.database.tenant(__import__("uuid").UUID(tenant)) as connection:
        await connection.execute("update session set confirmed_at = confirmed_at - interval '11 minutes'")
    api.context.identity.authentication.cache.clear()
    body = {"name": "x", "role": "viewer", "scopes": ["config:read"]}
    answer = await api.http.post("/api/api-keys", json=body, headers=using(token))
    assert (answer.status_code, answer.json()["code"]) == (403, "STEP_UP_REQUIRED")


async def test_revoking_is_in_force_in_another_process_within_a_second(
    api: RunningApi, settings: Settings, database: Database
) -> None:
    tenant = await api.tenant("acme")
    made = await make(api, tenant, "config:read")
    async with running_api(twin(settings), database) as other:
        for process in (api, other):
            assert (await process.http.get("/api/me", headers=using(made))).status_code == 200
        await api.ok("DELETE", f"/api/api-keys/{made['id']}", tenant=tenant)

        async def asked() -> httpx.Response:
            return await other.http.get("/api/me", headers=using(made))

        answer = await settled(asked, lambda found: found.status_code != 200)
        assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")
    assert (await api.http.get("/api/me", headers=using(made))).status_code == 401
    assert (await api.ok("GET", "/api/api-keys", tenant=tenant))["items"] == []
    # Going back to the version at which it was there does not bring it back.
    history = (await api.ok("GET", "/api/config/history", tenant=tenant))["items"]
    await api.ok("POST", "/api/config/rollback", {"to": history[1]["seq"]}, tenant)
    assert (await api.ok("GET", "/api/api-keys", tenant=tenant))["items"] == []
    assert (await api.ok("GET", "/api/ledger/verify", tenant=tenant))["ok"]


async def test_expired_suspended_and_invented_keys_are_401(api: RunningApi) -> None:
    tenant = await api.tenant("acme")
    made = await make(api, tenant, "config:read", expires_in_days=1)
    assert made["expires_at"] is not None
    assert (await make(api, tenant, "config:read", expires_in_days=None))["expires_at"] is None
    await api.ok("PATCH", f"/api/tenants/{tenant}", {"status": "suspended"})

    async def status() -> int:
        return (await api.http.get("/api/me", headers=using(made))).status_code

    await settled(status, lambda found: found == 401)
    await api.ok("PATCH", f"/api/tenants/{tenant}", {"status": "active"})
    await settled(status, lambda found: found == 200)
    for wrong in (made["key"][:-1] + "!", made["key"] + "x", "sivo_", made["key"].replace("sivo_", "sivo-", 1)):
        answer = await api.http.get("/api/me", headers=using(wrong))
        assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")


async def test_an_expired_key_ends_by_the_clock(settings: Settings, database: Database, clock: Any) -> None:
    async with running_api(settings, database, clock) as api:
        tenant = await api.tenant("acme")
        made = await make(api, tenant, "config:read", expires_in_days=1)
        assert (await api.http.get("/api/me", headers=using(made))).status_code == 200
        clock.advance(86_401)
        answer = await api.http.get("/api/me", headers=using(made))
        assert (answer.status_code, answer.json()["detail"]) == (401, "this API key has expired")


async def test_a_key_of_one_tenant_opens_nothing_of_another(api: RunningApi) -> None:
    acme, other = await api.tenant("acme"), await api.tenant("other")
    made = await make(api, acme, "config:read", "resources:read")
    did = await api.ok("POST", "/api/dids", {"number": "+34910000009"}, other)
    assert (await api.http.get(f"/api/dids/{did['id']}", headers=using(made))).status_code == 404
    answer = await api.http.get("/api/config", headers={**using(made), "X-Tenant-Id": other})
    assert (answer.status_code, answer.json()["code"]) == (403, "INSUFFICIENT_ROLE")
    answer = await api.http.get("/api/config", headers={**using(made), "Host": "other.app.sivocenter.com"})
    assert (answer.status_code, answer.json()["code"]) == (401, "TENANT_HOST_MISMATCH")


async def test_each_key_has_a_bucket_of_its_own(api: RunningApi) -> None:
    tenant = await api.tenant("acme")
    await api.ok("PUT", "/api/limits/requests", {"subject": f"tenant:{tenant}", "amount": 5})
    one, other = await make(api, tenant, "config:read"), await make(api, tenant, "config:read")
    statuses = [(await api.http.get("/api/me", headers=using(one))).status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    assert (await api.http.get("/api/me", headers=using(other))).status_code == 200


async def test_the_last_use_is_written_once_a_minute_and_not_at_each_request(
    settings: Settings, database: Database, clock: Any
) -> None:
    async with running_api(settings, database, clock) as api:
        tenant = await api.tenant("acme")
        made = await make(api, tenant, "config:read")

        async def listed() -> dict[str, Any]:
            found: dict[str, Any] = (await api.ok("GET", "/api/api-keys", tenant=tenant))["items"][0]
            return found

        assert (await listed())["last_used_at"] is None
        await api.http.get("/api/me", headers=using(made))
        first = await settled(listed, lambda found: found["last_used_at"] is not None)
        assert first["last_used_from"] == "127.0.0.1" and "key" not in first
        clock.advance(30)
        for _ in range(20):
            await api.http.get("/api/me", headers=using(made))
        await asyncio.sleep(0.1)
        assert (await listed())["last_used_at"] == first["last_used_at"]
        clock.advance(31)
        await api.http.get("/api/me", headers=using(made))
        await settled(listed, lambda found: found["last_used_at"] > first["last_used_at"])


async def test_documents_hold_no_keys(api: RunningApi) -> None:
    tenant = await api.tenant("acme")
    made = await make(api, tenant, "config:read")
    document = (await api.local.get("/api/config/export", headers={"X-Tenant-Id": tenant})).text
    assert made["prefix"] not in document
    await api.ok("POST", "/api/config/import", {"document": document}, tenant)
    assert (await api.http.get("/api/me", headers=using(made))).status_code == 200
