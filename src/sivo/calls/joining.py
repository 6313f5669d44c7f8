"""Attended transfer: two calls of one phone become one (RFC 3891, seen from between the dialogs).

The phone in the middle names its second dialog with us. Who is at the other end of that one is given a new place for
its audio by a re-INVITE, beside the party that is passed on; then the second call ends and takes the middle with it.
"""

from __future__ import annotations

from collections.abc import Callable

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.calls import inputs as ev
from sivo.calls.call import Call
from sivo.calls.exchange import Exchange
from sivo.calls.legs import SDP_TYPE, Leg, sdp_of
from sivo.calls.media_session import CALLEE, CALLER
from sivo.calls.rows import LegRow
from sivo.calls.seating import Seating, leg_id_of
from sivo.calls.services import Services
from sivo.calls.transfer import Transfer
from sivo.sip.message import Response
from sivo.sip.offer_answer import AudioStream
from sivo.sip.transactions import ClientTransaction

log = logs.get("calls")


class Joining:
    """Moves one end of a call into another call."""

    def __init__(self, services: Services, exchange: Exchange, seating: Seating) -> None:
        self._s = services
        self._exchange = exchange
        self._seating = seating

    def join(self, call: Call, transfer: Transfer, other: Call, middle: Leg, done: Callable[[int], None]) -> None:
        """Bring who is opposite of ``middle`` in ``other`` into ``call``; ``done`` gets a SIP status."""
        middle_side = other.side_of(middle)
        side = CALLER if middle_side == CALLEE else CALLEE
        leg = other.party(side)
        same = other is call or other.tenant.id != call.tenant.id
        if same or leg is None or leg.dialog is None or leg.ended or leg.refreshing is not None or call.media is None:
            done(481 if leg is None or same else 491)
            return
        before, leg.port = leg.port, call.media.ports[transfer.seat]
        request = leg.dialog.request("INVITE", body=leg.session.offer(leg.port), content_type=SDP_TYPE)

        def answered(txn: ClientTransaction, response: Response | None) -> None:
            leg.refreshing = None
            with logs.about(other.tenant.id, other.id):
                stream = self._accept(leg, txn, response)
            if stream is None or call.ended or other.ended or transfer.over:
                leg.port = before
                done(response.status if response is not None and response.status >= 300 else 408)
                return
            self._move(call, transfer, other, side, leg)
            done(200)
            self._seating.take(call, transfer, leg, stream)
            other.post(ev.PassedOn())

        leg.refreshing = self._s.sip.ask(request, leg.dialog.destination, answered)

    def _accept(self, leg: Leg, txn: ClientTransaction, response: Response | None) -> AudioStream | None:
        if response is None or not response.is_success or leg.dialog is None:
            return None
        self._s.sip.acknowledge(txn, leg.dialog.ack(response), leg.dialog.destination)
        leg.dialog.refresh(response)
        try:
            answer = sdp_of(response.body, response.content_type)
            return leg.session.accept(answer) if answer is not None else None
        except SivoError as error:
            log.info("a re-INVITE of a transfer was answered with no audio", error=str(error))
            return None

    def _move(self, call: Call, transfer: Transfer, other: Call, side: str, leg: Leg) -> None:
        """Out of one call and into the other, with the rows of both."""
        now = self._s.clock.now()
        transfer.extension = other.caller_extension if side == CALLER else other.callee_extension
        former = leg_id_of(other, leg)
        if former is not None:
            other.writer.leg_state(former, "ended", ended_at=now)
        other.seats[side] = None
        assert leg.dialog is not None
        sip_call_id = leg.dialog.id.call_id
        row = LegRow(
            id=uuid7(),
            kind="callee",
            peer=str(leg.dialog.remote.uri),
            address=str(leg.peer),
            sip_call_id=sip_call_id,
            created_at=now,
        )
        call.writer.leg(row)
        call.leg_ids[id(leg)] = row.id
        self._exchange.move(sip_call_id, call)
