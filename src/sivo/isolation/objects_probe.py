"""Objects: each lies below its tenant's own prefix and opens with its tenant's keys alone."""

from __future__ import annotations

import asyncio
from uuid import UUID

from sivo.api.context import Context
from sivo.base.errors import SivoError
from sivo.isolation.canaries import Canary
from sivo.isolation.findings import Findings
from sivo.recording.binding import OBJECT_PURPOSE, object_aad
from sivo.storage.store import Objects
from sivo.vault import stream

SECTION = "objects"
_COLUMNS = """select a.attrelid::regclass::text as of from pg_attribute a join pg_class c on c.oid = a.attrelid
   where a.attname = 'object_key' and c.relkind in ('r', 'p') and not a.attisdropped order by 1"""


async def probe(context: Context, attacker: Canary, owner: Canary, findings: Findings) -> None:
    """Every table that names objects, and the owner's stored recording with the attacker's keys."""
    async with context.database.platform("isolation audit: tables of objects") as connection:
        tables = [row["of"] for row in await connection.fetch(_COLUMNS)]
    for table in tables:
        async with context.database.tenant(owner.tenant_id) as connection:
            keys = [
                row["object_key"]
                for row in await connection.fetch(f"select object_key from {table} where object_key is not null")  # noqa: S608
            ]
        if not keys:
            findings.uncovered(SECTION, table, "the canary has no object there: let past.py leave one")
            continue
        astray = [f"{key} is not below its tenant" for key in keys if not key.startswith(f"{owner.tenant_id}/")]
        findings.judge(SECTION, f"paths of {table}", astray, f"{len(keys)} below {owner.tenant_id}")
    await _opened(context, attacker, owner, findings)


async def _opened(context: Context, attacker: Canary, owner: Canary, findings: Findings) -> None:
    recording = UUID(owner.ids["recording_id"])
    async with context.database.tenant(owner.tenant_id) as connection:
        row = await connection.fetchrow("select object_key, wrapped_key from recording where id = $1", recording)
    assert row is not None
    key = await context.vault.open(owner.tenant_id, OBJECT_PURPOSE, row["wrapped_key"])
    if await _read(context, key, owner.tenant_id, recording, row["object_key"]) is None:
        findings.uncovered(SECTION, "recording", "it does not open for its owner either")
        return
    faults = []
    try:
        await context.vault.open(attacker.tenant_id, OBJECT_PURPOSE, row["wrapped_key"])
        faults.append("the key of the owner's object opens for the attacker")
    except SivoError:
        pass
    if await _read(context, key, attacker.tenant_id, recording, row["object_key"]) is not None:
        faults.append("the owner's object opens as one of the attacker's")
    findings.judge(SECTION, "recording", faults)


async def _read(context: Context, key: bytes, tenant_id: UUID, recording: UUID, path: str) -> bytes | None:
    objects = Objects.local(context.settings.object_dir)

    def read() -> bytes:
        return b"".join(stream.open_stream(key, object_aad(tenant_id, recording), objects.read(path)))

    try:
        return await asyncio.to_thread(read)
    except SivoError:
        return None
