"""Session timers of running calls (RFC 4028 §7.2, §10): our refreshes, and the end when a phone's do not come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.calls.call import Call
from sivo.calls.legs import SDP_TYPE, Leg, sdp_of
from sivo.sip import session_timer
from sivo.sip.message import Response
from sivo.sip.transactions import ClientTransaction
from sivo.sip.udp import SipUdp

#: Seconds to wait after a 491 (RFC 3261 §14.1 says 2.1 to 4 for who owns the Call-ID).
_GLARE_SECONDS = 2.5
#: Answers that mean that the other side knows of no such dialog.
_DEAD = (404, 408, 410, 416, 480, 481, 482, 483, 484, 485, 604)
log = logs.get("calls")


class SessionRefresh:
    """Watches every leg whose session can run out. ``expired`` is told of one that did."""

    def __init__(self, sip: Callable[[], SipUdp], expired: Callable[[Call, Leg], None]) -> None:
        self._sip = sip
        self._expired = expired

    def start(self, call: Call, leg: Leg) -> None:
        """A session was agreed on or refreshed: its clocks begin anew."""
        leg.stop_clocks()
        terms = leg.terms
        if terms is None or leg.ended or leg.dialog is None:
            return
        loop = asyncio.get_running_loop()
        leg.clocks.append(loop.call_later(terms.dead_after, self._die, call, leg))
        if terms.ours:
            leg.clocks.append(loop.call_later(terms.refresh_after, self._refresh, call, leg))

    def _die(self, call: Call, leg: Leg) -> None:
        if not leg.ended:
            log.info("a session has run out", tenant=str(call.tenant.id), call=str(call.id))
            self._expired(call, leg)

    def _refresh(self, call: Call, leg: Leg) -> None:
        """UPDATE where the phone takes it, else a re-INVITE with the description that is in force."""
        if leg.ended or leg.dialog is None or leg.terms is None or leg.refreshing is not None:
            return
        headers = session_timer.client_headers(leg.terms)
        if leg.takes_update:
            request = leg.dialog.request("UPDATE", headers=headers)
        else:
            request = leg.dialog.request("INVITE", headers=headers, body=leg.session.current)
            request.headers.set("Content-Type", SDP_TYPE)
        leg.refreshing = self._sip().ask(
            request, leg.dialog.destination, lambda txn, response: self._refreshed(call, leg, txn, response)
        )

    def _refreshed(self, call: Call, leg: Leg, txn: ClientTransaction, response: Response | None) -> None:
        leg.refreshing = None
        if leg.dialog is None:
            return
        if response is not None and response.is_success:
            if txn.is_invite:
                self._sip().acknowledge(txn, leg.dialog.ack(response), leg.dialog.destination)
            leg.dialog.refresh(response)
            self._take_keys(call, leg, response)
            leg.terms = session_timer.as_client(response) or leg.terms
            self.start(call, leg)
        elif leg.ended:
            return
        elif response is None or response.status in _DEAD:
            self._die(call, leg)
        else:
            self._try_again(call, leg, response)

    @staticmethod
    def _take_keys(call: Call, leg: Leg, response: Response) -> None:
        """A phone may answer what has not changed with a new key of its own (RFC 4568 §7.1.4)."""
        try:
            answer = sdp_of(response.body, response.content_type)
            stream = leg.session.rekeyed(answer) if answer is not None else None
        except SivoError as error:
            ids = {"tenant": str(call.tenant.id), "call": str(call.id)}
            log.warning("the answer to a refresh cannot be taken", error=str(error), **ids)
            return
        place = call.place_of(leg)
        if stream is not None and call.media is not None and place is not None:
            call.media.set_remote(place, stream, leg.peer)

    def _try_again(self, call: Call, leg: Leg, response: Response) -> None:
        """Not refreshed, but not dead: what can be done better next time; the expiry runs on."""
        assert leg.terms is not None
        delay = _GLARE_SECONDS
        if response.status == 422:
            leg.terms = session_timer.SessionTerms(session_timer.least_of(response), ours=True)
        elif response.status in (405, 501) and leg.takes_update:
            leg.takes_update, delay = False, 0.0
        elif response.status != 491:
            delay = max(_GLARE_SECONDS, leg.terms.interval / 10)
        leg.clocks.append(asyncio.get_running_loop().call_later(delay, self._refresh, call, leg))
