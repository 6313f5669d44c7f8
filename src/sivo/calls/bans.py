"""Guessers of passwords, on record: who was banned, for how long, and what an administrator lifted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.ids import uuid7
from sivo.calls.records import Recorder, Write
from sivo.db.scopes import Connection
from sivo.routing.guessing import Ban, Guessing

#: Announces a ban that was lifted, to every node.
CHANNEL = "sivo_sip_bans"
log = logs.get("calls")


class BanBook:
    """Writes bans down behind the node's back, and hears of those that are lifted."""

    def __init__(self, recorder: Recorder, clock: Clock, guessing: Guessing) -> None:
        self._recorder = recorder
        self._clock = clock
        self._guessing = guessing

    def banned(self, ban: Ban) -> None:
        """Put a ban on record."""
        log.warning("a guesser is banned", tenant=str(ban.tenant_id), kind=ban.kind, source=ban.source)
        row_id, now = uuid7(), self._clock.now()

        async def write(conn: Connection) -> None:
            await conn.execute(
                """insert into sip_ban (id, tenant_id, kind, subject, source, account, attempts, since_at, until_at)
                   values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (id) do nothing""",
                row_id,
                ban.tenant_id,
                ban.kind,
                ban.subject,
                ban.source,
                ban.account[:100],
                ban.attempts,
                now,
                now + timedelta(seconds=ban.seconds),
            )

        self._recorder.put(Write(ban.tenant_id, row_id, write))

    def lifted(self, payload: str) -> None:
        """NOTIFY: what an administrator lifted (an empty payload names nothing: bans end by themselves)."""
        try:
            what = msgspec.json.decode(payload) if payload else None
            if what is not None:
                self._guessing.lift(str(what["kind"]), str(what["subject"]), UUID(str(what["tenant"])))
        except (msgspec.DecodeError, KeyError, TypeError, ValueError):
            log.warning("a lifted ban cannot be read")


async def recent(conn: Connection, limit: int, after: UUID | None) -> list[dict[str, Any]]:
    """Bans of the tenant, newest first."""
    rows = await conn.fetch(
        "select * from sip_ban where $1::uuid is null or id < $1 order by id desc limit $2", after, limit
    )
    return [dict(row) for row in rows]


async def lift(conn: Connection, tenant_id: UUID, ban_id: UUID) -> bool:
    """End a ban now, on every node; False when there is none with this id."""
    row = await conn.fetchrow(
        "update sip_ban set lifted_at = now() where id = $1 and lifted_at is null returning kind, subject", ban_id
    )
    if row is None:
        return False
    payload = {"tenant": str(tenant_id), "kind": row["kind"], "subject": row["subject"]}
    await conn.execute("select pg_notify($1, $2)", CHANNEL, msgspec.json.encode(payload).decode())
    return True
