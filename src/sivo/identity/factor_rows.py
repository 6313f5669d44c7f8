"""Second factors as rows. Every function takes a connection in the tenant's scope."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sivo.base.ids import uuid7
from sivo.db.scopes import Connection

TOTP = "totp"
WEBAUTHN = "webauthn"
RECOVERY = "recovery"


@dataclass(frozen=True, slots=True)
class Factor:
    """One authenticator app (``totp``) or security key (``webauthn``) of a user."""

    id: UUID
    user_id: UUID
    kind: str
    name: str
    secret_sealed: bytes | None
    last_step: int
    credential_id: bytes | None
    public_key: bytes | None
    sign_count: int
    rp_id: str | None
    created_at: datetime
    confirmed_at: datetime | None
    used_at: datetime | None


_COLUMNS = (
    "id, user_id, kind, name, secret_sealed, last_step, credential_id, public_key, sign_count, rp_id, created_at,"
    " confirmed_at, used_at"
)


async def of_user(connection: Connection, user_id: UUID, *, confirmed: bool = True) -> list[Factor]:
    """The factors of a user: those in force, or those whose enrolment is not finished."""
    rows = await connection.fetch(
        f"select {_COLUMNS} from factor where user_id = $1 and (confirmed_at is not null) = $2 order by id",  # noqa: S608
        user_id,
        confirmed,
    )
    return [Factor(**row) for row in rows]


async def begin_totp(
    connection: Connection, tenant_id: UUID, user_id: UUID, name: str, sealed: bytes, now: datetime
) -> UUID:
    """An authenticator app that has to show a code first; an older unfinished enrolment is dropped."""
    await connection.execute(
        "delete from factor where user_id = $1 and kind = 'totp' and confirmed_at is null", user_id
    )
    factor_id = uuid7()
    await connection.execute(
        "insert into factor (id, tenant_id, user_id, kind, name, secret_sealed, created_at)"
        " values ($1, $2, $3, 'totp', $4, $5, $6)",
        factor_id,
        tenant_id,
        user_id,
        name,
        sealed,
        now,
    )
    return factor_id


async def add_webauthn(connection: Connection, tenant_id: UUID, factor: Factor) -> None:
    """A security key whose registration was verified."""
    await connection.execute(
        "insert into factor (id, tenant_id, user_id, kind, name, credential_id, public_key, sign_count, rp_id,"
        " created_at, confirmed_at) values ($1, $2, $3, 'webauthn', $4, $5, $6, $7, $8, $9, $9)",
        factor.id,
        tenant_id,
        factor.user_id,
        factor.name,
        factor.credential_id,
        factor.public_key,
        factor.sign_count,
        factor.rp_id,
        factor.created_at,
    )


async def accept_step(connection: Connection, factor_id: UUID, step: int, now: datetime) -> bool:
    """Spend a TOTP step, and finish the enrolment if this was its first; False when it was spent meanwhile."""
    found = await connection.fetchval(
        "update factor set last_step = $2, used_at = $3, confirmed_at = coalesce(confirmed_at, $3)"
        " where id = $1 and last_step < $2 returning 1",
        factor_id,
        step,
        now,
    )
    return found is not None


async def accept_count(connection: Connection, factor_id: UUID, count: int, now: datetime) -> None:
    """Store the signature counter of a security key."""
    await connection.execute("update factor set sign_count = $2, used_at = $3 where id = $1", factor_id, count, now)


async def remove(connection: Connection, user_id: UUID, factor_id: UUID | None = None) -> int:
    """Remove one factor of a user, or all; with the last one the recovery codes go. Returns how many went."""
    rows = await connection.fetch(
        "delete from factor where user_id = $1 and ($2::uuid is null or id = $2) returning id", user_id, factor_id
    )
    if not await of_user(connection, user_id):
        await connection.execute("delete from recovery_code where user_id = $1", user_id)
    return len(rows)
