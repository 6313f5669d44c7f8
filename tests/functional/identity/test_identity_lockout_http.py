"""Lockout over real HTTP: who is locked, for how long, what it does not touch, and what a stranger can learn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
import pytest

from sivo.base.clock import VirtualClock
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api

PASSWORD = "correct horse battery"
EMAIL = "sue@acme.example"


@dataclass
class Desk:
    """Logins from loopback addresses, with the address limit out of the way where it is not the point."""

    api: RunningApi
    tenant: str
    user: str
    statuses: list[int] = field(default_factory=list)

    async def fail(self, times: int, source: str, email: str = EMAIL, **body: str) -> httpx.Response:
        for _ in range(times):
            answer = await self.api.login(email, "wrong password", source, **body)
        return answer

    async def right(self, source: str) -> httpx.Response:
        return await self.api.login(EMAIL, PASSWORD, source)


@pytest.fixture
async def desk(settings: Settings, database: Database, clock: VirtualClock) -> AsyncIterator[Desk]:
    async with running_api(settings, database, clock) as api:
        tenant = await api.tenant("acme")
        user = await api.user(tenant, EMAIL, PASSWORD, role="supervisor")
        await api.ok("PUT", "/api/limits/login", {"amount": 1000, "reason": "the lock is measured, not the limit"})
        yield Desk(api, tenant, user)


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json().get("code", "")


async def test_five_failures_lock_the_right_password_out_of_that_address_only(desk: Desk, clock: VirtualClock) -> None:
    assert code(await desk.fail(5, "127.0.9.1")) == (401, "LOGIN_FAILED")
    locked = await desk.right("127.0.9.1")
    assert code(locked) == (429, "LOGIN_LOCKED")
    assert locked.headers["retry-after"] == "60"
    assert (await desk.right("127.0.9.2")).status_code == 200, "the agent at another desk works on"
    clock.advance(59.5)
    assert code(await desk.right("127.0.9.1")) == (429, "LOGIN_LOCKED")
    clock.advance(0.5)
    assert (await desk.right("127.0.9.1")).status_code == 200


async def test_four_failures_do_not_and_a_good_login_starts_anew(desk: Desk) -> None:
    for _ in range(3):
        await desk.fail(4, "127.0.9.1")
        assert (await desk.right("127.0.9.1")).status_code == 200


async def test_the_tenants_key_decides_at_once(desk: Desk) -> None:
    await desk.fail(2, "127.0.9.1")
    await desk.api.ok("PATCH", "/api/config", {"auth.login_max_attempts": 3}, desk.tenant)
    await desk.fail(1, "127.0.9.1")
    assert code(await desk.right("127.0.9.1")) == (429, "LOGIN_LOCKED")


async def test_waits_grow(desk: Desk, clock: VirtualClock) -> None:
    waits = []
    for _ in range(5):
        await desk.fail(5, "127.0.9.1")
        waits.append(int((await desk.right("127.0.9.1")).headers["retry-after"]))
        clock.advance(waits[-1])
    assert waits == [60, 300, 900, 3600, 3600]


async def test_ten_times_as_many_from_everywhere_lock_the_account(desk: Desk) -> None:
    await desk.api.ok("PATCH", "/api/config", {"auth.login_max_attempts": 3}, desk.tenant)
    for number in range(15):
        await desk.fail(2, f"127.0.10.{number + 1}")
    assert code(await desk.right("127.0.11.1")) == (429, "LOGIN_LOCKED")


async def test_sessions_go_on_and_an_admin_unlocks(desk: Desk) -> None:
    session = (await desk.right("127.0.9.1")).json()
    await desk.fail(5, "127.0.9.1")
    assert code(await desk.right("127.0.9.1")) == (429, "LOGIN_LOCKED")
    bearer = {"Authorization": f"Bearer {session['access_token']}"}
    assert (await desk.api.http.get("/api/me", headers=bearer)).status_code == 200
    renewed = await desk.api.http.post("/api/auth/refresh", json={"refresh_token": session["refresh_token"]})
    assert renewed.status_code == 200
    path = f"/api/users/{desk.user}/unlock"
    assert await desk.api.ok("POST", path, tenant=desk.tenant) == {"was_locked": True}
    assert (await desk.right("127.0.9.1")).status_code == 200


async def test_an_unknown_address_locks_exactly_as_a_known_one(desk: Desk, clock: VirtualClock) -> None:
    seen = {}
    for number, email in enumerate((EMAIL, "nobody@acme.example", "nobody@nowhere.example"), start=1):
        answers = []
        for _ in range(7):
            answer = await desk.fail(1, f"127.0.12.{number}", email)
            answers.append((answer.status_code, answer.text, answer.headers.get("retry-after")))
        seen[email] = answers
    known, *others = seen.values()
    assert known[4][0] == 401 and known[5][0] == 429
    assert all(one == known for one in others)


async def test_a_named_tenants_number_counts_for_unknown_addresses_too(desk: Desk) -> None:
    await desk.api.ok("PATCH", "/api/config", {"auth.login_max_attempts": 3}, desk.tenant)
    for number, email in enumerate((EMAIL, "nobody@acme.example"), start=1):
        await desk.fail(3, f"127.0.13.{number}", email, tenant="acme")
        assert code(await desk.fail(1, f"127.0.13.{number}", email, tenant="acme")) == (429, "LOGIN_LOCKED")


async def test_the_lock_and_the_address_limit_have_codes_of_their_own(desk: Desk) -> None:
    await desk.api.ok("PUT", "/api/limits/login", {"amount": None})
    await desk.api.ok("PATCH", "/api/config", {"auth.login_max_attempts": 3}, desk.tenant)
    answers = [code(await desk.fail(1, "127.0.14.1"))[1] for _ in range(6)]
    assert answers == ["LOGIN_FAILED"] * 3 + ["LOGIN_LOCKED"] * 2 + ["RATE_LIMITED"]


async def test_simultaneous_guesses_get_no_more_tries(desk: Desk) -> None:
    import asyncio

    answers = await asyncio.gather(*(desk.fail(1, "127.0.15.1") for _ in range(12)))
    codes = sorted(code(answer)[1] for answer in answers)
    assert codes == ["LOGIN_FAILED"] * 5 + ["LOGIN_LOCKED"] * 7


async def test_a_password_that_nobody_looked_at_is_no_failure(desk: Desk) -> None:
    passwords = desk.api.context.identity.passwords
    limit, passwords._limit = passwords._limit, 0
    answers = [code(await desk.right("127.0.17.1")) for _ in range(6)]
    assert answers == [(503, "UNAVAILABLE")] * 6
    passwords._limit = limit
    assert (await desk.right("127.0.17.1")).status_code == 200


async def test_no_address_is_stored_with_failed_logins(desk: Desk, database: Database) -> None:
    await desk.fail(1, "127.0.16.1", "secret.person@example.com")
    async with database.platform("test: look at failed logins") as connection:
        rows = await connection.fetch("select l::text as row from login_lock l")
    assert rows and "secret.person" not in str(rows)
