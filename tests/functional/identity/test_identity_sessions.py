"""Sessions over real HTTP: refresh, sign out, lists, hosts, and what a second process knows of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt as pyjwt
import pytest

from sivo.base.clock import VirtualClock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api, twin

PASSWORD = "correct horse battery"
EMAIL = "sue@acme.example"


@pytest.fixture
async def api(settings: Settings, database: Database, clock: VirtualClock) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database, clock) as running:
        tenant = await running.tenant("acme")
        await running.user(tenant, EMAIL, PASSWORD, role="supervisor")
        yield running


async def login(api: RunningApi, source: str = "127.0.0.1", email: str = EMAIL) -> dict[str, Any]:
    answer = await api.login(email, PASSWORD, source)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def refresh(api: RunningApi, token: str, **headers: str) -> httpx.Response:
    return await api.http.post("/api/auth/refresh", json={"refresh_token": token}, headers=headers)


async def me(api: RunningApi, token: str, **headers: str) -> httpx.Response:
    return await api.http.get("/api/me", headers={"Authorization": f"Bearer {token}", **headers})


def claims(token: str) -> dict[str, Any]:
    return pyjwt.decode(token, options={"verify_signature": False})


async def test_a_session_goes_on_by_refreshing_and_keeps_its_id(api: RunningApi, clock: VirtualClock) -> None:
    first = await login(api)
    clock.advance(86400)
    assert (await me(api, first["access_token"])).status_code == 401
    answer = await refresh(api, first["refresh_token"])
    assert answer.status_code == 200
    second = answer.json()
    assert (await me(api, second["access_token"])).status_code == 200
    one, two = claims(first["access_token"]), claims(second["access_token"])
    assert one["sid"] == two["sid"] and one["jti"] != two["jti"]
    assert two["exp"] - two["iat"] == 86400
    assert second["refresh_token"] != first["refresh_token"]


async def test_the_short_path_refreshes_too(api: RunningApi) -> None:
    tokens = await login(api)
    answer = await api.http.post("/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert answer.status_code == 200


async def test_a_replayed_token_ends_the_whole_family_at_once(api: RunningApi, clock: VirtualClock) -> None:
    first = await login(api)
    second = (await refresh(api, first["refresh_token"])).json()
    third = (await refresh(api, second["refresh_token"])).json()
    assert (await me(api, third["access_token"])).status_code == 200
    stolen = await refresh(api, first["refresh_token"])
    assert (stolen.status_code, stolen.json()["code"]) == (401, "REFRESH_REFUSED")
    assert (await refresh(api, third["refresh_token"])).status_code == 401
    async with asyncio.timeout(3):
        while (await me(api, third["access_token"])).status_code != 401:
            await asyncio.sleep(0.02)


async def test_a_lost_answer_is_asked_for_again_within_ten_seconds_once(api: RunningApi, clock: VirtualClock) -> None:
    first = await login(api)
    lost = (await refresh(api, first["refresh_token"])).json()
    clock.advance(9.9)
    again = await refresh(api, first["refresh_token"])
    assert again.status_code == 200
    assert again.json()["refresh_token"] != lost["refresh_token"]
    assert (await refresh(api, first["refresh_token"])).status_code == 401, "one new child, not two"

    late = await login(api, "127.0.0.2")
    assert (await refresh(api, late["refresh_token"])).status_code == 200
    clock.advance(10)
    assert (await refresh(api, late["refresh_token"])).status_code == 401


async def test_simultaneous_refreshes_make_no_more_than_two_children(api: RunningApi) -> None:
    first = await login(api)
    answers = await asyncio.gather(*(refresh(api, first["refresh_token"]) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers)[:2] == [200, 200]
    assert [answer.status_code for answer in answers].count(200) == 2


async def test_the_end_is_absolute_and_fixed_at_login(api: RunningApi, clock: VirtualClock) -> None:
    tenant = (await api.ok("GET", "/api/tenants"))["items"][0]["id"]
    await api.ok("PATCH", "/api/config", {"auth.jwt_ttl_sec": 300, "auth.refresh_ttl_sec": 3600}, tenant)
    tokens = await login(api)
    assert tokens["refresh_expires_in"] == 3600
    await api.ok("PATCH", "/api/config", {"auth.refresh_ttl_sec": 7200}, tenant)
    for _ in range(3):
        clock.advance(1000)
        tokens = (await refresh(api, tokens["refresh_token"])).json()
    assert tokens["refresh_expires_in"] == 600
    clock.advance(599)
    last = (await refresh(api, tokens["refresh_token"])).json()
    clock.advance(1)
    assert (await refresh(api, last["refresh_token"])).status_code == 401
    assert (await me(api, last["access_token"])).status_code == 401, "nor does an access token outlive the session"
    assert (await login(api, "127.0.0.2"))["refresh_expires_in"] == 7200


async def test_a_user_who_was_switched_off_is_not_renewed(api: RunningApi) -> None:
    tokens = await login(api)
    tenant = (await api.ok("GET", "/api/tenants"))["items"][0]["id"]
    user = (await api.ok("GET", "/api/users", tenant=tenant))["items"][0]["id"]
    await api.ok("PATCH", f"/api/users/{user}", {"active": False}, tenant)
    assert (await refresh(api, tokens["refresh_token"])).status_code == 401


async def test_a_new_role_is_in_the_next_token(api: RunningApi) -> None:
    tokens = await login(api)
    tenant = (await api.ok("GET", "/api/tenants"))["items"][0]["id"]
    user = (await api.ok("GET", "/api/users", tenant=tenant))["items"][0]["id"]
    await api.ok("PATCH", f"/api/users/{user}", {"role": "viewer"}, tenant)
    renewed = (await refresh(api, tokens["refresh_token"])).json()
    assert claims(renewed["access_token"])["role"] == "viewer"
    await api.ok("PATCH", f"/api/users/{user}", {"role": "admin"}, tenant)
    refused = await refresh(api, renewed["refresh_token"])
    assert refused.status_code == 401, "an admin needs a second factor, and this session has none"


async def test_tokens_are_neither_stored_in_the_clear_nor_logged(
    api: RunningApi, database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    tokens = await login(api)
    await refresh(api, tokens["refresh_token"])
    await refresh(api, tokens["refresh_token"] + "x")
    async with database.platform("test: look at refresh tokens") as connection:
        stored = await connection.fetch("select t::text as row from refresh_token t")
    assert stored and tokens["refresh_token"] not in str(stored)
    assert tokens["refresh_token"] not in "".join(capfd.readouterr())


async def test_my_sessions_are_listed_and_ended_one_by_one_or_all(api: RunningApi) -> None:
    one, two, three = [await login(api, f"127.0.0.{number}") for number in (1, 2, 3)]
    bearer = {"Authorization": f"Bearer {one['access_token']}"}
    listed = (await api.http.get("/api/me/sessions", headers=bearer)).json()["items"]
    assert [item["address"] for item in listed] == ["127.0.0.3", "127.0.0.2", "127.0.0.1"]
    assert [item["current"] for item in listed] == [False, False, True]
    second = claims(two["access_token"])["sid"]
    assert (await api.http.delete(f"/api/me/sessions/{second}", headers=bearer)).status_code == 204
    assert (await api.http.delete(f"/api/me/sessions/{second}", headers=bearer)).status_code == 404
    assert (await me(api, two["access_token"])).status_code == 401
    assert (await refresh(api, two["refresh_token"])).status_code == 401
    assert (await me(api, three["access_token"])).status_code == 200
    ended = await api.http.post("/api/auth/logout-all", headers=bearer)
    assert ended.json() == {"ended": 2}
    for tokens in (one, three):
        assert (await me(api, tokens["access_token"])).status_code == 401


async def test_my_new_password_ends_my_other_sessions_and_must_be_a_good_one(api: RunningApi) -> None:
    mine, other = await login(api), await login(api, "127.0.0.2")
    bearer = {"Authorization": f"Bearer {mine['access_token']}"}

    async def change(current: str, password: str) -> tuple[int, str]:
        body = {"current": current, "password": password}
        answer = await api.http.post("/api/me/password", json=body, headers=bearer)
        return answer.status_code, answer.json()["code"] if answer.content else ""

    assert await change("wrong password", "a much better one") == (401, "LOGIN_FAILED")
    assert await change(PASSWORD, "short") == (422, "PASSWORD_TOO_SHORT")
    assert await change(PASSWORD, "password123") == (422, "PASSWORD_TOO_COMMON")
    assert await change(PASSWORD, "Acme2026") == (422, "PASSWORD_TOO_COMMON")
    assert await change(PASSWORD, "a much better one") == (204, "")
    assert (await me(api, mine["access_token"])).status_code == 200
    assert (await me(api, other["access_token"])).status_code == 401
    assert (await api.login(EMAIL, PASSWORD, "127.0.0.3")).status_code == 401
    assert (await api.login(EMAIL, "a much better one", "127.0.0.3")).status_code == 200


async def test_the_platforms_number_counts_for_addresses_of_nobody(api: RunningApi) -> None:
    await api.ok("PUT", "/api/limits/login", {"amount": 100})
    answers = [await api.login("nobody@nowhere.example", "wrong password", "127.0.0.9") for _ in range(6)]
    assert [answer.json()["code"] for answer in answers] == ["LOGIN_FAILED"] * 5 + ["LOGIN_LOCKED"]


async def test_nobody_ends_anothers_session(api: RunningApi) -> None:
    tenant = (await api.ok("GET", "/api/tenants"))["items"][0]["id"]
    await api.user(tenant, "bob@acme.example", PASSWORD, role="agent")
    sue, bob = await login(api), await login(api, "127.0.0.2", "bob@acme.example")
    path = f"/api/me/sessions/{claims(sue['access_token'])['sid']}"
    answer = await api.http.delete(path, headers={"Authorization": f"Bearer {bob['access_token']}"})
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    assert (await me(api, sue["access_token"])).status_code == 200


async def test_an_admin_lists_and_ends_a_users_sessions(api: RunningApi) -> None:
    tenant = (await api.ok("GET", "/api/tenants"))["items"][0]["id"]
    tokens = await login(api)
    user = claims(tokens["access_token"])["sub"]
    assert len((await api.ok("GET", f"/api/users/{user}/sessions", tenant=tenant))["items"]) == 1
    assert await api.ok("DELETE", f"/api/users/{user}/sessions", tenant=tenant) == {"ended": 1}
    assert (await me(api, tokens["access_token"])).status_code == 401
    assert (await refresh(api, tokens["refresh_token"])).status_code == 401


async def test_on_a_tenants_host_another_tenants_token_is_refused(api: RunningApi) -> None:
    other = await api.tenant("other")
    await api.user(other, "bob@other.example", PASSWORD, role="agent")
    chief = await api.user(other, "root@other.example", PASSWORD, role="superadmin")
    sue, bob = await login(api), await login(api, "127.0.0.2", "bob@other.example")
    hosts = {"acme": "acme.app.sivocenter.com:8080", "other": "OTHER.app.sivocenter.com"}
    assert (await me(api, sue["access_token"], Host=hosts["acme"])).status_code == 200
    assert (await me(api, sue["access_token"], Host="api.sivocenter.com")).status_code == 200
    for tokens, host in ((sue, hosts["other"]), (bob, hosts["acme"])):
        refused = await me(api, tokens["access_token"], Host=host)
        assert (refused.status_code, refused.json()["code"]) == (401, "TENANT_HOST_MISMATCH")
        again = await refresh(api, tokens["refresh_token"], Host=host)
        assert (again.status_code, again.json()["code"]) == (401, "TENANT_HOST_MISMATCH")
    assert (await refresh(api, sue["refresh_token"])).status_code == 200, "a refusal spends no token"
    root = await login(api, "127.0.0.3", "root@other.example")
    acme = claims(sue["access_token"])
    assert chief and acme["tenantSlug"] == "acme"
    tenant = (await api.ok("GET", "/api/tenants/by-slug/acme"))["id"]
    named = {"Host": hosts["acme"], "X-Tenant-Id": tenant}
    assert (await me(api, root["access_token"], **named)).status_code == 200, "a superadmin who named this tenant"
    assert (await me(api, root["access_token"], Host=hosts["acme"])).status_code == 401


async def test_a_renamed_console_is_known_at_once(api: RunningApi) -> None:
    tenant = (await api.ok("GET", "/api/tenants"))["items"][0]["id"]
    await api.tenant("other")
    sue = await login(api)
    assert (await me(api, sue["access_token"], Host="desk.example.net")).status_code == 200
    other = (await api.ok("GET", "/api/tenants/by-slug/other"))["id"]
    await api.ok("PATCH", "/api/config", {"tenant.dashboard_url": "desk.example.net"}, other)
    async with asyncio.timeout(3):
        while (await me(api, sue["access_token"], Host="desk.example.net")).status_code != 401:
            await asyncio.sleep(0.02)
    assert tenant


async def test_signing_out_is_in_force_in_another_process_within_a_second(settings: Settings, app_dsn: str) -> None:
    first, second = await Database.open(app_dsn), await Database.open(app_dsn)
    try:
        async with running_api(settings, first) as one, running_api(twin(settings), second) as two:
            tenant = await one.tenant("acme")
            await one.user(tenant, EMAIL, PASSWORD, role="supervisor")
            for end in ("/api/auth/logout", "/api/auth/logout-all"):
                tokens = await login(one, f"127.0.8.{len(end)}")
                assert (await me(two, tokens["access_token"])).status_code == 200
                bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
                assert (await one.http.post(end, headers=bearer)).is_success
                async with asyncio.timeout(3):
                    while (await me(two, tokens["access_token"])).status_code != 401:
                        await asyncio.sleep(0.02)
                assert (await refresh(two, tokens["refresh_token"])).status_code == 401
    finally:
        await first.close()
        await second.close()
