"""Plans on a real database: limits, all violations of a downgrade at once, sealed expiries as they were."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import pytest

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api
from support.tenant_estate import Estate

LIMITS = {"starter": {"dids": 1, "extensions": 2}, "pro": {"dids": 3}}
PASSWORD = "correct horse battery"


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(settings.model_copy(update={"plan_limits": LIMITS}), database) as running:
        yield running


async def change_plan(api: RunningApi, tenant: str, plan: str) -> Any:
    return await api.local.patch(f"/api/tenants/{tenant}", json={"plan": plan})


async def test_no_more_is_made_than_the_plan_includes(api: RunningApi) -> None:
    tenant = await api.tenant("acme", plan="starter")
    for number in ("1001", "1002"):
        await api.ok("POST", "/api/extensions", {"number": number}, tenant)
    answer = await api.local.post("/api/extensions", json={"number": "1003"}, headers={"X-Tenant-Id": tenant})
    assert (answer.status_code, answer.json()["code"]) == (409, "PLAN_LIMIT_REACHED")
    assert answer.json()["details"] == {"plan": "starter", "where": "extensions", "have": 3, "allowed": 2}
    # By whatever way it is made.
    document = (await api.local.get("/api/config/export", headers={"X-Tenant-Id": tenant})).text
    more = document.replace("  dids: []", '  dids:\n    - number: "+34910000001"\n    - number: "+34910000002"')
    assert more != document
    answer = await api.local.post("/api/config/import", json={"document": more}, headers={"X-Tenant-Id": tenant})
    assert (answer.status_code, answer.json()["code"]) == (409, "PLAN_LIMIT_REACHED")
    # What has no limit has none, and one less makes room for one more.
    await api.ok("POST", "/api/trunks", {"name": "one"}, tenant)
    found = (await api.ok("GET", "/api/extensions", tenant=tenant))["items"]
    await api.ok("DELETE", f"/api/extensions/{found[0]['id']}", tenant=tenant)
    await api.ok("POST", "/api/extensions", {"number": "1003"}, tenant)
    # A larger plan takes more at once.
    assert (await change_plan(api, tenant, "pro")).status_code == 200
    await api.ok("POST", "/api/extensions", {"number": "1004"}, tenant)


async def test_a_downgrade_names_everything_that_does_not_fit_and_changes_nothing(api: RunningApi) -> None:
    tenant = await api.tenant("acme", plan="enterprise")
    for number in ("1001", "1002", "1003"):
        await api.ok("POST", "/api/extensions", {"number": number}, tenant)
    dids = [await api.ok("POST", "/api/dids", {"number": f"+3491000000{n}"}, tenant) for n in range(4)]
    await api.ok("PATCH", "/api/config", {"recording.default_retention_days": 400}, tenant)
    long = await api.ok("POST", "/api/recording-policies", {"name": "all", "retention_days": 90}, tenant)
    wanted = [
        {"where": "dids", "have": 4, "allowed": 1},
        {"where": "extensions", "have": 3, "allowed": 2},
        {"where": "recording.default_retention_days", "have": 400, "allowed": 30},
        {"where": f"recording_policy/{long['id']}", "have": 90, "allowed": 30},
    ]
    told = await api.ok("GET", f"/api/tenants/{tenant}/plan?to=starter")
    assert (told["current"], told["violations"]) == ("enterprise", wanted)
    answer = await change_plan(api, tenant, "starter")
    assert (answer.status_code, answer.json()["code"]) == (409, "PLAN_TOO_SMALL")
    assert answer.json()["details"]["violations"] == wanted
    assert (await api.ok("GET", f"/api/tenants/{tenant}"))["plan"] == "enterprise"
    await api.ok("DELETE", f"/api/dids/{dids[0]['id']}", tenant=tenant)
    await api.ok("PATCH", "/api/config", {"recording.default_retention_days": None}, tenant)
    assert (await change_plan(api, tenant, "pro")).status_code == 200
    effective = await api.ok("GET", "/api/config", tenant=tenant)
    assert effective["recording.default_retention_days"] == 180


async def test_a_downgrade_leaves_the_expiries_that_were_sealed(api: RunningApi) -> None:
    estate = await Estate.make(api, "acme")

    async def expiries() -> list[Any]:
        async with api.context.database.tenant(UUID(estate.id)) as connection:
            recordings = await connection.fetch(
                "select id, retention_days, expires_at, state from recording order by id"
            )
            segments = await connection.fetch("select id, expires_at from segment order by id")
        return [tuple(row) for row in (*recordings, *segments)]

    before = await expiries()
    assert len(before) == 3 and before[0][2] - api.context.clock.now() > timedelta(days=179)
    assert (await change_plan(api, estate.id, "starter")).status_code == 200
    assert (await api.ok("GET", "/api/config", tenant=estate.id))["recording.default_retention_days"] == 30
    assert await expiries() == before


async def test_an_operator_alone_changes_plans_and_staff_see_their_own(api: RunningApi) -> None:
    tenant, other = await api.tenant("acme", plan="starter"), await api.tenant("other")
    await api.user(tenant, "ana@acme.example", PASSWORD)
    token = (await api.login("ana@acme.example", PASSWORD)).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    answer = await api.http.patch(f"/api/tenants/{tenant}", json={"plan": "enterprise"}, headers=bearer)
    assert (answer.status_code, answer.json()["code"]) == (403, "INSUFFICIENT_ROLE")
    seen = await api.http.get(f"/api/tenants/{tenant}/plan", headers=bearer)
    assert seen.json()["plan"]["max_resources"] == LIMITS["starter"]
    assert (await api.http.get(f"/api/tenants/{other}/plan", headers=bearer)).status_code == 404


async def test_a_new_host_of_the_console_warns_of_the_security_keys_that_it_ends(api: RunningApi) -> None:
    tenant = await api.tenant("acme")
    body = {"patch": {"tenant.dashboard_url": "console.acme.example"}, "calls": 0}
    assert (await api.ok("POST", "/api/config/plan", body, tenant))["warnings"] == []
    for name, source in (("ana", "127.0.0.5"), ("ben", "127.0.0.6")):
        await api.user(tenant, f"{name}@acme.example", PASSWORD)
        assert (await api.login(f"{name}@acme.example", PASSWORD, source=source)).status_code == 200
    warning = (await api.ok("POST", "/api/config/plan", body, tenant))["warnings"][0]
    assert (warning["code"], warning["where"]) == ("WEBAUTHN_KEYS_STOP_WORKING", "tenant.dashboard_url")
    assert warning["details"] == {"credentials": 2, "from": "acme.app.sivocenter.com", "to": "console.acme.example"}
    quiet = await api.local.patch("/api/config", json={"ai.max_turns": 3}, headers={"X-Tenant-Id": tenant})
    assert "x-change-warnings" not in quiet.headers
    done = await api.local.patch("/api/config", json=body["patch"], headers={"X-Tenant-Id": tenant})
    assert json.loads(unquote(done.headers["x-change-warnings"])) == [warning]
    # A new slug moves the host as well.
    await api.ok("PATCH", "/api/config", {"tenant.dashboard_url": None}, tenant)
    renamed = await api.local.patch(f"/api/tenants/{tenant}", json={"slug": "acme-two"})
    assert renamed.json()["warnings"][0]["details"]["credentials"] == 2
