"""Two ``api`` processes on one database: one key, one idea of who is signed in. And the local socket's author."""

from __future__ import annotations

import asyncio
import os

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.ports import free_port
from support.running_api import running_api

PASSWORD = "correct horse battery"
EMAIL = "ana@acme.example"


async def test_two_processes_agree_on_keys_and_on_who_is_signed_in(
    settings: Settings, app_dsn: str, tmp_path: object
) -> None:
    twin = settings.model_copy(update={"http_port": free_port()})
    first_db, second_db = await Database.open(app_dsn), await Database.open(app_dsn)
    second_home = settings.model_copy(update={"http_port": twin.http_port})
    try:
        async with running_api(settings, first_db) as one:
            tenant = await one.tenant("acme")
            await one.user(tenant, EMAIL, PASSWORD)
            token = (await one.login(EMAIL, PASSWORD)).json()["access_token"]
            async with running_api(second_home, second_db) as two:
                headers = {"Authorization": f"Bearer {token}"}
                assert (await two.http.get("/api/me", headers=headers)).status_code == 200
                keys = [(await api.http.get("/.well-known/jwks.json")).json() for api in (one, two)]
                assert keys[0] == keys[1]
                assert (await one.http.post("/api/auth/logout", headers=headers)).status_code == 204
                async with asyncio.timeout(3):
                    while (await two.http.get("/api/me", headers=headers)).status_code != 401:
                        await asyncio.sleep(0.02)
    finally:
        await first_db.close()
        await second_db.close()


async def test_the_local_socket_is_the_operator_by_the_kernels_word(settings: Settings, database: Database) -> None:
    async with running_api(settings, database) as api:
        me = (await api.local.get("/api/me")).json()
        assert me == {"user_id": None, "tenant_id": None, "role": "superadmin", "author": f"local:{os.getuid()}"}
        tenant = await api.tenant("acme")
        await api.ok("PATCH", "/api/config", {"ai.max_turns": 3}, tenant)
        history = (await api.ok("GET", "/api/config/history", tenant=tenant))["items"]
        assert history[0]["author"] == f"local:{os.getuid()}"
        without = await api.local.get("/api/config")
        assert (without.status_code, without.json()["code"]) == (400, "TENANT_REQUIRED")
        # What the socket proves cannot be claimed over TCP.
        claims = {"sivo_peer_uid": "0", "X-Sivo-Peer-Uid": "0", "X-Tenant-Id": tenant}
        assert (await api.http.get("/api/config", headers=claims)).status_code == 401
