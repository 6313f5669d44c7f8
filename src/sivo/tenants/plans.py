"""What each plan includes.

Published are retention and what only Enterprise has. No plan names a number of seats, so the operator sets such numbers
(``SIVO_PLAN_LIMITS``), and without them there are none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sivo.base.errors import SivoError
from sivo.base.settings import Settings
from sivo.config.keys.recording import RETENTION_BY_PLAN, RETENTION_CAPPED_PLANS
from sivo.config.kinds import KINDS
from sivo.config.types import PLANS

#: From the smallest to the largest.
ORDER = ("starter", "pro", "enterprise")
#: Days that the audit log is kept: 30 days, 1 year, 7 years.
_AUDIT_DAYS = {"starter": 30, "pro": 365, "enterprise": 2_557}


@dataclass(frozen=True, slots=True)
class PlanDefinition:
    """One plan. ``max_recording_retention_days`` None: the tenant sets its own.

    ``max_resources``: plural of a kind -> how many of it a tenant may have; a kind that is absent has no limit.
    """

    name: str
    recording_retention_days: int
    max_recording_retention_days: int | None
    audit_retention_days: int
    custom_rate_limits: bool
    dedicated_salesforce_keypair: bool
    max_resources: Mapping[str, int] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "recording_retention_days": self.recording_retention_days,
            "max_recording_retention_days": self.max_recording_retention_days,
            "audit_retention_days": self.audit_retention_days,
            "custom_rate_limits": self.custom_rate_limits,
            "dedicated_salesforce_keypair": self.dedicated_salesforce_keypair,
            "max_resources": dict(self.max_resources),
        }


@dataclass(frozen=True, slots=True)
class Violation:
    """Something of a tenant that a plan does not allow: a key, a resource, or the number of a kind."""

    where: str
    have: int
    allowed: int

    def body(self) -> dict[str, Any]:
        """As JSON."""
        return {"where": self.where, "have": self.have, "allowed": self.allowed}


def definition(name: str, settings: Settings) -> PlanDefinition:
    """The plan called ``name``. Raises NOT_FOUND."""
    if name not in PLANS:
        raise SivoError(
            "NOT_FOUND", f"there is no plan {name[:40]!r}", where="plan", remedy=f"use one of {', '.join(ORDER)}"
        )
    retention, enterprise = RETENTION_BY_PLAN[name], name == "enterprise"
    return PlanDefinition(
        name=name,
        recording_retention_days=retention,
        max_recording_retention_days=retention if name in RETENTION_CAPPED_PLANS else None,
        audit_retention_days=_AUDIT_DAYS[name],
        custom_rate_limits=enterprise,
        dedicated_salesforce_keypair=enterprise,
        max_resources=dict(settings.plan_limits.get(name, {})),
    )


def check_setting(settings: Settings) -> None:
    """Refuse limits of plans or kinds that do not exist: they would limit nothing. Raises VALIDATION_FAILED."""
    plurals = {kind.plural for kind in KINDS.values()}
    for plan, limits in settings.plan_limits.items():
        for noun in limits:
            if plan not in PLANS or noun not in plurals:
                raise SivoError(
                    "VALIDATION_FAILED",
                    f"{plan}.{noun}: there is no such plan or kind of resource",
                    where="SIVO_PLAN_LIMITS",
                    remedy=f"plans are {', '.join(ORDER)}; kinds are {', '.join(sorted(plurals))}",
                )


def violations(plan: PlanDefinition, retentions: Mapping[str, int], counts: Mapping[str, int]) -> tuple[Violation, ...]:
    """Everything that ``plan`` does not allow, in a fixed order.

    ``retentions``: key or resource -> days that it sets itself; ``counts``: plural of a kind -> how many there are.
    """
    found = [
        Violation(f"{noun}", counts[noun], allowed)
        for noun, allowed in sorted(plan.max_resources.items())
        if counts.get(noun, 0) > allowed
    ]
    ceiling = plan.max_recording_retention_days
    if ceiling is not None:
        found += [Violation(where, days, ceiling) for where, days in sorted(retentions.items()) if days > ceiling]
    return tuple(found)
