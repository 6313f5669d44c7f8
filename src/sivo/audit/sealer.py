"""Chains what was recorded: numbers, hashes and signs the entries of the inbox in the order in which they are found.

A transaction that commits late is found late and gets a later number; nothing is skipped, because nothing is looked for
by "newer than the last". Whoever seals a tenant holds the head of its chain, so several workers do not meet.
"""

from __future__ import annotations

import asyncio
import json
from uuid import UUID

from sivo.audit.chain import Link, Signer, seal
from sivo.audit.checkpoints import Checkpoints
from sivo.audit.heads import Head, lock_head, move_head
from sivo.audit.ledger import checkpoint_of
from sivo.audit.log_chain import chain_of
from sivo.db.scopes import Connection, Database

#: Entries in one transaction: about 20 ms of signing.
BATCH = 200
#: Tenants that are looked at in one step.
_TENANTS = 50


class Sealer:
    """Empties the inbox. Any number of processes may do so."""

    def __init__(self, database: Database, signer: Signer, checkpoints: Checkpoints) -> None:
        self._database = database
        self._signer = signer
        self._checkpoints = checkpoints

    async def run_once(self) -> bool:
        """Chain a batch of every tenant that has something waiting; whether there was anything."""
        async with self._database.platform("audit: who has entries to chain") as connection:
            rows = await connection.fetch("select distinct tenant_id from audit_inbox limit $1", _TENANTS)
        for row in rows:
            await self._batch(row["tenant_id"])
        return bool(rows)

    async def seal(self, tenant_id: UUID) -> int:
        """Chain everything of one tenant that is there now; how much it was."""
        done = 0
        while True:
            count = await self._batch(tenant_id)
            done += count
            if count < BATCH:
                return done

    async def _batch(self, tenant_id: UUID) -> int:
        async with self._database.platform("audit: chain entries") as connection:
            made = await self._chain(connection, tenant_id)
        if made:
            await asyncio.to_thread(self._checkpoints.write, checkpoint_of(made[-1]))
        return len(made)

    async def _chain(self, connection: Connection, tenant_id: UUID) -> list[Link]:
        head = await lock_head(connection, "audit_head", tenant_id)
        rows = await connection.fetch(
            "select id, at, canonical from audit_inbox where tenant_id = $1 order by id limit $2", tenant_id, BATCH
        )
        if not rows:
            return []
        chain, made = chain_of(tenant_id), []
        for row in rows:
            content = {**json.loads(row["canonical"]), "id": str(row["id"]), "tenant": str(tenant_id)}
            one = seal(chain, head.seq + 1, head.hash, row["at"], content, self._signer)
            made.append(one)
            head = Head(one.seq, one.hash)
        ids = [row["id"] for row in rows]
        await connection.executemany(
            "insert into audit_entry (tenant_id, seq, id, at, canonical, prev, hash, signature, key_id)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            [
                (tenant_id, one.seq, id_, one.at, one.canonical, one.prev, one.hash, one.signature, one.key_id)
                for id_, one in zip(ids, made, strict=True)
            ],
        )
        await move_head(connection, "audit_head", tenant_id, head)
        await connection.execute("delete from audit_inbox where id = any($1)", ids)
        return made
