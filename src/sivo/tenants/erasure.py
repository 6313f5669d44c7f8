"""What happens when a tenant's grace is over: keys, objects, rows. A durable job that a kill anywhere only interrupts.

The order matters: once the keys are destroyed nothing can be read, so what is left after a kill is unreadable, and
every later step may be repeated. The tenant's own row goes last, in the transaction that calls the job done.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from sivo.audit import log as audit
from sivo.audit.checkpoints import Checkpoints
from sivo.audit.log import SYSTEM, AuditEntry
from sivo.base import logs
from sivo.base.clock import Clock
from sivo.config.kinds import PLATFORM_ID
from sivo.db.scopes import Connection, Database
from sivo.storage.store import Objects
from sivo.tenants.shredding import shred
from sivo.tenants.tables import TENANT, tenant_tables
from sivo.vault.vault import Vault

#: A worker that has not been heard of for so long is taken for dead.
CLAIM = timedelta(minutes=2)
#: Rows that go in one transaction.
BATCH = 2_000
_OBJECTS = 100
_log = logs.get("tenants")


@dataclass(frozen=True, slots=True)
class Job:
    """A tenant that is to go."""

    id: UUID
    slug: str
    started_at: datetime


class Erasure:
    """Works off tenants whose grace is over; several may run side by side."""

    def __init__(
        self, database: Database, vault: Vault, store: Objects, clock: Clock, *checkpoints: Checkpoints
    ) -> None:
        self._database = database
        self._vault = vault
        self._store = store
        self._clock = clock
        self._checkpoints = checkpoints

    async def run_once(self) -> bool:
        """Take one tenant and delete it whole; false when none is due."""
        async with self._database.platform("tenants: claim a deletion") as connection:
            job = await _claim(connection, self._clock.now())
        if job is None:
            return False
        if not await self._shred(job):
            return True
        objects = await self._objects(job)
        await self._rows(job)
        _log.info("tenant deleted for good", tenant=str(job.id), objects=objects)
        return True

    async def _shred(self, job: Job) -> bool:
        now = self._clock.now()
        async with self._database.platform("tenants: destroy keys") as connection:
            if not await shred(connection, job.id, now):
                await connection.execute("delete from deleted_tenant where id = $1 and shredded_at is null", job.id)
                return False
            await connection.execute(
                "update deleted_tenant set shredded_at = coalesce(shredded_at, $2) where id = $1", job.id, now
            )
        self._vault.forget(job.id)
        return True

    async def _objects(self, job: Job) -> int:
        """Journals of this node, recordings, and whatever else lies below the tenant's prefix."""
        gone = 0
        while True:
            async with self._database.platform("tenants: objects of a deleted tenant") as connection:
                rows = await connection.fetch(
                    "select id, object_key, journal_path from recording where tenant_id = $1"
                    " and (object_key is not null or state = 'pending') limit $2",
                    job.id,
                    _OBJECTS,
                )
                for row in rows:
                    await asyncio.to_thread(Path(row["journal_path"]).unlink, missing_ok=True)
                    if row["object_key"]:
                        await self._store.delete(row["object_key"])
                await connection.execute(
                    "update recording set state = 'expired', object_key = null, wrapped_key = null where id = any($1)",
                    [row["id"] for row in rows],
                )
                count = sum(1 for row in rows if row["object_key"])
                await self._still_here(connection, job, objects=count)
                gone += count
            if not rows:
                return gone + await self._store.delete_below(f"{job.id}/")

    async def _rows(self, job: Job) -> None:
        while True:
            async with self._database.platform("tenants: tables of tenants") as connection:
                tables = await tenant_tables(connection)
            for table in tables:
                while await self._some_rows(job, table):
                    pass
            if await self._finished(job, tables):
                return

    async def _some_rows(self, job: Job, table: str) -> int:
        async with self._database.platform("tenants: rows of a deleted tenant") as connection:
            done = await connection.execute(
                f'delete from "{table}" where tenant_id = $1 and ctid = any('  # noqa: S608 - named by the catalogue
                f'array(select ctid from "{table}" where tenant_id = $1 limit $2))',
                job.id,
                BATCH,
            )
            count = int(done.rpartition(" ")[2])
            if count:
                await self._still_here(connection, job, table=table, rows=count)
        return count

    async def _still_here(
        self, connection: Connection, job: Job, objects: int = 0, table: str = "", rows: int = 0
    ) -> None:
        await connection.execute(
            "update deleted_tenant set claimed_until = $2, objects = objects + $3, rows = case when $4 = '' then rows"
            " else rows || jsonb_build_object($4::text, coalesce((rows ->> $4)::bigint, 0) + $5) end where id = $1",
            job.id,
            self._clock.now() + CLAIM,
            objects,
            table,
            rows,
        )

    async def _finished(self, job: Job, tables: list[str]) -> bool:
        """The tenant's own row goes, unless somebody wrote rows of it meanwhile."""
        now = self._clock.now()
        async with self._database.platform("tenants: the end of a tenant") as connection:
            for table in tables:
                if await connection.fetchval(
                    f'select exists (select 1 from "{table}" where tenant_id = $1)',  # noqa: S608 - by the catalogue
                    job.id,
                ):
                    return False
            await connection.execute(f"delete from {TENANT} where id = $1", job.id)  # noqa: S608 - a constant
            await connection.execute("delete from rate_override where subject = $1", f"tenant:{job.id}")
            await connection.execute(
                "update deleted_tenant set finished_at = $2, claimed_until = null where id = $1", job.id, now
            )
            await connection.execute("select pg_notify('sivo_config', $1)", f'{{"tenant":"{job.id}"}}')
        async with self._database.tenant(PLATFORM_ID) as connection:
            await audit.record(connection, AuditEntry("delete", "tenant.erased", TENANT, str(job.id), SYSTEM), now)
        for folder in self._checkpoints:
            folder.forget(job.id)
        return True


async def _claim(connection: Connection, now: datetime) -> Job | None:
    row = await connection.fetchrow(
        "select t.* from tenant t where t.status = 'deleting' and t.delete_at <= $1 and not exists"
        " (select 1 from deleted_tenant d where d.id = t.id and d.claimed_until > $1)"
        " order by t.delete_at limit 1 for update skip locked",
        now,
    )
    if row is None:
        return None
    await connection.execute(
        "insert into deleted_tenant (id, slug, plan, requested_at, requested_by, reason, started_at, claimed_until)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8)"
        " on conflict (id) do update set claimed_until = excluded.claimed_until",
        row["id"],
        row["slug"],
        row["plan"],
        row["deletion_requested_at"],
        row["deletion_by"] or "",
        row["deletion_reason"] or "",
        now,
        now + CLAIM,
    )
    return Job(row["id"], row["slug"], now)
