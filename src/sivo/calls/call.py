"""One call: who it is, what it works with, and its machine. Carrying out what the machine wants is ``effects``' job."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sivo.base import logs
from sivo.calls.callee_fork import Branch, CalleeFork
from sivo.calls.caller_leg import CallerLeg
from sivo.calls.facts import FactContext
from sivo.calls.guest import Guest
from sivo.calls.inputs import Fault, Input
from sivo.calls.legs import Leg
from sivo.calls.media_session import CALLEE, CALLER, MediaSession
from sivo.calls.state import CallMachine, Phase
from sivo.calls.transfer import Transfer
from sivo.calls.writer import CallWriter
from sivo.recording.policy import RecordingDecision
from sivo.routing.decide import RouteDecision
from sivo.routing.directory import Agent, Did, Extension, Tenant
from sivo.transcription.policy import TranscriptionDecision

if TYPE_CHECKING:
    from sivo.calls.actions import Action
    from sivo.calls.hunting import Hunt
    from sivo.calls.transfer_code import Typing
    from sivo.config.snapshot import Reader, Snapshot

log = logs.get("calls")


@dataclass(slots=True)
class Capture:
    """What is kept of a call. ``recording_active`` says whether frames are being kept now."""

    recording: RecordingDecision
    transcription: TranscriptionDecision
    recording_active: bool = False
    #: The decision under which the first frame was kept; what was kept by right stays, whatever is decided later.
    kept: RecordingDecision | None = None
    #: What the two decisions were made of, to be compared by identity; None: they are to be made anew.
    basis: tuple[object, ...] | None = None

    def begin(self) -> None:
        """Frames are kept from now on, if the decision says so."""
        self.recording_active = self.recording.capture
        if self.recording_active and self.kept is None:
            self.kept = self.recording

    def fate(self) -> RecordingDecision:
        """The decision that the journal is dealt with by."""
        return self.kept or replace(self.recording, capture=False, rule=self._why_not())

    def _why_not(self) -> str:
        return "nobody answered" if self.recording.capture else self.recording.rule


@dataclass(slots=True)
class Call:
    """A call from INVITE to the last write."""

    id: UUID
    tenant: Tenant
    route: RouteDecision
    config: Reader
    caller: CallerLeg
    caller_name: str
    caller_extension: Extension | None
    writer: CallWriter
    capture: Capture
    perform: Callable[[Call, Action], None]
    machine: CallMachine = field(default_factory=CallMachine)
    callee: CalleeFork | None = None
    #: Forks of earlier tries, for what still comes from their phones; who tries now, and on which of our addresses.
    former: list[CalleeFork] = field(default_factory=list)
    hunt: Hunt | None = None
    callee_host: str = ""
    #: The AI agent that answers, and the one that takes over when nobody does, with what the call pins then.
    agent: Agent | None = None
    fallback: tuple[Agent, Snapshot] | None = None
    callee_extension: Extension | None = None
    media: MediaSession | None = None
    journal_path: str | None = None
    caller_leg_id: UUID | None = None
    answered_mono: float | None = None
    timers: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    #: Who took the seat of caller or callee in a transfer; None: it stands empty, who sat there is in another call.
    seats: dict[str, Leg | None] = field(default_factory=dict)
    #: Rows of phones that came from another call, by ``id`` of the leg.
    leg_ids: dict[int, UUID] = field(default_factory=dict)
    transfer: Transfer | None = None
    guests: list[Guest] = field(default_factory=list)
    #: Phones of guests that have left, for what still comes from them.
    departed: list[Branch] = field(default_factory=list)
    #: Whereto the API sends a caller who talks with an AI agent.
    told_to: str = ""
    #: Keys of a transfer code that somebody is pressing, by seat.
    typing: dict[str, Typing] = field(default_factory=dict)
    #: Numbers the legs that media is given after the first two.
    serial: int = 0
    #: Told each time the call stands elsewhere.
    phase_changed: Callable[[Call], None] = lambda call: None
    #: Name of the call's media session.
    session: str = field(init=False)
    _inbox: deque[Input] = field(default_factory=deque)
    _busy: bool = False

    def __post_init__(self) -> None:
        self.session = str(self.id)

    @property
    def ended(self) -> bool:
        """Whether the machine is through; rows and SIP retransmissions may still be on their way."""
        return self.machine.phase is Phase.ENDED

    @property
    def did(self) -> Did | None:
        """The DID that was called."""
        return self.route.did

    @property
    def quiet(self) -> bool:
        """Whether both phones know that it is over."""
        return all(leg.quiet for leg in self.legs)

    @property
    def legs(self) -> list[Leg]:
        """Every phone that this call is responsible for."""
        found: list[Leg] = [self.caller, *(self.callee.branches if self.callee else ())]
        found += [branch for fork in self.former for branch in fork.branches]
        if self.transfer is not None and self.transfer.fork is not None:
            found += self.transfer.fork.branches
        found += [branch for guest in self.guests if guest.fork for branch in guest.fork.branches]
        found += self.departed
        if None in self.seats.values():
            found = [leg for leg in found if not self._given_away(leg)]
        return found + [leg for leg in self.seats.values() if leg is not None and leg not in found]

    def _given_away(self, leg: Leg) -> bool:
        if leg is self.caller:
            return self.seats.get(CALLER, leg) is None
        return self.callee is not None and leg is self.callee.winner and self.seats.get(CALLEE, leg) is None

    def party(self, side: str) -> Leg | None:
        """Who is on the line as caller or callee now."""
        original = self.caller if side == CALLER else self.callee.winner if self.callee else None
        return self.seats.get(side, original)

    def side_of(self, leg: Leg) -> str | None:
        """``caller`` or ``callee`` for who is on the line; None for a phone that rings, or is not any more."""
        return next((side for side in (CALLER, CALLEE) if self.party(side) is leg), None)

    def fork_of(self, branch: Branch) -> CalleeFork | None:
        """The fork that rings a phone."""
        forks = [self.transfer.fork if self.transfer else None, *(guest.fork for guest in self.guests), *self.former]
        return next((fork for fork in forks if fork is not None and branch in fork.branches), self.callee)

    def place_of(self, leg: Leg) -> str | None:
        """Where a phone's audio belongs: ``caller``, ``callee`` or a guest's leg; None when it has none."""
        guest = next((guest.seat for guest in self.guests if guest.leg is leg), None)
        return guest or self.side_of(leg)

    def post(self, event: Input) -> None:
        """Tell the machine what happened and carry out what it wants; safe to use from within."""
        self._inbox.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._inbox:
                before = self.machine.phase
                for action in self.machine.handle(self._inbox.popleft()):
                    self._carry_out(action)
                if self.machine.phase is not before:
                    self.phase_changed(self)
        finally:
            self._busy = False

    def _carry_out(self, action: Action) -> None:
        """Do one thing; a fault of ours ends the call instead of leaving it half done."""
        try:
            self.perform(self, action)
        except Exception as error:
            log.exception(
                "an action failed", tenant=str(self.tenant.id), call=str(self.id), action=type(action).__name__
            )
            self._inbox.append(Fault(f"{type(action).__name__}: {type(error).__name__}"))

    def config_reads(self) -> list[dict[str, Any]]:
        """The configuration values that were read, with the level of each."""
        return [{"key": key, "value": value, "level": level} for key, value, level in self.config.reads()]

    def let_go(self) -> None:
        """Nothing more comes of this call: forget who also knows it, so that it is freed now and not by a search for
        cycles, which a process with many calls makes seldom."""
        self.hunt = self.callee = self.transfer = None
        for others in (self.former, self.guests, self.departed):
            others.clear()

    def leg_of(self, dialog_id: object) -> Leg | None:
        """The leg whose dialog this is."""
        return next((leg for leg in self.legs if (found := leg.dialog or leg.early) and found.id == dialog_id), None)

    def fact_context(self) -> FactContext:
        """What committing a fact of this call needs."""
        decision = self.capture.transcription
        agent_id = self.agent.id if self.agent else None
        return FactContext(self.tenant.id, self.id, agent_id, decision.capture, decision.retention_days)
