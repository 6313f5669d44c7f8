"""Ceremonies under way, as rows: a login between password and second factor, or a step-up with a security key."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sivo.base.ids import uuid7
from sivo.db.scopes import Connection

LIFE_S = 600


@dataclass(frozen=True, slots=True)
class Pending:
    """One ceremony. Its id is the claim ``jti`` of a half-signed-in token."""

    id: UUID
    tenant_id: UUID
    user_id: UUID
    expires_at: datetime
    address: str
    client: str
    challenge: bytes | None


async def begin(
    connection: Connection, tenant_id: UUID, user_id: UUID, now: datetime, address: str = "", client: str = ""
) -> Pending:
    """A new ceremony; those of the user that ran out are removed."""
    await connection.execute("delete from pending_login where user_id = $1 and expires_at < $2", user_id, now)
    made = Pending(uuid7(), tenant_id, user_id, now + timedelta(seconds=LIFE_S), address, client[:200], None)
    await connection.execute(
        "insert into pending_login (id, tenant_id, user_id, created_at, expires_at, address, client)"
        " values ($1, $2, $3, $4, $5, $6, $7)",
        made.id,
        tenant_id,
        user_id,
        now,
        made.expires_at,
        address,
        made.client,
    )
    return made


async def find(connection: Connection, pending_id: UUID, user_id: UUID, now: datetime) -> Pending | None:
    """A ceremony that is neither done nor over, locked until the transaction ends."""
    row = await connection.fetchrow(
        "select id, tenant_id, user_id, expires_at, address, client, challenge from pending_login"
        " where id = $1 and user_id = $2 and done_at is null and expires_at > $3 for update",
        pending_id,
        user_id,
        now,
    )
    return Pending(**row) if row else None


async def challenge(connection: Connection, pending_id: UUID) -> bytes:
    """A fresh WebAuthn challenge of the ceremony; it replaces an older one."""
    made = secrets.token_bytes(32)
    await connection.execute("update pending_login set challenge = $2 where id = $1", pending_id, made)
    return made


async def finish(connection: Connection, pending_id: UUID, now: datetime) -> None:
    """Done: the token of the ceremony is worth nothing from now on."""
    await connection.execute("update pending_login set done_at = $2, challenge = null where id = $1", pending_id, now)


async def end(connection: Connection, user_id: UUID, now: datetime) -> None:
    """End every ceremony of a user: the password that began it is not theirs any more."""
    await connection.execute(
        "update pending_login set done_at = $2, challenge = null where user_id = $1 and done_at is null", user_id, now
    )
