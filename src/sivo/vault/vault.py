"""The vault: one data key per tenant, wrapped by the key-encryption key; named secrets bound to a host.

Nothing here logs or puts a value into an error. Values are opened when they are used and not kept.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sivo.base.settings import Settings
from sivo.db.scopes import Connection, Database
from sivo.vault import envelope, keks
from sivo.vault.data_keys import PLATFORM, DataKeys
from sivo.vault.envelope import DataKey
from sivo.vault.kek import Kek
from sivo.vault.keyring import Keyring
from sivo.vault.used import Uses


@dataclass(frozen=True)
class Secret:
    """A secret in the clear, and the only host that it may be sent to (None = not bound)."""

    value: str = field(repr=False)
    host: str | None = None
    #: The value before this one, while it is kept valid beside it.
    previous: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SecretInfo:
    """What may be shown of a secret."""

    name: str
    fingerprint: str
    host: str | None
    updated_at: datetime
    last_used_at: datetime | None = None


class Vault:
    """Seals and opens; data keys are cached in this process."""

    def __init__(self, database: Database, kek: Kek | Keyring, *, fingerprint_key: bytes | None = None) -> None:
        """``fingerprint_key`` is what :meth:`for_node` reads from the database; without it the key's own is derived."""
        self._database = database
        self._keyring = kek if isinstance(kek, Keyring) else Keyring(kek)
        self._keys = DataKeys(database, self._keyring)
        self._fingerprint_key = fingerprint_key or self._keyring.current.derive("fingerprint") or os.urandom(32)
        self.uses = Uses(database)

    @classmethod
    async def for_node(cls, database: Database, settings: Settings) -> Vault:
        """The vault of a process: its keys are those of the settings, and it follows rotations.

        Raises VAULT_KEK_UNUSABLE (not the keys of this database, or retired ones) and VAULT_KEK_AWAY.
        """
        keyring = await asyncio.to_thread(Keyring.from_settings, settings)
        async with database.platform("vault: which key wraps") as connection:
            wrapping = await keks.settle(connection, keyring)
        vault = cls(database, keyring)
        # Kept apart from the key-encryption key, so that fingerprints in ledger and rows outlive a rotation.
        first = keyring.by_id(wrapping).derive("fingerprint") or os.urandom(32)
        vault._fingerprint_key = await vault.platform_item("vault.fingerprint", lambda: first)
        await database.listen(keks.CHANNEL, vault._changed)
        return vault

    @property
    def keyring(self) -> Keyring:
        """The key-encryption keys of this process."""
        return self._keyring

    @property
    def data_keys(self) -> DataKeys:
        """The data keys, as this process has them."""
        return self._keys

    def _changed(self, payload: str) -> None:
        try:
            self._keys.refresh(UUID(payload))
        except ValueError:  # the platform's, or notifications may have been missed
            self._keys.refresh()

    # --- sealing ---

    async def tenant_key(self, tenant_id: UUID) -> DataKey:
        """The key that seals for ``tenant_id`` now; made at the first use."""
        return await self._keys.active(tenant_id)

    async def seal(self, tenant_id: UUID, purpose: str, plaintext: bytes) -> bytes:
        """Seal for one tenant and one purpose (for example ``secret:<name>``, ``journal:<call id>``)."""
        return envelope.seal(await self._keys.active(tenant_id), str(tenant_id), purpose, plaintext)

    async def open(
        self, tenant_id: UUID, purpose: str, sealed: bytes, *, connection: Connection | None = None
    ) -> bytes:
        """The plaintext. Raises VAULT_SEAL_BROKEN for another tenant, purpose, key, or altered bytes.

        Whoever holds a ``connection`` that may read the tenant's keys passes it: waiting for a second one while many
        do the same would be a deadlock of the pool.
        """
        key = await self._keys.by_id(tenant_id, envelope.key_id_of(sealed), connection)
        return envelope.open_sealed(key, str(tenant_id), purpose, sealed)

    async def seal_platform(self, purpose: str, plaintext: bytes) -> bytes:
        """Seal under the platform's own key."""
        return envelope.seal(await self._keys.active(None), PLATFORM, purpose, plaintext)

    async def open_platform(self, purpose: str, sealed: bytes) -> bytes:
        """Open what :meth:`seal_platform` made."""
        key = await self._keys.by_id(None, envelope.key_id_of(sealed))
        return envelope.open_sealed(key, PLATFORM, purpose, sealed)

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
        keep_previous: timedelta | None = None,
        connection: Connection | None = None,
    ) -> str:
        """Store or replace a secret and return its fingerprint; with ``connection``, in that transaction.

        With ``keep_previous`` the value that is replaced stays readable beside the new one for so long.
        """
        sealed = await self.seal(tenant_id, f"secret:{name}", value.encode())
        fingerprint = self.fingerprint(value)
        async with self._in(tenant_id, connection) as conn:
            await conn.execute(
                "insert into secret (tenant_id, name, sealed, host, fingerprint) values ($1, $2, $3, $4, $5)"
                " on conflict (tenant_id, name) do update set sealed = excluded.sealed, host = excluded.host,"
                " fingerprint = excluded.fingerprint, updated_at = now(),"
                " previous_sealed = case when $6::interval is null then null"
                "  when secret.fingerprint <> excluded.fingerprint then secret.sealed else secret.previous_sealed end,"
                " previous_until = case when $6::interval is null then null"
                "  when secret.fingerprint <> excluded.fingerprint then now() + $6 else secret.previous_until end",
                tenant_id,
                name,
                sealed,
                host,
                fingerprint,
                keep_previous,
            )
        return fingerprint

    async def get_secret(self, tenant_id: UUID, name: str, *, connection: Connection | None = None) -> Secret | None:
        """The secret in the clear, or None. Whoever sends it somewhere says so with ``uses.note``."""
        async with self._in(tenant_id, connection) as conn:
            row = await conn.fetchrow(
                "select sealed, host, case when previous_until > now() then previous_sealed end as previous"
                " from secret where tenant_id = $1 and name = $2",
                tenant_id,
                name,
            )
        if row is None:
            return None
        value = await self.open(tenant_id, f"secret:{name}", row["sealed"], connection=connection)
        previous = None
        if row["previous"] is not None:
            previous = (await self.open(tenant_id, f"secret:{name}", row["previous"], connection=connection)).decode()
        return Secret(value.decode(), row["host"], previous)

    async def drop_previous(self, tenant_id: UUID, name: str, *, connection: Connection | None = None) -> bool:
        """End the time in which a replaced value is valid beside the new one; False when there was none."""
        async with self._in(tenant_id, connection) as conn:
            status = await conn.execute(
                "update secret set previous_sealed = null, previous_until = null"
                " where tenant_id = $1 and name = $2 and previous_until > now()",
                tenant_id,
                name,
            )
        return bool(status != "UPDATE 0")

    async def delete_secret(self, tenant_id: UUID, name: str, *, connection: Connection | None = None) -> bool:
        """Remove it; False when there was none."""
        async with self._in(tenant_id, connection) as conn:
            status = await conn.execute("delete from secret where tenant_id = $1 and name = $2", tenant_id, name)
        return bool(status != "DELETE 0")

    async def list_secrets(self, tenant_id: UUID) -> list[SecretInfo]:
        """Names, fingerprints, hosts and last uses; no values."""
        async with self._database.tenant(tenant_id) as conn:
            rows = await conn.fetch(
                "select s.name, s.fingerprint, s.host, s.updated_at, u.last_used_at from secret s"
                " left join secret_use u on u.tenant_id = s.tenant_id and u.name = s.name"
                " where s.tenant_id = $1 order by s.name",
                tenant_id,
            )
        return [SecretInfo(**dict(row)) for row in rows]

    def forget(self, tenant_id: UUID) -> None:
        """Drop the cached keys of a tenant (its keys were deleted)."""
        self._keys.forget(tenant_id)

    @asynccontextmanager
    async def _in(self, tenant_id: UUID, connection: Connection | None) -> AsyncIterator[Connection]:
        if connection is not None:
            yield connection
            return
        async with self._database.tenant(tenant_id) as own:
            yield own
