"""The audit log on a real PostgreSQL: chained in batches, pruned by receipt, and whatever is done to it behind our back
is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from sivo.audit import log_chain
from sivo.audit.chain import seal
from sivo.audit.checkpoints import Checkpoints
from sivo.audit.heads import Head
from sivo.audit.keys import LedgerKey
from sivo.audit.log import Actor, AuditEntry, record
from sivo.audit.log_chain import Receipt, chain_of
from sivo.audit.retention import Retention
from sivo.audit.sealer import Sealer
from sivo.base.clock import SystemClock, VirtualClock
from sivo.base.ids import uuid7
from sivo.base.settings import Settings
from sivo.db.scopes import Database, savepoint
from support.plane import behind_the_policies, open_plane

NOW = datetime.now(UTC)
BOSS = Actor("0198c5a0-0000-7000-8000-0000000000aa", "boss@acme.example", "admin", "203.0.113.7", "test")


@dataclass
class Desk:
    """A tenant's log, whoever writes to it, and somebody with the data files."""

    database: Database
    superuser: str
    key: LedgerKey
    checkpoints: Checkpoints
    tenant: UUID

    @property
    def sealer(self) -> Sealer:
        return Sealer(self.database, self.key, self.checkpoints)

    async def write(self, count: int = 1, at: datetime = NOW, tenant: UUID | None = None) -> None:
        async with self.database.tenant(tenant or self.tenant) as connection:
            for number in range(count):
                entry = AuditEntry("access", "recording.downloaded", "recording", f"r{number}", BOSS)
                await record(connection, entry, at + timedelta(milliseconds=number))

    async def faults(self, tenant: UUID | None = None) -> list[str]:
        async with self.database.tenant(tenant or self.tenant) as connection:
            report = await log_chain.verify(connection, tenant or self.tenant, self.key, self.checkpoints)
        return [fault.what for fault in report.faults]

    async def entries(self, tenant: UUID | None = None) -> list[Any]:
        async with self.database.tenant(tenant or self.tenant) as connection:
            return await connection.fetch("select * from audit_entry order by seq")

    async def tamper(self, *statements: str) -> None:
        async with behind_the_policies(self.superuser) as connection:
            for statement in statements:
                await connection.execute(statement)


@pytest.fixture
async def desk(pg: Any, database_name: str, database: Database, settings: Settings) -> AsyncIterator[Desk]:
    checkpoints = Checkpoints(settings.home / "ledger" / "audit")
    yield Desk(database, pg.superuser_dsn(database_name), LedgerKey.generate(), checkpoints, uuid7())


async def test_what_is_recorded_is_chained_once_in_order_and_verifies(desk: Desk) -> None:
    await desk.write(450)
    other = uuid7()
    await desk.write(3, tenant=other)
    rivals = await asyncio.gather(*(desk.sealer.seal(desk.tenant) for _ in range(3)), desk.sealer.run_once())
    assert sum(rivals[:3]) <= 450
    while await desk.sealer.run_once():
        pass
    found = await desk.entries()
    assert [row["seq"] for row in found] == list(range(1, 451))
    assert [row["resource_id"] for row in found] == [f"r{number}" for number in range(450)]
    assert await desk.faults() == [] and await desk.faults(other) == []
    async with desk.database.platform("test: what is left in the inbox") as connection:
        assert await connection.fetchval("select count(*) from audit_inbox") == 0


async def test_an_entry_is_there_exactly_if_its_transaction_commits_and_a_late_one_is_not_skipped(desk: Desk) -> None:
    async with desk.database.tenant(desk.tenant) as late:
        await record(late, AuditEntry("access", "late", "x", "late", BOSS), NOW)
        await desk.write(2, NOW + timedelta(seconds=1))
        assert await desk.sealer.seal(desk.tenant) == 2
        with pytest.raises(ZeroDivisionError):
            async with desk.database.tenant(desk.tenant) as gone:
                await record(gone, AuditEntry("access", "gone", "x", "gone", BOSS))
                raise ZeroDivisionError
    assert await desk.sealer.seal(desk.tenant) == 1
    assert [row["resource_id"] for row in await desk.entries()] == ["r0", "r1", "late"]
    assert await desk.faults() == []


async def test_our_own_roles_can_neither_alter_nor_remove_nor_forge(desk: Desk) -> None:
    await desk.write(2)
    await desk.sealer.seal(desk.tenant)
    await desk.write(1)
    refused = (
        "update audit_entry set canonical = canonical",
        "delete from audit_entry",
        "delete from audit_inbox",
        "update audit_inbox set at = at",
        "delete from audit_head",
        "delete from audit_pruned",
    )
    partition = f"audit_entry_{NOW:%Y_%m}"
    for statement in (*refused, f"delete from {partition}", f"update {partition} set seq = 9"):
        async with desk.database.tenant(desk.tenant) as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with savepoint(connection):
                    await connection.execute(statement)
    async with desk.database.platform("test: try to remove") as connection:
        for statement in (*refused[:4], f"delete from {partition}", f"update {partition} set seq = 9"):
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.IntegrityConstraintViolationError)):
                async with savepoint(connection):
                    await connection.execute(statement)
    assert len(await desk.entries()) == 2


async def test_a_partition_shows_a_tenant_no_more_than_the_log_does(desk: Desk) -> None:
    await desk.write(2)
    await desk.sealer.seal(desk.tenant)
    async with desk.database.tenant(uuid7()) as connection:
        for table in ("audit_entry", "audit_log", f"audit_entry_{NOW:%Y_%m}"):
            assert await connection.fetchval(f"select count(*) from {table}") == 0
    async with desk.database.tenant(desk.tenant) as connection:
        assert await connection.fetchval(f"select count(*) from audit_entry_{NOW:%Y_%m}") == 2


TAMPERED = {
    "altered row": [
        "update audit_entry set canonical = replace(canonical, 'r3', 'r9') where seq = 4",
    ],
    "altered row with its hash": [
        "update audit_entry set canonical = replace(canonical, 'r3', 'r9'),"
        " hash = sha256(convert_to(replace(canonical, 'r3', 'r9'), 'UTF8')) where seq = 4",
    ],
    "altered time": ["update audit_entry set at = at + interval '1 second' where seq = 4"],
    "altered id": ["update audit_entry set id = gen_random_uuid() where seq = 4"],
    "removed row": ["delete from audit_entry where seq = 4"],
    "removed first row": ["delete from audit_entry where seq = 1"],
    "cut tail": ["delete from audit_entry where seq > 4"],
    "cut tail with its head": [
        "delete from audit_entry where seq > 4",
        "update audit_head h set seq = 4, hash = e.hash from audit_entry e where e.seq = 4",
    ],
    "everything gone": ["delete from audit_entry", "delete from audit_head"],
    "two rows swapped": [
        "update audit_entry set seq = 100 where seq = 3",
        "update audit_entry set seq = 3 where seq = 4",
        "update audit_entry set seq = 4 where seq = 100",
    ],
}


@pytest.mark.parametrize("pruned", [False, True], ids=["whole", "pruned"])
async def test_tampering_is_found_before_and_after_pruning(desk: Desk, pruned: bool) -> None:
    """Every kind of it in one database, each undone by a savepoint of the tamperer."""
    base = 0
    if pruned:
        await desk.write(3, NOW - timedelta(days=400))
        await desk.sealer.seal(desk.tenant)
        assert await retention(desk).prune(desk.tenant, NOW - timedelta(days=365)) == 3
        base = 3
    await desk.write(6)
    await desk.sealer.seal(desk.tenant)
    assert await desk.faults() == []
    await desk.tamper("alter table audit_entry drop constraint audit_entry_check")  # a superuser may do that too
    await desk.tamper("create table kept as select * from audit_entry; create table kept_head as table audit_head")
    silent = []
    for name, statements in TAMPERED.items():
        await desk.tamper(*(_moved(one, base) for one in statements))
        if not await desk.faults():
            silent.append(name)
        await desk.tamper(
            "delete from audit_entry",
            "insert into audit_entry (tenant_id, seq, id, at, canonical, prev, hash, signature, key_id) select"
            " tenant_id, seq, id, at, canonical, prev, hash, signature, key_id from kept",
            "delete from audit_head",
            "insert into audit_head table kept_head",
        )
        assert await desk.faults() == [], name
    assert silent == []


def _moved(statement: str, base: int) -> str:
    """The statement for a chain whose first ``base`` entries are gone."""
    for number in (100, 9, 4, 3, 1):
        statement = statement.replace(f"seq = {number} ", f"seq = {number + base} ")
        statement = statement.replace(f"seq > {number}", f"seq > {number + base}")
        if statement.endswith(f"seq = {number}"):
            statement = statement.removesuffix(f"{number}") + f"{number + base}"
        statement = statement.replace(f"seq = {number},", f"seq = {number + base},")
    return statement


def retention(desk: Desk, clock: Any = None) -> Retention:
    return Retention(desk.database, desk.key, clock or SystemClock())


async def test_a_tail_rewritten_without_the_key_is_found(desk: Desk) -> None:
    await desk.write(4)
    await desk.sealer.seal(desk.tenant)
    rows = await desk.entries()
    stranger = LedgerKey.generate()
    forged = seal(
        chain_of(desk.tenant), 4, rows[2]["hash"], rows[3]["at"], {"id": str(rows[3]["id"]), "event": "x"}, stranger
    )
    async with behind_the_policies(desk.superuser) as connection:
        await connection.execute(
            "update audit_entry set canonical = $1, hash = $2, signature = $3, key_id = $4 where seq = 4",
            *(forged.canonical, forged.hash, forged.signature, desk.key.key_id),
        )
        await connection.execute("update audit_head set hash = $1", forged.hash)
    found = await desk.faults()
    assert "its signature was not made by the platform's key" in found
    assert "the entry is not the one that the checkpoint outside the database knows" in found


async def test_pruning_keeps_verify_true_and_cannot_be_faked(desk: Desk) -> None:
    await desk.write(5, NOW - timedelta(days=40))
    await desk.write(2, NOW - timedelta(days=29))
    await desk.sealer.seal(desk.tenant)
    assert await retention(desk).prune(desk.tenant, NOW - timedelta(days=30)) == 5
    assert [row["seq"] for row in await desk.entries()] == [6, 7]
    assert await desk.faults() == []
    # What is pruned to the last entry goes on where it was.
    assert await retention(desk).prune(desk.tenant, NOW) == 2
    assert await desk.faults() == [] and await desk.entries() == []
    await desk.write(3)
    await desk.sealer.seal(desk.tenant)
    assert [row["seq"] for row in await desk.entries()] == [8, 9, 10] and await desk.faults() == []
    # Somebody drops two more and writes a receipt for them, with what is genuinely signed in the row itself.
    eighth = (await desk.entries())[0]
    async with behind_the_policies(desk.superuser) as connection:
        await connection.execute("delete from audit_entry where seq = 8")
        assert await desk.faults() != []
        for signature, key_id in (
            (eighth["signature"], desk.key.key_id),
            (Receipt.make(desk.tenant, Head(8, eighth["hash"]), NOW, LedgerKey.generate()).signature, desk.key.key_id),
            (Receipt.make(uuid7(), Head(8, eighth["hash"]), NOW, desk.key).signature, desk.key.key_id),
        ):
            await connection.execute(
                "update audit_pruned set seq = 8, hash = $1, before = $2, signature = $3, key_id = $4",
                *(eighth["hash"], NOW, signature, key_id),
            )
            assert "the receipt of what was pruned was not signed by the platform's key" in await desk.faults()


async def test_retention_follows_the_plan_and_months_are_made_ahead(
    desk: Desk, settings: Settings, clock: VirtualClock
) -> None:
    plane = await open_plane(settings, clock, desk.database)
    tenants = {plan: await plane.tenant(plan, plan=plan) for plan in ("starter", "pro", "enterprise")}
    while await desk.sealer.run_once():  # that they were made stands in their logs
        pass
    async with behind_the_policies(desk.superuser) as connection:
        await connection.execute("truncate audit_entry, audit_head")
    for tenant in tenants.values():
        for days in (2600, 1000, 366, 364, 31, 29):
            await desk.write(1, NOW - timedelta(days=days), tenant)
    fresh = Sealer(desk.database, desk.key, Checkpoints(settings.home / "fresh"))
    while await fresh.run_once():
        pass
    await retention(desk).run_once()
    left = {plan: len(await desk.entries(tenant)) for plan, tenant in tenants.items()}
    assert left == {"starter": 1, "pro": 3, "enterprise": 5}
    desk.checkpoints = Checkpoints(settings.home / "fresh")
    assert [await desk.faults(tenant) for tenant in tenants.values()] == [[], [], []]
    ahead = NOW.replace(day=1) + timedelta(days=32)
    async with desk.database.platform("test: partitions") as connection:
        names = {
            row["relname"]
            for row in await connection.fetch(
                "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
                " where i.inhparent = 'audit_entry'::regclass and c.relrowsecurity and c.relforcerowsecurity"
            )
        }
    assert {f"audit_entry_{NOW:%Y_%m}", f"audit_entry_{ahead:%Y_%m}", "audit_entry_other"} <= names
    assert len(names) == 4  # this month, two ahead, and the one for what no month takes


async def test_logins_do_not_wait_for_the_head_of_the_chain(desk: Desk) -> None:
    """While somebody holds the head (a sealer that is stuck), recording goes on."""
    await desk.write(1)
    await desk.sealer.seal(desk.tenant)
    async with desk.database.platform("test: a sealer that is stuck") as stuck:
        await stuck.fetchrow("select * from audit_head where tenant_id = $1 for update", desk.tenant)
        async with asyncio.timeout(5):
            await asyncio.gather(*(desk.write(5) for _ in range(4)))
    assert await desk.sealer.seal(desk.tenant) == 20
