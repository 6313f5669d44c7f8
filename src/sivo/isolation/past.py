"""What calls leave behind, for a canary, by the rooms' own writers: CDR, legs, decisions, transcript, recording."""

from __future__ import annotations

import hashlib
from datetime import datetime
from uuid import UUID

from sivo.api.context import Context
from sivo.audit import log as audit_log
from sivo.audit.log import SYSTEM, AuditEntry
from sivo.audit.sealer import Sealer
from sivo.base.ids import uuid7
from sivo.base.node import node_id
from sivo.calls import store as calls
from sivo.config import snapshots, state
from sivo.config.registry import KEYS
from sivo.config.snapshot import Snapshot
from sivo.db.scopes import Connection
from sivo.isolation.canaries import EXTENSION, Canary
from sivo.isolation.rows import add_row
from sivo.media.protocol import Segment
from sivo.recording import records
from sivo.recording.binding import OBJECT_PURPOSE, object_aad
from sivo.recording.policy import RecordingDecision
from sivo.storage.store import Objects
from sivo.transcription import segments
from sivo.vault import stream

_DECISION = RecordingDecision(True, "canary", "wav", 1, "managed", True, "delete", {})


async def leave(context: Context, canary: Canary) -> None:
    """A call that is over, with a stored recording that opens, and a guesser that was banned."""
    now, call_id, tenant_id = context.clock.now(), uuid7(), canary.tenant_id
    leg = calls.LegRow(uuid7(), "caller", canary.marker, "192.0.2.1:5060", canary.marker, now)
    said = Segment(segment=canary.marker, speaker="caller", text=canary.marker, start_ms=0, end_ms=1000)
    async with context.database.tenant(tenant_id) as connection:
        row = calls.CallRow(
            call_id,
            tenant_id,
            "inbound",
            canary.marker,
            EXTENSION,
            now,
            sip_call_id=canary.marker,
            snapshot_hash=await _snapshot(connection, context, tenant_id),
        )
        await calls.insert_call(connection, row)
        await calls.insert_leg(connection, tenant_id, call_id, leg)
        decision = calls.DecisionRow(uuid7(), now, "route", "created", "answered", "canary", canary.marker)
        await calls.insert_decision(connection, tenant_id, call_id, decision)
        message = calls.MessageRow(uuid7(), now, "in", "192.0.2.1", "INVITE", canary.marker)
        await calls.insert_messages(connection, tenant_id, call_id, [message])
        await segments.commit(connection, tenant_id=tenant_id, call_id=call_id, segment=said, at=now, retention_days=1)
        await calls.mark_ended(connection, call_id, calls.EndRow(now, 0, "NORMAL_CLEARING", "normal", "caller"))
        await calls.claim_finish(connection, call_id)
        canary.ids["audit_id"] = str(await add_row(connection, "isolation_audit", tenant_id))
        canary.ids["ban_id"] = str(await add_row(connection, "sip_ban", tenant_id))
        factor = await connection.fetchval("select id from factor where tenant_id = $1 limit 1", tenant_id)
        entry = AuditEntry("access", "isolation_audit.canary", "call", str(call_id), SYSTEM)
        await audit_log.record(connection, entry, now)
    await Sealer(context.database, context.resources.ledger_key, context.resources.checkpoints).seal(tenant_id)
    canary.ids["factor_id"] = str(factor)
    canary.ids["call_id"] = str(call_id)
    await _lead(canary)
    canary.ids["recording_id"] = str(await _recording(context, canary, call_id, now))


async def _snapshot(connection: Connection, context: Context, tenant_id: UUID) -> str:
    """The configuration that the call has pinned."""
    tenant = await state.known_tenant(connection, tenant_id)
    resolver = await state.resolver(connection, tenant, context.settings)
    effective = {name: resolver.effective(name) for name in KEYS}
    return await snapshots.store(connection, Snapshot.make(tenant_id, 1, effective, "es", "tenant"))


async def _lead(canary: Canary) -> None:
    """An enquiry through the public form."""
    body = {
        "tenant": canary.slug,
        "name": canary.marker,
        "email": f"{canary.marker}@{canary.slug}.example",
        "message": canary.marker,
        "consent": True,
        "consent_version": "1",
    }
    await canary.door.ask("POST", "/api/public/leads", body)
    leads = await canary.door.ask("GET", "/api/leads")
    if leads.status == 200 and leads.json["items"]:
        canary.ids["lead_id"] = str(leads.json["items"][0]["id"])


async def _recording(context: Context, canary: Canary, call_id: UUID, now: datetime) -> UUID:
    """A stored object with its row; the sound of it is the marker."""
    tenant_id, plain, key = canary.tenant_id, canary.marker.encode(), stream.new_key()
    node = f"{node_id(context.settings)}-canary"  # no worker claims it: there is no journal
    async with context.database.tenant(tenant_id) as connection:
        recording_id = await records.expect(
            connection,
            tenant_id=tenant_id,
            call_id=call_id,
            node=node,
            journal_path=canary.marker,
            decision=_DECISION,
            at=now,
        )
    object_key = f"{tenant_id}/recordings/{now:%Y/%m}/{recording_id}.wav.sivo"
    objects = Objects.local(context.settings.object_dir)
    await objects.put(object_key, stream.seal_stream(key, object_aad(tenant_id, recording_id), [plain]))
    wrapped = await context.vault.seal(tenant_id, OBJECT_PURPOSE, key)
    digest = hashlib.sha256(plain).digest()
    async with context.database.tenant(tenant_id) as connection:
        job = records.Job(
            recording_id, tenant_id, call_id, "", "pending", True, "canary", "wav", True, "managed", "delete", 1, now,
            now, 0,
        )  # fmt: skip
        stored = records.Stored(object_key, wrapped, len(plain), digest, 0, 2)
        await records.finish_stored(connection, job, stored, now)
    return recording_id
