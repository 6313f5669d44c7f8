"""The plan's part in every change-set: no more than it includes, and no smaller plan while something is above it.

What was promised stays: expiries that were sealed on recordings and transcripts are not looked at, and not touched.
"""

from __future__ import annotations

from collections import Counter
from typing import Any
from uuid import UUID

from sivo.base.errors import SivoError, register
from sivo.config.draft import Draft
from sivo.config.key import Level
from sivo.config.kinds import KINDS, PLATFORM_ID
from sivo.db.scopes import Connection
from sivo.tenants.plans import Violation, definition, violations

PLAN_LIMIT_REACHED = register("PLAN_LIMIT_REACHED", 409)
PLAN_TOO_SMALL = register("PLAN_TOO_SMALL", 409)
RETENTION = "recording.default_retention_days"
_POLICY = "recording_policy"


async def check_plan(connection: Connection, draft: Draft) -> None:
    """Raises PLAN_TOO_SMALL with every violation when the plan changes, PLAN_LIMIT_REACHED when something is made."""
    body, base = draft.tenant_body, draft.base
    if body is None or base.tenant_id == PLATFORM_ID:
        return
    plan = definition(body["plan"], base.settings)
    if base.tenant is not None and base.tenant.plan != plan.name:
        broken = violations(plan, await _retentions(connection, draft), await _counts(connection, draft))
        if broken:
            raise _too_small(plan.name, broken)
        return
    made = Counter(one.kind.plural for one in draft.resources.values() if one.before is None and one.body is not None)
    if not made.keys() & plan.max_resources.keys():
        return
    counts = await _counts(connection, draft)
    for noun in sorted(made.keys() & plan.max_resources.keys()):
        allowed = plan.max_resources[noun]
        if counts[noun] > allowed:
            raise SivoError(
                PLAN_LIMIT_REACHED,
                f"plan {plan.name} includes {allowed} {noun}, and this would make {counts[noun]}",
                where=noun,
                remedy="delete one that is not needed, or change the plan",
                details={"plan": plan.name, "where": noun, "have": counts[noun], "allowed": allowed},
            )


async def standing(connection: Connection, tenant_id: UUID) -> tuple[dict[str, int], dict[str, int]]:
    """(retentions, counts) of a tenant as it is, for :func:`sivo.tenants.plans.violations`."""
    retentions = await _stored_retentions(connection, tenant_id)
    return retentions, dict(await _stored_counts(connection, tenant_id))


def _too_small(plan: str, broken: tuple[Violation, ...]) -> SivoError:
    listed = "; ".join(f"{one.where}: {one.have}, allowed {one.allowed}" for one in broken)
    return SivoError(
        PLAN_TOO_SMALL,
        f"{len(broken)} things do not fit into plan {plan}: {listed}",
        where="tenant.plan",
        remedy="bring each of them below the plan first; recordings keep the expiry that they have",
        details={"plan": plan, "violations": [one.body() for one in broken]},
    )


async def _counts(connection: Connection, draft: Draft) -> Counter[str]:
    counts = await _stored_counts(connection, draft.base.tenant_id)
    for one in draft.resources.values():
        if (one.before is None) != (one.body is None):
            counts[one.kind.plural] += 1 if one.before is None else -1
    return counts


async def _stored_counts(connection: Connection, tenant_id: UUID) -> Counter[str]:
    rows = await connection.fetch("select kind, count(*) from resource where tenant_id = $1 group by kind", tenant_id)
    return Counter({KINDS[row["kind"]].plural: row["count"] for row in rows if row["kind"] in KINDS})


async def _retentions(connection: Connection, draft: Draft) -> dict[str, int]:
    found = await _stored_retentions(connection, draft.base.tenant_id)
    found.pop(RETENTION, None)
    own = next((one for one in draft.stored() if one.key == RETENTION and one.level is Level.TENANT), None)
    if own is not None:
        found[RETENTION] = own.value
    for one in draft.resources.values():
        if one.kind.name == _POLICY:
            found.pop(one.target, None)
            if one.body is not None:
                found |= _of_policy(one.target, one.body)
    return found


async def _stored_retentions(connection: Connection, tenant_id: UUID) -> dict[str, int]:
    own = await connection.fetchval(
        "select value from config_value where tenant_id = $1 and scope = 'tenant' and key = $2", tenant_id, RETENTION
    )
    rows = await connection.fetch(
        "select id, body from resource where tenant_id = $1 and kind = $2 order by id", tenant_id, _POLICY
    )
    found = {RETENTION: int(own)} if own is not None else {}
    for row in rows:
        found |= _of_policy(f"{_POLICY}/{row['id']}", row["body"])
    return found


def _of_policy(target: str, body: dict[str, Any]) -> dict[str, int]:
    return {target: body["retention_days"]} if body.get("retention_days") is not None else {}
