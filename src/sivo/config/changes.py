"""The one write path: an atomic change-set, checked as a whole, covered by one entry of the hash-chained ledger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from sivo.audit import ledger
from sivo.audit.chain import ChangeRecord, Link, Signer
from sivo.audit.checkpoints import Checkpoints
from sivo.audit.heads import Head
from sivo.audit.log import record_all
from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError, register
from sivo.base.settings import Settings
from sivo.config import audited, checks, control, room_rules, store
from sivo.config.change import Author, Change, Create, Delete, Entry, Replace, Scope, SetKey, UnsetKey, Update
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
#: Looks at a checked draft before it is written; raises to refuse.
Review = Callable[[Draft], None]

_log = logs.get("config")


class NeedsApprovalError(Exception):
    """Nothing was written: the tenant wants a second person to approve the change-set."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a change-set would do. ``problem`` is the first rule between keys or resources that it would break."""

    version: int
    records: tuple[ChangeRecord, ...]
    draft: Draft
    effective: Resolver
    problem: SivoError | None


@dataclass(frozen=True, slots=True)
class _Step:
    """One change-set on its way in, under the lock of its chain."""

    tenant_id: UUID
    author: Author
    reason: str
    changes: Sequence[Change]
    head: Head
    around: Surroundings
    review: Review | None
    cleared: bool


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
        review: Review | None = None,
        cleared: bool = False,
    ) -> Entry:
        """Apply all ``changes`` or none. ``PLATFORM_ID`` as tenant is the platform itself.

        ``precondition`` raises to refuse on what is there now, ``review`` on what would be written; ``also`` writes
        what belongs to the same step (a credential, say). ``cleared``: a second person has approved it. Raises
        SivoError: CONFIG_…, VALIDATION_FAILED, ALREADY_EXISTS, VERSION_CONFLICT, NOT_FOUND, INSUFFICIENT_ROLE,
        TOO_MANY_CHANGES; NeedsApprovalError where the tenant wants approval and it was not ``cleared``.
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
            step = _Step(tenant_id, author, reason, changes, head, around, review, cleared)
            made, entry = await self._write(connection, step)
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

    async def _write(self, connection: Connection, step: _Step) -> tuple[Link | None, Entry]:
        tenant_id, author, reason = step.tenant_id, step.author, step.reason
        draft, effective = await self._checked(connection, tenant_id, author, step.changes, step.around)
        at, records = self._clock.now(), draft.records()
        if step.review is not None:
            step.review(draft)
        if not records:
            return None, Entry(tenant_id, step.head.seq, at, author.name, reason, ids=tuple(draft.ids))
        await _check_control(connection, step, records)
        made = await ledger.append(
            connection, tenant_id, step.head, at, author.name, author.role, reason, records, self._signer
        )
        await store.write(connection, self._vault, draft, effective, author, reason, made.seq, at)
        await record_all(connection, audited.entries(author, made.seq, records), at)
        await announce(connection, tenant_id, made.seq)
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
            try:
                draft.add(change)
            except SivoError as error:
                if error.code == "VERSION_CONFLICT" and isinstance(change, Update | Delete):
                    error.details["meanwhile"] = await _meanwhile(connection, tenant_id, change)
                raise
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


async def _check_control(connection: Connection, step: _Step, records: Sequence[ChangeRecord]) -> None:
    """What the tenant asks of its own changes: a reason, a second person."""
    wanted = await control.of(connection, step.tenant_id)
    control.require_reason(wanted, step.reason)
    if not step.cleared and control.needs_approval(wanted, records, step.author.role):
        raise NeedsApprovalError


async def _meanwhile(connection: Connection, tenant_id: UUID, change: Update | Delete) -> list[dict[str, Any]]:
    """Entries that changed a resource since its author has read it, oldest first; secrets are fingerprints there."""
    target = f"{change.kind}/{change.id}"
    entries = await ledger.history(connection, tenant_id, target=target, limit=20)
    return [
        {
            "version": one["seq"],
            "author": one["author"],
            "at": one["at"],
            "changes": [each for each in one["changes"] if each["target"] == target],
        }
        for one in reversed(entries)
        if one["seq"] > (change.if_version or 0)
    ]


async def announce(connection: Connection, tenant_id: UUID, version: int) -> None:
    """Tell every process, with the commit, that a chain has a new entry."""
    await connection.execute("update tenant set config_version = $2 where id = $1", tenant_id, version)
    payload = json.dumps({"tenant": str(tenant_id), "version": version})
    await connection.execute("select pg_notify($1, $2)", CHANNEL, payload)
