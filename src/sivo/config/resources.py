"""Resources as the rest of the product reads and writes them; every write is a change-set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sivo.audit.checkpoints import Checkpoints
from sivo.audit.keys import LedgerKey
from sivo.base.clock import Clock
from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.config import all_kinds, state
from sivo.config.change import Author, Change, Create, Delete, Entry, Update
from sivo.config.changes import ChangeSets, Hook, NeedsApprovalError, Preview
from sivo.config.kinds import PLATFORM_ID
from sivo.config.live import LiveDocuments
from sivo.config.proposals import AwaitsApprovalError, Proposals, cannot_wait
from sivo.config.state import Resource, TenantRow
from sivo.db.scopes import Database
from sivo.vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Created:
    """A new resource and the secrets that were generated for it, which nobody can read again."""

    resource: Resource
    generated: Mapping[str, str] = field(repr=False)


def checkpoint_folder(settings: Settings) -> Checkpoints:
    """Where this node keeps what the database must not be able to reach."""
    return Checkpoints(settings.home / "ledger")


class Resources:
    """Reads in the tenant's scope, writes through :class:`ChangeSets`. Made by :meth:`open`."""

    def __init__(
        self,
        database: Database,
        changes: ChangeSets,
        proposals: Proposals,
        key: LedgerKey,
        checkpoints: Checkpoints,
        live: LiveDocuments,
    ) -> None:
        all_kinds.load()
        self._database = database
        #: Documents that were shown lately; whoever reads what it wrote a moment ago finds it.
        self.live = live
        self._changes = changes
        self.proposals = proposals
        self.ledger_key = key
        self.checkpoints = checkpoints

    @classmethod
    async def open(cls, settings: Settings, clock: Clock, database: Database, vault: Vault) -> Resources:
        """Load the ledger's key (made at the first use) and return a ready store."""
        key = await LedgerKey.load(vault)
        checkpoints = checkpoint_folder(settings)
        changes = ChangeSets(settings, clock, database, vault, key, checkpoints)
        live = LiveDocuments(database, clock)
        proposals = Proposals(database, vault, changes, clock, live.changed)
        return cls(database, changes, proposals, key, checkpoints, live)

    # --- writing -------------------------------------------------------------------------------------------------

    async def apply(
        self,
        tenant_id: UUID,
        author: Author,
        reason: str,
        changes: Sequence[Change],
        *,
        precondition: Hook | None = None,
        also: Hook | None = None,
    ) -> Entry:
        """One change-set; see :meth:`ChangeSets.apply`.

        Where the tenant wants approval it is put down to wait instead: AwaitsApprovalError says as what.
        """
        try:
            return await self._changes.apply(tenant_id, author, reason, changes, precondition=precondition, also=also)
        except NeedsApprovalError:
            if also is not None:
                raise cannot_wait() from None
        finally:
            self.live.changed(tenant_id)  # also after a commit whose answer was lost
        raise AwaitsApprovalError(await self.proposals.propose(tenant_id, author, reason, changes))

    async def preview(self, tenant_id: UUID, author: Author, changes: Sequence[Change]) -> Preview:
        """What a change-set would do; see :meth:`ChangeSets.preview`."""
        return await self._changes.preview(tenant_id, author, changes)

    async def create(
        self, tenant_id: UUID, kind: str, body: Mapping[str, Any], *, author: Author, reason: str = ""
    ) -> Created:
        """Make one resource."""
        entry = await self.apply(tenant_id, author, reason, [Create(kind, body)])
        made = await self.get(tenant_id, kind, entry.ids[0])
        return Created(made, dict(entry.generated.get(f"{kind}/{made.id}", {})))

    async def update(
        self,
        tenant_id: UUID,
        kind: str,
        resource_id: UUID,
        patch: Mapping[str, Any],
        *,
        author: Author,
        reason: str = "",
        if_version: int | None = None,
    ) -> Resource:
        """Change one resource by a JSON merge patch; VERSION_CONFLICT when it is no longer at ``if_version``."""
        await self.apply(tenant_id, author, reason, [Update(kind, resource_id, patch, if_version)])
        return await self.get(tenant_id, kind, resource_id)

    async def delete(
        self,
        tenant_id: UUID,
        kind: str,
        resource_id: UUID,
        *,
        author: Author,
        reason: str = "",
        if_version: int | None = None,
    ) -> None:
        """Remove one resource with its secrets; RESOURCE_IN_USE while another refers to it."""
        await self.apply(tenant_id, author, reason, [Delete(kind, resource_id, if_version)])

    # --- reading -------------------------------------------------------------------------------------------------

    async def get(self, tenant_id: UUID, kind: str, resource_id: UUID) -> Resource:
        """One resource; NOT_FOUND when it is not there, of another kind or of another tenant."""
        async with self._database.tenant(tenant_id) as connection:
            found = (await state.resources_by_id(connection, tenant_id, [resource_id])).get(resource_id)
        if found is None or found.kind != kind:
            raise SivoError("NOT_FOUND", f"there is no {kind} {resource_id}", where=kind)
        return found

    async def list(
        self, tenant_id: UUID, kind: str, *, after: UUID | None = None, limit: int | None = None
    ) -> Sequence[Resource]:
        """Resources of one kind in the order of their creation, after id ``after``."""
        async with self._database.tenant(tenant_id) as connection:
            return await state.resources(connection, tenant_id, kind, after, limit)

    async def tenant(self, tenant_id: UUID) -> TenantRow:
        """The tenant itself; NOT_FOUND otherwise. The platform is not a tenant."""
        async with self._database.tenant(tenant_id) as connection:
            row = await state.known_tenant(connection, tenant_id)
        if row.id == PLATFORM_ID:
            raise SivoError("NOT_FOUND", "the platform itself is not a tenant", where="tenant")
        return row

    async def tenant_by_slug(self, slug: str) -> TenantRow:
        """The tenant with this slug in force; NOT_FOUND otherwise."""
        async with self._database.directory() as connection:
            tenant_id: UUID | None = await connection.fetchval("select id from tenant_directory where slug = $1", slug)
        if tenant_id is None:
            raise SivoError("NOT_FOUND", f"there is no tenant {slug[:40]!r}", where="tenant")
        return await self.tenant(tenant_id)

    async def tenants(self, *, after: UUID | None = None, limit: int | None = None) -> Sequence[TenantRow]:
        """All tenants in the order of their creation; for operators only."""
        async with self._database.platform("tenants: list") as connection:
            rows = await connection.fetch(
                "select id, slug, name, plan, status, config_version as version, created_at from tenant"
                " where id <> $1 and ($2::uuid is null or id > $2) order by id limit $3",
                PLATFORM_ID,
                after,
                limit,
            )
        return [TenantRow(**row) for row in rows]
