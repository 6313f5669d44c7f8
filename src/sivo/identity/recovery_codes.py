"""Recovery codes: eight for the day the phone is lost, each usable once, stored hashed."""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import datetime
from uuid import UUID

from sivo.db.scopes import Connection

COUNT = 8


def new_codes() -> list[str]:
    """Eight codes of 80 random bits, as ``xxxx-xxxx-xxxx-xxxx`` in lower-case base32."""
    return [_grouped(base64.b32encode(secrets.token_bytes(10)).decode().lower()) for _ in range(COUNT)]


async def replace(connection: Connection, tenant_id: UUID, user_id: UUID, codes: list[str]) -> None:
    """Make ``codes`` the only ones of a user."""
    await connection.execute("delete from recovery_code where user_id = $1", user_id)
    await connection.executemany(
        "insert into recovery_code (tenant_id, user_id, code_hash) values ($1, $2, $3)",
        [(tenant_id, user_id, digest(code)) for code in codes],
    )


async def use(connection: Connection, user_id: UUID, code: str, now: datetime) -> bool:
    """Spend a code; False when it is none of the user's or was spent."""
    found = await connection.fetchval(
        "update recovery_code set used_at = $3 where user_id = $1 and code_hash = $2 and used_at is null returning 1",
        user_id,
        digest(code),
        now,
    )
    return found is not None


async def left(connection: Connection, user_id: UUID) -> int:
    """How many a user has left."""
    return int(
        await connection.fetchval("select count(*) from recovery_code where user_id = $1 and used_at is null", user_id)
    )


def digest(code: str) -> bytes:
    """What is stored: of 80 random bits SHA-256 is enough. Spaces, dashes and case do not count."""
    return hashlib.sha256("".join(code.lower().split()).replace("-", "").encode()).digest()


def _grouped(text: str) -> str:
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))
