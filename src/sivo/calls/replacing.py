"""INVITE with Replaces (RFC 3891): a phone takes the place of another one in a call that is up.

So phones pass calls on to each other without asking us with REFER: whoever was told the dialog calls, and
is answered in its place; who had the place gets a BYE. Phones of the same tenant may do this, and carriers may not.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.calls import refer
from sivo.calls.call import Call
from sivo.calls.caller_leg import CallerLeg
from sivo.calls.exchange import Exchange
from sivo.calls.legs import Leg, warning
from sivo.calls.listeners import rtp_host
from sivo.calls.media_session import CHANNELS
from sivo.calls.rows import LegRow
from sivo.calls.seating import Seating
from sivo.calls.services import Services
from sivo.calls.state import Phase
from sivo.calls.transfer import ATTENDED, Transfer
from sivo.routing.directory import Extension, Tenant
from sivo.sip.errors import SipParseError
from sivo.sip.peer import Peer
from sivo.sip.sdes import SrtpPolicy
from sivo.sip.transactions import ServerTransaction

log = logs.get("calls")


class Replacing:
    """All such INVITEs of this node. ``spawn`` runs what takes time; ``started`` hears of a leg with a session."""

    def __init__(
        self,
        services: Services,
        exchange: Exchange,
        seating: Seating,
        spawn: Callable[[Call, Coroutine[Any, Any, None]], None],
        started: Callable[[Call, Leg], None],
    ) -> None:
        self._s = services
        self._exchange = exchange
        self._seating = seating
        self._spawn = spawn
        self._started = started

    def invite(self, txn: ServerTransaction, source: Peer, tenant: Tenant, extension: Extension) -> None:
        """An authenticated phone wants somebody's place. Raises SipParseError, with nothing sent."""
        values = txn.request.headers.all("Replaces")
        if len(values) != 1 or "Join" in txn.request.headers:
            raise SipParseError("one of them, and none of Join beside it (§3)", "Replaces")
        found = self._exchange.by_dialog(refer.dialog(values[0]))
        if found is None or found[0].tenant.id != tenant.id:
            self._s.sip.respond(txn, txn.response(481))
            return
        call, leg = found
        srtp = self._s.edge.srtp_here(extension.srtp, txn.request, source)
        leg_of_phone = CallerLeg(self._s.sip, txn, source, srtp or SrtpPolicy.OFF)
        status = 488 if srtp is None else self._refusal(call, leg, leg_of_phone, values[0])
        if status:
            leg_of_phone.ended = True
            told = warning(leg_of_phone.refusal) if status == 488 else []
            self._s.sip.respond(txn, txn.response(status, headers=told))
            return
        side = call.side_of(leg)
        assert side is not None
        call.serial += 1
        transfer = Transfer(leg, side, extension.number, ATTENDED, f"{side}{call.serial}", _nobody)
        transfer.extension = extension
        call.transfer = transfer
        self._spawn(call, self._take(call, transfer, leg_of_phone, txn))

    def _refusal(self, call: Call, leg: Leg, phone: CallerLeg, value: str) -> int:
        """Why the place cannot be had (§3): 603 it is over, 486 only an early dialog was meant, 481 it is no place of
        two people on the line, 491 it is being passed on already, 488 no offer that we can answer."""
        if call.ended or leg.ended:
            return 603
        if call.side_of(leg) is None or call.machine.phase is not Phase.BRIDGED or call.media is None:
            return 481
        if "early-only" in (one.strip().lower() for one in value.split(";")[1:]):
            return 486
        if call.transfer is not None or leg.refreshing is not None:
            return 491
        return 488 if phone.offer is None or phone.refusal else 0

    async def _take(self, call: Call, transfer: Transfer, phone: CallerLeg, txn: ServerTransaction) -> None:
        assert call.media is not None
        try:
            port = await call.media.add_leg(
                transfer.seat, rtp_host(self._s.settings, phone.peer), CHANNELS[transfer.side]
            )
        except SivoError as error:
            log.warning("no port for a phone", tenant=str(call.tenant.id), call=str(call.id), error=error.code)
            self._leave(call, transfer)
            phone.reject(503, "Service Unavailable")
            return
        if txn.final is not None or transfer.over or call.ended or not self._exchange.adopt(phone.invite.call_id, call):
            call.media.remove_leg(transfer.seat)
            self._leave(call, transfer)
            phone.reject(481, "Call/Transaction Does Not Exist")
            return
        stream = phone.answer(port)
        assert stream is not None  # it came with an offer
        row = LegRow(
            id=uuid7(),
            kind="callee",
            peer=str(phone.invite.from_.uri),
            address=str(phone.peer),
            sip_call_id=phone.invite.call_id,
            created_at=self._s.clock.now(),
        )
        call.writer.leg(row)
        call.leg_ids[id(phone)] = row.id
        transfer.finish()
        self._seating.take(call, transfer, phone, stream)
        self._leave(call, transfer)
        self._started(call, phone)

    @staticmethod
    def _leave(call: Call, transfer: Transfer) -> None:
        transfer.finish()
        if call.transfer is transfer:
            call.transfer = None


def _nobody(_status: int, _phrase: str) -> None:
    """Nobody asked with REFER, so nobody is told."""
