"""What is older than the tenant's plan keeps goes, and a signed receipt says up to which entry.

Pruned is always a prefix of the chain. The receipt is written first and in the same transaction; a trigger refuses to
delete what it does not cover, and `verify` begins where it says.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sivo.audit.chain import Signer
from sivo.audit.heads import Head, lock_head
from sivo.audit.log_chain import Receipt
from sivo.base import logs
from sivo.base.clock import Clock
from sivo.db.scopes import Connection, Database

#: plan -> days: 30 days, 1 year, 7 years. The platform's own log is kept like that of an enterprise.
KEPT_DAYS = {"starter": 30, "pro": 365, "enterprise": 2557}
#: Months for which there are partitions beside the present one.
MONTHS_AHEAD = 2
_log = logs.get("audit")


class Retention:
    """Prunes logs, makes months ahead and drops old ones."""

    def __init__(self, database: Database, signer: Signer, clock: Clock) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock

    async def run_once(self) -> bool:
        """Everything that is due; never more than one pass, so it says that nothing is left."""
        await self.make_months()
        now = self._clock.now()
        async with self._database.platform("audit: whose log is older than its plan keeps") as connection:
            rows = await connection.fetch(
                "select t.id, k.before from tenant t join unnest($1::text[], $2::timestamptz[]) k (plan, before)"
                " on k.plan = t.plan where (select e.at from audit_entry e where e.tenant_id = t.id"
                " order by e.seq limit 1) < k.before",
                list(KEPT_DAYS),
                [now - timedelta(days=days) for days in KEPT_DAYS.values()],
            )
        for row in rows:
            await self.prune(row["id"], row["before"])
        return False

    async def make_months(self) -> int:
        """Partitions of this month and the next ones; how many were new."""
        today = self._clock.now().date()
        async with self._database.platform("audit: make months ahead") as connection:
            made = 0
            for ahead in range(MONTHS_AHEAD + 1):
                years, month = divmod(today.month - 1 + ahead, 12)
                first = today.replace(year=today.year + years, month=month + 1, day=1)
                made += bool(await connection.fetchval("select sivo_audit_month($1)", first))
            await connection.fetchval("select sivo_audit_drop_months()")
        return made

    async def prune(self, tenant_id: UUID, before: datetime) -> int:
        """Drop the entries of a tenant that are older than ``before``, from the front of its chain; how many."""
        async with self._database.platform("audit: prune") as connection:
            await lock_head(connection, "audit_head", tenant_id)
            last = await _last_before(connection, tenant_id, before)
            if last is None:
                return 0
            made = Receipt.make(tenant_id, last, before, self._signer)
            await connection.execute(
                "insert into audit_pruned (tenant_id, seq, hash, before, at, signature, key_id)"
                " values ($1, $2, $3, $4, $5, $6, $7) on conflict (tenant_id) do update set seq = excluded.seq,"
                " hash = excluded.hash, before = excluded.before, at = excluded.at, signature = excluded.signature,"
                " key_id = excluded.key_id",
                *(tenant_id, last.seq, last.hash, before, self._clock.now(), made.signature, made.key_id),
            )
            status = await connection.execute(
                "delete from audit_entry where tenant_id = $1 and seq <= $2 and at < $3", tenant_id, last.seq, before
            )
        count = int(status.split()[-1])
        _log.info("audit log pruned", tenant=str(tenant_id), entries=count, up_to=last.seq)
        return count


async def _last_before(connection: Connection, tenant_id: UUID, before: datetime) -> Head | None:
    """The last entry of the prefix in which everything is older than ``before``."""
    row = await connection.fetchrow(
        "select seq, hash from audit_entry where tenant_id = $1 and seq < coalesce((select min(seq) from audit_entry"
        " where tenant_id = $1 and at >= $2), 9223372036854775807) order by seq desc limit 1",
        tenant_id,
        before,
    )
    return Head(row["seq"], row["hash"]) if row else None
