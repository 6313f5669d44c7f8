"""The three scopes against a real server: what they give, what they leave behind, what they do in trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.db.scopes import Database, savepoint


@pytest.fixture
async def single(app_dsn: str) -> AsyncIterator[Database]:
    """A database with one connection, so that whatever is left behind would be found."""
    opened = await Database.open(app_dsn, max_size=1)
    yield opened
    await opened.close()


async def test_each_scope_has_its_role_and_setting(database: Database) -> None:
    tenant = uuid7()
    async with database.tenant(tenant) as connection:
        assert await connection.fetchval("select current_user") == "sivo_tenant"
        assert await connection.fetchval("select current_setting('app.tenant_id')") == str(tenant)
    async with database.directory() as connection:
        assert await connection.fetchval("select current_user") == "sivo_directory"
    async with database.platform("test: say hello") as connection:
        assert await connection.fetchval("select current_user") == "sivo_platform"
        assert await connection.fetchval("select $1::jsonb", {"a": [1, None]}) == {"a": [1, None]}


async def test_nothing_leaks_after_the_transaction(single: Database) -> None:
    for fail in (False, True):
        try:
            async with single.tenant(uuid7()) as connection:
                await connection.execute("set application_name = 'left behind'")
                await connection.execute("set role sivo_platform")
                if fail:
                    raise RuntimeError
        except RuntimeError:
            pass
        async with single._scope("") as connection:  # a scope that sets nothing of its own
            assert await connection.fetchval("select current_user") == "sivo_app"
            assert not await connection.fetchval("select nullif(current_setting('app.tenant_id', true), '')")
            assert await connection.fetchval("select current_setting('application_name')") == "sivo"
        for statement in ("select * from call", "insert into outbox (id) values ('evt_1')"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with single._scope("") as connection:
                    await connection.execute(statement)


async def test_exception_takes_everything_back(database: Database) -> None:
    tenant = uuid7()
    with pytest.raises(RuntimeError):
        async with database.tenant(tenant) as connection:
            await connection.execute(
                "insert into outbox (id, tenant_id, type, data) values ('evt_1', $1, 'x', '{}')", tenant
            )
            raise RuntimeError
    async with database.tenant(tenant) as connection:
        assert await connection.fetchval("select count(*) from outbox") == 0


async def test_swallowed_failure_is_not_taken_for_success(database: Database) -> None:
    with pytest.raises(SivoError, match="nothing was written"):
        async with database.tenant(uuid7()) as connection:
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute("select 1/0")
    async with database.tenant(uuid7()) as connection:
        assert await connection.fetchval("select 1") == 1


async def test_savepoint_takes_back_its_own_part_only(database: Database) -> None:
    tenant = uuid7()
    statement = "insert into outbox (id, tenant_id, type, data) values ($1, $2, 'x', '{}')"
    async with database.tenant(tenant) as connection:
        await connection.execute(statement, "evt_1", tenant)
        with pytest.raises(asyncpg.UniqueViolationError):
            async with savepoint(connection):
                await connection.execute(statement, "evt_2", tenant)
                await connection.execute(statement, "evt_1", tenant)
        async with savepoint(connection):
            await connection.execute(statement, "evt_3", tenant)
    async with database.tenant(tenant) as connection:
        assert await connection.fetchval("select array_agg(id order by id) from outbox") == ["evt_1", "evt_3"]


async def test_only_ids_and_plain_reasons_get_into_the_statement(database: Database) -> None:
    for wrong in ("' ; select 1; --", str(uuid7()), None):
        with pytest.raises(TypeError):
            async with database.tenant(wrong):  # type: ignore[arg-type]
                pass
    for reason in ("", "x'; drop table call; --", "a" * 300, "line\nbreak"):
        with pytest.raises(ValueError, match="reason"):
            async with database.platform(reason):
                pass


async def test_directory_cannot_write(database: Database) -> None:
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with database.directory() as connection:
            await connection.execute("create temporary table t (a int)")


async def test_cancelled_work_gives_its_connection_back(single: Database) -> None:
    async def slow() -> None:
        async with single.tenant(uuid7()) as connection:
            await connection.execute("select pg_sleep(30)")

    for _ in range(3):
        task = asyncio.create_task(slow())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with single.tenant(uuid7()) as connection:
        assert await connection.fetchval("select 1") == 1


async def test_waiting_for_a_connection_is_bounded(single: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sivo.db.scopes.ACQUIRE_TIMEOUT_S", 0.2)
    async with single.tenant(uuid7()):
        with pytest.raises(SivoError) as raised:
            async with single.tenant(uuid7()):
                pass
    assert raised.value.code == "UNAVAILABLE"


async def test_absent_database_is_unavailable() -> None:
    with pytest.raises(SivoError) as raised:
        await Database.open("postgresql://sivo_app:x@127.0.0.1:31499/none", timeout=0.3)
    assert raised.value.code == "UNAVAILABLE"


async def test_lost_backend_is_unavailable_then_well_again(single: Database, pg) -> None:
    with pytest.raises(SivoError) as raised:
        async with single.tenant(uuid7()) as connection:
            pid = await connection.fetchval("select pg_backend_pid()")
            await pg.execute(f"select pg_terminate_backend({pid})")
            await connection.fetchval("select 1")
    assert raised.value.code == "UNAVAILABLE"
    async with single.tenant(uuid7()) as connection:
        assert await connection.fetchval("select 1") == 1


async def test_notifications_arrive_and_a_lost_connection_says_read_again(
    database: Database, pg, database_name
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    await database.listen("sivo_test", heard.put_nowait)
    await database.listen("sivo_other", heard.put_nowait)
    async with database.platform("test: notify") as connection:
        await connection.execute("select pg_notify('sivo_test', 'one')")
        await connection.execute("select pg_notify('sivo_other', 'two')")
    assert {await asyncio.wait_for(heard.get(), 5), await asyncio.wait_for(heard.get(), 5)} == {"one", "two"}
    await pg.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        f" where datname = '{database_name}' and query like 'LISTEN%'"
    )
    assert [await asyncio.wait_for(heard.get(), 10) for _ in range(2)] == ["", ""]
    async with database.platform("test: notify") as connection:
        await connection.execute("select pg_notify('sivo_test', 'three')")
    assert await asyncio.wait_for(heard.get(), 5) == "three"
