"""Signed-in sessions as rows. Every function takes a connection in the tenant's scope."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sivo.base.ids import uuid7
from sivo.db.scopes import Connection

#: Sessions that ended this long ago are removed when their user signs in again.
SESSION_KEEP = timedelta(days=30)
#: Told to every ``api`` process when tokens of a tenant must be looked at again; payload: the tenant's id.
CHANNEL = "sivo_identity"
#: What ``call`` listens to: accounts of the tenant's phones changed.
PHONES_CHANNEL = "sivo_config"
CONSOLE = "console"
PHONE = "phone"


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in session; its id is the claim ``sid``. ``kind`` is ``console`` or ``phone`` (a softphone)."""

    id: UUID
    user_id: UUID
    expires_at: datetime
    revoked_at: datetime | None
    confirmed_at: datetime | None = None
    factor: str | None = None
    kind: str = CONSOLE

    def valid_at(self, now: datetime) -> bool:
        """Neither ended nor expired."""
        return self.revoked_at is None and now < self.expires_at


@dataclass(frozen=True, slots=True)
class Opening:
    """How a session begins. ``factor``: which second factor was shown; ``parent``: the session it hangs from."""

    user_id: UUID
    lifetime_sec: int
    factor: str | None = None
    kind: str = CONSOLE
    parent: UUID | None = None
    address: str = ""
    client: str = ""


_COLUMNS = "id, user_id, expires_at, revoked_at, confirmed_at, factor, kind"


async def open_session(connection: Connection, tenant_id: UUID, opening: Opening, now: datetime) -> Session:
    """A new session."""
    await connection.execute(
        "delete from session where user_id = $1 and expires_at < $2", opening.user_id, now - SESSION_KEEP
    )
    expires_at = now + timedelta(seconds=opening.lifetime_sec)
    session = Session(uuid7(), opening.user_id, expires_at, None, now, opening.factor, opening.kind)
    await connection.execute(
        "insert into session (id, tenant_id, user_id, created_at, expires_at, kind, parent_id, used_at, confirmed_at,"
        " factor, address, client) values ($1, $2, $3, $4, $5, $6, $7, $4, $4, $8, $9, $10)",
        session.id,
        tenant_id,
        opening.user_id,
        now,
        expires_at,
        opening.kind,
        opening.parent,
        opening.factor,
        opening.address,
        opening.client[:200],
    )
    return session


async def find_session(connection: Connection, session_id: UUID) -> Session | None:
    """The session called ``session_id``."""
    row = await connection.fetchrow(f"select {_COLUMNS} from session where id = $1", session_id)  # noqa: S608
    return Session(**row) if row else None


async def open_sessions(connection: Connection, user_id: UUID, now: datetime) -> list[dict[str, Any]]:
    """What a user is signed in with, the newest first."""
    rows = await connection.fetch(
        "select id, kind, created_at, used_at, expires_at, factor, address, client from session"
        " where user_id = $1 and revoked_at is null and expires_at > $2 order by id desc",
        user_id,
        now,
    )
    return [dict(row) for row in rows]


async def confirm(connection: Connection, session_id: UUID, now: datetime) -> None:
    """Password or factor was shown again in this session (step-up)."""
    await connection.execute("update session set confirmed_at = $2 where id = $1", session_id, now)


async def end_sessions(
    connection: Connection,
    tenant_id: UUID,
    user_id: UUID,
    now: datetime,
    because: str = "ended",
    but: UUID | None = None,
) -> int:
    """End every session of a user (except ``but`` and what hangs from it), in every process at once after commit."""
    rows = await connection.fetch(
        "update session set revoked_at = $2, ended_because = $3 where user_id = $1 and revoked_at is null"
        " and ($4::uuid is null or (id <> $4 and parent_id is distinct from $4)) returning kind",
        user_id,
        now,
        because,
        but,
    )
    await announce(connection, tenant_id, phones=_with_phones(rows))
    return len(rows)


async def end_session(
    connection: Connection, tenant_id: UUID, session_id: UUID, now: datetime, because: str = "signed out"
) -> bool:
    """End one session and the softphones that hang from it; False when there was none open."""
    rows = await connection.fetch(
        "update session set revoked_at = $2, ended_because = $3 where (id = $1 or parent_id = $1)"
        " and revoked_at is null returning kind",
        session_id,
        now,
        because,
    )
    await announce(connection, tenant_id, phones=_with_phones(rows))
    return bool(rows)


async def announce(connection: Connection, tenant_id: UUID, *, phones: bool = False) -> None:
    """Tell every process, after commit, that sessions of the tenant changed; ``phones``: SIP accounts too."""
    await connection.execute("select pg_notify($1, $2)", CHANNEL, str(tenant_id))
    if phones:
        await connection.execute("select pg_notify($1, $2)", PHONES_CHANNEL, f'{{"tenant":"{tenant_id}"}}')


def _with_phones(rows: list[Any]) -> bool:
    return any(row["kind"] == PHONE for row in rows)
