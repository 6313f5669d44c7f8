"""Data keys: one that seals per tenant (and one of the platform), older ones that still open; cached in this process.

A cached key goes on working while the key-encryption key's service is away; only what was never opened here waits.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from uuid import UUID

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.db.scopes import Connection, Database
from sivo.vault import envelope, keks
from sivo.vault.envelope import DataKey
from sivo.vault.kek import KEK_UNUSABLE
from sivo.vault.keyring import Keyring

PLATFORM = "platform"

_log = logs.get("vault")


class DataKeys:
    """Reads, makes and replaces the keys of ``tenant_key`` and ``platform_key`` (tenant None)."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._keys: dict[UUID, DataKey] = {}
        self._active: dict[UUID | None, UUID] = {}
        self._opened: dict[UUID | None, set[UUID]] = {}
        self._making: dict[UUID | None, asyncio.Lock] = {}

    async def active(self, tenant_id: UUID | None) -> DataKey:
        """The key that seals now; made at the first use, and committed before anything is sealed under it."""
        known = self._active.get(tenant_id)
        if known is not None:
            return self._keys[known]
        async with self._making.setdefault(tenant_id, asyncio.Lock()):
            stored = await self._stored_active(tenant_id)
            if stored is None:
                await self._store_new(tenant_id)
                stored = await self._stored_active(tenant_id)
            assert stored is not None
            key = self._keys.get(stored[0]) or await self._open(tenant_id, *stored)
            self._active[tenant_id] = key.key_id
        self._making.pop(tenant_id, None)
        return key

    async def by_id(self, tenant_id: UUID | None, key_id: UUID, connection: Connection | None = None) -> DataKey:
        """The key that something was sealed under. Raises VAULT_SEAL_BROKEN when the tenant has no such key."""
        if (known := self._keys.get(key_id)) is not None:
            return known
        async with self._scope(tenant_id) if connection is None else nullcontext(connection) as reader:
            row = await reader.fetchrow(
                f"select wrapped, kek_id from {_table(tenant_id)} where key_id = $1",  # noqa: S608 - two constants
                key_id,
            )
        if row is None:
            raise SivoError(envelope.BROKEN, "sealed under a key that does not exist here", where="vault")
        return await self._open(tenant_id, key_id, row["wrapped"], row["kek_id"])

    async def replace(self, tenant_id: UUID | None) -> UUID:
        """Make another key the one that seals; the one before still opens. Returns the new key's id."""
        key_id = await self._store_new(tenant_id, replace=True)
        self.refresh(tenant_id)
        return key_id

    def refresh(self, tenant_id: UUID | None = None) -> None:
        """Ask the database again which key seals, for one tenant or (None) for all; opened keys stay open."""
        if tenant_id is None:
            self._active.clear()
        else:
            self._active.pop(tenant_id, None)

    def forget(self, tenant_id: UUID) -> None:
        """Drop every key of a tenant whose keys were deleted, those that were replaced included."""
        self._active.pop(tenant_id, None)
        for key_id in self._opened.pop(tenant_id, ()):
            self._keys.pop(key_id, None)

    @asynccontextmanager
    async def _scope(self, tenant_id: UUID | None) -> AsyncIterator[Connection]:
        scope = self._database.platform("vault: data key") if tenant_id is None else self._database.tenant(tenant_id)
        async with scope as connection:
            yield connection

    async def _open(self, tenant_id: UUID | None, key_id: UUID, wrapped: bytes, kek_id: str) -> DataKey:
        material = await self._keyring.by_id(kek_id).unwrap(wrapped, wrap_label(tenant_id, key_id))
        key = self._keys[key_id] = DataKey(key_id, material)
        self._opened.setdefault(tenant_id, set()).add(key_id)
        return key

    async def _stored_active(self, tenant_id: UUID | None) -> tuple[UUID, bytes, str] | None:
        query = f"select key_id, wrapped, kek_id from {_table(tenant_id)} where retired_at is null"  # noqa: S608
        async with self._scope(tenant_id) as connection:
            row = await connection.fetchrow(query)
        return (row["key_id"], row["wrapped"], row["kek_id"]) if row is not None else None

    async def _store_new(self, tenant_id: UUID | None, *, replace: bool = False) -> UUID:
        """Wrap a fresh key under whatever wraps now; once more when that changed meanwhile."""
        for _ in range(3):
            async with self._database.platform("vault: which key wraps") as connection:
                wanted = await keks.active(connection) or self._keyring.current.kek_id
            key_id, kek = uuid7(), self._keyring.by_id(wanted)
            wrapped = await kek.wrap(os.urandom(32), wrap_label(tenant_id, key_id))
            async with self._database.platform("vault: data key") as connection:
                if not await keks.lock_for_wrapping(connection, wanted):
                    continue
                await _insert(connection, tenant_id, key_id, wrapped, wanted, replace=replace)
                return key_id
        raise SivoError(KEK_UNUSABLE, "the key-encryption key changes all the time", where="vault", remedy="try again")


def wrap_label(tenant_id: UUID | None, key_id: UUID) -> str:
    """What a wrapped key is bound to: it does not open in another row."""
    return f"{tenant_id or PLATFORM}|{key_id}"


def _table(tenant_id: UUID | None) -> str:
    return "platform_key" if tenant_id is None else "tenant_key"


async def _insert(
    connection: Connection, tenant_id: UUID | None, key_id: UUID, wrapped: bytes, kek_id: str, *, replace: bool
) -> None:
    table = _table(tenant_id)
    columns, places, values = "key_id, wrapped, kek_id", "$1, $2, $3", [key_id, wrapped, kek_id]
    of_tenant = ""
    if tenant_id is not None:
        columns, places, of_tenant = f"{columns}, tenant_id", f"{places}, $4", " and tenant_id = $1"
        values.append(tenant_id)
    if replace:
        await connection.execute(
            f"update {table} set retired_at = now() where retired_at is null{of_tenant}",  # noqa: S608
            *([tenant_id] if tenant_id is not None else []),
        )
    await connection.execute(
        f"insert into {table} ({columns}) values ({places}) on conflict do nothing",  # noqa: S608
        *values,
    )
    if replace:
        await connection.execute("select pg_notify($1, $2)", keks.CHANNEL, str(tenant_id or ""))
        _log.info("data_key_replaced", tenant=str(tenant_id or PLATFORM), key=str(key_id))
