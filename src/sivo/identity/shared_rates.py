"""Rate limits across ``api`` processes, through PostgreSQL.

Login, agent and lead limits are exact and survive restart and crash: each request is counted under a lock on its row,
in an ordinary logged table. When the database is away they refuse (fail closed): without it nobody can sign in anyway.

The general limit costs no round trip a request. Each process counts exactly for itself and tells the others in
batches of :data:`BATCH`; near the limit it tells and asks at every request. Nobody is refused before the limit; with
two processes at most 2 x (:data:`BATCH` - 1) = 28 of 600 requests too many pass, below the 5 % that are published.
When the database is away it goes on with what the process knows itself (fail open): such requests fail later anyway.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError
from sivo.db.scopes import Database
from sivo.identity.rates import Limit, Standing, Window

BATCH = 15
#: Share of the limit from which every request is told and asked.
NEAR = 0.9
#: Callers that are remembered at once; beyond it the one that has been quiet longest is forgotten.
MAX_KEYS = 100_000
#: Rows that nobody touched for so long are removed; longer than every window.
_KEEP = timedelta(hours=2)
_CLEAN_EVERY_S = 600.0
_log = logs.get("identity")


class ExactRates:
    """Limits counted in the database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._cleaned_at = clock.monotonic()

    async def take(self, limit: Limit, key: str) -> Standing:
        """Count one request of ``key``."""
        now = self._clock.now()
        async with self._database.platform("identity: exact rate limit") as connection:
            taken = await connection.fetchval(
                "insert into rate_window as w (limit_name, counted_by, updated_at) values ($1, $2, $3)"
                " on conflict (limit_name, counted_by) do update set updated_at = excluded.updated_at"
                " returning w.taken",
                limit.name,
                key,
                now,
            )
            window = Window()
            window.taken.extend(at.timestamp() for at in taken)
            standing = window.take(limit, now.timestamp())
            if not standing.refused:
                kept = [at for at in taken if at > now - timedelta(seconds=limit.window_sec)]
                await connection.execute(
                    "update rate_window set taken = $3 where limit_name = $1 and counted_by = $2",
                    limit.name,
                    key,
                    [*kept, now],
                )
            if self._clock.monotonic() - self._cleaned_at > _CLEAN_EVERY_S:
                self._cleaned_at = self._clock.monotonic()
                await connection.execute("delete from rate_window where updated_at < $1", now - _KEEP)
        return standing


@dataclass(slots=True)
class _Caller:
    own: Window = field(default_factory=Window)
    untold: list[datetime] = field(default_factory=list)
    elsewhere: list[float] = field(default_factory=list)
    asked: bool = False


class GeneralRates:
    """The limit of every other endpoint."""

    def __init__(self, database: Database, clock: Clock, max_keys: int = MAX_KEYS) -> None:
        self._database = database
        self._clock = clock
        self._max_keys = max_keys
        self._process: UUID = uuid4()
        self._callers: OrderedDict[str, _Caller] = OrderedDict()

    async def take(self, limit: Limit, key: str) -> Standing:
        """Count one request of ``key``."""
        caller = self._caller(key)
        known = len(caller.own.taken) + len(caller.elsewhere)
        if not caller.asked or len(caller.untold) >= BATCH - 1 or known >= NEAR * limit.amount:
            await self._exchange(limit, key, caller)
        now = self._clock.now()
        standing = caller.own.take(limit, now.timestamp(), caller.elsewhere)
        if not standing.refused:
            caller.untold.append(now)
        return standing

    async def _exchange(self, limit: Limit, key: str, caller: _Caller) -> None:
        told, caller.untold, caller.asked = caller.untold, [], True
        start = self._clock.now() - timedelta(seconds=limit.window_sec)
        try:
            async with self._database.platform("identity: shared rate limit") as connection:
                # One statement, since this is most of what being counted costs.
                rows = await connection.fetch(
                    "with told as (insert into rate_batch (counted_by, process, taken, newest)"
                    "  select $1::text, $2::uuid, $4::timestamptz[], $5::timestamptz where $5::timestamptz notnull),"
                    " gone as (delete from rate_batch where counted_by = $1 and newest <= $3)"
                    " select taken from rate_batch where counted_by = $1 and process <> $2 and newest > $3",
                    key,
                    self._process,
                    start,
                    told,
                    told[-1] if told else None,
                )
        except SivoError as error:
            caller.untold = told + caller.untold
            _log.warning("rate limit counts alone", code=error.code)
            return
        caller.elsewhere = sorted(at.astimezone(UTC).timestamp() for row in rows for at in row["taken"] if at > start)

    def _caller(self, key: str) -> _Caller:
        found = self._callers.setdefault(key, _Caller())
        self._callers.move_to_end(key)
        while len(self._callers) > self._max_keys:
            self._callers.popitem(last=False)
        return found
