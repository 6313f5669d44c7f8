"""From what happens to one call to the rows and events that tell of it, all of it through the write-behind queue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from sivo.base.clock import Clock
from sivo.base.ids import uuid7
from sivo.calls import facts, statements, store
from sivo.calls.figures import CallFigures
from sivo.calls.grouping import Apply
from sivo.calls.guest import Guest
from sivo.calls.records import Recorder, Write
from sivo.calls.rows import CallRow, DecisionRow, EndRow, LegRow, MessageRow
from sivo.calls.transfer import Transfer
from sivo.config import snapshots
from sivo.config.snapshot import Snapshot
from sivo.db.scopes import Connection
from sivo.db.statement import Statement
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
        self.answered_at: datetime | None = None

    def created(self, route: RouteDecision, snapshot: Snapshot) -> None:
        """The call exists: its row, the pinned configuration, the route decision, ``call.created``."""
        if self._figures is not None:
            self._figures.started(self.row)
        self._pin(snapshot)
        self._put(statements.created(self.row))
        self._decision("route", "setup", route.outcome(), route.rule, route.reason, route.details())

    def media(self, index: int, journal_path: str) -> None:
        """A media process carries it."""
        self._put(statements.media(self.row.id, index, journal_path), loose=True)

    def ringing(self) -> None:
        """A phone rings."""
        if self._figures is not None and not self._rang:
            self._figures.ringing(self.row, self._clock.now())
        self._rang = True
        # Behind an answer of the same transaction it changes nothing, which is what it would have come to.
        self._put(statements.ringing(self.row.id), loose=True)

    def answered(self) -> None:
        """Answered now; ``call.answered``."""
        at = self.answered_at = self._clock.now()
        if self._figures is not None:
            self._figures.answered(self.row, at)
        self._put(statements.answered_and_told(self.row, at))

    def config_read(self, reads: list[dict[str, Any]]) -> None:
        """Which configuration values were read so far."""
        self._put(statements.reads(self.row.id, reads))

    def ended(self, end: EndRow) -> None:
        """The end with the whole CDR; ``call.ended``."""
        if self._figures is not None:
            self._figures.ended(self.row, end)
        self._put(statements.ended_and_told(self.row, self.answered_at, end))

    def finished(self, journal_path: str | None, recording: RecordingDecision | None, transcribed: bool) -> None:
        """After the last fact: the journal gets its fate and the transcript its last event."""
        row, at = self.row, self._clock.now()

        async def apply(conn: Connection) -> None:
            await finish_session(conn, row, self._node, journal_path, recording, transcribed, at)

        if transcribed:
            self._put(apply)
        elif journal_path is not None and recording is not None:
            self._put(statements.finished_and_promised(row, self._node, journal_path, recording, at))
        else:
            self._put(statements.finished(row.id))

    def leg(self, leg: LegRow) -> None:
        """A phone joined."""
        leg.dialog = self._ours(leg.dialog)
        self._put(statements.leg(self.row.tenant_id, self.row.id, leg))

    def leg_state(self, leg_id: UUID, outcome: str, **fields: Any) -> None:
        """What became of a phone (fields of :func:`sivo.calls.statements.leg_state`)."""
        fields["dialog"] = self._ours(fields.get("dialog"))
        self._put(statements.leg_state(leg_id, outcome, **fields))

    def pending(self, leg_id: UUID, dialog: dict[str, Any] | None) -> None:
        """What a phone's answer is waited for with (:func:`sivo.calls.statements.pending`)."""
        self._put(statements.pending(leg_id, self._ours(dialog)))

    def _ours(self, dialog: dict[str, Any] | None) -> dict[str, Any] | None:
        """A dialog with the node that it belongs to: no other one ends it."""
        return None if dialog is None else dialog | {"node": self._node}

    def message(self, row: MessageRow) -> None:
        """A SIP message of this call went by."""
        self._put(statements.message(self.row.tenant_id, self.row.id, row), loose=True)

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
            self._put(statements.transferred(row, transfer, at))

    def tried(self, outcome: str, rule: str, reason: str, details: dict[str, Any]) -> None:
        """One try came to nothing, and somebody else is rung."""
        self._decision("route", "attempt", outcome, rule, reason, details)

    def carried(self, trunk_id: UUID) -> None:
        """The call leaves through this carrier in the end."""
        self.row.trunk_id = trunk_id
        self._put(statements.trunk(self.row.id, trunk_id))

    def taken_by(self, extension: Extension) -> None:
        """Somebody of a ring group has the call: it is their own from now on."""
        self.row.extension_id = extension.id
        self._put(statements.extension(self.row.id, extension.id))

    def taken_over(self, agent: Agent, snapshot: Snapshot) -> None:
        """An AI agent answers in place of a ring group, with the configuration that is pinned from now on."""
        row = self.row
        row.agent_id, row.snapshot_hash = agent.id, snapshot.hash
        self._pin(snapshot)
        self._put(statements.agent(row.id, agent.id, snapshot.hash))
        details = {"target": {"kind": "ai_agent", "id": str(agent.id), "name": agent.name}}
        reason = f"nobody of the ring group answered; AI agent {agent.name} answers"
        self._decision("route", "attempt", "ai_agent", "ring_group.no_answer", reason, details)

    def supervised(self, guest: Guest, author: str, what: str) -> None:
        """Somebody was brought onto the call, or changed how they are on it."""
        details = {"to": guest.to, "mode": guest.mode, "author": author}
        self._decision("supervision", "talk", guest.mode, f"order.{what}", f"{guest.to} {what} by {author}", details)

    def fact(self, fact: Fact, context: facts.FactContext, after: Callable[[], None]) -> None:
        """A fact of the media session; ``after`` runs when it is committed."""
        if facts.stands_alone(fact.body):
            self._put(facts.row(context, fact), after)
        else:
            self._put(lambda conn: facts.commit(conn, context, fact), after)

    def _decision(self, kind: str, phase: str, outcome: str, rule: str, reason: str, details: dict[str, Any]) -> None:
        row = DecisionRow(uuid7(), self._clock.now(), kind, phase, outcome, rule, reason, details)
        self._put(statements.decision(self.row.tenant_id, self.row.id, row), loose=True)

    def _pin(self, snapshot: Snapshot) -> None:
        """The configuration that the call pins, unless it is known to be kept."""
        kept, name = self._recorder.snapshots, (snapshot.tenant_id, snapshot.hash)
        if name not in kept:
            self._put(snapshots.statement(snapshot), lambda: kept.add(name))

    def _put(self, what: Statement | Apply, after: Callable[[], None] | None = None, *, loose: bool = False) -> None:
        self._recorder.put(Write(self.row.tenant_id, self.row.id, what, after, loose))


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
