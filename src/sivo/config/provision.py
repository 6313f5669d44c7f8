"""Making a tenant: a change-set like any other, the first of its chain."""

from __future__ import annotations

from typing import Any, Protocol

from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.config.change import Author, Create
from sivo.config.resources import Resources
from sivo.config.state import TenantRow

_ATTEMPTS = 10


class HasResources(Protocol):
    """What is needed of the API's context."""

    @property
    def resources(self) -> Resources: ...


async def create_tenant(
    context: HasResources,
    slug: str | None,
    name: str,
    plan: str,
    author: Author,
    reason: str = "",
    status: str = "active",
) -> TenantRow:
    """A new tenant; without a slug one is generated from the name. ALREADY_EXISTS when slug or domain is taken."""
    body: dict[str, Any] = {"name": name, "plan": plan, "slug": slug, "status": status}
    for attempt in range(_ATTEMPTS):
        tenant_id = uuid7()
        try:
            await context.resources.apply(tenant_id, author, reason, [Create("tenant", body)])
        except SivoError as error:
            # Somebody else was given the same generated slug at this moment; the next one is tried.
            if error.code != "ALREADY_EXISTS" or slug is not None or attempt == _ATTEMPTS - 1:
                raise
            continue
        break
    return await context.resources.tenant(tenant_id)
