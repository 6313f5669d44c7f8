"""The chain of a tenant's audit log in the database: its links, and the receipt for what was pruned from its front."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from sivo.audit.canonical import canonical
from sivo.audit.chain import Fault, Link, Signer, Verifier, timestamp
from sivo.audit.checkpoints import Checkpoints
from sivo.audit.heads import START, Head, head_faults
from sivo.audit.walk import Report, Walk
from sivo.base.settings import Settings
from sivo.db.scopes import Connection

_PAGE = 500
_SIGNED = b"sivo-audit-pruned-v1\x00"


def chain_of(tenant_id: UUID) -> UUID:
    """The name of a tenant's audit chain: not the tenant's own id, which names its ledger, so that no entry of one can
    stand in the other."""
    return uuid5(tenant_id, "audit")


def checkpoint_folder(settings: Settings) -> Checkpoints:
    """Where this node keeps the ends of the audit chains, out of reach of the database."""
    return Checkpoints(settings.home / "ledger" / "audit")


@dataclass(frozen=True, slots=True)
class Receipt:
    """The last entry that went by retention; everything up to it was older than ``before``."""

    head: Head
    before: datetime
    signature: bytes
    key_id: str

    @classmethod
    def make(cls, tenant_id: UUID, head: Head, before: datetime, signer: Signer) -> Receipt:
        """Sign that the chain begins after ``head`` now."""
        return cls(head, before, signer.sign(_receipt_bytes(tenant_id, head, before)), signer.key_id)

    def genuine(self, tenant_id: UUID, verifier: Verifier) -> bool:
        """Whether the platform's key made it, for this chain."""
        return verifier.verify(self.key_id, _receipt_bytes(tenant_id, self.head, self.before), self.signature)


def _receipt_bytes(tenant_id: UUID, head: Head, before: datetime) -> bytes:
    document = {
        "chain": str(chain_of(tenant_id)),
        "seq": head.seq,
        "hash": head.hash.hex(),
        "before": timestamp(before),
    }
    return _SIGNED + canonical(document)


async def receipt(connection: Connection, tenant_id: UUID) -> Receipt | None:
    """What says where the chain begins; None while nothing was pruned."""
    row = await connection.fetchrow(
        "select seq, hash, before, signature, key_id from audit_pruned where tenant_id = $1", tenant_id
    )
    if row is None:
        return None
    return Receipt(Head(row["seq"], row["hash"]), row["before"], row["signature"], row["key_id"])


async def links(connection: Connection, tenant_id: UUID) -> AsyncIterator[tuple[UUID, Link]]:
    """Every entry that is there, with its id, in the order of the chain."""
    chain, after = chain_of(tenant_id), -1
    while True:
        rows = await connection.fetch(
            "select id, seq, at, canonical, prev, hash, signature, key_id from audit_entry"
            " where tenant_id = $1 and seq > $2 order by seq limit $3",
            tenant_id,
            after,
            _PAGE,
        )
        for row in rows:
            yield row["id"], Link(chain, *tuple(row)[1:])
        if len(rows) < _PAGE:
            return
        after = rows[-1]["seq"]


async def verify(connection: Connection, tenant_id: UUID, verifier: Verifier, checkpoints: Checkpoints) -> Report:
    """Whether the log is what it was, from its receipt (or its first entry) to the checkpoint outside the database."""
    chain, found = chain_of(tenant_id), await receipt(connection, tenant_id)
    faults = []
    if found is not None and not found.genuine(tenant_id, verifier):
        faults.append(
            Fault(chain, found.head.seq, "the receipt of what was pruned was not signed by the platform's key")
        )
    ids: dict[int, UUID] = {}
    walk = Walk(chain, verifier, checkpoints, lambda one: _id_faults(one, ids), found.head if found else START)
    async for id_, one in links(connection, tenant_id):
        ids[one.seq] = id_
        walk.take(one)
        ids.pop(one.seq, None)
    faults += await head_faults(connection, "audit_head", tenant_id, chain, walk.end)
    return walk.report([*faults, *walk.checkpoint_faults()])


def _id_faults(one: Link, ids: dict[int, UUID]) -> list[str]:
    if json.loads(one.canonical)["id"] == str(ids[one.seq]):
        return []
    return ["its column id says otherwise than its content"]
