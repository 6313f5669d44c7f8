"""How far a change of platform or plan reaches: which tenants' effective values it moves, before it is made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sivo.config.changes import Preview
from sivo.config.key import Computed, Inputs, Level
from sivo.config.kinds import PLATFORM_ID
from sivo.config.registry import KEYS
from sivo.config.resolve import Resolver, Stored
from sivo.db.scopes import Database

_FIRST = 20


@dataclass(slots=True)
class Impact:
    """``changed``: slugs of the tenants whose values move; ``by_key``: how many tenants each key moves for."""

    tenants: int = 0
    changed: list[str] = field(default_factory=list)
    by_key: dict[str, int] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """For people: ``changes 312 tenants``."""
        count = len(self.changed)
        return f"changes {count} tenant{'' if count == 1 else 's'} of {self.tenants}"

    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "sentence": self.sentence,
            "tenants": self.tenants,
            "changed": len(self.changed),
            "first": self.changed[:_FIRST],
            "by_key": self.by_key,
        }


@dataclass(frozen=True, slots=True)
class _Tenant:
    slug: str
    inputs: Inputs
    own: tuple[Stored, ...]


async def impact(database: Database, preview: Preview) -> Impact:
    """What the previewed change-set of the platform would do to tenants."""
    before, after = preview.draft.base.stored, preview.draft.stored()
    touched = {one.key for one in preview.draft.keys.values() if one.before != one.after}
    names = [name for name, key in KEYS.items() if name in touched or isinstance(key.default, Computed)]
    async with database.platform("config: reach of a platform value") as connection:
        rows = await connection.fetch(
            "select id, slug, name, plan from tenant where id <> $1 order by slug", PLATFORM_ID
        )
        own = await connection.fetch(
            "select tenant_id, key, value, locked from config_value where scope = 'tenant' and key = any($1)",
            list(KEYS),
        )
    values: dict[UUID, list[Stored]] = {}
    for row in own:
        one = Stored(row["key"], Level.TENANT, row["value"], locked=row["locked"])
        values.setdefault(row["tenant_id"], []).append(one)
    suffixes = preview.effective.inputs
    tenants = [
        _Tenant(
            row["slug"],
            Inputs(row["slug"], row["name"], row["plan"], suffixes.sip_suffix, suffixes.app_suffix),
            tuple(values.get(row["id"], ())),
        )
        for row in rows
    ]
    return _count(tenants, names, before, after)


def _count(
    tenants: Iterable[_Tenant], names: Sequence[str], before: Sequence[Stored], after: Sequence[Stored]
) -> Impact:
    found = Impact()
    for tenant in tenants:
        old, new = (_resolver(tenant, above) for above in (before, after))
        moved = [name for name in names if old.effective(name).value != new.effective(name).value]
        found.tenants += 1
        if moved:
            found.changed.append(tenant.slug)
        for name in moved:
            found.by_key[name] = found.by_key.get(name, 0) + 1
    return found


def _resolver(tenant: _Tenant, above: Sequence[Stored]) -> Resolver:
    kept = [one for one in above if one.level is not Level.PLAN or one.target == tenant.inputs.plan]
    return Resolver(tenant.inputs, [*kept, *tenant.own])
