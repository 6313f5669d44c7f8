"""A tenant with something of everything that is sealed: a stored recording, a journal, a provider secret; and calls."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sivo.base.ids import uuid7
from sivo.media import journal
from sivo.recording.binding import OBJECT_PURPOSE, object_aad
from sivo.storage.store import Objects
from sivo.vault import stream
from sivo.vault.vault import Vault
from support.running_api import RunningApi

AUDIO = b"RIFF" + bytes(range(256)) * 300


@dataclass
class Sealed:
    """Bytes as they lie in the database, in the store and on disk, and the data key that opens them."""

    tenant: UUID
    recording: UUID
    wrapped_key: bytes
    object: bytes
    journal_key: bytes
    secret: bytes
    key_material: bytes = field(repr=False)

    def wrapped(self) -> list[tuple[str, bytes]]:
        """(purpose, sealed) of everything that the tenant's data key opens."""
        return [
            (OBJECT_PURPOSE, self.wrapped_key),
            (journal.KEY_PURPOSE, self.journal_key),
            ("secret:llm_api_key", self.secret),
        ]


@dataclass
class Estate:
    """One tenant and where its things are."""

    api: RunningApi
    id: str
    journal: Path
    recording: UUID
    call: UUID

    @classmethod
    async def make(cls, api: RunningApi, slug: str) -> Estate:
        """A new tenant that had two calls: one with a recording that is stored, one whose journal still lies there."""
        context, tenant = api.context, await api.tenant(slug)
        await api.user(tenant, f"ana@{slug}.example", "correct horse battery")
        await api.ok("PUT", "/api/secrets/llm_api_key", {"value": f"sk-{slug}", "host": "llm.example"}, tenant)
        recording, call = uuid7(), uuid7()
        path = context.settings.home / f"{slug}.sivoj"
        estate = cls(api, tenant, path, recording, call)
        key = stream.new_key()
        object_key = f"{tenant}/recordings/2026/01/{recording}.wav.sivo"
        store = Objects.local(context.settings.object_dir)
        await store.put(object_key, stream.seal_stream(key, object_aad(UUID(tenant), recording), [AUDIO]))
        wrapped = await context.vault.seal(UUID(tenant), OBJECT_PURPOSE, key)
        await estate._write_journal()
        await estate._rows(object_key, wrapped)
        return estate

    async def _write_journal(self) -> None:
        sealed = await self.api.context.vault.seal(UUID(self.id), journal.KEY_PURPOSE, b"journal key")
        header = journal.Header(
            session=str(uuid7()), tenant=self.id, call=str(uuid7()), key_sealed=sealed, nonce_prefix=os.urandom(4),
            created_at=0,
        )  # fmt: skip
        self.journal.write_bytes(journal.preamble(header))

    async def _rows(self, object_key: str, wrapped: bytes) -> None:
        now, tenant = self.api.context.clock.now(), UUID(self.id)
        waiting = uuid7()
        async with self.api.context.database.tenant(tenant) as connection:
            for call in (self.call, waiting):
                await connection.execute(
                    "insert into call (id, tenant_id, direction, from_number, to_number, state, created_at, finished)"
                    " values ($1, $2, 'inbound', '+34910000001', '+34910000100', 'ended', $3, true)",
                    call,
                    tenant,
                    now,
                )
            for id_, call, state in ((self.recording, self.call, "stored"), (uuid7(), waiting, "pending")):
                stored = state == "stored"
                await connection.execute(
                    "insert into recording (id, tenant_id, call_id, node, journal_path, state, wanted, rule, format,"
                    " kms, provider_id, expiry_action, retention_days, created_at, expires_at, due_at, object_key,"
                    " wrapped_key, size_bytes) values ($1, $2, $3, 'n', $4, $5, true, 'r', 'wav', true, 'managed',"
                    " 'delete', 180, $6, $7, $6, $8, $9, $10)",
                    id_,
                    tenant,
                    call,
                    str(self.journal) if not stored else str(self.journal) + ".gone",
                    state,
                    now,
                    now + timedelta(days=180),
                    object_key if stored else None,
                    wrapped if stored else None,
                    len(AUDIO) if stored else None,
                )
            await connection.execute(
                "insert into segment (id, tenant_id, call_id, speaker, text, start_ms, end_ms, created_at, expires_at)"
                " values ($1, $2, $3, 'caller', 'hola', 0, 900, $4, $5)",
                uuid7(),
                tenant,
                self.call,
                now,
                now + timedelta(days=90),
            )

    async def sealed(self, behind: Any) -> Sealed:
        """Copies of everything, read behind all policies."""
        tenant = UUID(self.id)
        row = await behind.fetchrow("select object_key, wrapped_key from recording where id = $1", self.recording)
        store = Objects.local(self.api.context.settings.object_dir)
        key = await self.api.context.vault.tenant_key(tenant)
        return Sealed(
            tenant=tenant,
            recording=self.recording,
            wrapped_key=row["wrapped_key"],
            object=b"".join(store.read(row["object_key"])),
            journal_key=journal.read_header(self.journal).key_sealed,
            secret=await behind.fetchval(
                "select sealed from secret where tenant_id = $1 and name = 'llm_api_key'", tenant
            ),
            key_material=key.material,
        )

    async def opened(self, sealed: Sealed, vault: Vault) -> list[bytes]:
        """What the copies say when the keys are there: audio, key of the journal, secret."""
        found = [await vault.open(sealed.tenant, purpose, one) for purpose, one in sealed.wrapped()]
        aad = object_aad(sealed.tenant, sealed.recording)
        return [b"".join(stream.open_stream(found[0], aad, [sealed.object])), *found[1:]]

    async def rows(self, behind: Any) -> dict[str, int]:
        """Table -> rows of this tenant, as far as there are any."""
        tables = await behind.fetch(
            "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid where a.attname = 'tenant_id'"
            " and c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace"
        )
        found = {}
        for row in tables:
            name = row["relname"]
            count = await behind.fetchval(f"select count(*) from {name} where tenant_id = $1", UUID(self.id))
            if count:
                found[name] = count
        return found
