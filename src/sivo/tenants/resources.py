"""The tenant as a resource. Its slug is the key ``tenant.slug``: setting one sets the other."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from sivo.config.kinds import Body, ResourceKind, register_kind
from sivo.config.room_rules import rule
from sivo.config.values import Name
from sivo.identity.permissions import Permission
from sivo.tenants.plan_rule import check_plan

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,30}[a-z0-9]$")]


class Tenant(Body):
    """One customer organisation: everything else hangs from it."""

    name: Name
    #: The effective value of the key ``tenant.slug``; generated from the name when none is given.
    slug: Slug | None = None
    plan: Literal["starter", "pro", "enterprise"] = "starter"
    #: A suspended tenant keeps its data; its calls and logins are refused. One that is being deleted is refused
    #: likewise, until its grace is over or it is restored.
    status: Literal["active", "suspended", "deleting"] = "active"


TENANT = register_kind(
    ResourceKind(
        name="tenant",
        plural="tenants",
        model=Tenant,
        read=Permission.TENANT_READ,
        write=Permission.TENANTS_MANAGE,
    )
)

rule(check_plan)
