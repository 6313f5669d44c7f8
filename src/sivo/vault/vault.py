"""The vault: one data key per tenant, wrapped by the key-encryption key; named secrets bound to a host.

Nothing here logs or puts a value into an error. Values are opened when they are used and not kept.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.db.scopes import Connection, Database
from sivo.vault import envelope
from sivo.vault.envelope import DataKey
from sivo.vault.kek import Kek

_PLATFORM = "platform"


@dataclass(frozen=True)
class Secret:
    """A secret in the clear, and the only host that it may be sent to (None = not bound)."""

    value: str = field(repr=False)
    host: str | None = None


@dataclass(frozen=True)
class SecretInfo:
    """What may be shown of a secret."""

    name: str
    fingerprint: str
    host: str | None
    updated_at: datetime


class Vault:
    """Seals and opens; data keys are cached in this process."""

    def __init__(self, database: Database, kek: Kek) -> None:
        self._database = database
        self._kek = kek
        self._keys: dict[UUID, DataKey] = {}
        self._active: dict[UUID | None, UUID] = {}
        self._making = asyncio.Lock()
        self._fingerprint_key = kek.derive("fingerprint")

    # --- sealing ---

    async def tenant_key(self, tenant_id: UUID) -> DataKey:
        """The key that seals for ``tenant_id`` now; made at the first use."""
        return await self._active_key(tenant_id)

    async def seal(self, tenant_id: UUID, purpose: str, plaintext: bytes) -> bytes:
        """Seal for one tenant and one purpose (for example ``secret:<name>``, ``journal:<call id>``)."""
        return envelope.seal(await self._active_key(tenant_id), str(tenant_id), purpose, plaintext)

    async def open(
        self, tenant_id: UUID, purpose: str, sealed: bytes, *, connection: Connection | None = None
    ) -> bytes:
        """The plaintext. Raises VAULT_SEAL_BROKEN for another tenant, purpose, key, or altered bytes.

        Whoever holds a ``connection`` that may read the tenant's keys passes it: waiting for a second one while many
        do the same would be a deadlock of the pool.
        """
        key = await self._key(tenant_id, envelope.key_id_of(sealed), connection)
        return envelope.open_sealed(key, str(tenant_id), purpose, sealed)

    async def seal_platform(self, purpose: str, plaintext: bytes) -> bytes:
        """Seal under the platform's own key."""
        return envelope.seal(await self._active_key(None), _PLATFORM, purpose, plaintext)

    async def open_platform(self, purpose: str, sealed: bytes) -> bytes:
        """Open what :meth:`seal_platform` made."""
        key = await self._key(None, envelope.key_id_of(sealed))
        return envelope.open_sealed(key, _PLATFORM, purpose, sealed)

    async def platform_item(self, name: str, make: Callable[[], bytes]) -> bytes:
        """A lasting value of the platform (a signing key, say); ``make`` is called when there is none yet.

        All processes get the same value, whoever comes first.
        """
        purpose = f"item:{name}"
        async with self._database.platform("vault: read item") as connection:
            stored = await connection.fetchval("select sealed from platform_item where name = $1", name)
        if stored is None:
            sealed = await self.seal_platform(purpose, make())
            async with self._database.platform("vault: make item") as connection:
                await connection.execute(
                    "insert into platform_item (name, sealed) values ($1, $2) on conflict do nothing", name, sealed
                )
                stored = await connection.fetchval("select sealed from platform_item where name = $1", name)
        return await self.open_platform(purpose, stored)

    # --- named secrets ---

    def fingerprint(self, value: str | bytes) -> str:
        """16 hex digits that tell equal values from different ones and cannot be tried out without our key."""
        data = value.encode() if isinstance(value, str) else value
        return hmac.digest(self._fingerprint_key, data, "sha256").hex()[:16]

    async def put_secret(
        self,
        tenant_id: UUID,
        name: str,
        value: str,
        host: str | None = None,
        *,
        connection: Connection | None = None,
    ) -> str:
        """Store or replace a secret and return its fingerprint; with ``connection``, in that transaction."""
        sealed = await self.seal(tenant_id, f"secret:{name}", value.encode())
        fingerprint = self.fingerprint(value)
        async with self._in(tenant_id, connection) as conn:
            await conn.execute(
                "insert into secret (tenant_id, name, sealed, host, fingerprint) values ($1, $2, $3, $4, $5)"
                " on conflict (tenant_id, name) do update set sealed = excluded.sealed, host = excluded.host,"
                " fingerprint = excluded.fingerprint, updated_at = now()",
                tenant_id,
                name,
                sealed,
                host,
                fingerprint,
            )
        return fingerprint

    async def get_secret(self, tenant_id: UUID, name: str, *, connection: Connection | None = None) -> Secret | None:
        """The secret in the clear, or None."""
        async with self._in(tenant_id, connection) as conn:
            row = await conn.fetchrow(
                "select sealed, host from secret where tenant_id = $1 and name = $2", tenant_id, name
            )
        if row is None:
            return None
        value = await self.open(tenant_id, f"secret:{name}", row["sealed"], connection=connection)
        return Secret(value.decode(), row["host"])

    async def delete_secret(self, tenant_id: UUID, name: str, *, connection: Connection | None = None) -> bool:
        """Remove it; False when there was none."""
        async with self._in(tenant_id, connection) as conn:
            status = await conn.execute("delete from secret where tenant_id = $1 and name = $2", tenant_id, name)
        return bool(status != "DELETE 0")

    async def list_secrets(self, tenant_id: UUID) -> list[SecretInfo]:
        """Names, fingerprints and hosts; no values."""
        async with self._database.tenant(tenant_id) as conn:
            rows = await conn.fetch(
                "select name, fingerprint, host, updated_at from secret where tenant_id = $1 order by name", tenant_id
            )
        return [SecretInfo(**dict(row)) for row in rows]

    def forget(self, tenant_id: UUID) -> None:
        """Drop the cached keys of a tenant (its keys were deleted)."""
        active = self._active.pop(tenant_id, None)
        if active is not None:
            self._keys.pop(active, None)

    # --- data keys ---

    @asynccontextmanager
    async def _in(self, tenant_id: UUID, connection: Connection | None) -> AsyncIterator[Connection]:
        if connection is not None:
            yield connection
            return
        async with self._database.tenant(tenant_id) as own:
            yield own

    @asynccontextmanager
    async def _key_scope(self, tenant_id: UUID | None) -> AsyncIterator[Connection]:
        scope = self._database.platform("vault: data key") if tenant_id is None else self._database.tenant(tenant_id)
        async with scope as connection:
            yield connection

    def _remember(self, tenant_id: UUID | None, key_id: UUID, wrapped: bytes) -> DataKey:
        material = self._kek.unwrap(wrapped, _wrap_label(tenant_id, key_id))
        key = self._keys[key_id] = DataKey(key_id, material)
        return key

    async def _active_key(self, tenant_id: UUID | None) -> DataKey:
        known = self._active.get(tenant_id)
        if known is not None:
            return self._keys[known]
        async with self._making:
            key_id, wrapped = await self._read_or_make(tenant_id)
            key = self._remember(tenant_id, key_id, wrapped)
            self._active[tenant_id] = key_id
            return key

    async def _read_or_make(self, tenant_id: UUID | None) -> tuple[UUID, bytes]:
        """The stored active key; a new one is committed before anything is sealed under it."""
        table = "platform_key" if tenant_id is None else "tenant_key"
        query = f"select key_id, wrapped from {table} where retired_at is null"  # noqa: S608 - two constants
        async with self._key_scope(tenant_id) as connection:
            row = await connection.fetchrow(query)
            if row is None:
                key_id = uuid7()
                wrapped = self._kek.wrap(os.urandom(32), _wrap_label(tenant_id, key_id))
                columns, values = ("key_id, wrapped, kek_id", [key_id, wrapped, self._kek.kek_id])
                if tenant_id is not None:
                    columns, values = f"{columns}, tenant_id", [*values, tenant_id]
                places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
                await connection.execute(
                    f"insert into {table} ({columns}) values ({places}) on conflict do nothing",  # noqa: S608
                    *values,
                )
                row = await connection.fetchrow(query)
        assert row is not None
        return row["key_id"], row["wrapped"]

    async def _key(self, tenant_id: UUID | None, key_id: UUID, connection: Connection | None = None) -> DataKey:
        if (known := self._keys.get(key_id)) is not None:
            return known
        table = "platform_key" if tenant_id is None else "tenant_key"
        async with self._key_scope(tenant_id) if connection is None else nullcontext(connection) as reader:
            wrapped = await reader.fetchval(
                f"select wrapped from {table} where key_id = $1",  # noqa: S608 - two constants
                key_id,
            )
        if wrapped is None:
            raise SivoError(envelope.BROKEN, "sealed under a key that does not exist here", where="vault")
        return self._remember(tenant_id, key_id, wrapped)


def _wrap_label(tenant_id: UUID | None, key_id: UUID) -> str:
    return f"{tenant_id or _PLATFORM}|{key_id}"
