"""The one write path: an atomic change-set, checked as a whole, covered by one entry of the hash-chained ledger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID
from weakref import WeakValueDictionary

from sivo.audit import ledger
from sivo.audit.chain import ChangeRecord, Link, Signer
from sivo.audit.checkpoints import Checkpoints
from sivo.audit.log import record_all
from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError, register
from sivo.base.settings import Settings
from sivo.config import audited, checks, control, room_rules, store
from sivo.config.change import Author, Change, Create, Entry, Replace, Scope, SetKey, UnsetKey, Update
from sivo.config.draft import Base, Draft
from sivo.config.key import Level
from sivo.config.kinds import KINDS, PLATFORM_ID
from sivo.config.resolve import Resolver
from sivo.config.state import resources_by_id, stored_values, tenant_row
from sivo.config.surroundings import Surroundings, look_around
from sivo.db.scopes import Connection, Database
from sivo.vault.vault import Vault

TOO_MANY_CHANGES = register("TOO_MANY_CHANGES", 413)
#: Changes that one change-set may hold.
MAX_CHANGES = 1_000
MAX_REASON = 500
#: Notified in every change-set's transaction with ``{"tenant": …, "version": …}``.
CHANNEL = "sivo_config"

#: Runs in the transaction, under the chain's lock, before anything is checked or after everything is written.
Hook = Callable[[Connection], Awaitable[None]]

_log = logs.get("config")


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change-set would do. ``problem`` is the first rule between keys or resources that it would break."""

    version: int
    records: tuple[ChangeRecord, ...]
    draft: Draft
    effective: Resolver
    problem: SivoError | None


class ChangeSets:
    """Applies change-sets. One per process that writes configuration (``api``)."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        database: Database,
        vault: Vault,
        signer: Signer,
        checkpoints: Checkpoints,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._database = database
        self._vault = vault
        self._signer = signer
        self._checkpoints = checkpoints
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

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
        """Apply all ``changes`` or none. ``PLATFORM_ID`` as tenant is the platform itself.

        ``precondition`` raises to refuse on what is there now; ``also`` writes what belongs to the same step (a
        credential, say). Raises SivoError: CONFIG_…, VALIDATION_FAILED, ALREADY_EXISTS, VERSION_CONFLICT, NOT_FOUND,
        INSUFFICIENT_ROLE, TOO_MANY_CHANGES.
        """
        _bounded(reason, changes)
        if _may_hold_secrets(changes):
            await self._vault.tenant_key(tenant_id)  # now, since making one takes a connection of its own
        around = await look_around(self._database, tenant_id, changes, self._clock.now())
        # Writers of one tenant wait for each other here, not with a connection in their hands.
        async with self._turn(tenant_id), self._database.tenant(tenant_id) as connection:
            head = await ledger.lock_head(connection, tenant_id)
            if precondition is not None:
                await precondition(connection)
            made, entry = await self._write(connection, tenant_id, author, reason, changes, head, around)
            if also is not None:
                await also(connection)
        if made is not None:
            await asyncio.to_thread(self._checkpoints.write, ledger.checkpoint_of(made))
            _log.info(
                "changed", tenant=str(tenant_id), version=entry.seq, author=author.name, changes=len(entry.changes)
            )
        return entry

    async def preview(self, tenant_id: UUID, author: Author, changes: Sequence[Change]) -> Preview:
        """What :meth:`apply` would write, with all its checks, and nothing written."""
        _bounded("", changes)
        around = await look_around(self._database, tenant_id, changes, self._clock.now())
        async with self._database.tenant(tenant_id) as connection:
            version = await connection.fetchval("select seq from ledger_head where tenant_id = $1", tenant_id) or 0
            draft = await self._draft(connection, tenant_id, author, changes)
            records, problem = draft.records(), None
            effective = checks.resolver_of(draft)
            try:
                draft, effective = await self._checked(connection, tenant_id, author, changes, around)
                records = draft.records()
            except SivoError as error:
                problem = error
        return Preview(version, tuple(records), draft, effective, problem)

    async def _checked(
        self,
        connection: Connection,
        tenant_id: UUID,
        author: Author,
        changes: Sequence[Change],
        around: Surroundings,
    ) -> tuple[Draft, Resolver]:
        draft = await self._draft(connection, tenant_id, author, changes)
        checks.settle_slug(draft, around.taken)
        await room_rules.check(connection, draft)
        effective = checks.check_rules(draft)
        checks.check_tenants(draft, around.below)
        await checks.check_resources(connection, draft, effective)
        draft.warnings = await room_rules.warnings(connection, draft, effective)
        return draft, effective

    def _turn(self, tenant_id: UUID) -> asyncio.Lock:
        lock = self._turns.get(tenant_id)
        if lock is None:
            lock = self._turns[tenant_id] = asyncio.Lock()
        return lock

    async def _write(
        self,
        connection: Connection,
        tenant_id: UUID,
        author: Author,
        reason: str,
        changes: Sequence[Change],
        head: ledger.Head,
        around: Surroundings,
    ) -> tuple[Link | None, Entry]:
        draft, effective = await self._checked(connection, tenant_id, author, changes, around)
        at, records = self._clock.now(), draft.records()
        if records and not reason.strip():
            await control.require_reason(connection, tenant_id)
        if not records:
            return None, Entry(tenant_id, head.seq, at, author.name, reason, ids=tuple(draft.ids))
        made = await ledger.append(
            connection, tenant_id, head, at, author.name, author.role, reason, records, self._signer
        )
        await store.write(connection, self._vault, draft, effective, author, reason, made.seq, at)
        await record_all(connection, audited.entries(author, made.seq, records), at)
        await _announce(connection, tenant_id, made.seq)
        generated = {one.target: one.generated for one in draft.resources.values() if one.generated}
        written = tuple(records), tuple(draft.ids), generated, draft.warnings
        entry = Entry(tenant_id, made.seq, at, author.name, reason, *written)
        return made, entry

    async def _draft(self, connection: Connection, tenant_id: UUID, author: Author, changes: Sequence[Change]) -> Draft:
        tenant = await tenant_row(connection, tenant_id)
        plan = tenant.plan if tenant is not None and tenant_id != PLATFORM_ID else None
        base = Base(
            tenant_id=tenant_id,
            tenant=tenant,
            stored=tuple(await stored_values(connection, tenant_id, plan if _keeps_plan(changes) else None)),
            resources=await resources_by_id(connection, tenant_id, _ids(changes)),
            settings=self._settings,
            fingerprint=self._vault.fingerprint,
        )
        draft = Draft(base, author)
        for change in changes:
            draft.add(change)
        return draft


def _bounded(reason: str, changes: Sequence[Change]) -> None:
    if len(changes) > MAX_CHANGES:
        raise SivoError(
            TOO_MANY_CHANGES, f"{len(changes)} changes in one change-set, {MAX_CHANGES} at most", remedy="send fewer"
        )
    if len(reason) > MAX_REASON:
        raise SivoError("VALIDATION_FAILED", f"the reason is longer than {MAX_REASON} characters", where="reason")


def _may_hold_secrets(changes: Sequence[Change]) -> bool:
    return any(
        one.scope.level is Level.ENDPOINT
        if isinstance(one, SetKey)
        else isinstance(one, Create | Update | Replace) and one.kind in KINDS and bool(KINDS[one.kind].secrets)
        for one in changes
    )


def _keeps_plan(changes: Sequence[Change]) -> bool:
    return not any(isinstance(one, Create | Update) and one.kind == "tenant" for one in changes)


def _ids(changes: Sequence[Change]) -> set[UUID]:
    found: set[UUID] = set()
    for one in changes:
        if isinstance(one, SetKey | UnsetKey):
            found |= _endpoint_id(one.scope)
        elif one.id is not None:
            found.add(one.id)
    return found


def _endpoint_id(scope: Scope) -> set[UUID]:
    if scope.level is not Level.ENDPOINT:
        return set()
    try:
        return {UUID(scope.target)}
    except ValueError:
        return set()


async def _announce(connection: Connection, tenant_id: UUID, version: int) -> None:
    await connection.execute("update tenant set config_version = $2 where id = $1", tenant_id, version)
    payload = json.dumps({"tenant": str(tenant_id), "version": version})
    await connection.execute("select pg_notify($1, $2)", CHANNEL, payload)
