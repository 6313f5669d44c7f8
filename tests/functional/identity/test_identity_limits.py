"""The published limits at their edges, with two ``api`` processes, over restarts and after a crash of PostgreSQL."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import httpx
import pytest

from sivo.base.clock import VirtualClock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api, twin

PASSWORD = "correct horse battery"
EMAIL = "sue@acme.example"


@dataclass
class Cluster:
    """``api`` processes on one database that come and go."""

    settings: Settings
    dsn: str
    clock: VirtualClock
    stack: AsyncExitStack
    apis: list[RunningApi] = field(default_factory=list)

    async def start(self) -> RunningApi:
        database = await Database.open(self.dsn)
        self.stack.push_async_callback(database.close)
        settings = twin(self.settings) if self.settings.kek_file.exists() else self.settings
        api = await self.stack.enter_async_context(running_api(settings, database, self.clock))
        self.apis.append(api)
        return api

    async def restart(self) -> None:
        """Every process ends and another one starts."""
        await self.stack.aclose()
        self.apis.clear()
        await self.start()


@pytest.fixture
async def cluster(settings: Settings, app_dsn: str, clock: VirtualClock) -> AsyncIterator[Cluster]:
    async with AsyncExitStack() as stack:
        made = Cluster(settings, app_dsn, clock, stack)
        one = await made.start()
        await made.start()
        tenant = await one.tenant("acme")
        user = await one.user(tenant, EMAIL, PASSWORD, role="agent")
        await one.ok("POST", "/api/extensions", {"number": "201", "user": user}, tenant)
        await one.ok("PATCH", "/api/config", {"auth.login_max_attempts": 20}, tenant)
        yield made


async def wrong(api: RunningApi, source: str) -> httpx.Response:
    return await api.login(EMAIL, "wrong password", source)


def numbers(answer: httpx.Response) -> tuple[int, int]:
    """Remaining and reset of the header RateLimit."""
    found = re.fullmatch(r'"[a-z]+";r=(\d+);t=(\d+)', answer.headers["ratelimit"])
    assert found, answer.headers["ratelimit"]
    return int(found[1]), int(found[2])


async def test_five_logins_over_two_processes_and_the_window_slides(cluster: Cluster) -> None:
    for number in range(5):
        answer = await wrong(cluster.apis[number % 2], "127.0.30.1")
        assert answer.status_code == 401
        assert answer.headers["ratelimit-policy"] == '"login";q=5;w=900'
        assert numbers(answer) == (4 - number, 900 - 60 * number)
        cluster.clock.advance(60)
    for api in cluster.apis:
        refused = await api.login(EMAIL, PASSWORD, "127.0.30.1")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "600")
        assert numbers(refused) == (0, 600)
    assert (await wrong(cluster.apis[0], "127.0.30.2")).status_code == 401, "counted by address"
    cluster.clock.advance(600)
    assert (await wrong(cluster.apis[1], "127.0.30.1")).status_code == 401
    assert (await wrong(cluster.apis[0], "127.0.30.1")).status_code == 429


async def test_simultaneous_logins_at_both_processes_stop_at_five(cluster: Cluster) -> None:
    answers = await asyncio.gather(*(wrong(cluster.apis[number % 2], "127.0.31.1") for number in range(16)))
    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(401), statuses.count(429)) == (5, 11)


async def test_restarts_forget_nothing(cluster: Cluster) -> None:
    for _ in range(5):
        await wrong(cluster.apis[0], "127.0.32.1")
    await cluster.restart()
    assert (await wrong(cluster.apis[0], "127.0.32.1")).status_code == 429


async def test_counts_stand_in_tables_that_a_crash_does_not_empty(cluster: Cluster, database: Database) -> None:
    """PostgreSQL empties UNLOGGED tables after a crash and keeps the others: the exact limits stand in others."""
    await wrong(cluster.apis[0], "127.0.33.1")
    async with database.platform("test: how are counts stored") as connection:
        rows = await connection.fetch(
            "select relname, relpersistence::text as kind from pg_class where relname = any($1)",
            ["rate_window", "login_lock", "rate_batch"],
        )
        assert await connection.fetchval("select count(*) from rate_window where limit_name = 'login'") == 1
    assert {row["relname"]: row["kind"] for row in rows} == {"rate_window": "p", "login_lock": "p", "rate_batch": "u"}


async def test_ten_softphones_in_fifteen_minutes(cluster: Cluster) -> None:
    token = (await cluster.apis[0].login(EMAIL, PASSWORD, "127.0.34.1")).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    statuses = []
    for number in range(11):
        path = "/auth/agent" if number % 2 else "/api/auth/agent"
        answer = await cluster.apis[number % 2].http.post(path, headers=bearer)
        statuses.append(answer.status_code)
        cluster.clock.advance(1)
    assert statuses == [200] * 10 + [429]
    assert (answer.headers["retry-after"], answer.json()["where"]) == ("890", "agent")
    cluster.clock.advance(889)
    assert (await cluster.apis[0].http.post("/auth/agent", headers=bearer)).status_code == 200


async def test_a_crowd_at_two_processes_stays_within_five_percent(cluster: Cluster) -> None:
    token = (await cluster.apis[0].login(EMAIL, PASSWORD, "127.0.35.2")).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    statuses: list[int] = []
    for _ in range(35):
        asked = [cluster.apis[number % 2].http.get("/api/me", headers=bearer) for number in range(20)]
        statuses += [answer.status_code for answer in await asyncio.gather(*asked)]
    assert set(statuses[:600]) == {200}
    assert 600 <= statuses.count(200) <= 630


async def test_600_requests_a_minute_over_two_processes_within_five_percent(cluster: Cluster) -> None:
    token = (await cluster.apis[0].login(EMAIL, PASSWORD, "127.0.35.1")).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}

    async def me(api: RunningApi) -> httpx.Response:
        return await api.http.get("/api/me", headers=bearer)

    passed = 0
    for number in range(660):
        answer = await me(cluster.apis[number % 2])
        passed += answer.status_code == 200
        if number < 600:
            assert answer.status_code == 200, f"request {number + 1} of 600 was refused"
    assert 600 <= passed <= 630
    assert answer.status_code == 429 and answer.headers["retry-after"] == "60"
    cluster.clock.advance(60)
    assert (await me(cluster.apis[1])).status_code == 200


async def test_the_operator_sets_other_limits_in_every_process(cluster: Cluster) -> None:
    one, two = cluster.apis
    await one.ok("PUT", "/api/limits/login", {"subject": "network:127.0.36.0/24", "amount": 7, "reason": "an office"})
    async with asyncio.timeout(3):
        while (await wrong(two, "127.0.36.9")).headers["ratelimit-policy"] != '"login";q=7;w=900':
            await asyncio.sleep(0.02)
    statuses = [(await wrong(two, "127.0.36.1")).status_code for _ in range(8)]
    assert statuses == [401] * 7 + [429]
    statuses = [(await wrong(two, "127.0.37.1")).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429], "elsewhere the published number counts"

    tenant = (await one.ok("GET", "/api/tenants"))["items"][0]["id"]
    await one.ok("PUT", "/api/limits/requests", {"subject": f"tenant:{tenant}", "amount": 3})
    token = (await one.login(EMAIL, PASSWORD, "127.0.36.2")).json()["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert [(await one.http.get("/api/me", headers=bearer)).status_code for _ in range(4)] == [200] * 3 + [429]
    refused = await one.local.put("/api/limits/login", json={"subject": f"tenant:{tenant}", "amount": 3})
    assert refused.status_code == 422
    admin = await one.http.put("/api/limits/login", json={"amount": 9}, headers=bearer)
    assert admin.status_code == 429 or admin.json()["code"] == "INSUFFICIENT_ROLE"


async def test_behind_a_trusted_proxy_an_ipv6_network_is_one_client(settings: Settings, database: Database) -> None:
    trusting = settings.model_copy(update={"http_trusted_proxies": "127.0.0.1/32"})
    async with running_api(trusting, database) as api:
        login = {"email": EMAIL, "password": "wrong password"}

        async def attempt(address: str) -> int:
            headers = {"X-Forwarded-For": address}
            return (await api.http.post("/api/auth/login", json=login, headers=headers)).status_code

        statuses = [await attempt(f"2001:db8:0:1:{number:x}::1") for number in range(6)]
        assert statuses == [401] * 5 + [429], "one /64"
        assert await attempt("2001:db8:0:2::1") in (401, 429)
        mapped = [await attempt(f"::ffff:203.0.113.{number}") for number in (7, 8)]
        assert 429 not in mapped or mapped == [429, 429]
