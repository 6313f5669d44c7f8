"""The tenant as a resource. Its slug is the key ``tenant.slug``: setting one sets the other."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from sivo.config.kinds import Body, ResourceKind, register_kind
from sivo.config.values import Name

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,30}[a-z0-9]$")]


class Tenant(Body):
    """One customer organisation: everything else hangs from it."""

    name: Name
    #: The effective value of the key ``tenant.slug``; generated from the name when none is given.
    slug: Slug | None = None
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
