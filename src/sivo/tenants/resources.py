"""The tenant as a resource. Its slug is the key ``tenant.slug``; here it is only shown and set at creation."""

from __future__ import annotations

from typing import Literal

from sivo.config.kinds import Body, ResourceKind, register_kind
from sivo.config.values import Name


class Tenant(Body):
    """One customer organisation: everything else hangs from it."""

    name: Name
    plan: Literal["starter", "pro", "enterprise"] = "starter"
    #: A suspended tenant keeps its data; its calls and logins are refused.
    status: Literal["active", "suspended"] = "active"


TENANT = register_kind(
    ResourceKind(
        name="tenant",
        plural="tenants",
        model=Tenant,
        read_roles=("viewer", "supervisor", "admin", "superadmin"),
        write_roles=("superadmin",),
    )
)
