"""Every table, every role, every scope: who sees what. The lists come from the catalogue of the real database, so a new
table is tested the moment it exists."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from sivo.base.ids import uuid7
from sivo.db.scopes import Database

MINE, OTHER = uuid7(), uuid7()
_serial = itertools.count(1)


@pytest.fixture
async def behind(pg, database_name: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A superuser's connection, for looking behind the policies."""
    connection = await asyncpg.connect(pg.superuser_dsn(database_name))
    try:
        yield connection
    finally:
        await connection.close()


async def tables(connection: Any, *, with_tenant: bool | None = None) -> list[str]:
    rows = await connection.fetch(
        "select c.relname, exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id'"
        " and not a.attisdropped) as tenanted from pg_class c"
        " where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') order by 1"
    )
    return [
        row["relname"]
        for row in rows
        if row["relname"] != "alembic_version" and (with_tenant is None or row["tenanted"] == with_tenant)
    ]


# --- what the catalogue says ---


async def test_there_are_tables_to_test(behind: Any) -> None:
    found = await tables(behind, with_tenant=True)
    assert {"call", "resource", "secret", "tenant_key", "outbox", "webhook_delivery", "recording"} <= set(found)


async def test_row_security_is_forced_on_every_table(behind: Any) -> None:
    rows = await behind.fetch(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
        " and relname <> 'alembic_version' and not (relrowsecurity and relforcerowsecurity)"
    )
    assert [row["relname"] for row in rows] == []


async def test_every_tenant_table_has_a_policy_for_reading_and_writing(behind: Any) -> None:
    for table in await tables(behind, with_tenant=True):
        policy = await behind.fetchrow(
            "select cmd, qual, with_check, roles::text[] as roles from pg_policies"
            " where tablename = $1 and policyname = 'tenant'",
            table,
        )
        assert policy is not None, table
        assert policy["roles"] == ["sivo_tenant"] and policy["cmd"] == "ALL", table
        for clause in (policy["qual"], policy["with_check"]):
            assert "app.tenant_id" in clause and "NULLIF" in clause.upper(), table


async def test_no_policy_lets_everybody_in(behind: Any) -> None:
    rows = await behind.fetch("select tablename, policyname, roles::text[] as roles from pg_policies")
    known = {"sivo_tenant", "sivo_platform", "sivo_directory"}
    assert [dict(row) for row in rows if not set(row["roles"]) <= known] == []


async def test_views_look_with_the_readers_eyes(behind: Any) -> None:
    rows = await behind.fetch(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('v', 'm')"
        " and not coalesce(reloptions::text[] @> array['security_invoker=true'], false)"
    )
    assert [row["relname"] for row in rows] == []


#: They make months of the audit log ahead and drop those that are older than any plan keeps; neither can see a row,
#: since their owner is under the policies too. Only the platform's scope may call them.
AS_OWNER = {"sivo_audit_month", "sivo_audit_drop_months"}


async def test_no_function_but_the_two_of_the_closed_list_runs_with_its_owners_rights(behind: Any) -> None:
    rows = await behind.fetch(
        "select proname, proconfig::text as config, has_function_privilege('sivo_tenant', oid, 'execute') as tenant,"
        " has_function_privilege('sivo_directory', oid, 'execute') as directory,"
        " has_function_privilege('sivo_app', oid, 'execute') as app"
        " from pg_proc where pronamespace = 'public'::regnamespace and prosecdef"
    )
    assert {row["proname"] for row in rows} == AS_OWNER
    for row in rows:
        assert "search_path=pg_catalog" in row["config"], row["proname"]
        assert not (row["tenant"] or row["directory"] or row["app"]), row["proname"]


async def test_no_role_of_ours_stands_above_the_policies(behind: Any) -> None:
    rows = await behind.fetch("select * from pg_roles where rolname like 'sivo%' order by rolname")
    assert {row["rolname"] for row in rows} == {
        "sivo_app", "sivo_directory", "sivo_owner", "sivo_platform", "sivo_tenant"
    }  # fmt: skip
    for row in rows:
        assert not row["rolsuper"] and not row["rolbypassrls"] and not row["rolcreatedb"], row["rolname"]
        assert not row["rolreplication"], row["rolname"]
        # The owner is nobody's login in daily work; it inherits, as an operator's own owner role does.
        assert row["rolinherit"] == (row["rolname"] == "sivo_owner"), row["rolname"]
        assert row["rolcanlogin"] == (row["rolname"] in ("sivo_app", "sivo_owner")), row["rolname"]
        assert not row["rolcreaterole"] or row["rolname"] == "sivo_owner"


async def test_the_login_role_owns_nothing_and_may_nothing_on_its_own(behind: Any) -> None:
    owned = await behind.fetchval(
        "select count(*) from pg_shdepend where refobjid = 'sivo_app'::regrole and deptype = 'o'"
    )
    assert owned == 0
    assert await behind.fetchval("select count(*) from pg_class where relowner = 'sivo_app'::regrole") == 0
    assert not await behind.fetchval("select pg_has_role('sivo_app', 'sivo_owner', 'member')")
    for table in await tables(behind):
        for right in ("select", "insert", "update", "delete", "truncate", "trigger", "references"):
            assert not await behind.fetchval("select has_table_privilege('sivo_app', $1, $2)", table, right), table
    assert not await behind.fetchval("select has_schema_privilege('sivo_app', 'public', 'create')")


async def test_scope_roles_can_neither_truncate_nor_define(behind: Any) -> None:
    for table in await tables(behind):
        for role in ("sivo_tenant", "sivo_platform", "sivo_directory"):
            for right in ("truncate", "trigger", "references"):
                allowed = await behind.fetchval("select has_table_privilege($1, $2, $3)", role, table, right)
                assert not allowed, (role, table, right)
        for right in ("insert", "update"):
            writes = await behind.fetchval("select has_any_column_privilege('sivo_directory', $1, $2)", table, right)
            assert not writes, (table, right)
    for role in ("sivo_tenant", "sivo_platform", "sivo_directory"):
        assert not await behind.fetchval("select has_schema_privilege($1, 'public', 'create')", role)


# --- what happens ---


async def first_moment(behind: Any, table: str) -> str:
    """A time that ``table`` takes: the first of its month if it is a partition of one."""
    bound = await behind.fetchval("select pg_get_expr(relpartbound, oid) from pg_class where oid = $1::regclass", table)
    found = re.search(r"FROM \('([^']+)'\)", bound or "")
    return found[1] if found else "2026-01-01T00:00:00+00:00"


def sample(type_: str, number: int, moment: str) -> Any:
    if type_ == "uuid":
        return uuid7()
    if type_ in ("integer", "bigint", "oid", "smallint", "numeric", "real", "double precision"):
        return number
    if type_ == "xid8":
        return str(number)
    if type_ == "boolean":
        return True
    if type_ == "bytea":
        return b"x%d" % number
    if type_.startswith("timestamp"):
        return moment
    if type_ in ("json", "jsonb"):
        return "{}"
    if type_.endswith("[]"):
        return []
    return f'{{"author": "a", "reason": "r", "n": {number}}}'  # some generated columns read JSON text


async def fill(behind: Any, table: str, tenant: UUID) -> None:
    """One row of ``tenant``, made up from the columns' types; checks, triggers and references are out of the way."""
    columns = await behind.fetch(
        "select a.attname, format_type(a.atttypid, a.atttypmod) as type from pg_attribute a"
        " where a.attrelid = $1::regclass and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''"
        " and a.attidentity = '' and (a.attnotnull or a.attname = 'tenant_id')",
        table,
    )
    names, values = [], []
    moment = await first_moment(behind, table)
    for column in columns:
        number = next(_serial)
        is_tenant = column["attname"] == "tenant_id" or (table == "tenant" and column["attname"] == "id")
        value = tenant if is_tenant else sample(column["type"], number, moment)
        names.append(f'"{column["attname"]}"')
        cast = f"::text::{column['type']}" if isinstance(value, str) and not is_tenant else f"::{column['type']}"
        values.append((value, cast))
    places = ", ".join(f"${at}{cast}" for at, (_, cast) in enumerate(values, 1))
    await behind.execute(f"insert into {table} ({', '.join(names)}) values ({places})", *(value for value, _ in values))


@pytest.fixture
async def filled(behind: Any) -> list[str]:
    """Every tenant table with one row of each of two tenants. Returns their names."""
    await behind.execute("set session_replication_role = replica")
    found = await tables(behind, with_tenant=True)
    checks = await behind.fetch(
        "select conrelid::regclass::text as name, conname from pg_constraint"
        " where contype = 'c' and coninhcount = 0 and connamespace = 'public'::regnamespace"
    )
    for check in checks:
        await behind.execute(f'alter table {check["name"]} drop constraint "{check["conname"]}"')
    for table in found:
        for tenant in (MINE, OTHER):
            await fill(behind, table, tenant)
    return found


async def test_a_tenant_sees_its_own_rows_and_no_others(database: Database, filled: list[str]) -> None:
    for table in filled:
        async with database.tenant(MINE) as connection:
            seen = {row["tenant_id"] for row in await connection.fetch(f"select tenant_id from {table}")}
            if table == "config_value":
                seen -= {UUID(int=0)}  # values of the platform are no secret
            assert seen == {MINE}, table


async def test_without_a_tenant_there_is_nothing(database: Database, filled: list[str]) -> None:
    for table in filled:
        if table == "config_value":
            continue
        async with database._scope("set local role sivo_tenant") as connection:
            assert await connection.fetchval(f"select count(*) from {table}") == 0, table
        async with database._scope("set local role sivo_platform") as connection:
            assert await connection.fetchval(f"select count(*) from {table}") == 0, table


async def test_writing_across_tenants_is_refused(database: Database, behind: Any, filled: list[str]) -> None:
    for table in filled:
        generated = await behind.fetchval(
            "select attgenerated <> '' from pg_attribute where attrelid = $1::regclass and attname = 'tenant_id'", table
        )
        key = "id" if generated else "tenant_id"
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.RaiseError)):  # policy, right, or a guard
            async with database.tenant(MINE) as connection:
                await connection.execute(f"insert into {table} ({key}) values ($1)", OTHER)
        before = await behind.fetchval(f"select md5(string_agg(t::text, '|' order by t::text)) from {table} t")
        for statement in (
            f"update {table} set {key} = '{MINE}' where tenant_id = '{OTHER}'",
            f"delete from {table} where tenant_id = '{OTHER}'",
        ):
            try:
                async with database.tenant(MINE) as connection:
                    assert (await connection.execute(statement)).endswith(" 0"), table
            except asyncpg.InsufficientPrivilegeError:
                pass  # some tables may not be updated or deleted from at all
        assert await behind.fetchval(f"select md5(string_agg(t::text, '|' order by t::text)) from {table} t") == before
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.tenant(MINE) as connection:
                await connection.execute(f"update {table} set {key} = '{OTHER}'")


async def test_the_platform_sees_all_and_says_why(database: Database, filled: list[str]) -> None:
    for table in filled:
        async with database.platform("test: count rows") as connection:
            seen = {row["tenant_id"] for row in await connection.fetch(f"select tenant_id from {table}")}
            assert seen >= {MINE, OTHER}, table
            assert await connection.fetchval("select current_setting('app.reason')") == "test: count rows"


async def test_the_directory_reads_few_columns_and_writes_none(
    database: Database, behind: Any, filled: list[str]
) -> None:
    for table in filled:
        granted = await behind.fetch(
            "select attname from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped"
            " and has_column_privilege('sivo_directory', attrelid, attnum, 'select')",
            table,
        )
        assert {row["attname"] for row in granted}.isdisjoint(
            {"body", "sealed", "wrapped", "password_hash", "data", "text", "secrets", "value", "raw"}
        ), table
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ReadOnlySQLTransactionError)):
            async with database.directory() as connection:
                await connection.execute(f"delete from {table}")
