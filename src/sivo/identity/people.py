"""The users and tenants that tokens speak about, read in the tenant's own scope each time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sivo.base.settings import Settings
from sivo.config import state
from sivo.db.scopes import Connection, Database
from sivo.identity.access import Role

ACTIVE = "active"


@dataclass(frozen=True, slots=True)
class Person:
    """A user as signing in sees them."""

    id: UUID
    tenant_id: UUID
    email: str
    role: Role
    may_sign_in: bool


@dataclass(frozen=True, slots=True)
class TenantIdentity:
    """What a token says about its tenant, and the keys of group ``auth`` that rule here."""

    slug: str
    sip_domain: str
    jwt_ttl_sec: int
    password_min_length: int


class People:
    """Reads users and the identity keys of tenants."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    async def get(self, tenant_id: UUID, user_id: UUID) -> Person | None:
        """The user, with whether user and tenant are active."""
        async with self._database.tenant(tenant_id) as connection:
            return await person(connection, tenant_id, user_id)

    async def tenant_identity(self, tenant_id: UUID) -> TenantIdentity:
        """Effective values in force now. Raises NOT_FOUND."""
        async with self._database.tenant(tenant_id) as connection:
            row = await state.known_tenant(connection, tenant_id)
            effective = await state.resolver(connection, row, self._settings)

        def value(key: str) -> Any:
            return effective.effective(key).value

        return TenantIdentity(
            slug=value("tenant.slug"),
            sip_domain=value("tenant.sip_domain"),
            jwt_ttl_sec=value("auth.jwt_ttl_sec"),
            password_min_length=value("auth.password_min_length"),
        )

    async def tenant_exists(self, tenant_id: UUID) -> bool:
        """Whether there is such a tenant, active or suspended."""
        async with self._database.tenant(tenant_id) as connection:
            return await state.tenant_row(connection, tenant_id) is not None


async def person(connection: Connection, tenant_id: UUID, user_id: UUID) -> Person | None:
    """The user ``user_id`` in an open scope of their tenant."""
    tenant = await state.tenant_row(connection, tenant_id)
    found = (await state.resources_by_id(connection, tenant_id, [user_id])).get(user_id)
    if tenant is None or found is None or found.kind != "user":
        return None
    body = found.body
    return Person(
        id=user_id,
        tenant_id=tenant_id,
        email=body["email"],
        role=Role(body["role"]),
        may_sign_in=bool(body.get("active", True)) and tenant.status == ACTIVE,
    )
