"""Every table of the schema, from the catalogue, in the scope of one tenant against the rows of another."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from sivo.config.kinds import PLATFORM_ID
from sivo.db.scopes import Connection, Database, savepoint
from sivo.isolation.findings import Findings
from sivo.isolation.rows import add_row

SECTION = "tables"
_TABLES = """select c.relname as name, c.relispartition as part, exists (select 1 from pg_attribute a
      where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped) as tenanted
    from pg_class c
   where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p', 'm', 'f') order by 1"""
#: Alembic's own; no scope may read it but the platform's (backup).
_NOT_OURS = {"alembic_version"}
#: Of no tenant, and read by all of them on purpose.
_FOR_ALL = {"key_default": "what a release declares: every tenant lives by it"}


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    part: bool
    tenanted: bool


class _UndoError(Exception):
    """Takes back what a probe wrote."""


async def probe(database: Database, attacker: UUID, owner: UUID, findings: Findings) -> None:
    """Try to see, change, remove and plant rows of ``owner`` in every table, as ``attacker``."""
    async with database.platform("isolation audit: list of tables") as connection:
        tables = [_Table(*row) for row in await connection.fetch(_TABLES)]
    for table in tables:
        if table.name in _NOT_OURS:
            continue
        if table.part:
            await _partition(database, table.name, attacker, owner, findings)
        elif table.tenanted:
            await _tenanted(database, table.name, attacker, owner, findings)
        else:
            await _closed(database, table.name, attacker, findings)


async def _closed(database: Database, table: str, attacker: UUID, findings: Findings) -> None:
    faults = []
    tried = [("delete from", f"delete from {table} where false")]  # noqa: S608 - names from the catalogue
    if table not in _FOR_ALL:
        tried.append(("read", f"select 1 from {table} limit 1"))  # noqa: S608
    for verb, statement in tried:
        async with database.tenant(attacker) as connection:
            if await _refused(connection, statement) is None:
                faults.append(f"a tenant may {verb} it")
    findings.judge(SECTION, table, faults, _FOR_ALL.get(table, "closed to tenants"))


async def _partition(database: Database, table: str, attacker: UUID, owner: UUID, findings: Findings) -> None:
    """A partition by its own name, past the policies of the whole: it has its own, or is closed to tenants."""
    async with database.tenant(attacker) as connection:
        if await _refused(connection, f"select 1 from {table} limit 1") is not None:  # noqa: S608
            findings.held(SECTION, table, "closed to tenants")
            return
        secured = await connection.fetchval(
            "select relrowsecurity and relforcerowsecurity and exists (select 1 from pg_policy where polrelid = c.oid)"
            " from pg_class c where oid = $1::regclass",
            table,
        )
        faults = [] if secured else ["open to tenants without a policy of its own"]
        faults += await _attack(connection, table, attacker, owner)
    findings.judge(SECTION, table, faults, "a policy of its own")


async def _refused(connection: Connection, statement: str, *values: object) -> asyncpg.PostgresError | None:
    """The refusal of a statement, None when it was carried out; taken back either way."""
    try:
        async with savepoint(connection):
            await connection.execute(statement, *values)
            raise _UndoError
    except _UndoError:
        return None
    except asyncpg.InsufficientPrivilegeError as error:
        return error


async def _tenanted(database: Database, table: str, attacker: UUID, owner: UUID, findings: Findings) -> None:
    try:
        async with database.platform("isolation audit: rows of the canaries") as connection:
            note = await _stock(connection, table, owner)
            await _stock(connection, table, attacker)
            await connection.execute("set local role sivo_tenant")
            await connection.execute("select set_config('app.tenant_id', $1, true)", str(attacker))
            faults = await _attack(connection, table, attacker, owner)
            await connection.execute("select set_config('app.tenant_id', $1, true)", str(owner))
            blind = await _blind(connection, table, owner)
            raise _UndoError
    except _UndoError:
        pass
    except asyncpg.PostgresError as error:
        findings.uncovered(SECTION, table, f"no row of a canary: {type(error).__name__}: {str(error)[:200]}")
        return
    findings.judge(SECTION, table, faults, ", ".join(filter(None, (note, blind))))


async def _stock(connection: Connection, table: str, tenant: UUID) -> str:
    """See to a row of ``tenant``; says when it had to be made up."""
    column = "id" if table == "tenant" else "tenant_id"
    if await connection.fetchval(f"select true from {table} where {column} = $1 limit 1", tenant):  # noqa: S608
        return ""
    await add_row(connection, table, tenant)
    return "tried with a row made up from the columns"


async def _blind(connection: Connection, table: str, owner: UUID) -> str:
    """The other half of the proof: the owner's scope does see the row, unless the table is closed to tenants."""
    try:
        async with savepoint(connection):
            seen = await connection.fetchval(f"select count(*) from {table} where tenant_id = $1", owner)  # noqa: S608
    except asyncpg.InsufficientPrivilegeError:
        return "closed to tenants"
    return f"the owner sees {seen}"


async def _attack(connection: Connection, table: str, attacker: UUID, owner: UUID) -> list[str]:
    faults = []
    try:
        async with savepoint(connection):
            seen = await connection.fetchval(
                f"select count(*) from {table} where tenant_id <> all($1::uuid[])",  # noqa: S608 - catalogue
                [attacker, PLATFORM_ID],
            )
        if seen:
            faults.append(f"{seen} rows of other tenants are seen")
    except asyncpg.InsufficientPrivilegeError:
        pass
    for verb, statement in (
        ("changed", f"update {table} set tenant_id = tenant_id where tenant_id = $1"),  # noqa: S608
        ("removed", f"delete from {table} where tenant_id = $1"),  # noqa: S608
    ):
        count = await _touched(connection, statement, owner)
        if count:
            faults.append(f"{count} rows of the other tenant could be {verb}")
    if await _touched(connection, f"update {table} set tenant_id = $1 where tenant_id = '{attacker}'", owner):  # noqa: S608
        faults.append("a row could be given to the other tenant")
    return faults


async def _touched(connection: Connection, statement: str, *values: object) -> int:
    """Rows that a statement touched, 0 when it was refused; taken back. Triggers and references may object: that is
    no wall between tenants, so an objection of theirs counts as touched."""
    count = 0
    try:
        async with savepoint(connection):
            count = int((await connection.execute(statement, *values)).split()[-1])
            raise _UndoError
    except _UndoError:
        return count
    except (asyncpg.InsufficientPrivilegeError, asyncpg.GeneratedAlwaysError):
        return 0
    except asyncpg.PostgresSyntaxError:
        raise
    except asyncpg.PostgresError:
        return 1
