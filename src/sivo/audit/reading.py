"""Reading the audit log: filters, pages, and the shape of an entry on the wire."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.audit.chain import timestamp
from sivo.base.ids import crockford
from sivo.db.scopes import Connection

PREFIX = "evt_audit_"


@dataclass(frozen=True, slots=True)
class Filter:
    """What is asked for; None does not narrow. ``user`` is an actor's id or e-mail address, ``until`` exclusive."""

    since: datetime | None = None
    until: datetime | None = None
    user: str | None = None
    action: str | None = None
    event: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    cross_tenant: bool = False

    def said(self) -> dict[str, Any]:
        """The parts that narrow, for the entry about an export."""
        found = {name: getattr(self, name) for name in self.__slots__}
        return {
            name: value.isoformat() if isinstance(value, datetime) else value for name, value in found.items() if value
        }


async def entries(connection: Connection, wanted: Filter, before: UUID | None, limit: int) -> list[Any]:
    """Rows in the scope of their tenant, newest first, older than id ``before``; chained and waiting ones alike."""
    return await connection.fetch(
        "select tenant_id, id, at, seq, canonical from audit_log where ($1::uuid is null or id < $1)"
        " and ($2::timestamptz is null or at >= $2) and ($3::timestamptz is null or at < $3)"
        " and ($4::text is null or actor_id = $4 or actor_email = lower($4))"
        " and ($5::text is null or action = $5) and ($6::text is null or event = $6)"
        " and ($7::text is null or resource_type = $7) and ($8::text is null or resource_id = $8)"
        " and (not $9::boolean or cross_tenant) order by id desc limit $10",
        before,
        wanted.since,
        wanted.until,
        wanted.user,
        wanted.action,
        wanted.event,
        wanted.resource_type,
        wanted.resource_id,
        wanted.cross_tenant,
        limit,
    )


def shown(row: Any) -> dict[str, Any]:
    """An entry as JSON. ``seq`` is null until it is chained; ``ledger`` is the version of a change's ledger entry."""
    content = json.loads(row["canonical"])
    actor = content["actor"]
    return {
        "id": f"{PREFIX}{crockford(row['id'].int)}",
        "timestamp": timestamp(row["at"]),
        "tenantId": str(row["tenant_id"]),
        "actor": {
            "id": actor["id"],
            "email": actor["email"],
            "role": actor["role"],
            "ip": actor["ip"],
            "userAgent": actor["user_agent"],
        },
        "action": content["action"],
        "event": content["event"],
        "resource": content["resource"],
        "diff": content["diff"],
        "crossTenant": content["cross_tenant"],
        "ledger": content["ledger"],
        "seq": row["seq"],
    }
