"""Passing a call on: blind (REFER, RFC 3515; or a code of keys), attended (REFER with Replaces, RFC 3891), by the API.

The other party stays where it is. The target is called on a leg of its own; when it answers it takes the seat of who
passed on, who gets a BYE. When it does not, nothing has changed: both are still on the line with each other. Who has
hung up before the outcome is rung again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from sivo.base import logs
from sivo.base.errors import SivoError, register
from sivo.calls import callee, causes, refer, transfer_code
from sivo.calls import inputs as ev
from sivo.calls.call import Call
from sivo.calls.callee_fork import Branch, CalleeFork
from sivo.calls.exchange import Exchange
from sivo.calls.inputs import Input
from sivo.calls.joining import Joining
from sivo.calls.legs import Leg
from sivo.calls.listeners import rtp_host
from sivo.calls.media_session import CALLEE, CALLER, CHANNELS
from sivo.calls.seating import Seating
from sivo.calls.services import Services
from sivo.calls.state import TRANSFER_RING_SECONDS, Phase
from sivo.calls.transfer import ATTENDED, BLIND, Tell, Transfer
from sivo.media.protocol import Digit, Fact
from sivo.sip.peer import Peer
from sivo.sip.transactions import ServerTransaction

CANNOT_TRANSFER = register("CALL_NOT_TRANSFERABLE", 409)
log = logs.get("calls")
_PHRASES = {403: "Forbidden", 404: "Not Found", 480: "Temporarily Unavailable", 486: "Busy Here", 603: "Decline"}


class Transfers:
    """All transfers of this node. ``note`` writes a new phone down; ``spawn`` runs what takes time."""

    def __init__(
        self,
        services: Services,
        exchange: Exchange,
        seating: Seating,
        note: Callable[[Call, Branch], None],
        spawn: Callable[[Call, Coroutine[Any, Any, None]], None],
    ) -> None:
        self._s = services
        self._exchange = exchange
        self._seating = seating
        self._joining = Joining(services, exchange, seating)
        exchange.key_pressed = self.pressed
        self._note = note
        self._spawn = spawn

    # --- how they begin ---

    def refer(self, call: Call, leg: Leg, txn: ServerTransaction) -> None:
        """A phone asks with REFER. Raises SipParseError, with nothing sent."""
        wanted = refer.read(txn.request)
        side = call.side_of(leg)
        if side is not None and _is_outside(call, side):
            self._s.sip.respond(txn, txn.response(603))  # a carrier's side does not choose whom we call
            return
        if side is None or call.machine.phase is not Phase.BRIDGED or call.transfer is not None:
            self._s.sip.respond(txn, txn.response(491 if call.transfer is not None else 603))
            return
        headers = [] if wanted.notify else [("Refer-Sub", "false")]
        self._s.sip.respond(txn, txn.response(202, headers=headers))
        notifier = refer.Notifier(leg, txn.request, wanted.notify)
        notifier.tell(100, "Trying")
        found = self._exchange.by_dialog(wanted.replaces) if wanted.replaces else None
        if wanted.replaces is not None and found is None:
            notifier.tell(481, "Call/Transaction Does Not Exist")
            return
        if found is not None and found[0].machine.phase is Phase.BRIDGED and found[0].side_of(found[1]):
            transfer = self._new(call, leg, side, wanted.to, ATTENDED, notifier.tell)
            self._spawn(call, self._join(call, transfer, *found))
        else:
            to = found[0].route.to_number if found is not None else wanted.to
            self._begin(call, leg, side, to, notifier.tell)

    def ask(self, call: Call, to: str, side: str) -> None:
        """By the API: ``side`` leaves. Raises SivoError when there is nothing to pass on."""
        if call.machine.phase is Phase.TALKING and side == CALLEE and call.media is not None:
            call.told_to = to
            call.media.stop_conversation("transfer")
            return
        leg = call.party(side)
        if call.machine.phase is not Phase.BRIDGED or leg is None or call.transfer is not None:
            raise SivoError(CANNOT_TRANSFER, "this call cannot be transferred now", where="call")
        self._begin(call, leg, side, to, _nobody)

    def pressed(self, call: Call, fact: Fact, key: Digit) -> None:
        """A key was pressed in a call; with the last one of a transfer code it is passed on."""
        asked = transfer_code.wanted(call, fact, key)
        if asked is None:
            return
        leg, side, to = asked
        ids = {"tenant": str(call.tenant.id), "call": str(call.id)}
        if call.machine.phase is not Phase.BRIDGED or call.transfer is not None or leg.ended:
            log.info("a transfer code is not heeded: nobody to pass on, or it is being done", side=side, **ids)
            return
        log.info("a transfer code", side=side, **ids)
        self._begin(call, leg, side, to, _nobody)

    def _new(self, call: Call, by: Leg, side: str, to: str, how: str, tell: Tell) -> Transfer:
        call.serial += 1
        call.transfer = Transfer(by, side, to, how, f"{side}{call.serial}", tell)
        return call.transfer

    def _begin(self, call: Call, by: Leg, side: str, to: str, tell: Tell) -> None:
        transfer = self._new(call, by, side, to, BLIND, tell)
        self._spawn(call, self._ring(call, transfer))

    # --- blind ---

    async def _ring(self, call: Call, transfer: Transfer) -> None:
        target = callee.resolve(self._s, call, transfer.to)
        transfer.extension = target.extension
        transfer.owner = target.owner
        if not target.destinations or not await self._seat(call, transfer, target.destinations[0].peer):
            self._outcome(call, transfer, ev.CalleeFailed(480))
            return
        if transfer.over or call.ended:
            return
        fork = transfer.fork = CalleeFork(
            self._s.sip,
            lambda event: self._outcome(call, transfer, event),
            lambda branch: self._exchange.learn(call, branch),
            lambda branch: self._note(call, branch),
            lambda user: callee.redirect(self._s, call, user),
        )
        assert call.media is not None
        fork.start(target.destinations, target.from_, target.to, call.media.ports[transfer.seat])
        for branch in fork.branches:
            self._note(call, branch)
        if not transfer.over:
            loop = asyncio.get_running_loop()
            transfer.timer = loop.call_later(TRANSFER_RING_SECONDS, self._no_answer, call, transfer)

    async def _seat(self, call: Call, transfer: Transfer, peer: Peer) -> bool:
        """A leg in media for the target."""
        if call.media is None:
            return False
        try:
            host = rtp_host(self._s.settings, peer)
            await call.media.add_leg(transfer.seat, host, CHANNELS[transfer.side])
        except SivoError as error:
            log.warning("no port for a transfer", tenant=str(call.tenant.id), call=str(call.id), error=error.code)
            return False
        return True

    def _no_answer(self, call: Call, transfer: Transfer) -> None:
        if transfer.fork is not None and not transfer.over:
            transfer.fork.drop(causes.CAUSES["NO_ANSWER"])
            self._outcome(call, transfer, ev.CalleeFailed(408))

    def _outcome(self, call: Call, transfer: Transfer, event: Input) -> None:
        if transfer.over:
            return
        match event:
            case ev.CalleeRinging():
                transfer.tell(180, "Ringing")
            case ev.CalleeAnswered():
                self._answered(call, transfer)
            case ev.CalleeFailed(status):
                self._failed(call, transfer, status)

    def _answered(self, call: Call, transfer: Transfer) -> None:
        winner = transfer.fork.winner if transfer.fork else None
        if winner is None or winner.stream is None:
            return
        transfer.finish()
        transfer.extension = transfer.owner(winner.destination)
        transfer.tell(200, "OK")
        self._seating.take(call, transfer, winner, winner.stream)
        call.transfer = None

    # --- attended ---

    async def _join(self, call: Call, transfer: Transfer, other: Call, bridge_leg: Leg) -> None:
        opposite = other.party(CALLER if other.side_of(bridge_leg) == CALLEE else CALLEE)
        if opposite is None or not await self._seat(call, transfer, opposite.peer) or transfer.over:
            self._failed(call, transfer, 480)
            return

        def joined(status: int) -> None:
            if transfer.over:
                return
            if status < 300:
                transfer.finish()
                transfer.tell(200, "OK")
                call.transfer = None
            else:
                self._failed(call, transfer, status)

        self._joining.join(call, transfer, other, bridge_leg, joined)

    # --- how they end ---

    def _failed(self, call: Call, transfer: Transfer, status: int) -> None:
        """Back to who had the call."""
        if transfer.over:
            return
        transfer.finish()
        call.transfer = None
        transfer.tell(status, _PHRASES.get(status, "Transfer Failed"))
        if call.media is not None:
            call.media.remove_leg(transfer.seat)
        call.writer.transferred(transfer, f"{status}", done=False)
        if transfer.gone and not call.ended:
            self._recall(call, transfer)

    def _recall(self, call: Call, transfer: Transfer) -> None:
        """Who passed the call on is gone: they are rung again, once."""
        extension = call.callee_extension if transfer.side == CALLEE else call.caller_extension
        if transfer.recall or extension is None:
            call.post(ev.TransferLost(transfer.to))
            return
        self._begin(call, transfer.by, transfer.side, extension.number, _nobody)
        assert call.transfer is not None
        call.transfer.gone = call.transfer.recall = True

    def hung_up(self, call: Call, leg: Leg) -> bool:
        """A phone of the call said BYE; True when the call goes on all the same, as it is being passed on."""
        transfer = call.transfer
        if transfer is None:
            return False
        if leg is transfer.by:
            transfer.gone = True
            if call.media is not None:
                call.media.unbridge()
            return True
        self.drop(call)
        return False

    def drop(self, call: Call) -> None:
        """The call is over: so is its transfer."""
        transfer, call.transfer = call.transfer, None
        if transfer is not None:
            transfer.finish()
            transfer.tell(487, "Request Terminated")
            if transfer.fork is not None:
                transfer.fork.drop(causes.NORMAL)


def _is_outside(call: Call, side: str) -> bool:
    """Whether a carrier's side sits there: nobody of this tenant."""
    return (call.caller_extension if side == CALLER else call.callee_extension) is None


def _nobody(_status: int, _phrase: str) -> None:
    """The API asked; it looks at the call."""
