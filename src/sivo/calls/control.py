"""What an order does to a call of this node."""

from __future__ import annotations

from typing import Any

from sivo.base.errors import SivoError
from sivo.calls.call import Call
from sivo.calls.exchange import Exchange
from sivo.calls.guest import PARTY
from sivo.calls.guests import Guests
from sivo.calls.media_session import CALLEE
from sivo.calls.orders import CALL_NOT_RUNNING, Order
from sivo.calls.transfers import Transfers


class Control:
    """Carries out orders (see :data:`sivo.calls.orders.Handler`)."""

    def __init__(self, exchange: Exchange, transfers: Transfers, guests: Guests) -> None:
        self._exchange = exchange
        self._guests = guests
        self._transfers = transfers

    async def __call__(self, order: Order) -> dict[str, Any] | None:
        """Do it; None when the call is not carried here."""
        call = self._exchange.by_id(str(order.call_id))
        if call is None or call.tenant.id != order.tenant_id:
            return None
        if call.ended or call.media is None:
            raise SivoError(CALL_NOT_RUNNING, "the call is over, or has not begun", where="call")
        match order.kind:
            case "transfer":
                self._transfers.ask(call, str(order.body["to"]), str(order.body.get("by") or CALLEE))
            case "dtmf":
                _press(call, str(order.body.get("leg") or CALLEE), str(order.body["digits"]))
            case "supervise":
                await self._guests.invite(call, str(order.body["extension"]), str(order.body["mode"]), order.author)
            case "invite":
                await self._guests.invite(call, str(order.body["to"]), PARTY, order.author)
            case "leave":
                self._guests.dismiss(call, str(order.body["to"]))
        return {}


def _press(call: Call, side: str, digits: str) -> None:
    if call.media is None or call.party(side) is None:
        raise SivoError(CALL_NOT_RUNNING, f"there is no {side} on the line", where="leg")
    call.media.send_digits(side, digits)
