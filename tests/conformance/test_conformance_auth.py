"""The five keys of group "Authentication", changed by an admin over HTTP and seen from outside.

The observers share no code with the product: PyJWT reads tokens by the published JWKS, httpx reads statuses, pyotp is
the authenticator app. No value that is set here is a shipped default, so a consumer that read the default would be
seen. Time is the platform's own clock, moved by hand: a refresh token lives an hour at least.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import jwt as pyjwt
import pyotp
import pytest

from sivo.base.clock import VirtualClock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.conformance import conformance
from support.conformance_table import Evidence
from support.running_api import RunningApi, running_api

PASSWORD = "correct horse battery"
ADMIN, AGENT = "ana@acme.example", "sue@acme.example"


@dataclass
class Observer:
    """A stranger with an HTTP client, and an admin who changes keys."""

    api: RunningApi
    clock: VirtualClock
    admin: dict[str, str]
    agent_id: str
    source: int = 0

    async def set(self, key: str, value: Any) -> None:
        """The admin changes a key through the public API."""
        answer = await self.api.http.patch("/api/config", json={key: value}, headers=self.admin)
        assert answer.status_code == 200, answer.text

    async def login(self, password: str = PASSWORD, source: str = "", email: str = AGENT) -> httpx.Response:
        """One login request, nothing more, from an address of its own unless one is named."""
        self.source += 1
        transport = httpx.AsyncHTTPTransport(local_address=source or f"127.0.50.{self.source}", verify=False)
        async with httpx.AsyncClient(transport=transport, base_url=self.api.url) as client:
            return await client.post("/auth/login", json={"email": email, "password": password})

    async def claims(self, token: str) -> dict[str, Any]:
        """What PyJWT verifies."""
        keys = pyjwt.PyJWKSet.from_dict((await self.api.http.get("/.well-known/jwks.json")).json())
        key = keys[pyjwt.get_unverified_header(token)["kid"]]
        relaxed = {"verify_exp": False, "verify_iat": False}  # the platform's clock is not the machine's
        return pyjwt.decode(token, key, algorithms=["RS256"], audience="sivo-api", options=relaxed)

    async def me(self, token: str) -> int:
        """Whether a token is taken."""
        return (await self.api.http.get("/api/me", headers={"Authorization": f"Bearer {token}"})).status_code

    async def refresh(self, token: str) -> httpx.Response:
        """One use of a refresh token."""
        return await self.api.http.post("/auth/refresh", json={"refresh_token": token})


@pytest.fixture
async def seen(settings: Settings, database: Database, clock: VirtualClock) -> AsyncIterator[Observer]:
    async with running_api(settings, database, clock) as api:
        tenant = await api.tenant("acme")
        await api.user(tenant, ADMIN, PASSWORD, role="admin")
        agent = await api.user(tenant, AGENT, PASSWORD, role="agent")
        token = (await api.login(ADMIN, PASSWORD, "127.0.51.1")).json()["access_token"]
        yield Observer(api, clock, {"Authorization": f"Bearer {token}"}, agent)


@conformance("auth.jwt_ttl_sec", "exp - iat of the next access token", "PyJWT")
async def test_jwt_ttl_sec_is_exp_minus_iat_of_the_next_token(seen: Observer, evidence: Evidence) -> None:
    before = (await seen.login()).json()
    await seen.set("auth.jwt_ttl_sec", 4321)
    after = (await seen.login()).json()
    renewed = (await seen.refresh(before["refresh_token"])).json()
    lives = []
    for tokens in (before, after, renewed):
        claims = await seen.claims(tokens["access_token"])
        lives.append(claims["exp"] - claims["iat"])
    assert lives == [86400, 4321, 4321]
    seen.clock.advance(4320)
    assert await seen.me(after["access_token"]) == 200
    seen.clock.advance(1)
    assert await seen.me(after["access_token"]) == 401
    assert await seen.me(before["access_token"]) == 200, "a token that was issued before keeps its own end"
    evidence("auth.jwt_ttl_sec", f"exp - iat: {lives}")


@conformance("auth.refresh_ttl_sec", "refresh refused after it, however often rotated", "HTTP client")
async def test_refresh_ttl_sec_is_absolute_from_the_next_login(seen: Observer, evidence: Evidence) -> None:
    await seen.set("auth.jwt_ttl_sec", 600)
    before = (await seen.login()).json()
    await seen.set("auth.refresh_ttl_sec", 5000)
    tokens = (await seen.login()).json()
    for _ in range(4):
        seen.clock.advance(1249)
        tokens = (await seen.refresh(tokens["refresh_token"])).json()
    seen.clock.advance(4)
    refused = await seen.refresh(tokens["refresh_token"])
    assert refused.status_code == 401, "rotated a moment ago, and yet over"
    assert (await seen.refresh(before["refresh_token"])).status_code == 200, "a login before keeps its thirty days"
    evidence("auth.refresh_ttl_sec", "5000 s set: rotated at 4996 s, 401 at 5000 s")


@conformance("auth.password_min_length", "a shorter password is refused, the number in the message", "HTTP client")
async def test_password_min_length_is_enforced_now_with_the_number_in_the_message(
    seen: Observer, evidence: Evidence
) -> None:
    path = f"/api/users/{seen.agent_id}/password"

    async def choose(password: str) -> httpx.Response:
        return await seen.api.http.post(path, json={"password": password}, headers=seen.admin)

    assert (await choose("xk3 9vq2 ")).status_code == 204, "nine are enough as shipped"
    await seen.set("auth.password_min_length", 13)
    short = await choose("xk3 9vq2 mw1")
    assert (short.status_code, short.json()["code"]) == (422, "PASSWORD_TOO_SHORT")
    assert "13" in short.json()["detail"]
    assert (await choose("xk3 9vq2 mw1 ")).status_code == 204
    evidence("auth.password_min_length", f"12 characters: {short.json()['detail']}; 13: 204")


@conformance("auth.login_max_attempts", "so many failures lock the right password out", "HTTP client")
async def test_login_max_attempts_failures_lock_the_right_password_out(seen: Observer, evidence: Evidence) -> None:
    await seen.set("auth.login_max_attempts", 3)
    source = "127.0.52.1"
    for _ in range(2):
        assert (await seen.login("wrong password", source)).status_code == 401
    assert (await seen.login(source=source)).status_code == 200, "two failures are not three"
    seen.clock.advance(901)
    for _ in range(3):
        assert (await seen.login("wrong password", source)).status_code == 401
    locked = await seen.login(source=source)
    assert (locked.status_code, locked.json()["code"]) == (429, "LOGIN_LOCKED")
    seen.clock.advance(int(locked.headers["retry-after"]))
    assert (await seen.login(source=source)).status_code == 200
    evidence("auth.login_max_attempts", "2 failures: 200; 3 failures: 429 LOGIN_LOCKED")


@conformance("auth.mfa_required_roles", "no full token before a second factor", "HTTP client, pyotp")
async def test_mfa_required_roles_get_no_full_token_before_a_second_factor(seen: Observer, evidence: Evidence) -> None:
    token = (await seen.login()).json()["access_token"]
    assert await seen.me(token) == 200, "agents need none as shipped"
    await seen.set("auth.mfa_required_roles", ["admin", "superadmin", "agent"])
    async with asyncio.timeout(3):
        while await seen.me(token) != 401:
            await asyncio.sleep(0.02)
    half = (await seen.login()).json()
    assert "access_token" not in half and "refresh_token" not in half
    assert await seen.me(half["mfa_token"]) == 401
    bearer = {"Authorization": f"Bearer {half['mfa_token']}"}
    secret = (await seen.api.http.post("/api/auth/mfa/enrol/totp", json={}, headers=bearer)).json()["secret"]
    code = pyotp.TOTP(secret).at(seen.clock.now())
    done = await seen.api.http.post("/api/auth/mfa/enrol/totp/confirm", json={"code": code}, headers=bearer)
    assert await seen.me(done.json()["access_token"]) == 200
    await seen.set("auth.mfa_required_roles", ["superadmin"])
    admin = (await seen.login(email=ADMIN)).json()
    assert admin["methods"], "who has a factor is asked for it whatever the role"
    refused = await seen.api.http.patch("/api/config", json={"auth.mfa_required_roles": []}, headers=seen.admin)
    assert refused.status_code in (403, 422), "a tenant cannot remove superadmin"
    evidence("auth.mfa_required_roles", "agent added: login gives mfa_token alone, after TOTP 200")
