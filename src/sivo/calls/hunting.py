"""One try after the other until somebody answers: the phones of a ring group in turn, or the next carrier.

A try ends with a refusal, or when its time is over; its phones are cancelled then. A carrier is given up only while
nothing has been heard from it: for a refusal that says it cannot (:data:`DEAD`), or for its silence. Each try that led
to another one stands in the trace with its cause.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.calls import callee, causes
from sivo.calls import inputs as ev
from sivo.calls.call import Call
from sivo.calls.callee import Callee
from sivo.calls.callee_fork import Branch, CalleeFork
from sivo.calls.inputs import Input
from sivo.calls.listeners import rtp_host
from sivo.calls.media_session import CALLEE
from sivo.calls.services import Services
from sivo.calls.state import RING_SECONDS, Phase
from sivo.routing.decide import ToGroup
from sivo.sip.transactions import State

#: Answers of a carrier that another carrier may better: overload, timeouts, and faults of its own.
DEAD = frozenset({408, 500, 502, 503, 504})
#: Seconds for a carrier to say anything at all, and to let a phone ring or be busy, when another one could be called.
SILENCE, PROGRESS = 4.0, 20.0
#: What a try came to when nobody refused it: its time was over, or the call was.
_TIMEOUT, _OVER = 0, -1
_WAITING = (Phase.RINGING, Phase.TRANSFERRING)
log = logs.get("calls")


class Hunt:
    """``learn`` gets each phone that can receive requests, ``note`` each one that is rung."""

    def __init__(
        self, services: Services, call: Call, learn: Callable[[Branch], None], note: Callable[[Branch], None]
    ) -> None:
        self._s = services
        self._call = call
        self._learn = learn
        self._note = note
        self._tries: list[Callee] = []
        self._number = -1
        self._outcome: asyncio.Future[int] | None = None
        self._rang = False
        self._stopped = False

    def stop(self) -> None:
        """Nobody waits for an answer any more."""
        self._stopped = True
        self._came_to(_OVER)

    async def run(self, tries: list[Callee]) -> None:
        """Ring until somebody answers, who is told to the call, or until nobody is left."""
        self._tries = tries
        status = 480
        for self._number, one in enumerate(tries):
            if one.destinations:
                refused = await self._ring(one)
                if refused is None:
                    return
                status = refused
                if not self._another_helps(one, status):
                    break
            if self._number + 1 < len(tries) or self._call.fallback is not None:
                self._told(one, status)
        self._nobody(status)

    def _nobody(self, status: int) -> None:
        if self._stopped or self._call.machine.phase not in _WAITING:
            return
        if self._call.fallback is not None and self._call.machine.phase is Phase.RINGING:
            self._call.post(ev.AgentTakesOver())
        elif status == _TIMEOUT and self._call.machine.phase is Phase.RINGING:
            self._call.post(ev.TimerFired("ring"))
        else:
            self._call.post(ev.CalleeFailed(status or 408))

    def _another_helps(self, one: Callee, status: int) -> bool:
        if one.trunk is None:
            return True
        fork = self._call.callee
        heard = fork is not None and any(branch.stream is not None for branch in fork.branches)
        return not heard and status in (*DEAD, _TIMEOUT)

    def _told(self, one: Callee, status: int) -> None:
        rule = "outbound.failover" if one.trunk else "ring_group.next"
        follower = self._tries[self._number + 1].name if self._number + 1 < len(self._tries) else "the AI agent"
        cause = "no phone is registered" if not one.destinations else f"answered {status}" if status else "no answer"
        outcome = f"{status}" if one.destinations and status else cause.replace(" ", "_")
        details = {"try": self._number + 1, "of": len(self._tries), "what": one.name, "next": follower}
        if one.trunk is not None:
            details |= {"trunk": str(one.trunk.id), "up": self._s.trunk_up(one.trunk.id)}
        self._call.writer.tried(outcome, rule, f"{one.name}: {cause}; next: {follower}", details)

    # --- one try ---

    async def _ring(self, one: Callee) -> int | None:
        """The status that it was refused with, :data:`_TIMEOUT`, or None when there is nothing more to do."""
        call = self._call
        port = await self._port(one)
        if port is None:
            return 503
        if call.machine.phase not in _WAITING or self._stopped:
            return None
        outcome = self._outcome = asyncio.get_running_loop().create_future()
        self._rang = False
        number = self._number
        if call.callee is not None:
            call.former.append(call.callee)
        fork = call.callee = CalleeFork(
            self._s.sip,
            lambda event: self._heard(number, event),
            self._learn,
            self._note,
            lambda user: callee.redirect(self._s, call, user),
        )
        call.callee_extension = one.extension
        call.post(ev.RoundBegun(one.seconds or RING_SECONDS))
        fork.start(one.destinations, one.from_, one.to, port)
        for branch in fork.branches:
            self._note(branch)
        return await self._wait(one, fork, outcome)

    async def _wait(self, one: Callee, fork: CalleeFork, outcome: asyncio.Future[int]) -> int | None:
        if one.seconds is not None:
            await asyncio.wait({outcome}, timeout=one.seconds)
        elif one.trunk is not None and self._number + 1 < len(self._tries):
            await asyncio.wait({outcome}, timeout=SILENCE)
            silent = all(branch.txn is not None and branch.txn.state is State.CALLING for branch in fork.branches)
            if not outcome.done() and not silent:
                await asyncio.wait({outcome}, timeout=PROGRESS - SILENCE)
            if not outcome.done() and self._rang:
                await outcome
        else:
            await outcome
        if not outcome.done():
            fork.drop(causes.CAUSES["NO_ANSWER"])
            self._came_to(_TIMEOUT)
        status = outcome.result()
        return None if status == _OVER or self._stopped else status

    def _heard(self, number: int, event: Input) -> None:
        if number != self._number or self._stopped:
            return
        one, call = self._tries[number], self._call
        match event:
            case ev.CalleeFailed(status):
                self._came_to(status)
            case ev.CalleeAnswered():
                winner = call.callee.winner if call.callee else None
                call.callee_extension = one.owner(winner.destination if winner else None)
                self._came_to(_OVER)
                if one.trunk is not None and len(self._tries) > 1:
                    call.writer.carried(one.trunk.id)
                if isinstance(call.route.target, ToGroup) and call.callee_extension is not None:
                    call.writer.taken_by(call.callee_extension)
                call.post(event)
            case ev.CalleeEarlyMedia() if one.seconds is not None:
                self._rang = True
                call.post(ev.CalleeRinging())  # somebody else may be rung next: what one phone plays is not passed on
            case _:
                self._rang = True
                call.post(event)

    def _came_to(self, status: int) -> None:
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(status)

    async def _port(self, one: Callee) -> int | None:
        """Our RTP port for the callee's side: one for all tries, anew where a phone needs the other address family."""
        call = self._call
        if call.media is None:
            return None
        host = rtp_host(self._s.settings, one.destinations[0].peer)
        if one.trunk is not None and one.trunk.keys_as_sound:
            call.media.keys_as_sound = {*call.media.keys_as_sound, CALLEE}
        if call.callee_host == host and CALLEE in call.media.ports:
            return call.media.ports[CALLEE]
        call.media.remove_leg(CALLEE)
        try:
            port = await call.media.add_leg(CALLEE, host)
        except SivoError as error:
            log.warning("no port for the callee", tenant=str(call.tenant.id), call=str(call.id), error=error.code)
            return None
        call.callee_host = host
        return port
