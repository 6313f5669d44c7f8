"""Seeing a provider secret again: an admin of the tenant, just confirmed, seldom, and never unnoticed."""

from __future__ import annotations

from typing import Any

import asyncpg
import httpx
import pytest

from sivo.base.clock import VirtualClock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api

PASSWORD = "a long enough pass phrase"
VALUE = "gsk_canary_4be1"


async def signed_in(api: RunningApi, email: str, source: str) -> dict[str, str]:
    answer = await api.login(email, PASSWORD, source)
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def reveal(api: RunningApi, secret: str, headers: dict[str, str]) -> httpx.Response:
    return await api.http.post(f"/api/secrets/{secret}/reveal", headers=headers)


async def put(api: RunningApi, tenant: str) -> str:
    body = {"value": VALUE, "host": "api.groq.com"}
    return str((await api.ok("PUT", "/api/secrets/llm_api_key", body, tenant))["id"])


async def audited(dsn: str, event: str) -> list[str]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("select canonical from audit_inbox order by id")
        return [row["canonical"] for row in rows if f'"{event}"' in row["canonical"]]
    finally:
        await connection.close()


async def test_only_a_confirmed_admin_of_the_tenant_and_every_time_in_the_audit_log(
    settings: Settings, database: Database, clock: VirtualClock, pg: Any, database_name: str
) -> None:
    async with running_api(settings, database, clock) as api:
        tenant, other = await api.tenant("acme"), await api.tenant("umbrella")
        secret = await put(api, tenant)
        for number, (where, role) in enumerate(((tenant, "admin"), (tenant, "supervisor"), (other, "admin")), 1):
            await api.user(where, f"{role}{number}@example.com", PASSWORD, role)
        admin = await signed_in(api, "admin1@example.com", "127.9.1.1")
        supervisor = await signed_in(api, "supervisor2@example.com", "127.9.1.2")
        stranger = await signed_in(api, "admin3@example.com", "127.9.1.3")

        shown = await reveal(api, secret, admin)
        assert shown.status_code == 200, shown.text
        assert shown.json() == {"id": secret, "name": "llm_api_key", "host": "api.groq.com", "value": VALUE}
        assert shown.headers["cache-control"] == "no-store"
        for headers, status, code in (
            (supervisor, 403, "INSUFFICIENT_ROLE"),
            (stranger, 404, "NOT_FOUND"),
            ({**stranger, "X-Tenant-Id": tenant}, 403, "INSUFFICIENT_ROLE"),
            ({}, 401, "UNAUTHENTICATED"),
        ):
            refused = await reveal(api, secret, headers)
            assert (refused.status_code, refused.json()["code"]) == (status, code)
            assert VALUE not in refused.text
        # The operator of the machine is no admin of the tenant.
        local = await api.local.post(f"/api/secrets/{secret}/reveal", headers={"X-Tenant-Id": tenant})
        assert (local.status_code, local.json()["code"]) == (403, "INSUFFICIENT_ROLE")
        # Other secrets than those of providers are not found here, whatever their ids.
        trunk = {"name": "t", "host": "sip.example", "username": "u", "password": "trunk password"}
        for path, body in (
            ("/api/trunks", trunk),
            ("/api/extensions", {"number": "1001"}),
            ("/api/webhooks", {"url": "https://hooks.example.com/x"}),
        ):
            made = await api.ok("POST", path, body, tenant)
            assert (await reveal(api, made["id"], admin)).status_code == 404

        entries = await audited(pg.superuser_dsn(database_name), "secret.revealed")
        assert len(entries) == 1 and secret in entries[0] and "admin1@example.com" in entries[0]
        assert VALUE not in entries[0]

        clock.advance(11 * 60)
        stale = await reveal(api, secret, admin)
        assert (stale.status_code, stale.json()["code"]) == (403, "STEP_UP_REQUIRED")


async def test_ten_an_hour_and_no_machine(settings: Settings, database: Database, clock: VirtualClock) -> None:
    async with running_api(settings, database, clock) as api:
        tenant = await api.tenant("acme")
        secret = await put(api, tenant)
        await api.user(tenant, "a@example.com", PASSWORD)
        admin = await signed_in(api, "a@example.com", "127.9.2.1")
        answers = [(await reveal(api, secret, admin)).status_code for _ in range(11)]
        assert answers == [200] * 10 + [429]
        clock.advance(61 * 60)
        again = await signed_in(api, "a@example.com", "127.9.2.1")
        assert (await reveal(api, secret, again)).status_code == 200

        body = {"name": "ci", "role": "admin", "scopes": ["secrets:write"]}
        made = await api.http.post("/api/api-keys", json=body, headers=again)
        assert made.status_code == 201, made.text
        key = {"Authorization": f"Bearer {made.json()['key']}"}
        assert (await api.http.get("/api/secrets", headers=key)).status_code == 200
        refused = await reveal(api, secret, key)
        assert (refused.status_code, refused.json()["code"]) == (403, "API_KEY_NO_STEP_UP")


@pytest.mark.parametrize(
    ("path", "body", "moved", "field"),
    [
        ("/api/secrets", None, {"host": "evil.example"}, "value"),
        (
            "/api/trunks",
            {"name": "t", "host": "sip.one.example", "username": "u", "password": "a password"},
            {"host": "sip.evil.example"},
            "password",
        ),
    ],
)
async def test_a_changed_host_asks_for_the_credential_again(
    settings: Settings, database: Database, path: str, body: Any, moved: dict[str, str], field: str
) -> None:
    async with running_api(settings, database) as api:
        tenant = await api.tenant("acme")
        if body is None:
            one = f"{path}/llm_api_key"
            await put(api, tenant)
            refused = await api.local.put(one, json=moved, headers={"X-Tenant-Id": tenant})
            assert refused.status_code == 422 and field in refused.json()["where"]
            await api.ok("PUT", one, {**moved, field: "entered again"}, tenant)
            (shown,) = (await api.ok("GET", path, tenant=tenant))["items"]
            assert shown["host"] == "evil.example" and shown["last_used_at"] is None
            return
        made = await api.ok("POST", path, body, tenant)
        one = f"{path}/{made['id']}"
        refused = await api.local.patch(one, json=moved, headers={"X-Tenant-Id": tenant})
        assert refused.status_code == 422 and field in refused.json()["where"], refused.text
        assert (await api.ok("GET", one, tenant=tenant))["host"] == body["host"]
        await api.ok("PATCH", one, {**moved, field: "entered again"}, tenant)


async def test_states_and_rotation_over_the_local_socket(
    settings: Settings, database: Database, pg: Any, database_name: str
) -> None:
    from sivo.vault import rotation
    from sivo.vault.kek import FileKek

    FileKek.load(settings.kek_file)
    new = FileKek.load(settings.home / "kek2")
    async with running_api(settings, database) as api:
        tenant = await api.tenant("acme")
        await put(api, tenant)
    restarted = settings.model_copy(update={"kek": f"file:{settings.home / 'kek2'}", "kek_previous": "file"})
    async with running_api(restarted, database) as api:
        begun = await api.ok("POST", "/api/vault/rotate")
        assert begun["begun"] is True
        while await rotation.step(database, api.context.vault.keyring):
            pass
        keys = (await api.ok("GET", "/api/vault"))["keys"]
        assert [(one["state"], one["data_keys"] > 0) for one in keys] == [("active", True), ("retired", False)]
        assert keys[0]["kek_id"] == f"file:{new.kek_id.partition(':')[2]}"
        replaced = await api.ok("POST", "/api/vault/data-key/rotate", tenant=tenant)
        assert replaced["sealed_again"] == 1
        await api.user(tenant, "a@example.com", PASSWORD)
        admin = await signed_in(api, "a@example.com", "127.9.3.1")
        assert (await api.http.get("/api/vault", headers=admin)).status_code == 403
        (secret,) = (await api.ok("GET", "/api/secrets", tenant=tenant))["items"]
        assert (await reveal(api, secret["id"], admin)).json()["value"] == VALUE
    dsn = pg.superuser_dsn(database_name)
    assert len(await audited(dsn, "vault.kek_rotated")) == len(await audited(dsn, "vault.data_key_rotated")) == 1
