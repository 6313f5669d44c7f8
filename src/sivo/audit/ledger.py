"""The ledger in the database: appending to a chain, reading it, and the lock that keeps its entries in a row."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.audit import heads
from sivo.audit.chain import ChangeRecord, Link, Signer, link
from sivo.audit.checkpoints import Checkpoint
from sivo.audit.heads import Head as Head
from sivo.db.scopes import Connection

_PAGE = 500


async def lock_head(connection: Connection, chain: UUID) -> Head:
    """The end of the chain; other writers of this chain wait until our transaction ends."""
    return await heads.lock_head(connection, "ledger_head", chain)


async def append(
    connection: Connection,
    chain: UUID,
    head: Head,
    at: datetime,
    author: str,
    role: str,
    reason: str,
    changes: Sequence[ChangeRecord],
    signer: Signer,
) -> Link:
    """Write the next entry and move the head to it."""
    made = link(chain, head.seq + 1, head.hash, at, author, role, reason, changes, signer)
    await connection.execute(
        "insert into ledger_entry (tenant_id, seq, at, canonical, prev, hash, signature, key_id)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8)",
        chain,
        made.seq,
        made.at,
        made.canonical,
        made.prev,
        made.hash,
        made.signature,
        made.key_id,
    )
    await heads.move_head(connection, "ledger_head", chain, Head(made.seq, made.hash))
    return made


def checkpoint_of(made: Link) -> Checkpoint:
    """What goes outside the database."""
    return Checkpoint(str(made.chain), made.seq, made.hash.hex(), made.key_id, made.signature.hex())


async def links(connection: Connection, chain: UUID) -> AsyncIterator[Link]:
    """Every entry of a chain from the first."""
    after = -1
    while True:
        rows = await connection.fetch(
            "select tenant_id, seq, at, canonical, prev, hash, signature, key_id from ledger_entry"
            " where tenant_id = $1 and seq > $2 order by seq limit $3",
            chain,
            after,
            _PAGE,
        )
        for row in rows:
            yield Link(*row)
        if len(rows) < _PAGE:
            return
        after = rows[-1]["seq"]


async def history(
    connection: Connection, chain: UUID, *, target: str | None = None, before: int | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """Entries from the newest, older than number ``before``; with ``target`` only those that changed it.

    ``target`` may end in ``%`` (for example ``key/%``).
    """
    rows = await connection.fetch(
        "select e.seq, e.at, e.canonical, e.hash, e.key_id from ledger_entry e where e.tenant_id = $1"
        " and ($2::bigint is null or e.seq < $2)"
        " and ($3::text is null or exists (select 1 from ledger_change c where c.tenant_id = e.tenant_id"
        " and c.seq = e.seq and c.target like $3)) order by e.seq desc limit $4",
        chain,
        before,
        target,
        limit,
    )
    found = []
    for row in rows:
        document = json.loads(row["canonical"])
        found.append(
            {
                "seq": row["seq"],
                "at": document["at"],
                "author": document["author"],
                "role": document["role"],
                "reason": document["reason"],
                "hash": row["hash"].hex(),
                "changes": document["changes"],
            }
        )
    return found


@dataclass(frozen=True, slots=True)
class Past:
    """One target as it was after some entry, and the entry that made it so."""

    target: str
    value: Any
    seq: int
    at: datetime
    author: str
    reason: str


async def state_at(connection: Connection, chain: UUID, seq: int) -> list[Past]:
    """Everything that was there after entry ``seq``, in the order of the targets."""
    rows = await connection.fetch(
        "select distinct on (c.target) c.target, c.after, c.seq, e.at, e.author, e.reason"
        " from ledger_change c join ledger_entry e on e.tenant_id = c.tenant_id and e.seq = c.seq"
        " where c.tenant_id = $1 and c.seq <= $2 order by c.target, c.seq desc, c.n desc",
        chain,
        seq,
    )
    return [Past(*row) for row in rows if row["after"] is not None]


async def entry_at(connection: Connection, chain: UUID, moment: int | datetime) -> tuple[int, datetime] | None:
    """(number, time) of an entry: the one with this number, or the last that was there at this time."""
    by_number = isinstance(moment, int)
    row = await connection.fetchrow(
        "select seq, at from ledger_entry where tenant_id = $1 and ($2::bigint is null or seq = $2)"
        " and ($3::timestamptz is null or at <= $3) order by seq desc limit 1",
        chain,
        moment if by_number else None,
        None if by_number else moment,
    )
    return (row["seq"], row["at"]) if row else None
