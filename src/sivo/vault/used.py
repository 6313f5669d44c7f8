"""When secrets were last used, written together and seldom: a busy secret costs one row a minute, not one a call."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.db.scopes import Database

#: Seconds that uses are gathered before they are written, and how old a written one may be.
GATHER_S, RESOLUTION_S = 2.0, 60.0

_log = logs.get("vault")


class Uses:
    """Gathers uses of one process. Losing two seconds of them in a crash costs an hour hand, not a record."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: set[tuple[UUID, str]] = set()
        self._written: dict[tuple[UUID, str], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None

    def note(self, tenant_id: UUID, name: str) -> None:
        """The secret was used now (on the event loop; nothing is written here)."""
        loop = asyncio.get_running_loop()
        last = self._written.get((tenant_id, name))
        if last is not None and loop.time() - last < RESOLUTION_S:
            return
        self._waiting.add((tenant_id, name))
        if self._timer is None:
            self._timer = loop.call_later(GATHER_S, self._start)

    async def flush(self) -> None:
        """Write what was gathered."""
        waiting, self._waiting = self._waiting, set()
        if not waiting:
            return
        pairs = sorted(waiting)  # in one order, so that two processes do not wait for each other's rows
        async with self._database.platform("vault: last used") as connection:
            await connection.execute(
                "insert into secret_use as u (tenant_id, name, last_used_at)"
                " select s.tenant_id, s.name, now() from secret s join unnest($1::uuid[], $2::text[]) as n (t, name)"
                " on s.tenant_id = n.t and s.name = n.name order by s.tenant_id, s.name"
                " on conflict (tenant_id, name) do update set last_used_at = excluded.last_used_at"
                " where u.last_used_at < excluded.last_used_at",
                [tenant for tenant, _ in pairs],
                [name for _, name in pairs],
            )
        at = asyncio.get_running_loop().time()
        if len(self._written) > 100_000:
            self._written.clear()
        self._written.update(dict.fromkeys(pairs, at))

    def _start(self) -> None:
        self._timer = None
        self._flushing = asyncio.get_running_loop().create_task(self._quietly(), name="vault-last-used")

    async def _quietly(self) -> None:
        try:
            await self.flush()
        except (SivoError, asyncpg.InterfaceError) as error:
            _log.warning("last_used_not_written", cause=type(error).__name__)
