"""Links that serve once: an invitation, a new password, a changed address. Rows of ``one_time_link``.

The token is 256 random bits and only its hash is kept. A new link of one purpose ends the older ones of that user.
Every function but :func:`tenant_of` takes a connection in the tenant's scope.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sivo.base.errors import SivoError, register
from sivo.db.scopes import Connection, Database

LINK_REFUSED = register("LINK_REFUSED", 410)
#: Longer ones are not looked up.
MAX_LENGTH = 100
_KEEP = timedelta(days=30)


class Purpose(StrEnum):
    """What a link is for."""

    INVITATION = "invitation"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a name
    EMAIL_CHANGE = "email_change"


LIVES: dict[Purpose, timedelta] = {
    Purpose.INVITATION: timedelta(days=7),
    Purpose.PASSWORD_RESET: timedelta(hours=1),
    Purpose.EMAIL_CHANGE: timedelta(hours=24),
}


@dataclass(frozen=True, slots=True)
class Link:
    """A link that is good now. ``new_email`` is that of a change of address."""

    tenant_id: UUID
    user_id: UUID
    purpose: Purpose
    new_email: str | None


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def issue(
    connection: Connection,
    tenant_id: UUID,
    user_id: UUID,
    purpose: Purpose,
    author: str,
    now: datetime,
    new_email: str | None = None,
) -> str:
    """A new link's token; older ones of the purpose are worth nothing from now on."""
    # Two that are made at the same moment come one after the other.
    await connection.execute("select 1 from resource where id = $1 for update", user_id)
    await connection.execute("delete from one_time_link where user_id = $1 and expires_at < $2", user_id, now - _KEEP)
    await end(connection, user_id, now, purpose)
    token = secrets.token_urlsafe(32)
    await connection.execute(
        "insert into one_time_link (token_hash, tenant_id, user_id, purpose, new_email, author, created_at, expires_at)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8)",
        _hash(token),
        tenant_id,
        user_id,
        str(purpose),
        new_email,
        author,
        now,
        now + LIVES[purpose],
    )
    return token


async def end(connection: Connection, user_id: UUID, now: datetime, purpose: Purpose | None = None) -> None:
    """End the open links of a user, of one purpose or of all."""
    await connection.execute(
        "update one_time_link set ended_at = $2 where user_id = $1 and used_at is null and ended_at is null"
        " and ($3::text is null or purpose = $3)",
        user_id,
        now,
        None if purpose is None else str(purpose),
    )


async def tenant_of(database: Database, token: str) -> UUID:
    """The tenant that a link belongs to. Raises LINK_REFUSED."""
    tenant_id: UUID | None = None
    if len(token) <= MAX_LENGTH:
        async with database.directory() as connection:
            tenant_id = await connection.fetchval(
                "select tenant_id from one_time_link where token_hash = $1", _hash(token)
            )
    if tenant_id is None:
        raise refusal()
    return tenant_id


async def find(connection: Connection, token: str, purpose: Purpose, now: datetime) -> Link:
    """A link that could be used now; it stays good. Raises LINK_REFUSED."""
    return _found(
        await connection.fetchrow(
            "select tenant_id, user_id, purpose, new_email from one_time_link where token_hash = $1 and purpose = $2"
            " and used_at is null and ended_at is null and expires_at > $3",
            _hash(token),
            str(purpose),
            now,
        )
    )


async def use(connection: Connection, token: str, purpose: Purpose, now: datetime) -> Link:
    """Use a link up, in the transaction of what it allows; of two at the same moment one gets LINK_REFUSED."""
    return _found(
        await connection.fetchrow(
            "update one_time_link set used_at = $3 where token_hash = $1 and purpose = $2"
            " and used_at is null and ended_at is null and expires_at > $3"
            " returning tenant_id, user_id, purpose, new_email",
            _hash(token),
            str(purpose),
            now,
        )
    )


def refusal() -> SivoError:
    """One answer for a link that never was, ran out, served already or was replaced."""
    return SivoError(
        LINK_REFUSED,
        "this link is not valid, or not any more",
        where="token",
        remedy="ask for a new one; only the newest works, and only once",
    )


def _found(row: object) -> Link:
    if row is None:
        raise refusal()
    found = dict(row)  # type: ignore[call-overload]
    return Link(found["tenant_id"], found["user_id"], Purpose(found["purpose"]), found["new_email"])
