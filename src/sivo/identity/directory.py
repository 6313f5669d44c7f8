"""Finding the tenant before one is known: from a slug, a host, an e-mail address or a session id.

Reads only the narrow directory views; whatever is found is then read again in the tenant's own scope.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sivo.base.clock import Clock
from sivo.db.scopes import Database

SLUG = "tenant.slug"
DASHBOARD_HOST = "tenant.dashboard_url"
EMAIL = "user.email"


@dataclass(frozen=True, slots=True)
class Named:
    """What a platform-wide name stands for."""

    tenant_id: UUID
    id: UUID


class Directory:
    """Look-ups of platform-wide unique names."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def find(self, space: str, name: str) -> Named | None:
        """What ``name`` (compared in lower case) stands for in ``space``; None when nothing, or no longer."""
        if "\x00" in name:  # no text of PostgreSQL holds it
            return None
        async with self._database.directory() as connection:
            row = await connection.fetchrow(
                "select tenant_id, id, valid_until from name_directory where space = $1 and name = $2",
                space,
                name.strip().lower(),
            )
        if row is None or self._expired(row["valid_until"]):
            return None
        return Named(row["tenant_id"], row["id"])

    async def tenant_of_session(self, session_id: UUID) -> UUID | None:
        """The tenant that a session belongs to."""
        async with self._database.directory() as connection:
            tenant_id: UUID | None = await connection.fetchval(
                "select tenant_id from session where id = $1", session_id
            )
        return tenant_id

    def _expired(self, valid_until: datetime | None) -> bool:
        return valid_until is not None and valid_until <= self._clock.now()
