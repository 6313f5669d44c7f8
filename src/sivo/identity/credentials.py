"""Passwords of one tenant's users, as rows. Every function takes a connection in the tenant's scope."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sivo.db.scopes import Connection


async def password_hash(connection: Connection, user_id: UUID) -> str | None:
    """The PHC string of a user, or None when no password was ever set."""
    found: str | None = await connection.fetchval("select password_hash from credential where user_id = $1", user_id)
    return found


async def store_password(
    connection: Connection, tenant_id: UUID, user_id: UUID, hashed: str, author: str, now: datetime
) -> None:
    """Set the password hash of a user."""
    await connection.execute(
        """
        insert into credential (user_id, tenant_id, password_hash, changed_at, changed_by)
        values ($1, $2, $3, $4, $5)
        on conflict (user_id) do update set password_hash = excluded.password_hash,
            changed_at = excluded.changed_at, changed_by = excluded.changed_by
        """,
        user_id,
        tenant_id,
        hashed,
        now,
        author,
    )


async def rehash(connection: Connection, user_id: UUID, old: str, new: str) -> None:
    """Replace a hash by one of the same password with today's parameters, unless it was changed meanwhile."""
    await connection.execute(
        "update credential set password_hash = $3 where user_id = $1 and password_hash = $2", user_id, old, new
    )
