"""Refresh tokens: 256 random bits, stored as SHA-256, rotated at each use under a lock on their session."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from uuid import UUID

from sivo.audit.log import SYSTEM, AuditEntry, record
from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError, register
from sivo.db.scopes import Connection, Database
from sivo.identity import sessions
from sivo.identity.rotation import Chain, Verdict, present
from sivo.identity.sessions import Session

REFRESH_REFUSED = register("REFRESH_REFUSED", 401)
PREFIX = "sivo_rt_"
MAX_LENGTH = 100
_log = logs.get("identity")


@dataclass(frozen=True, slots=True)
class Renewed:
    """The session goes on; ``token`` is the next refresh token."""

    tenant_id: UUID
    session: Session
    token: str


def digest(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).digest()


def refusal() -> SivoError:
    """The one answer to a token that is unknown, expired, replayed or of an ended session."""
    return SivoError(
        REFRESH_REFUSED, "the refresh token is not valid (any more)", where="refresh_token", remedy="sign in again"
    )


async def issue(connection: Connection, tenant_id: UUID, session_id: UUID, generation: int, clock: Clock) -> str:
    """A new token of the session, in the caller's transaction."""
    token = PREFIX + secrets.token_urlsafe(32)
    await connection.execute(
        "insert into refresh_token (token_hash, tenant_id, session_id, generation, created_at)"
        " values ($1, $2, $3, $4, $5)",
        digest(token),
        tenant_id,
        session_id,
        generation,
        clock.now(),
    )
    return token


class Refresh:
    """Presents tokens to their chains."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def tenant_of(self, token: str) -> UUID:
        """The tenant that a token belongs to. Raises REFRESH_REFUSED."""
        async with self._database.directory() as connection:
            found: UUID | None = await connection.fetchval(
                "select tenant_id from refresh_token where token_hash = $1", digest(token)
            )
        if found is None:
            raise refusal()
        return found

    async def use(self, token: str, tenant_id: UUID) -> Renewed:
        """Rotate. Raises REFRESH_REFUSED; a replayed token has then ended its whole family."""
        async with self._database.tenant(tenant_id) as connection:
            renewed = await self._use(connection, token, tenant_id)
        if renewed is None:  # raised only now: what was ended must be committed
            raise refusal()
        return renewed

    async def _use(self, connection: Connection, token: str, tenant_id: UUID) -> Renewed | None:
        hashed, now = digest(token), self._clock.now()
        row = await connection.fetchrow(
            "select s.*, t.generation as presented from refresh_token t join session s on s.id = t.session_id"
            " where t.token_hash = $1 for update of s",
            hashed,
        )
        if row is None:
            return None
        chain = Chain(
            row["generation"],
            row["expires_at"],
            row["revoked_at"] is not None,
            row["predecessor"],
            row["rotated_at"],
            row["grace_used"],
        )
        verdict, after = present(chain, hashed, row["presented"], now)
        if verdict is Verdict.REPLAYED:
            _log.warning("refresh token replayed", tenant=str(tenant_id), session=str(row["id"]))
            why = "refresh token replayed"
            if await sessions.end_session(connection, tenant_id, row["id"], now, why):
                entry = AuditEntry(
                    "delete", "session.ended", "session", str(row["id"]), SYSTEM, {"reason": (None, why)}
                )
                await record(connection, entry, now)
        if verdict not in (Verdict.CHILD, Verdict.GRACE):
            return None
        await self._store(connection, row["id"], after)
        session = Session(
            row["id"],
            row["user_id"],
            row["expires_at"],
            None,
            row["confirmed_at"],
            row["factor"],
            row["kind"],
        )
        return Renewed(tenant_id, session, await issue(connection, tenant_id, row["id"], after.generation, self._clock))

    async def _store(self, connection: Connection, session_id: UUID, chain: Chain) -> None:
        await connection.execute(
            "update session set generation = $2, predecessor = $3, rotated_at = $4, grace_used = $5, used_at = $6"
            " where id = $1",
            session_id,
            chain.generation,
            chain.predecessor,
            chain.rotated_at,
            chain.grace_used,
            self._clock.now(),
        )
