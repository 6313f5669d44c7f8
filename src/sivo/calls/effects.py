"""Carries out what a call's machine wants: SIP towards both phones, commands to media, rows, timers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from operator import is_
from typing import Any

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.calls import about, answering_agent, callee, key_use, keys, live_transcription
from sivo.calls import actions as act
from sivo.calls import inputs as ev
from sivo.calls.actions import Action
from sivo.calls.call import Call
from sivo.calls.callee_fork import Branch
from sivo.calls.capture import basis, decide
from sivo.calls.causes import Cause
from sivo.calls.ending import Ending
from sivo.calls.exchange import Exchange
from sivo.calls.guests import Guests
from sivo.calls.hunting import Hunt
from sivo.calls.legs import Leg
from sivo.calls.listeners import rtp_host
from sivo.calls.media_session import CALLEE, CALLER, MediaSession
from sivo.calls.replacing import Replacing
from sivo.calls.rows import LegRow
from sivo.calls.seating import Seating, leg_id_of
from sivo.calls.services import Services
from sivo.calls.session_refresh import SessionRefresh
from sivo.calls.transfers import Transfers
from sivo.media.journal import KEY_PURPOSE, SUFFIX
from sivo.sip.offer_answer import CODECS, AudioStream
from sivo.sip.pending import Pending

KEY_BYTES = 32
log = logs.get("calls")
#: Carries out one kind of action.
How = Callable[[Call, Any], object]


class Effects:
    """Performs actions for all calls of this node. ``exchange`` is told of each dialog that can receive requests."""

    def __init__(self, services: Services, exchange: Exchange, ending: Ending) -> None:
        self._s = services
        self._learn = exchange.learn
        self._ending = ending
        self.sessions = SessionRefresh(lambda: services.sip, _session_expired)
        self.guests = Guests(services, exchange, self._note_branch, self.note_dialog)
        seating = Seating(services.clock, self.note_dialog, self._recapture, self.guests.seats_changed)
        self.transfers = Transfers(services, exchange, seating, self._note_branch, self._spawn)
        self.replacing = Replacing(services, exchange, seating, self._spawn, self.sessions.start)
        self._tasks: set[asyncio.Task[None]] = set()
        #: By its kind: a call makes some twenty, and a long match asks each of them about all others first.
        self._how = self._signalling() | self._media_and_records()

    def perform(self, call: Call, action: Action) -> None:
        """Do one thing; what takes time goes on by itself and comes back as an input."""
        self._how[type(action)](call, action)

    def _signalling(self) -> dict[type, How]:
        return {
            act.OpenMedia: lambda call, _: self._spawn(call, self._open_media(call)),
            act.InviteCallee: lambda call, invite: self._invite(call, invite.transfer_to),
            act.RingCaller: lambda call, _: call.caller.ring(),
            act.PassEarlyMedia: lambda call, _: self._pass_early_media(call),
            act.AnswerCaller: lambda call, _: self._answer(call),
            act.RejectCaller: lambda call, no: call.caller.reject(no.status, no.phrase, no.retry_after),
            act.HangUpCaller: lambda call, bye: self._hang_up(call, CALLER, bye.cause),
            act.DropCallee: lambda call, bye: self._hang_up(call, CALLEE, bye.cause),
            act.Arm: lambda call, timer: self._arm(call, timer.name, timer.seconds),
            act.Disarm: lambda call, timer: self._disarm(call, timer.name),
        }

    def _media_and_records(self) -> dict[type, How]:
        return {
            act.StartCapture: lambda call, start: self._start_capture(call, start.phase),
            act.Recapture: lambda call, start: self._recapture(call, start.phase),
            act.BridgeLegs: lambda call, _: self._bridge(call),
            act.SeatAgent: lambda call, _: self._seat_agent(call),
            act.StartConversation: lambda call, _: self._converse(call, farewell=False),
            act.SayGoodbye: lambda call, _: self._converse(call, farewell=True),
            act.StopConversation: lambda call, stop: self._stop_conversation(call, stop.reason),
            act.CloseMedia: lambda call, close: call.media and call.media.close(close.reason),
            act.NoteRinging: lambda call, _: call.writer.ringing(),
            act.NoteAnswered: lambda call, _: self._note_answered(call),
            act.NoteEnded: self._note_ended,
        }

    @staticmethod
    def _stop_conversation(call: Call, reason: str) -> None:
        if call.media is not None:
            call.media.stop_conversation(reason)

    def _note_answered(self, call: Call) -> None:
        call.answered_mono = self._s.clock.monotonic()
        call.writer.answered()

    def _note_ended(self, call: Call, end: act.NoteEnded) -> None:
        if call.hunt is not None:
            call.hunt.stop()
        self.transfers.drop(call)
        self.guests.drop(call)
        self._spawn(call, self._ending.end(call, end.cause, end.by, end.detail))

    @staticmethod
    def _hang_up(call: Call, side: str, cause: Cause) -> None:
        """BYE or CANCEL to who is on that side; nothing to a seat whose phone is in another call now."""
        if side == CALLEE and call.hunt is not None:
            call.hunt.stop()
        if side in call.seats:
            taken = call.seats[side]
            if taken is not None:
                taken.send_bye(cause)
        elif side == CALLER:
            call.caller.hang_up(cause)
        elif call.callee is not None:
            call.callee.drop(cause)

    # --- media ---

    async def _open_media(self, call: Call) -> None:
        """Session and legs; the key of its journal is sealed before anything is written under it."""
        host = rtp_host(self._s.settings, call.caller.peer)
        rings = callee.rings(self._s, call.route.target)
        try:
            key = os.urandom(KEY_BYTES)
            sealed = await self._s.vault.seal(call.tenant.id, KEY_PURPOSE, key)
            call.media = await MediaSession.open(
                self._s.media,
                session=call.session,
                tenant=str(call.tenant.id),
                call=str(call.id),
                key=key,
                sealed_key=sealed,
                about=about.seal(key, call),
                record=call.capture.recording.capture,
                legs={CALLER: host, CALLEE: host} if rings else {CALLER: host},
                on_refused=lambda error: call.post(ev.MediaRefused(error.code, error.message)),
            )
            call.media.keys_as_sound = keys.legs_with_sound(call)
            call.journal_path = str(self._s.settings.journal_dir / f"{call.session}{SUFFIX}")
            call.writer.media(call.media.link.index, call.journal_path)
            call.caller.port = await call.media.port(CALLER)
            if rings:
                await call.media.port(CALLEE)
                call.callee_host = host
        except SivoError as error:
            log.warning("no media for a call", tenant=str(call.tenant.id), call=str(call.id), error=error.code)
            if call.media is not None:
                call.media.close("refused")
            call.post(ev.MediaRefused(error.code, error.message))
            return
        call.post(ev.MediaReady())

    def _answer(self, call: Call) -> None:
        stream = call.caller.answer(call.caller.port)
        self.sessions.start(call, call.caller)
        if call.caller_leg_id is not None:
            self.note_dialog(call, call.caller, stream)
        if stream is not None and call.media is not None:
            call.media.set_remote(CALLER, stream, call.caller.peer)

    def _pass_early_media(self, call: Call) -> None:
        branch = call.callee.branches[0] if call.callee else None
        if branch is None or branch.stream is None or call.media is None:
            return
        stream = call.caller.early_media(call.caller.port)
        if stream is None:
            call.caller.ring()
            return
        call.media.set_remote(CALLER, stream, call.caller.peer)
        call.media.set_remote(CALLEE, branch.stream, branch.peer)
        call.media.bridge()

    def _start_capture(self, call: Call, phase: str) -> None:
        if phase == "bridge":
            self._redecide(call)
        call.capture.begin()
        if call.media is not None:
            call.media.start_capture(call.capture.recording_active)
        if phase == "bridge":
            self._note_decisions(call, phase)

    def _recapture(self, call: Call, phase: str) -> None:
        """Another party is on the call: decide again, and act on the difference."""
        self._redecide(call)
        wanted = call.capture.recording.capture
        if call.media is not None and wanted != call.capture.recording_active:
            if wanted:
                call.media.start_capture(True)
            else:
                call.media.stop_capture()
            call.capture.begin()
        self._note_decisions(call, phase)

    def _redecide(self, call: Call) -> None:
        picture = self._s.directory.current.pictures.get(call.tenant.id)
        if picture is None:
            return
        people = (call.caller_extension, call.callee_extension)
        now, before = basis(picture, call.config, people), call.capture.basis
        if before is not None and len(before) == len(now) and all(map(is_, before, now)):
            return  # of the same things the same comes
        call.capture.recording, call.capture.transcription = decide(picture, call.did, people, call.config.read)
        call.capture.basis = now

    def _note_decisions(self, call: Call, phase: str) -> None:
        call.writer.recording_decided(phase, call.capture.recording, call.capture.recording_active)
        call.writer.transcription_decided(phase, call.capture.transcription)

    def policies_changed(self, call: Call) -> None:
        """A safety switch acts at once: what was being kept and may not be any more is stopped; nothing is started."""
        if call.ended:
            return
        before = call.capture
        was_recording, was_transcribed = before.recording_active, before.transcription.capture
        old_recording, old_transcription = before.recording, before.transcription
        self._redecide(call)
        before.basis = None  # what is not stopped stays as it was decided
        if was_recording and not before.recording.capture:
            before.recording_active = False
            if call.media is not None:
                call.media.stop_capture()
            call.writer.recording_decided("changed", before.recording, False)
        before.recording = old_recording
        if was_transcribed and not before.transcription.capture:
            if call.media is not None:
                call.media.stop_transcription()
            call.writer.transcription_decided("changed", before.transcription)
        else:
            before.transcription = old_transcription

    def _bridge(self, call: Call) -> None:
        winner = call.callee.winner if call.callee else None
        if winner is None or winner.stream is None or call.media is None:
            return
        self.note_dialog(call, winner, winner.stream)
        self.sessions.start(call, winner)
        call.media.set_remote(CALLEE, winner.stream, winner.peer)
        call.media.bridge()
        self._transcribe(call)

    def _transcribe(self, call: Call) -> None:
        """People hear each other: what they say is transcribed from now on, if the decision on all of them says so."""
        self._redecide(call)
        decision = call.capture.transcription
        if call.media is None or not decision.capture:
            return
        picture = self._s.directory.current.pictures.get(call.tenant.id)
        keys = picture.keys if picture else {}
        spec = live_transcription.describe(decision, call.config, keys, self._s.settings)
        call.media.start_transcription(spec)
        key_use.note(self._s.vault.uses, call.tenant.id, keys, [spec.stage])
        call.writer.config_read(call.config_reads())

    def _converse(self, call: Call, *, farewell: bool) -> None:
        picture = self._s.directory.current.pictures.get(call.tenant.id)
        if call.agent is None or call.media is None:
            return
        keys = picture.keys if picture else {}
        spec = answering_agent.describe(
            call.agent, call.config, keys, self._s.settings, heard_in=call.capture.transcription
        )
        call.media.start_conversation(answering_agent.goodbye(spec) if farewell else spec)
        key_use.note(self._s.vault.uses, call.tenant.id, keys, key_use.stages_of(spec))
        call.writer.config_read(call.config_reads())

    # --- callee ---

    def _invite(self, call: Call, transfer_to: str) -> None:
        hunt = call.hunt = Hunt(
            self._s, call, lambda branch: self._learn(call, branch), lambda branch: self._note_branch(call, branch)
        )
        self._spawn(call, hunt.run(callee.tries(self._s, call, transfer_to)))

    def _seat_agent(self, call: Call) -> None:
        """Nobody of the ring group came: the agent has the call, and everything is decided anew with what it pins."""
        if call.fallback is None:
            return
        call.agent, snapshot = call.fallback
        call.fallback = None
        call.config = snapshot.reader()
        call.callee_extension = None
        if call.media is not None:
            call.media.unbridge()
            call.media.remove_leg(CALLEE)
        call.writer.taken_over(call.agent, snapshot)
        self._redecide(call)
        self._note_decisions(call, "answer")

    def _note_branch(self, call: Call, branch: Branch, kind: str = "callee") -> None:
        sip_call_id = branch.txn.request.call_id if branch.txn else ""
        row = LegRow(
            id=branch.id,
            kind=kind,
            peer=str(branch.destination.uri),
            address=str(branch.peer),
            sip_call_id=sip_call_id,
            created_at=self._s.clock.now(),
            dialog=Pending.sent(branch.txn).dump() if branch.txn else None,
        )
        call.writer.leg(row)
        self._learn(call, branch)

    def note_dialog(self, call: Call, leg: Leg, stream: AudioStream | None) -> None:
        """Write down what was agreed with a phone, and the dialog that it was agreed in."""
        leg_id = leg_id_of(call, leg)
        if leg_id is None or leg.dialog is None:
            return
        call.writer.leg_state(
            leg_id,
            "answered",
            codec=CODECS[stream.payload_type].partition("/")[0] if stream else None,
            answered_at=self._s.clock.now(),
            dialog=leg.dialog.dump(),
        )

    def note_caller(self, call: Call) -> None:
        """Write down the caller's leg, with the first decisions."""
        call.caller_leg_id = uuid7()
        invite = call.caller.invite
        row = LegRow(
            id=call.caller_leg_id,
            kind="caller",
            peer=str(invite.from_.uri),
            address=str(call.caller.peer),
            sip_call_id=invite.call_id,
            created_at=self._s.clock.now(),
            dialog=call.caller.pending,
        )
        call.writer.leg(row)
        call.writer.recording_decided("setup", call.capture.recording, call.capture.recording.capture)
        call.writer.transcription_decided("setup", call.capture.transcription)

    # --- time ---

    def _arm(self, call: Call, name: str, seconds: float) -> None:
        self._disarm(call, name)
        loop = asyncio.get_running_loop()
        call.timers[name] = loop.call_later(seconds, call.post, ev.TimerFired(name))

    @staticmethod
    def _disarm(call: Call, name: str) -> None:
        handle = call.timers.pop(name, None)
        if handle is not None:
            handle.cancel()

    def _spawn(self, call: Call, work: Coroutine[Any, Any, None]) -> None:
        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            error = None if task.cancelled() else task.exception()
            if error is not None:
                log.error("an action failed", tenant=str(call.tenant.id), call=str(call.id), exc_info=error)
                call.post(ev.Fault(type(error).__name__))

        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(done)

    async def settle(self, timeout: float) -> None:
        """Wait for what is still being done, at most ``timeout`` seconds."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=timeout)


def _session_expired(call: Call, leg: Leg) -> None:
    call.post(ev.SessionExpired("caller" if leg is call.caller else "callee"))
