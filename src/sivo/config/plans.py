"""Plans: what a document would change, known by a digest, so that exactly that is applied or nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sivo.audit import ledger
from sivo.audit.canonical import canonical
from sivo.audit.chain import ChangeRecord
from sivo.base.errors import SivoError, register
from sivo.base.settings import Settings
from sivo.config import desired, state
from sivo.config.change import Author, Change, Entry
from sivo.config.changes import Hook, Preview
from sivo.config.kinds import PLATFORM_ID
from sivo.config.registry import KEYS
from sivo.config.resolve import Resolver
from sivo.config.resources import Resources
from sivo.config.state import Resource, TenantRow
from sivo.db.scopes import Connection, Database

PLAN_STALE = register("PLAN_STALE", 409)
CONFIRMATION_REQUIRED = register("CONFIRMATION_REQUIRED", 409)


@dataclass(frozen=True, slots=True)
class Now:
    """A tenant's configuration as it is, read in one transaction."""

    tenant: TenantRow
    resolver: Resolver
    resources: tuple[Resource, ...]
    above: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A change-set on a base. ``digest`` covers base and changes; secrets that apply will generate are left open."""

    now: Now
    changes: tuple[Change, ...]
    preview: Preview
    digest: str

    @property
    def records(self) -> Sequence[ChangeRecord]:
        """Before and after of everything that changes."""
        return self.preview.records


class Planner:
    """Makes plans for tenants and applies them."""

    def __init__(self, settings: Settings, database: Database, resources: Resources) -> None:
        self._settings = settings
        self._database = database
        self._resources = resources

    async def now(self, tenant_id: UUID) -> Now:
        """What is there."""
        async with self._database.tenant(tenant_id) as connection:
            row = await state.known_tenant(connection, tenant_id)
            resolver = await state.resolver(connection, row, self._settings)
            there = await state.resources(connection, tenant_id)
            return Now(row, resolver, tuple(there), await _above(connection))

    async def plan(self, tenant_id: UUID, author: Author, document: str) -> Plan:
        """What ``document`` would change now."""
        parsed = desired.parse(document)
        now = await self.now(tenant_id)
        stored = [one for name in KEYS for one in now.resolver.levels(name)]
        return await self.of(now, author, desired.changes_to(parsed, tenant_id, stored, now.resources))

    async def of(self, now: Now, author: Author, changes: Sequence[Change]) -> Plan:
        """The plan of given changes."""
        preview = await self._resources.preview(now.tenant.id, author, changes)
        if preview.version != now.tenant.version:
            raise SivoError(PLAN_STALE, "the configuration changed while the plan was made", remedy="plan again")
        return Plan(now, tuple(changes), preview, _digest(now, preview))

    async def apply(
        self, plan: Plan, author: Author, reason: str, *, digest: str | None = None, confirmed: Sequence[str] = ()
    ) -> Entry:
        """Write ``plan``, if it is still the one that ``digest`` names and nothing moved since it was made."""
        if plan.preview.problem is not None:
            raise plan.preview.problem
        check_confirmed(plan.records, confirmed)
        if digest is not None and digest != plan.digest:
            raise stale()
        tenant_id = plan.now.tenant.id
        return await self._resources.apply(
            tenant_id,
            author,
            reason,
            plan.changes,
            precondition=unmoved(tenant_id, plan.preview.version, plan.now.above),
        )


def unmoved(chain: UUID, version: int, above: str | None = None) -> Hook:
    """A precondition: the chain still ends at ``version``, and the platform's values are the same."""

    async def check(connection: Connection) -> None:
        seq = await connection.fetchval("select seq from ledger_head where tenant_id = $1", chain) or 0
        if seq != version or (above is not None and await _above(connection) != above):
            entries = await ledger.history(connection, chain, limit=20)
            raise stale([one for one in entries if one["seq"] > version])

    return check


def stale(meanwhile: Sequence[dict[str, Any]] = ()) -> SivoError:
    """What is there is not what was planned on."""
    told = [
        {"version": one["seq"], "author": one["author"], "targets": [change["target"] for change in one["changes"]]}
        for one in meanwhile
    ]
    return SivoError(
        PLAN_STALE,
        "the configuration is no longer the one that was planned on, or the document is another",
        where="plan",
        remedy="plan again, look at it, and apply that",
        details={"meanwhile": told} if told else None,
    )


def confirmations(records: Sequence[ChangeRecord]) -> dict[str, str]:
    """Keys among ``records`` whose change somebody has to confirm, with the sentence to confirm."""
    names = {one.target.rsplit("/", 1)[1] for one in records if one.target.startswith("key/")}
    return {name: KEYS[name].confirm for name in sorted(names) if name in KEYS and KEYS[name].confirm}


def check_confirmed(records: Sequence[ChangeRecord], confirmed: Sequence[str]) -> None:
    """Raise CONFIRMATION_REQUIRED for the first change that nobody confirmed."""
    for name, sentence in confirmations(records).items():
        if name not in confirmed:
            raise SivoError(
                CONFIRMATION_REQUIRED,
                f"{name}: {sentence}",
                where=name,
                remedy=f"repeat the request with ?confirm={name} when that is agreed",
            )


async def _above(connection: Connection) -> str:
    """A mark of everything that platform and plans set now."""
    found = await connection.fetchval(
        "select md5(coalesce(string_agg(concat_ws('|', scope, target, key, value::text, locked::text), E'\\n'"
        " order by scope, target, key), '')) from config_value where tenant_id = $1",
        PLATFORM_ID,
    )
    return str(found)


def _digest(now: Now, preview: Preview) -> str:
    generated = {one.target: set(one.generated) for one in preview.draft.resources.values()}
    changes = [[one.target, one.before, _open(one.after, generated.get(one.target, set()))] for one in preview.records]
    content = [str(now.tenant.id), preview.version, now.above, changes]
    return hashlib.sha256(canonical(content)).hexdigest()


def _open(after: Any, generated: set[str]) -> Any:
    if not generated or after is None:
        return after
    secrets = {name: "generated" if name in generated else value for name, value in after["secrets"].items()}
    return {**after, "secrets": secrets}
