"""Write-behind: what happened goes to PostgreSQL after it happened, in order per call, and a SIP answer never waits.

The queue survives an absence of the database: what is in it is written when the database is back. Writes of one call
keep their order; those of one tenant share a transaction, and what is alike in it a round trip. A write that the
database refuses for good is logged and left out, so that it cannot hold up the rest.
"""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.calls.grouping import Write, grouped
from sivo.db.scopes import Database

__all__ = ["Recorder", "Write"]

#: Writes of one transaction at most, and transactions at the same time.
BATCH = 256
SHARDS = 2
#: Seconds in which writes are gathered before a transaction begins: what they cost is mostly round trips and the
#: beginning and end of transactions, and calls that come within this time share them.
GATHER_S = 0.1
_BACKOFF_S = (0.1, 0.3, 1.0, 2.0)
_TRANSIENT = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)
log = logs.get("calls")


class Recorder:
    """Queues of writes, one for each tenant, sharded by tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queues: list[dict[int, list[Write]]] = [{} for _ in range(SHARDS)]
        self._wakes = [asyncio.Event() for _ in range(SHARDS)]
        self._tasks: list[asyncio.Task[None]] = []
        #: Writes that are not committed yet.
        self.backlog = 0
        self.failed = 0
        #: Tenant and hash of pinned configurations that are committed: no call needs to write them again.
        self.snapshots: set[tuple[UUID, str]] = set()

    def put(self, write: Write) -> None:
        """Queue a write; never blocks."""
        tenant = write.tenant_id.int
        shard = tenant % SHARDS
        self.backlog += 1
        queue = self._queues[shard].get(tenant)
        if queue is None:
            self._queues[shard][tenant] = [write]
            self._wakes[shard].set()
        else:
            queue.append(write)

    def start(self) -> None:
        """Begin to write."""
        self._tasks = [asyncio.create_task(self._run(shard), name=f"recorder-{shard}") for shard in range(SHARDS)]

    async def drain(self, timeout: float) -> bool:
        """Wait until everything is written; False when ``timeout`` seconds were not enough."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while self.backlog:
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(0.02)
        return True

    async def stop(self) -> None:
        """Stop writing; what is still queued is lost (drain first)."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.backlog:
            log.error("stopped with unwritten records", backlog=self.backlog)

    async def _run(self, shard: int) -> None:
        wake = self._wakes[shard]
        while True:
            await wake.wait()
            await asyncio.sleep(GATHER_S)
            wake.clear()
            due, self._queues[shard] = self._queues[shard], {}  # what comes from now on is gathered anew
            for writes in due.values():
                for first in range(0, len(writes), BATCH):
                    batch = writes[first : first + BATCH]
                    await self._write(batch)
                    self.backlog -= len(batch)

    async def _write(self, batch: list[Write]) -> None:
        """Write a batch, waiting for the database as long as that takes."""
        failures = 0
        while True:
            try:
                committed = await self._commit(batch)
                break
            except Exception as error:
                if not _is_transient(error):
                    committed = await self._one_by_one(batch)
                    break
                if failures == 0:
                    log.warning("records wait for the database", error=type(error).__name__, backlog=self.backlog)
                await asyncio.sleep(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])
                failures += 1
        for write in committed:
            if write.after is not None:
                write.after()

    async def _commit(self, batch: list[Write]) -> list[Write]:
        """All of it in one transaction."""
        async with self._database.tenant(batch[0].tenant_id) as connection:
            for group in grouped(batch):
                await group.run(connection)
        return batch

    async def _one_by_one(self, batch: list[Write]) -> list[Write]:
        """Something in the batch is refused for good: each write by itself, so that only that one is left out."""
        if len(batch) > 1:
            for write in batch:
                await self._write([write])
            return []
        self.failed += 1
        log.error("record refused", tenant=str(batch[0].tenant_id), call=str(batch[0].call_id), exc_info=True)
        return []


def _is_transient(error: Exception) -> bool:
    if isinstance(error, SivoError):
        return error.code == "UNAVAILABLE"
    return isinstance(error, _TRANSIENT)
