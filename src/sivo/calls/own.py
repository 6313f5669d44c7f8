"""Which calls are an agent's own: those to and from the extensions that are theirs, from when they became theirs.

An extension that changes hands does not take the calls of its former owner along: the ledger says since when.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.db.scopes import Connection
from sivo.identity.access import Principal, Role


@dataclass(frozen=True, slots=True)
class OwnExtension:
    """An extension of a person, by ``number``, theirs ``since``."""

    id: UUID
    number: str
    since: datetime


#: True for a row of ``call`` that is within reach. Takes three arrays (ids, numbers, since); null: everything is.
WITHIN = """({0}::uuid[] is null or exists (
    select 1 from unnest({0}::uuid[], {1}::text[], {2}::timestamptz[]) mine (id, number, since)
     where call.created_at >= mine.since
       and (call.extension_id = mine.id or (call.direction <> 'inbound' and call.from_number = mine.number))))"""

#: A person is at an extension that names them, or, if it names nobody, at the one that they name.
_THEIRS = """
select e.id, e.body ->> 'number' as number, e.body ->> 'user' is not null as named from resource e
 where e.tenant_id = $1 and e.kind = 'extension' and (e.body ->> 'user' = $2::text or (e.body ->> 'user' is null
   and e.body ->> 'number' = (select u.body ->> 'extension' from resource u
                               where u.tenant_id = $1 and u.kind = 'user' and u.id = $2::uuid)))"""
#: When `field` of a resource got the value that it still has.
_SINCE = """
select min(e.at) from ledger_change c join ledger_entry e on e.tenant_id = c.tenant_id and e.seq = c.seq
 where c.tenant_id = $1 and c.target = $2 and c.after is not null and c.seq > coalesce((
       select max(o.seq) from ledger_change o where o.tenant_id = $1 and o.target = $2
          and (o.after is null or o.after #>> array['body', $3] is distinct from $4)), 0)"""


async def extensions(connection: Connection, tenant_id: UUID, user_id: UUID) -> list[OwnExtension]:
    """The extensions of a user now, each with when it became theirs."""
    found = []
    for row in await connection.fetch(_THEIRS, tenant_id, str(user_id)):
        target = f"extension/{row['id']}"
        moments = [await connection.fetchval(_SINCE, tenant_id, target, "number", row["number"])]
        if row["named"]:
            moments.append(await connection.fetchval(_SINCE, tenant_id, target, "user", str(user_id)))
        else:
            moments.append(await connection.fetchval(_SINCE, tenant_id, target, "user", None))
            person = f"user/{user_id}"
            moments.append(await connection.fetchval(_SINCE, tenant_id, person, "extension", row["number"]))
        if None not in moments:
            found.append(OwnExtension(row["id"], row["number"], max(moments)))
    return found


async def within(connection: Connection, who: Principal) -> Sequence[Any]:
    """The three arguments of :data:`WITHIN` for a caller."""
    if who.role is not Role.AGENT:
        return None, None, None
    own = await extensions(connection, who.tenant_id, who.user_id) if who.user_id is not None else []
    return [one.id for one in own], [one.number for one in own], [one.since for one in own]


async def sees(connection: Connection, who: Principal, call_id: UUID) -> bool:
    """Whether there is such a call, and within the caller's reach."""
    return bool(
        await connection.fetchval(
            f"select true from call where id = $1 and {WITHIN.format('$2', '$3', '$4')}",  # noqa: S608 - a constant
            call_id,
            *await within(connection, who),
        )
    )
