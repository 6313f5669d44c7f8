"""From what happens to one call to the rows and events that tell of it, all of it through the write-behind queue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.base.clock import Clock
from sivo.base.ids import uuid7
from sivo.calls import events, facts, store
from sivo.calls.figures import CallFigures
from sivo.calls.guest import Guest
from sivo.calls.records import Recorder, Write
from sivo.calls.store import CallRow, DecisionRow, EndRow, LegRow, MessageRow
from sivo.calls.transfer import Transfer
from sivo.config import snapshots
from sivo.config.snapshot import Snapshot
from sivo.db.scopes import Connection
from sivo.events import outbox
from sivo.media.protocol import Fact
from sivo.recording import records as recordings
from sivo.recording.policy import RecordingDecision
from sivo.routing.decide import RouteDecision
from sivo.routing.directory import Agent, Extension
from sivo.transcription import segments
from sivo.transcription.policy import TranscriptionDecision


class CallWriter:
    """Writes one call down. ``node`` names the data directory in which its journal lies; ``figures`` counts along."""

    def __init__(
        self, recorder: Recorder, clock: Clock, row: CallRow, node: str, figures: CallFigures | None = None
    ) -> None:
        self._recorder = recorder
        self._clock = clock
        self.row = row
        self._node = node
        self._figures = figures
        self._rang = False
        #: SIP messages that wait in a write which has not begun.
        self._messages: list[MessageRow] | None = None
        self.answered_at: datetime | None = None

    def created(self, route: RouteDecision, snapshot: Snapshot) -> None:
        """The call exists: its row, the pinned configuration, the route decision, ``call.created``."""
        row = self.row
        if self._figures is not None:
            self._figures.started(row)

        async def apply(conn: Connection) -> None:
            await snapshots.store(conn, snapshot)
            if await store.insert_call(conn, row):
                await outbox.put(conn, row.tenant_id, events.CREATED, events.created(row))

        self._put(apply)
        self._decision("route", "setup", route.outcome(), route.rule, route.reason, route.details())

    def media(self, index: int, journal_path: str) -> None:
        """A media process carries it."""
        self._put(lambda conn: store.mark_media(conn, self.row.id, index, journal_path))

    def ringing(self) -> None:
        """A phone rings."""
        if self._figures is not None and not self._rang:
            self._figures.ringing(self.row, self._clock.now())
        self._rang = True
        self._put(lambda conn: store.mark_ringing(conn, self.row.id))

    def answered(self) -> None:
        """Answered now; ``call.answered``."""
        at = self.answered_at = self._clock.now()
        row = self.row
        if self._figures is not None:
            self._figures.answered(row, at)

        async def apply(conn: Connection) -> None:
            if await store.mark_answered(conn, row.id, at):
                await outbox.put(conn, row.tenant_id, events.ANSWERED, events.answered(row, at))

        self._put(apply)

    def config_read(self, reads: list[dict[str, Any]]) -> None:
        """Which configuration values were read so far."""
        self._put(lambda conn: store.mark_reads(conn, self.row.id, reads))

    def ended(self, end: EndRow) -> None:
        """The end with the whole CDR; ``call.ended``."""
        row, answered_at = self.row, self.answered_at
        if self._figures is not None:
            self._figures.ended(row, end)

        async def apply(conn: Connection) -> None:
            if await store.mark_ended(conn, row.id, end):
                await outbox.put(conn, row.tenant_id, events.ENDED, events.ended(row, answered_at, end))

        self._put(apply)

    def finished(self, journal_path: str | None, recording: RecordingDecision | None, transcribed: bool) -> None:
        """After the last fact: the journal gets its fate and the transcript its last event."""
        row, at = self.row, self._clock.now()

        async def apply(conn: Connection) -> None:
            await finish_session(conn, row, self._node, journal_path, recording, transcribed, at)

        self._put(apply)

    def leg(self, leg: LegRow) -> None:
        """A phone joined."""
        leg.dialog = self._ours(leg.dialog)
        self._put(lambda conn: store.insert_leg(conn, self.row.tenant_id, self.row.id, leg))

    def leg_state(self, leg_id: UUID, outcome: str, **fields: Any) -> None:
        """What became of a phone (fields of :func:`sivo.calls.store.mark_leg`)."""
        fields["dialog"] = self._ours(fields.get("dialog"))
        self._put(lambda conn: store.mark_leg(conn, leg_id, outcome, **fields))

    def pending(self, leg_id: UUID, dialog: dict[str, Any] | None) -> None:
        """What a phone's answer is waited for with (:func:`sivo.calls.store.mark_pending`)."""
        ours = self._ours(dialog)
        self._put(lambda conn: store.mark_pending(conn, leg_id, ours))

    def _ours(self, dialog: dict[str, Any] | None) -> dict[str, Any] | None:
        """A dialog with the node that it belongs to: no other one ends it."""
        return None if dialog is None else dialog | {"node": self._node}

    def message(self, row: MessageRow) -> None:
        """A SIP message of this call went by. Those that come before the write begins are written together."""
        if self._messages is not None:
            self._messages.append(row)
            return
        rows = self._messages = [row]

        async def apply(conn: Connection) -> None:
            if self._messages is rows:
                self._messages = None
            await store.insert_messages(conn, self.row.tenant_id, self.row.id, rows)

        self._put(apply)

    def recording_decided(self, phase: str, decision: RecordingDecision, active: bool) -> None:
        """What was decided about the audio; ``active`` says whether frames are kept from now on."""
        outcome = "record" if active else "refuse"
        reason = f"{decision.rule}: {'recorded as ' + decision.format if active else 'not recorded'}"
        self._decision("recording", phase, outcome, decision.rule, reason, decision.details())

    def transcription_decided(self, phase: str, decision: TranscriptionDecision) -> None:
        """What was decided about the words."""
        outcome = "transcribe" if decision.capture else "refuse"
        reason = f"{decision.rule}: {'transcribed in ' + decision.language if decision.capture else 'not transcribed'}"
        self._decision("transcription", phase, outcome, decision.rule, reason, decision.details())

    def transferred(self, transfer: Transfer, outcome: str, *, done: bool) -> None:
        """A transfer came to its end: the decision for the trace, and ``call.transferred`` when it went through."""
        at, row = self._clock.now(), self.row
        reason = f"{transfer.how} by the {transfer.side}" + (
            "" if done else f": {outcome}, the call stays where it was"
        )
        details = {"to": transfer.to, "how": transfer.how, "by": transfer.side, "outcome": outcome}
        word = "transferred" if done else "returned"
        self._decision("transfer", "talk", word, f"transfer.{transfer.how}", reason, details)
        if done:
            data = events.transferred(row, transfer, at)
            self._put(lambda conn: outbox.put(conn, row.tenant_id, events.TRANSFERRED, data))

    def tried(self, outcome: str, rule: str, reason: str, details: dict[str, Any]) -> None:
        """One try came to nothing, and somebody else is rung."""
        self._decision("route", "attempt", outcome, rule, reason, details)

    def carried(self, trunk_id: UUID) -> None:
        """The call leaves through this carrier in the end."""
        self.row.trunk_id = trunk_id
        self._put(lambda conn: store.mark_trunk(conn, self.row.id, trunk_id))

    def taken_by(self, extension: Extension) -> None:
        """Somebody of a ring group has the call: it is their own from now on."""
        self.row.extension_id = extension.id
        self._put(lambda conn: store.mark_extension(conn, self.row.id, extension.id))

    def taken_over(self, agent: Agent, snapshot: Snapshot) -> None:
        """An AI agent answers in place of a ring group, with the configuration that is pinned from now on."""
        row = self.row
        row.agent_id, row.snapshot_hash = agent.id, snapshot.hash

        async def apply(conn: Connection) -> None:
            await snapshots.store(conn, snapshot)
            await store.mark_agent(conn, row.id, agent.id, snapshot.hash)

        self._put(apply)
        details = {"target": {"kind": "ai_agent", "id": str(agent.id), "name": agent.name}}
        reason = f"nobody of the ring group answered; AI agent {agent.name} answers"
        self._decision("route", "attempt", "ai_agent", "ring_group.no_answer", reason, details)

    def supervised(self, guest: Guest, author: str, what: str) -> None:
        """Somebody was brought onto the call, or changed how they are on it."""
        details = {"to": guest.to, "mode": guest.mode, "author": author}
        self._decision("supervision", "talk", guest.mode, f"order.{what}", f"{guest.to} {what} by {author}", details)

    def fact(self, fact: Fact, context: facts.FactContext, after: Callable[[], None]) -> None:
        """A fact of the media session; ``after`` runs when it is committed."""
        self._put(lambda conn: facts.commit(conn, context, fact), after)

    def _decision(self, kind: str, phase: str, outcome: str, rule: str, reason: str, details: dict[str, Any]) -> None:
        row = DecisionRow(uuid7(), self._clock.now(), kind, phase, outcome, rule, reason, details)
        self._put(lambda conn: store.insert_decision(conn, self.row.tenant_id, self.row.id, row))

    def _put(self, apply: Callable[[Connection], Any], after: Callable[[], None] | None = None) -> None:
        self._recorder.put(Write(self.row.tenant_id, self.row.id, apply, after))


async def finish_session(
    conn: Connection,
    row: CallRow,
    node: str,
    journal_path: str | None,
    recording: RecordingDecision | None,
    transcribed: bool,
    at: datetime,
) -> None:
    """Once per call, in one transaction: the recording row for the journal, and ``transcript.completed``.

    Harmless when it was done before (a call that was recovered after it had ended properly).
    """
    if not await store.claim_finish(conn, row.id):
        return
    if journal_path is not None and recording is not None:
        await recordings.expect(
            conn,
            tenant_id=row.tenant_id,
            call_id=row.id,
            node=node,
            journal_path=journal_path,
            decision=recording,
            at=at,
        )
    if transcribed:
        await segments.complete(conn, tenant_id=row.tenant_id, call_id=row.id)
