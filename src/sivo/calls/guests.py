"""Who is on a call beside caller and callee: a supervisor who listens, whispers or barges in, and a third party.

A guest is rung like a callee, on a leg of its own; when it answers, it gets its row in the mixing matrix. The call goes
on whether a guest comes or goes, and takes its guests with it when it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from sivo.base import logs
from sivo.base.errors import SivoError, register
from sivo.calls import callee, causes
from sivo.calls import inputs as ev
from sivo.calls.call import Call
from sivo.calls.callee_fork import Branch, CalleeFork
from sivo.calls.exchange import Exchange
from sivo.calls.guest import BARGE, LISTEN, PARTY, WHISPER, Guest
from sivo.calls.inputs import Input
from sivo.calls.legs import Leg
from sivo.calls.listeners import rtp_host
from sivo.calls.media_session import CALLEE, CALLER
from sivo.calls.services import Services
from sivo.calls.state import TRANSFER_RING_SECONDS, Phase
from sivo.media.session import AGENT
from sivo.sip.offer_answer import AudioStream

CALL_BUSY = register("CALL_NOT_SUPERVISABLE", 409)
#: Guests of one call at most.
MOST = 4
_GUEST_CHANNEL = 1
log = logs.get("calls")


@dataclass(frozen=True, slots=True)
class _Row:
    hears: list[str]
    heard_by: list[str]
    recorded: bool


#: Silent listening; a word to the callee (the person of this house) that the caller does not hear; both sides.
_ROWS = {
    LISTEN: _Row([CALLER, CALLEE, AGENT], [], recorded=False),
    WHISPER: _Row([CALLER, CALLEE, AGENT], [CALLEE], recorded=False),
    BARGE: _Row([CALLER, CALLEE, AGENT], [CALLER, CALLEE], recorded=True),
    PARTY: _Row([CALLER, CALLEE, AGENT], [CALLER, CALLEE], recorded=True),
}


class Guests:
    """All guests of this node's calls. ``note`` writes a new phone down, ``noted`` its dialog."""

    def __init__(
        self,
        services: Services,
        exchange: Exchange,
        note: Callable[[Call, Branch, str], None],
        noted: Callable[[Call, Leg, AudioStream | None], None],
    ) -> None:
        self._s = services
        self._exchange = exchange
        self._note = note
        self._noted = noted

    async def invite(self, call: Call, to: str, mode: str, author: str) -> Guest:
        """Ring ``to`` as a guest; somebody who is there already changes the mode. Raises SivoError."""
        if call.machine.phase not in (Phase.BRIDGED, Phase.TALKING) or call.media is None:
            raise SivoError(CALL_BUSY, "nobody is talking on this call", where="call")
        if call.machine.phase is Phase.TALKING and mode == WHISPER:
            raise SivoError(CALL_BUSY, "an AI agent cannot be whispered to", where="mode")
        known = next(
            (guest for guest in call.guests if guest.to == to and (guest.mode == PARTY) == (mode == PARTY)), None
        )
        if known is not None:
            known.mode = mode
            self._place(call, known)
            call.writer.supervised(known, author, "changed")
            return known
        if len(call.guests) >= MOST:
            raise SivoError(CALL_BUSY, f"{MOST} guests are on this call already", where="call")
        return await self._ring(call, to, mode, author)

    async def _ring(self, call: Call, to: str, mode: str, author: str) -> Guest:
        target = callee.resolve(self._s, call, to)
        if not target.destinations or (mode != PARTY and target.extension is None):
            raise SivoError(CALL_BUSY, f"{to} has no phone that could be rung", where="extension")
        call.serial += 1
        guest = Guest(to, mode, f"guest{call.serial}")
        assert call.media is not None
        host = rtp_host(self._s.settings, target.destinations[0].peer)
        port = await call.media.add_leg(guest.seat, host, _GUEST_CHANNEL)
        if call.ended:
            raise SivoError(CALL_BUSY, "the call has ended", where="call")
        fork = guest.fork = CalleeFork(
            self._s.sip,
            lambda event: self._outcome(call, guest, event),
            lambda branch: self._exchange.learn(call, branch),
            lambda branch: self._note(call, branch, "supervisor"),
            lambda user: callee.redirect(self._s, call, user),
        )
        call.guests.append(guest)
        fork.start(target.destinations, target.from_, target.to, port)
        for branch in fork.branches:
            self._note(call, branch, "supervisor")
        guest.timer = asyncio.get_running_loop().call_later(TRANSFER_RING_SECONDS, self.leave, call, guest)
        call.writer.supervised(guest, author, "invited")
        return guest

    def _outcome(self, call: Call, guest: Guest, event: Input) -> None:
        match event:
            case ev.CalleeAnswered():
                winner = guest.fork.winner if guest.fork else None
                if winner is None or winner.stream is None or call.media is None or call.ended:
                    return
                guest.stop_clock()
                self._noted(call, winner, winner.stream)
                call.media.set_remote(guest.seat, winner.stream, winner.peer)
                self._place(call, guest)
            case ev.CalleeFailed():
                self.leave(call, guest)

    @staticmethod
    def _place(call: Call, guest: Guest) -> None:
        if call.media is not None:
            row = _ROWS[guest.mode]
            call.media.mix(guest.seat, hears=row.hears, heard_by=row.heard_by, recorded=row.recorded)

    def seats_changed(self, call: Call) -> None:
        """A transfer put somebody else on the line: guests hear and are heard by who is there now."""
        for guest in call.guests:
            self._place(call, guest)

    def hung_up(self, call: Call, leg: Leg) -> None:
        """A guest's phone said BYE."""
        guest = next((one for one in call.guests if one.leg is leg), None)
        if guest is not None:
            self.leave(call, guest)

    def dismiss(self, call: Call, to: str) -> None:
        """Send a guest away; raises SivoError NOT_FOUND."""
        guest = next((one for one in call.guests if one.to == to), None)
        if guest is None:
            raise SivoError("NOT_FOUND", f"{to} is no guest of this call", where="extension")
        self.leave(call, guest)

    def leave(self, call: Call, guest: Guest) -> None:
        """A guest goes; the call goes on."""
        if guest not in call.guests:
            return
        call.guests.remove(guest)
        guest.stop_clock()
        now = self._s.clock.now()
        for branch in guest.fork.branches if guest.fork else ():
            call.writer.leg_state(branch.id, "ended" if branch is guest.leg else f"{branch.final or 487}", ended_at=now)
        if guest.fork is not None:
            guest.fork.drop(causes.NORMAL)
        call.departed += guest.fork.branches if guest.fork else []
        if call.media is not None:
            call.media.remove_leg(guest.seat)

    def drop(self, call: Call) -> None:
        """The call is over."""
        for guest in list(call.guests):
            self.leave(call, guest)
