"""Passwords and sessions of one tenant's users, as rows. Every function takes a connection in the tenant's scope."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sivo.base.ids import uuid7
from sivo.db.scopes import Connection

#: Sessions that ended this long ago are removed when their user signs in again.
SESSION_KEEP = timedelta(days=30)
#: Told to every ``api`` process when tokens of a tenant must be looked at again; payload: the tenant's id.
CHANNEL = "sivo_identity"


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in session; its id is the claim ``sid``."""

    id: UUID
    user_id: UUID
    expires_at: datetime
    revoked_at: datetime | None

    def valid_at(self, now: datetime) -> bool:
        """Neither ended nor expired."""
        return self.revoked_at is None and now < self.expires_at


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


async def open_session(connection: Connection, tenant_id: UUID, user_id: UUID, now: datetime, ttl_sec: int) -> Session:
    """A new session that lives as long as its access token."""
    await connection.execute("delete from session where user_id = $1 and expires_at < $2", user_id, now - SESSION_KEEP)
    session = Session(uuid7(), user_id, now + timedelta(seconds=ttl_sec), None)
    await connection.execute(
        "insert into session (id, tenant_id, user_id, created_at, expires_at) values ($1, $2, $3, $4, $5)",
        session.id,
        tenant_id,
        user_id,
        now,
        session.expires_at,
    )
    return session


async def find_session(connection: Connection, session_id: UUID) -> Session | None:
    """The session called ``session_id``."""
    row = await connection.fetchrow("select id, user_id, expires_at, revoked_at from session where id = $1", session_id)
    return Session(row["id"], row["user_id"], row["expires_at"], row["revoked_at"]) if row else None


async def end_sessions(connection: Connection, tenant_id: UUID, user_id: UUID, now: datetime) -> int:
    """End every session of a user, in every process at once after commit. Returns how many were open."""
    status = await connection.execute(
        "update session set revoked_at = $2 where user_id = $1 and revoked_at is null", user_id, now
    )
    await connection.execute("select pg_notify($1, $2)", CHANNEL, str(tenant_id))
    return int(status.rpartition(" ")[2])


async def end_session(connection: Connection, tenant_id: UUID, session_id: UUID, now: datetime) -> None:
    """End one session (sign out)."""
    await connection.execute("update session set revoked_at = $2 where id = $1 and revoked_at is null", session_id, now)
    await connection.execute("select pg_notify($1, $2)", CHANNEL, str(tenant_id))
