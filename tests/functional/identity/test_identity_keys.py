"""Signing keys through their ages, in two processes on one clock; read by PyJWT from the published JWKS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import jwt as pyjwt
import pytest

from sivo.base.clock import VirtualClock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from sivo.identity.signing_keys import SigningKeys
from support.running_api import RunningApi, running_api, twin

PASSWORD = "correct horse battery"
EMAIL = "sue@acme.example"
DAY = 86_400


@dataclass
class Pair:
    """Two ``api`` processes."""

    one: RunningApi
    two: RunningApi
    clock: VirtualClock
    tenant: str
    logins: int = 0

    async def token(self) -> str:
        self.logins += 1
        answer = await self.one.login(EMAIL, PASSWORD, f"127.0.20.{self.logins}")
        return str(answer.json()["access_token"])

    async def me(self, api: RunningApi, token: str) -> int:
        return (await api.http.get("/api/me", headers={"Authorization": f"Bearer {token}"})).status_code

    async def published(self, api: RunningApi) -> list[str]:
        return [key["kid"] for key in (await api.http.get("/.well-known/jwks.json")).json()["keys"]]

    async def agree(self) -> list[str]:
        """What both publish, once the second has heard of it."""
        async with asyncio.timeout(3):
            while True:
                first, second = await self.published(self.one), await self.published(self.two)
                if first == second:
                    return first
                await asyncio.sleep(0.02)


@pytest.fixture
async def pair(settings: Settings, app_dsn: str, clock: VirtualClock) -> AsyncIterator[Pair]:
    first, second = await Database.open(app_dsn), await Database.open(app_dsn)
    try:
        async with running_api(settings, first, clock) as one, running_api(twin(settings), second, clock) as two:
            tenant = await one.tenant("acme")
            await one.user(tenant, EMAIL, PASSWORD, role="supervisor")
            await one.ok("PATCH", "/api/config", {"auth.jwt_ttl_sec": 604_800, "auth.refresh_ttl_sec": 700_000}, tenant)
            yield Pair(one, two, clock, tenant)
    finally:
        await first.close()
        await second.close()


def kid(token: str) -> str:
    return str(pyjwt.get_unverified_header(token)["kid"])


async def test_publish_then_sign_then_retire_after_the_last_token(pair: Pair) -> None:
    (old,) = await pair.agree()
    new = (await pair.one.ok("POST", "/api/signing-keys/rotate"))["kid"]
    assert await pair.agree() == [old, new], "published before anything is signed with it"
    assert kid(await pair.token()) == old
    pair.clock.advance(599)
    last = await pair.token()
    assert kid(last) == old
    pair.clock.advance(1)
    first = await pair.token()
    assert kid(first) == new
    keys = pyjwt.PyJWKSet.from_dict((await pair.two.http.get("/.well-known/jwks.json")).json())
    for token in (last, first):
        verified = pyjwt.decode(
            token, keys[kid(token)], algorithms=["RS256"], audience="sivo-api",
            options={"verify_exp": False, "verify_iat": False},
        )  # fmt: skip
        assert verified["tenantSlug"] == "acme"
    pair.clock.advance(604_797)
    assert await pair.me(pair.two, last) == 200, "the longest token lifetime in force is covered"
    assert await pair.published(pair.two) == [old, new]
    pair.clock.advance(10)
    assert await pair.published(pair.one) == await pair.published(pair.two) == [new]
    assert await pair.me(pair.two, last) == 401


async def test_a_revoked_key_is_gone_from_every_process_within_a_second(pair: Pair) -> None:
    token = await pair.token()
    old = kid(token)
    assert await pair.me(pair.one, token) == await pair.me(pair.two, token) == 200
    await pair.one.ok("POST", f"/api/signing-keys/{old}/revoke", {"reason": "it leaked"})
    assert await pair.me(pair.one, token) == 401
    async with asyncio.timeout(3):
        while await pair.me(pair.two, token) != 401:
            await asyncio.sleep(0.02)
    (new,) = await pair.agree()
    assert new != old
    fresh = await pair.token()
    assert kid(fresh) == new and await pair.me(pair.two, fresh) == 200
    missing = await pair.one.local.post(f"/api/signing-keys/{old}/revoke", json={"reason": "again"})
    assert missing.status_code == 404


async def test_sessions_survive_a_revoked_key_by_refreshing(pair: Pair) -> None:
    tokens = (await pair.one.login(EMAIL, PASSWORD, "127.0.21.1")).json()
    await pair.one.ok("POST", f"/api/signing-keys/{kid(tokens['access_token'])}/revoke", {"reason": "it leaked"})
    renewed = await pair.two.http.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert renewed.status_code == 200
    assert await pair.me(pair.one, renewed.json()["access_token"]) == 200


async def test_revoking_the_signing_key_lets_a_published_one_sign(pair: Pair) -> None:
    (old,) = await pair.agree()
    new = (await pair.one.ok("POST", "/api/signing-keys/rotate"))["kid"]
    await pair.one.ok("POST", f"/api/signing-keys/{old}/revoke", {"reason": "it leaked"})
    assert await pair.agree() == [new]
    assert kid(await pair.token()) == new


async def test_every_ninety_days_and_not_before(pair: Pair, database: Database) -> None:
    worker = SigningKeys(database, pair.one.context.vault, pair.clock)
    await worker.load()
    pair.clock.advance(90 * DAY - 601)
    assert not await worker.rotate_if_due()
    pair.clock.advance(1)
    assert await worker.rotate_if_due()
    old, new = await pair.agree()
    assert not await worker.rotate_if_due(), "one is waiting already"
    pair.clock.advance(600)
    assert kid(await pair.token()) == new
    pair.clock.advance(8 * DAY)
    assert not await worker.rotate_if_due()
    async with database.platform("test: look at stored keys") as connection:
        assert await connection.fetchval("select array_agg(kid) from signing_key") == [new], "the old one is destroyed"
    assert old != new


async def test_a_process_that_starts_later_signs_with_the_same_key(
    pair: Pair, settings: Settings, app_dsn: str
) -> None:
    token = await pair.token()
    database = await Database.open(app_dsn)
    try:
        async with running_api(twin(settings), database, pair.clock) as late:
            assert await pair.me(late, token) == 200
            assert await pair.published(late) == await pair.published(pair.one)
    finally:
        await database.close()
