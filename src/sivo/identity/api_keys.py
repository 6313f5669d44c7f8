"""API keys in the database: made, found by their prefix, revoked; and when each was last used."""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError
from sivo.config import state
from sivo.config.change import Author
from sivo.db.scopes import Connection, Database
from sivo.identity.access import Caller, Role
from sivo.identity.api_key_format import ParsedKey, parse
from sivo.identity.api_key_kind import KIND, ApiKey
from sivo.identity.api_key_scopes import granted
from sivo.identity.people import ACTIVE

#: A use is written this often, per key and process, and not at each request.
TELL_EVERY_S = 60.0
_MAX_TOLD = 10_000
#: A key that does not expire is checked again as often as any other.
_FAR_AHEAD_S = 86_400
_log = logs.get("identity")


def refused(message: str) -> SivoError:
    """UNAUTHENTICATED; the same for a key that never was and one that was revoked."""
    return SivoError(
        "UNAUTHENTICATED", message, where="header Authorization", remedy="make a new API key, or ask for one"
    )


@dataclass(frozen=True, slots=True)
class Verified:
    """Whose key it is, and until when (Unix seconds) that may be remembered."""

    caller: Caller
    until: int


class ApiKeys:
    """Checks keys for one ``api`` process."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._told: dict[UUID, float] = {}
        self._telling: set[asyncio.Task[None]] = set()

    async def verify(self, text: str) -> Verified:
        """The caller that a key stands for. Raises UNAUTHENTICATED: malformed, unknown, revoked, expired, or its
        tenant takes no logins."""
        key = parse(text)
        if key is None:
            raise refused("this is not an API key of ours")
        async with self._database.directory() as connection:
            tenant_id = await connection.fetchval("select tenant_id from api_key where prefix = $1", key.prefix)
        if tenant_id is None:
            raise refused("this API key is not known")
        async with self._database.tenant(tenant_id) as connection:
            tenant = await state.tenant_row(connection, tenant_id)
            row = await connection.fetchrow(
                "select k.id, k.key_hash, r.body, (select e.author from ledger_change c"
                " join ledger_entry e on e.tenant_id = c.tenant_id and e.seq = c.seq where c.tenant_id = r.tenant_id"
                " and c.target = r.kind || '/' || r.id order by c.seq limit 1) as owner"
                " from api_key k join resource r on r.id = k.id where k.prefix = $1 and r.kind = $2",
                key.prefix,
                KIND,
            )
        if tenant is None or row is None or not hmac.compare_digest(row["key_hash"], key.digest):
            raise refused("this API key is not known")
        return self._verified(tenant_id, tenant.status, row["id"], ApiKey(**row["body"]), row["owner"])

    def _verified(self, tenant_id: UUID, status: str, key_id: UUID, key: ApiKey, owner: str) -> Verified:
        now = self._clock.now()
        if not key.valid_at(now):
            raise refused("this API key has expired")
        if status != ACTIVE:
            raise refused("the tenant of this API key takes no requests")
        author = Author(f"key:{key.prefix}", key.role, person=owner)
        caller = Caller(
            tenant_id,
            None,
            Role(key.role),
            author,
            home_id=tenant_id,
            key_id=key_id,
            scopes=granted([str(one) for one in key.scopes]),
        )
        until = key.expires_at.timestamp() if key.expires_at else now.timestamp() + _FAR_AHEAD_S
        return Verified(caller, int(until))

    def used(self, caller: Caller, address: str) -> None:
        """Note that the key of ``caller`` was used now. Returns at once; it is written behind, if it is due."""
        assert caller.key_id is not None and caller.home_id is not None
        now = self._clock.monotonic()
        if now - self._told.get(caller.key_id, float("-inf")) < TELL_EVERY_S:
            return
        if len(self._told) >= _MAX_TOLD:
            self._told.clear()
        self._told[caller.key_id] = now
        task = asyncio.create_task(self._tell(caller.home_id, caller.key_id, self._clock.now(), address))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, tenant_id: UUID, key_id: UUID, at: datetime, address: str) -> None:
        try:
            async with self._database.tenant(tenant_id) as connection:
                await connection.execute(
                    "update api_key set last_used_at = greatest(coalesce(last_used_at, $2), $2), last_used_from = $3"
                    " where id = $1",
                    key_id,
                    at,
                    address,
                )
        except SivoError as error:
            self._told.pop(key_id, None)
            _log.warning("the use of a key is not noted", tenant=str(tenant_id), code=error.code)


async def keep(connection: Connection, tenant_id: UUID, key_id: UUID, key: ParsedKey) -> None:
    """Store what is written together with the key's resource: its hash."""
    await connection.execute(
        "insert into api_key (id, tenant_id, prefix, key_hash) values ($1, $2, $3, $4)",
        key_id,
        tenant_id,
        key.prefix,
        key.digest,
    )


async def uses(connection: Connection) -> dict[UUID, dict[str, Any]]:
    """Key id -> when and from where it was last used; in the tenant's scope."""
    rows = await connection.fetch("select id, last_used_at, last_used_from from api_key")
    return {row["id"]: {"last_used_at": row["last_used_at"], "last_used_from": row["last_used_from"]} for row in rows}
