"""The configuration plane on a real database, without HTTP: for tests of change-sets and of the ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from sivo.audit.verify import Report, verify
from sivo.base.clock import Clock
from sivo.base.settings import Settings
from sivo.config import state
from sivo.config.change import Author, Change, Entry
from sivo.config.provision import create_tenant
from sivo.config.resolve import Effective
from sivo.config.resources import Resources
from sivo.db.scopes import Database
from sivo.vault.kek import FileKek
from sivo.vault.vault import Vault

OPERATOR = Author("local:0", "superadmin")
ADMIN = Author("user:0198c5a0-0000-7000-8000-0000000000aa", "admin")


@dataclass
class Plane:
    """Everything that a change-set touches."""

    settings: Settings
    database: Database
    vault: Vault
    resources: Resources

    async def tenant(self, name: str = "Acme", slug: str | None = None, plan: str = "pro") -> UUID:
        """A new tenant."""
        return (await create_tenant(self, slug, name, plan, OPERATOR)).id

    async def apply(self, tenant_id: UUID, *changes: Change, author: Author = ADMIN, reason: str = "") -> Entry:
        """One change-set of an admin."""
        return await self.resources.apply(tenant_id, author, reason, changes)

    async def create(self, tenant_id: UUID, kind: str, **body: Any) -> UUID:
        """A new resource; its id."""
        return (await self.resources.create(tenant_id, kind, body, author=ADMIN)).resource.id

    async def effective(self, tenant_id: UUID, key: str) -> Effective:
        """The effective value of a key now."""
        async with self.database.tenant(tenant_id) as connection:
            row = await state.known_tenant(connection, tenant_id)
            return (await state.resolver(connection, row, self.settings)).effective(key)

    async def verify(self, tenant_id: UUID) -> Report:
        """The ledger's verdict on one chain."""
        async with self.database.tenant(tenant_id) as connection:
            current = await state.ledger_targets(connection, tenant_id)
            return await verify(connection, tenant_id, self.resources.ledger_key, self.resources.checkpoints, current)


async def open_plane(settings: Settings, clock: Clock, database: Database) -> Plane:
    """A plane with a key-encryption key of its own."""
    vault = Vault(database, FileKek.load(settings.kek_file))
    return Plane(settings, database, vault, await Resources.open(settings, clock, database, vault))


@asynccontextmanager
async def behind_the_policies(dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A superuser's connection on which no trigger fires: what somebody with the data files could do."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("set session_replication_role = replica")
        yield connection
    finally:
        await connection.close()
