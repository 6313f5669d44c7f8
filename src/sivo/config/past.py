"""Configuration as it was: values and resources of a tenant at a version of its chain or at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sivo.audit import ledger
from sivo.audit.ledger import Past
from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.config import state
from sivo.config.change import Scope
from sivo.config.defaults import NO_DEFAULTS, TARGET, Defaults
from sivo.config.key import Level
from sivo.config.kinds import PLATFORM_ID
from sivo.config.registry import KEYS
from sivo.config.releases import default_changes
from sivo.config.renamed import current
from sivo.config.resolve import Resolver, Stored
from sivo.config.state import Resource, TenantRow
from sivo.db.scopes import Database

Moment = int | datetime


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything of one chain after entry ``version``. ``above`` holds the platform's values of that time."""

    chain: UUID
    version: int
    at: datetime
    tenant: TenantRow | None
    stored: tuple[Stored, ...]
    resources: tuple[Resource, ...]
    #: target -> value, as the ledger has it.
    targets: dict[str, Any]
    above: tuple[Stored, ...] = ()
    defaults: Defaults = NO_DEFAULTS

    def resolver(self, settings: Settings, scope: Scope | None = None, extra: Iterable[Stored] = ()) -> Resolver:
        """Effective values of that time; at ``scope`` platform or plan those that hold there."""
        if self.chain == PLATFORM_ID:
            level, plan = (scope.level, scope.target) if scope else (Level.PLATFORM, "")
            inputs = state.inputs_of(self.tenant, settings)
            kept = [
                one for one in self.stored if one.level is Level.PLATFORM or (one.level, one.target) == (level, plan)
            ]
            return Resolver(inputs, kept, defaults=self.defaults)
        plan = self.tenant.plan if self.tenant else "starter"
        above = [one for one in self.above if one.level is not Level.PLAN or one.target == plan]
        own = [one for one in self.stored if one.level is not Level.ORG]
        inputs = state.inputs_of(self.tenant, settings)
        return Resolver(inputs, [*above, *own, *extra], defaults=self.defaults)


def moment_of(text: str) -> Moment:
    """A version (``17``) or a time (ISO 8601; without an offset it is UTC). Raises VALIDATION_FAILED."""
    if text.isdecimal() and len(text) <= 18:
        return int(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise SivoError(
            "VALIDATION_FAILED",
            f"{text[:60]!r} is neither a version nor a time",
            where="at",
            remedy="send a version such as 17, or a time such as 2026-03-01T09:00:00Z",
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


async def picture(database: Database, chain: UUID, moment: Moment) -> Picture:
    """The configuration of ``chain`` at ``moment``; NOT_FOUND when the chain had no entry then.

    At a version the platform's values are those of the entry's time, at a time those of that time.
    """
    async with database.tenant(chain) as connection:
        entry = await ledger.entry_at(connection, chain, moment)
        if entry is None:
            raise SivoError(
                "NOT_FOUND", f"there is no version {moment}", where="at", remedy="GET /api/config/history lists them"
            )
        version, at = entry
        past = await ledger.state_at(connection, chain, version)
    above: tuple[Stored, ...] = ()
    when = at if isinstance(moment, int) else moment
    if chain != PLATFORM_ID:
        above = await _platform_values(database, when)
    return Picture(
        chain=chain,
        version=version,
        at=when,
        tenant=_tenant(chain, past, version),
        stored=tuple(_stored(past)),
        resources=tuple(_resources(chain, past)),
        targets={one.target: one.value for one in past if not one.target.startswith(TARGET)},
        above=above,
        defaults=await _defaults(database, when),
    )


async def _defaults(database: Database, when: datetime) -> Defaults:
    async with database.platform("config: defaults of the past") as connection:
        return Defaults.at(await default_changes(connection), when)


async def _platform_values(database: Database, when: datetime) -> tuple[Stored, ...]:
    async with database.platform("config: platform values of the past") as connection:
        entry = await ledger.entry_at(connection, PLATFORM_ID, when)
        if entry is None:
            return ()
        return tuple(_stored(await ledger.state_at(connection, PLATFORM_ID, entry[0])))


def _stored(past: Iterable[Past]) -> list[Stored]:
    found = []
    for one in past:
        if not one.target.startswith("key/"):
            continue
        _, level, target, name = one.target.split("/", 3)
        key, value = current(name, one.value["value"])
        if key in KEYS:
            origin = (one.author, one.at, one.reason, one.seq)
            found.append(Stored(key, Level(level), value, target, one.value["locked"], *origin))
    return found


def _resources(chain: UUID, past: Iterable[Past]) -> list[Resource]:
    found = []
    for one in past:
        kind, _, id_ = one.target.partition("/")
        if kind not in ("key", "tenant", "default"):
            body, secrets = one.value["body"], one.value["secrets"]
            found.append(Resource(chain, kind, UUID(id_), body, secrets, one.seq, one.at, one.at))
    return sorted(found, key=lambda one: one.id)


def _tenant(chain: UUID, past: Iterable[Past], version: int) -> TenantRow | None:
    for one in past:
        if one.target == f"tenant/{chain}":
            body = one.value["body"]
            return TenantRow(chain, body["slug"], body["name"], body["plan"], body["status"], version, one.at)
    return None
