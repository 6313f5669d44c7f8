"""The only way to a database connection: three scopes, each one transaction under one role.

``tenant(id)`` sees one tenant's rows, ``directory()`` the narrow views that find a tenant before one is known,
``platform(reason)`` claims due rows and does operator work. Row-level security is forced on every tenant table, so a
forgotten ``where`` cannot cross tenants.

Conventions for those who use a connection: ``jsonb`` columns are Python objects in both directions; a nested unit is
:func:`savepoint`, not ``connection.transaction()`` (the scope already began the transaction, in the same round trip
that set role and tenant).
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from uuid import UUID

import asyncpg
import msgspec

from sivo.base.errors import SivoError
from sivo.db.listen import Listener

Connection: TypeAlias = "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"

#: Seconds that a caller waits for a connection before it gets UNAVAILABLE.
ACQUIRE_TIMEOUT_S = 5.0
#: Seconds that :meth:`Database.open` waits for a server that is starting.
OPEN_TIMEOUT_S = 10.0

_REASON = re.compile(r"[A-Za-z0-9 _.:/-]{3,200}")
#: Whatever an earlier user of the connection set for its session is gone before this scope begins.
_FRESH = "reset role; reset all; begin; "
_GONE = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InternalClientError,  # a query met a connection that was just being closed from the other side
)
_AWAY = (OSError, TimeoutError, *_GONE)


def unavailable(cause: BaseException) -> SivoError:
    """The error that callers see while the database is away."""
    return SivoError(
        "UNAVAILABLE",
        f"the database does not answer: {type(cause).__name__}",
        where="database",
        remedy="try again in a few seconds",
    )


_encoder = msgspec.json.Encoder()


def _encode_json(value: Any) -> str:
    return _encoder.encode(value).decode()


async def _prepare(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=_encode_json, decoder=msgspec.json.decode, format="text"
        )


async def _keep(_connection: Any) -> None:
    """Replaces the pool's reset round trip: every scope starts with its own (see ``_FRESH``)."""


class Database:
    """A pool of connections of the login role ``sivo_app``, which on its own may do nothing."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], dsn: str) -> None:
        self._pool = pool
        self._listener = Listener(dsn)

    @classmethod
    async def open(cls, dsn: str, *, max_size: int = 10, timeout: float = OPEN_TIMEOUT_S) -> Database:
        """Connect; waits up to ``timeout`` seconds for a server that is starting, then raises UNAVAILABLE."""
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            try:
                pool = await asyncpg.create_pool(
                    dsn,
                    min_size=1,
                    max_size=max_size,
                    init=_prepare,
                    reset=_keep,
                    timeout=ACQUIRE_TIMEOUT_S,
                    command_timeout=60,
                    server_settings={"application_name": "sivo", "idle_in_transaction_session_timeout": "60000"},
                )
                return cls(pool, dsn)
            except _AWAY as error:
                if asyncio.get_running_loop().time() >= deadline:
                    raise unavailable(error) from error
                await asyncio.sleep(0.1)

    async def close(self) -> None:
        """End the listener and close every connection; open scopes get 5 seconds to finish."""
        await self._listener.close()
        try:
            await asyncio.wait_for(self._pool.close(), 5)
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def tenant(self, tenant_id: UUID) -> AsyncIterator[Connection]:
        """One transaction that sees and writes only rows of ``tenant_id`` (a UUID object, never text)."""
        if not isinstance(tenant_id, UUID):
            raise TypeError(f"tenant id must be a UUID object, not {type(tenant_id).__name__}")
        async with self._scope(f"set local role sivo_tenant; set local app.tenant_id = '{tenant_id}'") as connection:
            yield connection

    @asynccontextmanager
    async def directory(self) -> AsyncIterator[Connection]:
        """One read-only transaction over the narrow directory views."""
        async with self._scope("set transaction read only; set local role sivo_directory") as connection:
            yield connection

    @asynccontextmanager
    async def platform(self, reason: str) -> AsyncIterator[Connection]:
        """One transaction over all tenants; ``reason`` (letters, digits, `` _.:/-``) stands in ``app.reason``."""
        if not _REASON.fullmatch(reason):
            raise ValueError(f"not a usable reason: {reason!r}")
        async with self._scope(f"set local role sivo_platform; set local app.reason = '{reason}'") as connection:
            yield connection

    async def listen(self, channel: str, callback: Callable[[str], None]) -> None:
        """Call ``callback(payload)`` for each notification on ``channel``.

        All channels share one connection of their own. After a reconnect every callback gets an empty payload, which
        means: something may have been missed, read again.
        """
        await self._listener.add(channel, callback)

    @property
    def listening(self) -> bool:
        """Whether notifications reach this process now. While they do not, nothing that was remembered is sure."""
        return self._listener.connected

    @asynccontextmanager
    async def _scope(self, setting: str) -> AsyncIterator[Connection]:
        connection = await self._acquire()
        try:
            await self._begin(connection, setting)
            yield connection
        except BaseException as error:
            lost = _lost(connection, error)
            await self._abandon(connection)
            if lost:
                raise unavailable(error) from error
            raise
        else:
            await self._commit(connection)

    async def _acquire(self) -> Connection:
        try:
            return await self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S)
        except _AWAY as error:
            raise unavailable(error) from error

    async def _begin(self, connection: Connection, setting: str) -> None:
        try:
            await connection.execute(_FRESH + setting)
        except (asyncpg.InterfaceError, TimeoutError) as error:
            raise unavailable(error) from error

    async def _commit(self, connection: Connection) -> None:
        try:
            status = await connection.execute("commit")
        except BaseException as error:
            lost = _lost(connection, error)
            await self._abandon(connection)
            if lost or isinstance(error, TimeoutError):
                raise unavailable(error) from error
            raise
        await self._pool.release(connection)
        if status != "COMMIT":
            # A statement failed, its error was swallowed, and PostgreSQL answered COMMIT with ROLLBACK.
            raise SivoError("INTERNAL", "a statement failed inside the transaction, so nothing was written")

    async def _abandon(self, connection: Connection) -> None:
        try:
            await asyncio.shield(connection.execute("rollback", timeout=2))
        except (Exception, asyncio.CancelledError):  # the server takes back what a lost connection had begun
            with contextlib.suppress(asyncpg.InterfaceError):
                connection.terminate()
        await asyncio.shield(self._pool.release(connection))


def _lost(connection: Connection, error: BaseException) -> bool:
    """Whether ``error`` means that the connection went away (an OSError of the caller's own work does not)."""
    if isinstance(error, _GONE):
        return True
    return isinstance(error, OSError | asyncpg.InterfaceError) and _closed(connection)


def _closed(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:  # the pool took a lost connection away from its user
        return True


@asynccontextmanager
async def savepoint(connection: Connection) -> AsyncIterator[None]:
    """A nested unit inside a scope: an exception takes back only what was done since here."""
    await connection.execute("savepoint nested")
    try:
        yield
    except BaseException:
        await connection.execute("rollback to savepoint nested; release savepoint nested")
        raise
    await connection.execute("release savepoint nested")
