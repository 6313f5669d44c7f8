"""Where a chain ends, as a row: the lock that keeps its writers in a row, and the first thing that is verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sivo.audit.chain import GENESIS, Fault
from sivo.db.scopes import Connection

#: The heads of the ledger's chains and of the audit log's.
Table = Literal["ledger_head", "audit_head"]


@dataclass(frozen=True, slots=True)
class Head:
    """Number and hash of an entry after which the next one comes."""

    seq: int
    hash: bytes


#: Before the first entry of a chain.
START = Head(0, GENESIS)


async def lock_head(connection: Connection, table: Table, owner: UUID) -> Head:
    """The end of the owner's chain; other writers of this chain wait until our transaction ends."""
    await connection.execute(
        f"insert into {table} (tenant_id, seq, hash) values ($1, 0, $2) on conflict do nothing",  # noqa: S608
        owner,
        GENESIS,
    )
    row = await connection.fetchrow(
        f"select seq, hash from {table} where tenant_id = $1 for update",  # noqa: S608 - one of two names of ours
        owner,
    )
    assert row is not None
    return Head(row["seq"], row["hash"])


async def move_head(connection: Connection, table: Table, owner: UUID, head: Head) -> None:
    """The chain ends at ``head`` now."""
    await connection.execute(
        f"update {table} set seq = $2, hash = $3 where tenant_id = $1",  # noqa: S608 - one of two names of ours
        owner,
        head.seq,
        head.hash,
    )


async def head_faults(connection: Connection, table: Table, owner: UUID, chain: UUID, end: Head) -> list[Fault]:
    """What the row says otherwise than the entries, which end at ``end``."""
    row = await connection.fetchrow(
        f"select seq, hash from {table} where tenant_id = $1",  # noqa: S608 - one of two names of ours
        owner,
    )
    if row is None:
        return [Fault(chain, end.seq, "the head of the chain is missing")] if end.seq else []
    if Head(row["seq"], row["hash"]) == end:
        return []
    return [Fault(chain, row["seq"], f"the head says that the chain ends at {row['seq']}, it ends at {end.seq}")]
