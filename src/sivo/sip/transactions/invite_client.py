"""INVITE client transaction: RFC 3261 §17.1.1 as corrected by RFC 6026 §7.2 (Accepted, timer M), with CANCEL §9.1."""

from __future__ import annotations

from sivo.sip.message import Request, Response
from sivo.sip.peer import Peer
from sivo.sip.transactions.base import ClientTransaction, Key, State
from sivo.sip.transactions.outputs import Answer, Output, Send, Timeout
from sivo.sip.transactions.timers import Timers


class InviteClientTransaction(ClientTransaction):
    """Calling → Proceeding → Accepted (2xx) or Completed (others) → Terminated.

    ``cancel_due``: a CANCEL has been asked for, is allowed now (a 1xx came) and was not yet taken by the layer.
    """

    def __init__(self, key: Key, request: Request, destination: Peer, timers: Timers) -> None:
        super().__init__(key, request, destination, timers)
        self.state = State.CALLING
        self.cancel_due = False
        #: Value of the Reason header of the CANCEL (RFC 3326), or empty.
        self.cancel_reason = ""
        self._interval = timers.t1
        self._ack: Send | None = None
        self._accepted: dict[str, Send | None] = {}  # To tag of a 2xx -> its ACK

    def start(self, now: float) -> list[Output]:
        self.deadlines["B"] = now + self.timers.limit
        if not self.reliable:
            self.deadlines["A"] = now + self._interval
        return self._send()

    def receive(self, response: Response, now: float) -> list[Output]:
        if self.state in (State.CALLING, State.PROCEEDING):
            if response.is_provisional:
                return self._provisional(response, now)
            return self._accept(response, now) if response.is_success else self._complete(response, now)
        if self.state is State.ACCEPTED and response.is_success:
            return self._success(response)
        if self.state is State.COMPLETED and response.status >= 300 and self._ack is not None:
            return [Send(self._ack.data, self._ack.destination, self._ack.message, True)]
        return []

    def _provisional(self, response: Response, now: float) -> list[Output]:
        self.state = State.PROCEEDING
        self.deadlines.pop("A", None)
        self.deadlines.pop("B", None)
        if self.cancelled and "CANCEL" not in self.deadlines:
            self._cancel_now(now)
        return [Answer(response, self)]

    def _accept(self, response: Response, now: float) -> list[Output]:
        self.state = State.ACCEPTED
        self.deadlines.clear()
        self.cancel_due = False
        self.deadlines["M"] = now + self.timers.limit
        return self._success(response)

    def _success(self, response: Response) -> list[Output]:
        tag = response.to.tag or ""
        if tag not in self._accepted:
            if len(self._accepted) >= 64:
                return []  # more forks than any network makes
            self._accepted[tag] = None
            return [Answer(response, self)]
        ack = self._accepted[tag]
        return [] if ack is None else [Send(ack.data, ack.destination, ack.message, True)]

    def acknowledge(self, ack: Request, destination: Peer) -> list[Output]:
        """Send the ACK of the 2xx with this To tag, and keep it for when that 2xx comes again."""
        send = Send(bytes(ack), destination, ack)
        self._accepted[ack.to.tag or ""] = send
        return [send]

    def _complete(self, response: Response, now: float) -> list[Output]:
        self.state = State.COMPLETED
        self.deadlines.clear()
        self.cancel_due = False
        ack = self._ack_of(response)
        self._ack = Send(bytes(ack), self.destination, ack)
        if self.reliable:
            self.end()  # timer D is zero
        else:
            self.deadlines["D"] = now + self.timers.limit
        return [self._ack, Answer(response, self)]

    def _ack_of(self, response: Response) -> Request:
        """The ACK of a non-2xx answer (§17.1.1.3): same branch, To of the answer, Route of the request."""
        ack = same_hop(self.request, "ACK")
        ack.headers.set("To", response.headers.get("To") or "")
        return ack

    def cancel(self, now: float) -> None:
        """Ask for a CANCEL. Without a 1xx it waits for one; after a final answer it has no effect."""
        if self.cancelled or self.state not in (State.CALLING, State.PROCEEDING):
            return
        self.cancelled = True
        if self.state is State.PROCEEDING:
            self._cancel_now(now)

    def _cancel_now(self, now: float) -> None:
        self.cancel_due = True
        self.deadlines["CANCEL"] = now + self.timers.limit

    def on_timer(self, name: str, now: float) -> list[Output]:
        if name == "A":
            self._interval *= 2
            self.deadlines["A"] = now + self._interval
            return self._send(again=True)
        self.end()
        return [Timeout(self)] if name in ("B", "CANCEL") else []  # D and M end quietly


def same_hop(request: Request, method: str) -> Request:
    """ACK or CANCEL of ``request``: same Request-URI, top Via, From, To, Call-ID, CSeq number and Route (§9.1)."""
    other = Request(method, request.uri)
    fields = other.headers
    fields.add("Via", request.headers.get("Via") or "")
    fields.add("Max-Forwards", "70")
    for value in request.headers.all("Route"):
        fields.add("Route", value)
    for name in ("From", "To", "Call-ID"):
        fields.add(name, request.headers.get(name) or "")
    fields.add("CSeq", f"{request.cseq[0]} {method}")
    return other
