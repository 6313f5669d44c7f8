"""Alembic's entry: runs the revisions in one transaction over asyncpg."""

from __future__ import annotations

import asyncio

import asyncpg
from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

#: A transaction-level lock: a session lock on a pooled connection would never be released.
_LOCK = text("select pg_advisory_xact_lock(7312900)")


def _run(connection: Connection) -> None:
    connection.execute(_LOCK)
    context.configure(connection=connection, transaction_per_migration=False)
    context.run_migrations()


async def _main() -> None:
    dsn: str = context.config.attributes["dsn"]

    async def connect(*_args: object, **_kwargs: object) -> asyncpg.Connection[asyncpg.Record]:
        return await asyncpg.connect(dsn, timeout=10)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=pool.NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


asyncio.run(_main())
