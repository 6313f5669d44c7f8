"""Floods, clocks and neighbours: what the login does when somebody leans on it."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from sivo.api.server import bind_tcp
from sivo.base.clock import VirtualClock
from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.db.scopes import Database
from support.running_api import RunningApi, running_api

PASSWORD = "correct horse battery"
EMAIL = "ana@acme.example"


@pytest.fixture
async def api(settings: Settings, database: Database, clock: VirtualClock) -> AsyncIterator[RunningApi]:
    async with running_api(settings, database, clock) as running:
        tenant = await running.tenant("acme")
        await running.user(tenant, EMAIL, PASSWORD)
        yield running


async def _me(api: RunningApi, token: str) -> httpx.Response:
    return await api.http.get("/api/me", headers={"Authorization": f"Bearer {token}"})


async def test_a_token_ends_with_its_second(api: RunningApi, clock: VirtualClock) -> None:
    token = (await api.login(EMAIL, PASSWORD)).json()["access_token"]
    clock.advance(86399)
    assert (await _me(api, token)).status_code == 200
    clock.advance(1)
    ended = await _me(api, token)
    assert (ended.status_code, ended.json()["code"]) == (401, "UNAUTHENTICATED")


async def test_a_missed_notification_costs_a_minute_at_most(
    api: RunningApi, clock: VirtualClock, database: Database
) -> None:
    token = (await api.login(EMAIL, PASSWORD)).json()["access_token"]
    assert (await _me(api, token)).status_code == 200
    async with database.platform("test: end a session behind the back of the api") as connection:
        await connection.execute("update session set revoked_at = $1", clock.now())
    assert (await _me(api, token)).status_code == 200, "remembered"
    clock.advance(60)
    assert (await _me(api, token)).status_code == 401


async def test_the_window_of_the_login_limit_slides(api: RunningApi, clock: VirtualClock) -> None:
    source = "127.0.7.1"
    for _ in range(5):
        assert (await api.login(EMAIL, "wrong password", source)).status_code == 401
        clock.advance(60)
    refused = await api.login(EMAIL, PASSWORD, source)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "600")
    clock.advance(599.5)
    assert (await api.login(EMAIL, PASSWORD, source)).status_code == 429
    clock.advance(0.5)
    assert (await api.login(EMAIL, PASSWORD, source)).status_code == 200, "the first of the five has left the window"
    assert (await api.login(EMAIL, PASSWORD, source)).status_code == 429, "the second has not"


async def test_the_601st_request_of_a_user_in_a_minute_waits(api: RunningApi, clock: VirtualClock) -> None:
    tenant = (await api.ok("GET", "/api/tenants"))["items"][0]["id"]
    await api.user(tenant, "eve@acme.example", PASSWORD)
    token = (await api.login(EMAIL, PASSWORD)).json()["access_token"]
    other = (await api.login("eve@acme.example", PASSWORD)).json()["access_token"]
    statuses = [(await _me(api, token)).status_code for _ in range(601)]
    assert statuses == [200] * 600 + [429]
    assert (await _me(api, other)).status_code == 200
    clock.advance(60)
    assert (await _me(api, token)).status_code == 200


async def test_a_login_flood_is_told_to_come_back(api: RunningApi) -> None:
    api.context.identity.passwords._limit = 3
    flood = [api.login(EMAIL, "wrong password", f"127.0.4.{number}") for number in range(1, 25)]
    answers = await asyncio.gather(*flood)
    assert {answer.status_code for answer in answers} == {401, 503}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert (refused.json()["code"], refused.headers["retry-after"]) == ("UNAVAILABLE", "2")
    assert (await api.login(EMAIL, PASSWORD, "127.0.4.99")).status_code == 200


async def test_an_unknown_user_takes_as_long_as_a_wrong_password(api: RunningApi) -> None:
    """Without the dummy hash an unknown user is answered some ten times faster; 3x leaves room for a busy machine.

    The two are asked in turn and the fastest of each counts, so that a burst of other work hits both.
    """
    fastest: dict[str, float] = {}
    for number in range(1, 11):
        for net, email in ((5, EMAIL), (6, "nobody@acme.example")):
            started = time.perf_counter()
            answer = await api.login(email, "wrong password", f"127.0.{net}.{number}")
            fastest[email] = min(fastest.get(email, 60.0), time.perf_counter() - started)
            assert answer.status_code == 401
    known, unknown = fastest.values()
    assert max(known, unknown) < 3 * min(known, unknown)


async def test_an_old_hash_is_renewed_by_a_good_login(api: RunningApi, database: Database) -> None:
    import argon2

    old = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    async with database.platform("test: an old hash") as connection:
        await connection.execute("update credential set password_hash = $1", old)
    assert (await api.login(EMAIL, "wrong password")).status_code == 401
    assert (await api.login(EMAIL, PASSWORD)).status_code == 200
    async with database.platform("test: look at the hash") as connection:
        assert str(await connection.fetchval("select password_hash from credential")).startswith(
            "$argon2id$v=19$m=19456,t=2,p=1$"
        )
    assert (await api.login(EMAIL, PASSWORD)).status_code == 200


async def test_long_passwords_are_accepted_up_to_the_bound_and_refused_before_hashing(
    api: RunningApi, database: Database
) -> None:
    users = (await api.ok("GET", "/api/tenants"))["items"][0]["id"]
    user = (await api.ok("GET", "/api/users", tenant=users))["items"][0]["id"]
    long = "pässword-" * 100
    await api.ok("POST", f"/api/users/{user}/password", {"password": long}, users)
    assert (await api.login(EMAIL, long)).status_code == 200
    assert (await api.login(EMAIL, "x" * 1025)).status_code == 422
    assert (await api.login(EMAIL, "x" * 1_000_001)).status_code == 413


def _connect_as_nobody(path: str) -> str:
    """Connect from a child that gave root up (it shares our interpreter, which nobody else may be able to start)."""
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            socket.socket(socket.AF_UNIX).connect(path)
        except PermissionError:
            os._exit(1)
        finally:
            os._exit(0)
    return {0: "connected", 1: "refused"}[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]


def test_the_local_socket_refuses_other_users_of_the_machine(settings: Settings) -> None:
    """Root may do anything, so the neighbour is played by a process that gave root up; otherwise modes are all."""
    from sivo.api.server import bind_local

    listener = bind_local(settings.api_socket)
    listener.listen()
    try:
        assert settings.api_socket.stat().st_mode & 0o777 == 0o600
        assert settings.run_dir.stat().st_mode & 0o777 == 0o700
        if os.geteuid() == 0:
            for folder in (settings.home, settings.run_dir):
                folder.chmod(0o755)  # even so, the socket's own mode keeps the neighbour out
            assert _connect_as_nobody(str(settings.api_socket)) == "refused"
    finally:
        listener.close()


def test_a_taken_port_is_named_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(SivoError, match=f"127.0.0.1:{port}") as caught:
            bind_tcp("127.0.0.1", port)
    assert "SIVO_HTTP_PORT" in str(caught.value)


def test_a_path_too_long_for_a_socket_is_named(settings: Settings) -> None:
    from sivo.api.server import bind_local

    with pytest.raises(SivoError, match="too long"):
        bind_local(settings.home / ("x" * 120) / "api.sock")
