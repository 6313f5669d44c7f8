"""Signing in over real HTTP against a real database, read by an independent JWT library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import jwt as pyjwt
import pytest

from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api

PASSWORD = "correct horse battery"
EMAIL = "ana@acme.example"


@pytest.fixture
async def api(settings: Settings, database: Database) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database) as running:
        yield running


@pytest.fixture
async def acme(api: RunningApi) -> str:
    tenant = await api.tenant("acme")
    await api.user(tenant, EMAIL, PASSWORD)
    return tenant


async def _verified(api: RunningApi, token: str) -> dict[str, Any]:
    """Claims, the signature checked by PyJWT against the published keys."""
    keys = pyjwt.PyJWKSet.from_dict((await api.http.get("/.well-known/jwks.json")).json())
    key = keys[pyjwt.get_unverified_header(token)["kid"]]
    return pyjwt.decode(token, key, algorithms=["RS256"], audience="sivo-api")


def _bearer(token: str, **headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", **headers}


async def _token(api: RunningApi, email: str = EMAIL, source: str = "127.0.0.1") -> str:
    answer = await api.login(email, PASSWORD, source)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


async def test_the_token_carries_the_published_claims(api: RunningApi, acme: str) -> None:
    answer = await api.login(EMAIL, PASSWORD)
    assert answer.status_code == 200
    body = answer.json()
    claims = await _verified(api, body["access_token"])
    assert set(claims) == {
        *("sub", "tenantSlug", "sipDomain", "role", "iat", "exp"),
        *("sid", "jti", "iss", "aud", "typ"),
    }
    assert claims["tenantSlug"] == "acme"
    assert claims["sipDomain"] == "acme.sip.sivocenter.com"
    assert claims["role"] == "admin"
    assert claims["exp"] - claims["iat"] == 86400 == body["expires_in"]
    me = (await api.http.get("/api/me", headers=_bearer(body["access_token"]))).json()
    assert me == {"user_id": claims["sub"], "tenant_id": acme, "role": "admin", "author": f"user:{claims['sub']}"}


async def test_the_short_path_serves_too(api: RunningApi, acme: str) -> None:
    answer = await api.http.post("/auth/login", json={"email": EMAIL, "password": PASSWORD})
    assert answer.status_code == 200


async def test_the_lifetime_follows_the_tenants_key_at_the_next_token(api: RunningApi, acme: str) -> None:
    await api.ok("PATCH", "/api/config", {"auth.jwt_ttl_sec": 300}, acme)
    claims = await _verified(api, await _token(api))
    assert claims["exp"] - claims["iat"] == 300


async def test_every_way_to_fail_is_answered_alike(api: RunningApi, acme: str) -> None:
    await api.tenant("other")
    await api.user(acme, "gone@acme.example", PASSWORD, active=False)
    await api.ok("POST", "/api/users", {"email": "new@acme.example", "name": "No Password"}, acme)
    attempts: list[dict[str, Any]] = [
        {"email": EMAIL, "password": "wrong password"},
        {"email": "nobody@acme.example", "password": PASSWORD},
        {"email": EMAIL, "password": PASSWORD, "tenant": "other"},
        {"email": EMAIL, "password": PASSWORD, "tenant": "no-such-tenant"},
        {"email": "gone@acme.example", "password": PASSWORD},
        {"email": "new@acme.example", "password": PASSWORD},
        {"email": "' or 1=1 --", "password": PASSWORD},
    ]
    answers = [await api.login(source=f"127.0.2.{number}", **one) for number, one in enumerate(attempts, start=1)]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].json()["code"] == "LOGIN_FAILED"


async def test_a_suspended_tenant_signs_nobody_in_and_its_tokens_die(api: RunningApi, acme: str) -> None:
    token = await _token(api)
    await api.ok("PATCH", f"/api/tenants/{acme}", {"status": "suspended"})
    assert (await api.login(EMAIL, PASSWORD)).status_code == 401
    await _eventually_refused(api, token)


async def test_tenant_by_slug_and_by_host(api: RunningApi, acme: str) -> None:
    other = await api.tenant("other")
    await api.user(other, "bob@other.example", PASSWORD)
    assert (await api.login(EMAIL, PASSWORD, tenant="acme")).status_code == 200
    login = {"email": EMAIL, "password": PASSWORD}
    for host, status in (("acme.app.sivocenter.com", 200), ("other.app.sivocenter.com", 401), ("api.example", 200)):
        answer = await api.http.post("/api/auth/login", json=login, headers={"Host": f"{host}:8080"})
        assert answer.status_code == status, host


async def test_the_sixth_request_from_one_address_waits(api: RunningApi, acme: str) -> None:
    for _ in range(5):
        assert (await api.login(EMAIL, "wrong password", "127.0.3.1")).status_code == 401
    sixth = await api.login(EMAIL, PASSWORD, "127.0.3.1")
    assert (sixth.status_code, sixth.json()["code"]) == (429, "RATE_LIMITED")
    assert 800 < int(sixth.headers["retry-after"]) <= 900
    assert (await api.login(EMAIL, PASSWORD, "127.0.3.2")).status_code == 200


async def test_a_forwarded_address_that_nobody_vouches_for_changes_nothing(api: RunningApi, acme: str) -> None:
    login = {"email": EMAIL, "password": "wrong password"}
    statuses = []
    for number in range(6):
        headers = {"X-Forwarded-For": f"203.0.113.{number}"}
        statuses.append((await api.http.post("/api/auth/login", json=login, headers=headers)).status_code)
    assert statuses == [401] * 5 + [429]


async def test_behind_a_trusted_proxy_each_client_is_counted_alone(settings: Settings, database: Database) -> None:
    trusting = settings.model_copy(update={"http_trusted_proxies": "127.0.0.1/32"})
    async with running_api(trusting, database) as api:
        login = {"email": EMAIL, "password": "wrong password"}
        for number in range(6):
            headers = {"X-Forwarded-For": f"198.51.100.9, 203.0.113.{number}"}
            answer = await api.http.post("/api/auth/login", json=login, headers=headers)
            assert answer.status_code == 401


async def _eventually_refused(api: RunningApi, token: str) -> httpx.Response:
    """The token dies within a second (notification to this process)."""
    async with asyncio.timeout(3):
        while True:
            answer = await api.http.get("/api/me", headers=_bearer(token))
            if answer.status_code == 401:
                return answer
            await asyncio.sleep(0.02)


async def test_sign_out_ends_the_token_at_once(api: RunningApi, acme: str) -> None:
    token = await _token(api)
    assert (await api.http.post("/api/auth/logout", headers=_bearer(token))).status_code == 204
    assert (await api.http.get("/api/me", headers=_bearer(token))).status_code == 401


async def test_a_new_password_ends_sessions_and_the_old_password(api: RunningApi, acme: str) -> None:
    token = await _token(api)
    user = (await api.http.get("/api/me", headers=_bearer(token))).json()["user_id"]
    await api.ok("POST", f"/api/users/{user}/password", {"password": "another horse"}, acme)
    assert (await api.http.get("/api/me", headers=_bearer(token))).status_code == 401
    assert (await api.login(EMAIL, PASSWORD)).status_code == 401
    assert (await api.login(EMAIL, "another horse")).status_code == 200


@pytest.mark.parametrize("change", ["role", "inactive", "deleted"])
async def test_what_changes_about_a_user_ends_their_tokens(api: RunningApi, acme: str, change: str) -> None:
    token = await _token(api)
    user = (await api.http.get("/api/me", headers=_bearer(token))).json()["user_id"]
    if change == "role":
        await api.ok("PATCH", f"/api/users/{user}", {"role": "viewer"}, acme)
    elif change == "inactive":
        await api.ok("PATCH", f"/api/users/{user}", {"active": False}, acme)
    else:
        await api.ok("DELETE", f"/api/users/{user}", tenant=acme)
    await _eventually_refused(api, token)


async def test_passwords_have_the_tenants_minimum(api: RunningApi, acme: str) -> None:
    await api.ok("PATCH", "/api/config", {"auth.password_min_length": 14}, acme)
    token = await _token(api)
    user = (await api.http.get("/api/me", headers=_bearer(token))).json()["user_id"]

    async def set_password(password: str) -> httpx.Response:
        return await api.http.post(f"/api/users/{user}/password", json={"password": password}, headers=_bearer(token))

    short = await set_password("thirteen char")
    assert (short.status_code, short.json()["code"]) == (422, "PASSWORD_TOO_SHORT")
    assert "14" in short.json()["detail"]
    assert "thirteen" not in short.text
    assert (await set_password("fourteen chars")).status_code == 204


async def test_an_admin_cannot_take_over_a_superadmin(api: RunningApi, acme: str) -> None:
    chief = await api.user(acme, "root@acme.example", PASSWORD, role="superadmin")
    token = await _token(api)
    answer = await api.http.post(
        f"/api/users/{chief}/password", json={"password": "mine from now on"}, headers=_bearer(token)
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "INSUFFICIENT_ROLE")
    created = await api.http.post(
        "/api/users", json={"email": "x@acme.example", "name": "x", "role": "superadmin"}, headers=_bearer(token)
    )
    assert created.status_code == 403


async def test_a_token_opens_its_own_tenant_only(api: RunningApi, acme: str) -> None:
    other = await api.tenant("other")
    bob = await api.user(other, "bob@other.example", PASSWORD)
    token = await _token(api)
    named = await api.http.get("/api/users", headers=_bearer(token, **{"X-Tenant-Id": other}))
    assert (named.status_code, named.json()["code"]) == (403, "INSUFFICIENT_ROLE")
    for method, path, body in (
        ("GET", f"/api/users/{bob}", None),
        ("PATCH", f"/api/users/{bob}", {"name": "Mallory"}),
        ("DELETE", f"/api/users/{bob}", None),
        ("POST", f"/api/users/{bob}/password", {"password": "mine from now on"}),
    ):
        answer = await api.http.request(method, path, json=body, headers=_bearer(token))
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND"), (method, path)
    listed = (await api.http.get("/api/users", headers=_bearer(token))).json()
    assert "bob@other.example" not in str(listed) and EMAIL in str(listed)
    assert (await api.login("bob@other.example", PASSWORD)).status_code == 200


async def test_a_superadmin_names_a_tenant_and_is_recorded(api: RunningApi, acme: str) -> None:
    other = await api.tenant("other")
    chief = await api.user(acme, "root@acme.example", PASSWORD, role="superadmin")
    token = await _token(api, "root@acme.example")
    changed = await api.http.patch(
        "/api/config", json={"ai.max_turns": 7}, headers=_bearer(token, **{"X-Tenant-Id": other})
    )
    assert changed.status_code == 200, changed.text
    history = (await api.ok("GET", "/api/config/history", tenant=other))["items"]
    assert history[0]["author"] == f"user:{chief}"
    missing = await api.http.get("/api/config", headers=_bearer(token, **{"X-Tenant-Id": str(UUID(int=7))}))
    assert missing.status_code == 404


async def test_private_keys_are_neither_published_nor_stored_in_the_clear(
    api: RunningApi, acme: str, database: Database
) -> None:
    keys = (await api.http.get("/.well-known/jwks.json")).json()["keys"]
    assert [set(key) for key in keys] == [{"kty", "n", "e", "kid", "use", "alg"}]
    async with database.platform("test: look at stored keys") as connection:
        sealed = await connection.fetchval("select private_sealed from signing_key")
    assert b"PRIVATE" not in sealed


async def test_no_password_and_no_token_in_any_log_line(
    api: RunningApi, acme: str, capfd: pytest.CaptureFixture[str]
) -> None:
    token = await _token(api)
    await api.login(EMAIL, "canary-wrong-password")
    await api.http.get("/api/me", headers=_bearer(token))
    printed = "".join(capfd.readouterr())
    assert "login" in printed
    for canary in (PASSWORD, "canary-wrong-password", token, token.split(".")[2]):
        assert canary not in printed
