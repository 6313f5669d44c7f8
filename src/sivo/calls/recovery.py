"""What a killed process left behind is brought home: facts from journals, the fate of the journal, the end of the call.

Two occasions: a media process died under running calls, and this process died itself and is back. In both the journal
says what happened; commits are idempotent, so that reading too much does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from sivo.base import logs
from sivo.base.clock import Clock
from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.calls import causes, events, facts, store
from sivo.calls.about import About, unseal
from sivo.calls.facts import FactContext
from sivo.calls.records import Recorder, Write
from sivo.calls.rows import CallRow, DecisionRow, EndRow
from sivo.calls.writer import finish_session
from sivo.db.scopes import Connection, Database
from sivo.events import outbox
from sivo.media import journal as journals
from sivo.media.journal import KEY_PURPOSE, SUFFIX, Header
from sivo.media.protocol import ConversationEnded, Fact, Turn
from sivo.recording.policy import RecordingDecision
from sivo.vault.vault import Vault

log = logs.get("calls")


@dataclass(frozen=True, slots=True)
class Found:
    """What a journal holds: its facts, whether frames were kept, and how long the session is known to have lived."""

    facts: list[Fact] = field(default_factory=list)
    recorded: bool = False
    last_ms: int = 0
    #: When the first party heard the other, by the journal's own clock; None: nobody did.
    answered_at: datetime | None = None
    about: About | None = None


@dataclass(frozen=True, slots=True)
class Remains:
    """Open calls, journals, and the dialogs in which a phone still waits (by call)."""

    calls: list[asyncpg.Record]
    journals: list[Path]
    dialogs: list[tuple[UUID, dict[str, Any]]]


class Recovery:
    """Reads journals and finishes calls."""

    def __init__(
        self, database: Database, vault: Vault, recorder: Recorder, clock: Clock, journal_dir: Path, node: str
    ) -> None:
        self._database = database
        self._vault = vault
        self._recorder = recorder
        self._clock = clock
        self._dir = journal_dir
        self._node = node

    async def read(self, tenant_id: UUID, call_id: UUID, *, talked: bool) -> Found:
        """What is in the journal of a call whose media process is gone; nothing when there is no readable journal.

        ``talked``: an AI agent was on the call; its conversation gets an end if the kill took it.
        """
        path = self._dir / f"{call_id}{SUFFIX}"
        if not path.exists():
            return Found()
        try:
            header = await asyncio.to_thread(journals.read_header, path)
            key = await self._vault.open(tenant_id, KEY_PURPOSE, header.key_sealed)
            journal = await asyncio.to_thread(_read, path, key)
        except SivoError as error:
            log.error("a journal cannot be read", tenant=str(tenant_id), call=str(call_id), error=str(error))
            return Found()
        about = unseal(key, header.about)
        answered_at = None
        if journal.last_index >= 0:
            written_to = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            answered_at = written_to - timedelta(milliseconds=journal.last_ms)
        talked = talked or (answered_at is not None and about is not None and about.row.agent_id is not None)
        facts_ = [*journal.facts, *(_missing_end(journal) if talked else ())]
        return Found(facts_, journal.frame_count > 0, journal.last_ms, answered_at, about)

    async def look(self) -> Remains:
        """What an earlier process of this node left open; to be asked before the first call of this one."""
        async with self._database.platform("calls recovery") as conn:
            rows = await conn.fetch(
                """select * from call where not finished and not exists (
                     select 1 from leg where leg.call_id = call.id and leg.dialog ->> 'node' <> $1) order by id""",
                self._node,
            )
            legs = await conn.fetch(
                """select leg.call_id, leg.dialog from leg join call on call.id = leg.call_id
                    where call.state <> 'ended' and leg.dialog is not null
                      and coalesce(leg.dialog ->> 'node', $1) = $1 order by leg.id""",
                self._node,
            )
        return Remains(rows, sorted(self._dir.glob(f"*{SUFFIX}")), [(leg["call_id"], leg["dialog"]) for leg in legs])

    async def finish(self, remains: Remains, unknown: Callable[[asyncpg.Record, dict[str, Any]], None]) -> None:
        """Bring home what was found. ``unknown`` gets the row and the caller of each call that had no row."""
        for row in remains.calls:
            await self._finish(row)
        known = {str(row["id"]) for row in remains.calls}
        for path in remains.journals:
            await self._adopt(path, known, unknown)

    async def _finish(self, row: asyncpg.Record) -> None:
        tenant_id, call_id = row["tenant_id"], row["id"]
        talked = row["agent_id"] is not None and row["answered_at"] is not None
        found = await self.read(tenant_id, call_id, talked=talked)
        async with self._database.tenant(tenant_id) as conn:
            context = await fact_context(conn, row)
        for fact in found.facts:
            self._recorder.put(Write(tenant_id, call_id, lambda conn, fact=fact: facts.commit(conn, context, fact)))  # type: ignore[misc]
        at = self._clock.now()
        self._recorder.put(Write(tenant_id, call_id, lambda conn: _close(conn, row, self._node, found, at)))
        log.warning("call recovered", tenant=str(tenant_id), call=str(call_id), facts=len(found.facts))

    async def _adopt(
        self, path: Path, known: set[str], unknown: Callable[[asyncpg.Record, dict[str, Any]], None]
    ) -> None:
        """A journal whose call never got its row: the platform died between the two, or the database was away."""
        if path.stem in known:
            return
        try:
            header = await asyncio.to_thread(journals.read_header, path)
            tenant_id, call_id = UUID(header.tenant), UUID(header.call)
        except (SivoError, ValueError) as error:
            log.error("not a journal of ours", file=path.name, error=str(error))
            return
        async with self._database.tenant(tenant_id) as conn:
            exists = await conn.fetchval("select true from call where id = $1", call_id)
        if not exists:
            about = (await self.read(tenant_id, call_id, talked=False)).about
            record = await self._make_row(header, tenant_id, call_id, str(path), about)
            if about is not None:
                unknown(record, about.caller)
            await self._finish(record)

    async def _make_row(
        self, header: Header, tenant_id: UUID, call_id: UUID, path: str, about: About | None
    ) -> asyncpg.Record:
        created_at = datetime.fromtimestamp(header.created_at / 1000, UTC)
        row = about.row if about else CallRow(call_id, tenant_id, "inbound", "unknown", "unknown", created_at)
        async with self._database.tenant(tenant_id) as conn:
            if await store.insert_call(conn, row):
                await outbox.put(conn, tenant_id, events.CREATED, events.created(row))
            await store.mark_media(conn, call_id, 0, path)
            for kind, details in about.decisions.items() if about else ():
                await store.insert_decision(conn, tenant_id, call_id, _decision(kind, details, self._clock.now()))
            record = await conn.fetchrow("select * from call where id = $1", call_id)
        assert record is not None
        return record


def _decision(kind: str, details: dict[str, Any], at: datetime) -> DecisionRow:
    done, refused = ("record", "refuse") if kind == "recording" else ("transcribe", "refuse")
    outcome = done if details.get("capture") else refused
    return DecisionRow(uuid7(), at, kind, "setup", outcome, str(details.get("rule", "")), "from the journal", details)


async def fact_context(conn: Connection, row: asyncpg.Record) -> FactContext:
    """The context of a call's facts from what was stored with it: its last transcription decision."""
    details = await _last_decision(conn, row["id"], "transcription")
    return FactContext(
        tenant_id=row["tenant_id"],
        call_id=row["id"],
        agent_id=row["agent_id"],
        transcribe=bool(details and details.get("capture")),
        retention_days=int(details["retention_days"]) if details else 1,
    )


async def _close(conn: Connection, row: asyncpg.Record, node: str, found: Found, at: datetime) -> None:
    """End the call if nobody did, then finish it; all of it idempotent."""
    call = call_row(row)
    answered_at = row["answered_at"] or found.answered_at
    if answered_at is not None and await store.mark_answered(conn, call.id, answered_at):
        await outbox.put(conn, call.tenant_id, events.ANSWERED, events.answered(call, answered_at))
    duration_ms = found.last_ms if answered_at else 0
    end = EndRow(
        ended_at=(answered_at or row["created_at"]) + timedelta(milliseconds=duration_ms),
        duration_ms=duration_ms,
        cause=causes.NODE_FAILURE.name,
        category=causes.NODE_FAILURE.category,
        by="platform",
        detail="the node was killed",
    )
    if await store.mark_ended(conn, call.id, end):
        await outbox.put(conn, call.tenant_id, events.ENDED, events.ended(call, answered_at, end))
    recording = await _recording_decision(conn, call.id, found.recorded)
    transcription = await _last_decision(conn, call.id, "transcription")
    await finish_session(
        conn,
        call,
        node,
        row["journal_path"],
        recording,
        bool(transcription and transcription.get("capture")),
        at,
    )


def call_row(row: asyncpg.Record) -> CallRow:
    """A stored call as the rest of the room knows it."""
    return CallRow(
        id=row["id"],
        tenant_id=row["tenant_id"],
        direction=row["direction"],
        from_number=row["from_number"],
        to_number=row["to_number"],
        created_at=row["created_at"],
        did_id=row["did_id"],
        agent_id=row["agent_id"],
        extension_id=row["extension_id"],
        trunk_id=row["trunk_id"],
        snapshot_hash=row["snapshot_hash"],
        sip_call_id=row["sip_call_id"],
    )


async def _last_decision(conn: Connection, call_id: UUID, kind: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = await conn.fetchval(
        "select details from call_decision where call_id = $1 and kind = $2 order by at desc, id desc limit 1",
        call_id,
        kind,
    )
    return found


async def _recording_decision(conn: Connection, call_id: UUID, recorded: bool) -> RecordingDecision | None:
    """The decision by which frames were kept, or the last one when none were."""
    details: dict[str, Any] | None = await conn.fetchval(
        """select details from call_decision
            where call_id = $1 and kind = 'recording' and (outcome = 'record' or not $2)
            order by at desc, id desc limit 1""",
        call_id,
        recorded,
    )
    if details is None:
        return None
    decision = RecordingDecision(**details)
    return decision if recorded else replace(decision, capture=False, rule=f"nothing was kept ({decision.rule})")


def _read(path: Path, key: bytes) -> journals.Journal:
    return journals.read(path, key, salvage=True)


def _missing_end(journal: journals.Journal) -> list[Fact]:
    """A conversation that was cut by a kill still gets its end, with the reason ``node_failure``."""
    if any(isinstance(fact.body, ConversationEnded) for fact in journal.facts):
        return []
    turns = sum(isinstance(fact.body, Turn) for fact in journal.facts)
    body = ConversationEnded(reason="node_failure", turns=turns, at_ms=journal.last_ms)
    seq = journal.facts[-1].seq + 1 if journal.facts else 1
    at = journal.facts[-1].at if journal.facts else journal.header.created_at
    return [Fact(session=journal.header.session, seq=seq, at=at, body=body)]
