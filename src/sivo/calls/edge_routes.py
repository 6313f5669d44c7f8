"""The SIP edge over the API: bans of password guessers, states of trunks."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends

from sivo.api.context import Context
from sivo.api.page import Cursor, Limit, decode_id, page
from sivo.audit import log as audit
from sivo.base.errors import SivoError
from sivo.calls import bans
from sivo.calls.events import iso
from sivo.identity.access import Permission, Principal, require

Admin = Annotated[Principal, Depends(require(Permission.EDGE_MANAGE))]
Watcher = Annotated[Principal, Depends(require(Permission.TRUNKS_WATCH))]


def make_router(context: Context) -> APIRouter:
    """Routes ``/api/sip-bans`` and ``/api/trunk-states``."""
    router = APIRouter(tags=["sip edge"])

    @router.get("/api/sip-bans")
    async def list_bans(who: Admin, limit: Limit = 50, cursor: Cursor = None) -> dict[str, Any]:
        """Sources and accounts that guessed passwords, newest first."""
        async with context.database.tenant(who.tenant_id) as connection:
            rows = await bans.recent(connection, limit + 1, decode_id(cursor))
        return page([_ban(row) for row in rows], limit, lambda row: [row["id"]])

    @router.delete("/api/sip-bans/{ban_id}", status_code=204)
    async def lift_ban(ban_id: UUID, who: Admin) -> None:
        """Hear this source or account again, from now on."""
        async with context.database.tenant(who.tenant_id) as connection:
            if not await bans.lift(connection, who.tenant_id, ban_id):
                raise SivoError("NOT_FOUND", f"there is no ban {ban_id} in force", where="ban_id")
            entry = who.author.did("delete", "sip_ban.lifted", "sip_ban", ban_id)
            await audit.record(connection, entry, context.clock.now())

    @router.get("/api/trunk-states")
    async def list_trunk_states(who: Watcher) -> list[dict[str, Any]]:
        """Whether each trunk answers, and our registration at its carrier."""
        async with context.database.tenant(who.tenant_id) as connection:
            rows = await connection.fetch("select * from trunk_state order by trunk_id")
        return [_trunk(dict(row)) for row in rows]

    return router


def _ban(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "kind": row["kind"],
        "subject": row["subject"],
        "source": row["source"],
        "account": row["account"],
        "attempts": row["attempts"],
        "since": iso(row["since_at"]),
        "until": iso(row["until_at"]),
        "liftedAt": iso(row["lifted_at"]),
    }


def _trunk(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "trunk": str(row["trunk_id"]),
        "node": row["node"],
        "health": row["health"],
        "reason": row["reason"],
        "roundTripMs": row["round_trip_ms"],
        "checkedAt": iso(row["checked_at"]),
        "registration": row["registration"],
        "registrationReason": row["registration_reason"],
        "registeredUntil": iso(row["registered_until"]),
    }
