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
    name: str
    role: Role
    may_sign_in: bool


@dataclass(frozen=True, slots=True)
class TenantIdentity:
    """What a token says about its tenant, and the keys of group ``auth`` that rule here."""

    slug: str
    name: str
    sip_domain: str
    dashboard_host: str
    jwt_ttl_sec: int
    refresh_ttl_sec: int
    password_min_length: int
    login_max_attempts: int
    mfa_required_roles: frozenset[str]

    def requires_factor(self, role: Role) -> bool:
        """Whether somebody of ``role`` gets no full token without a second factor."""
        return role.value in self.mfa_required_roles


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
            return await self.identity_in(connection, tenant_id)

    async def identity_in(self, connection: Connection, tenant_id: UUID) -> TenantIdentity:
        """As :meth:`tenant_identity`, in an open scope of the tenant."""
        row = await state.known_tenant(connection, tenant_id)
        effective = await state.resolver(connection, row, self._settings)

        def value(key: str) -> Any:
            return effective.effective(key).value

        return TenantIdentity(
            slug=value("tenant.slug"),
            name=row.name,
            sip_domain=value("tenant.sip_domain"),
            dashboard_host=value("tenant.dashboard_url"),
            jwt_ttl_sec=value("auth.jwt_ttl_sec"),
            refresh_ttl_sec=value("auth.refresh_ttl_sec"),
            password_min_length=value("auth.password_min_length"),
            login_max_attempts=value("auth.login_max_attempts"),
            mfa_required_roles=frozenset(value("auth.mfa_required_roles")),
        )


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
        name=str(body.get("name") or ""),
        role=Role(body["role"]),
        may_sign_in=bool(body.get("active", True)) and tenant.status == ACTIVE,
    )
