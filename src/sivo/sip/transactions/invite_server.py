"""INVITE server transaction: RFC 3261 §17.2.1 as corrected by RFC 6026 §7.1 (Accepted, timer L)."""

from __future__ import annotations

from sivo.sip.message import Request, Response
from sivo.sip.peer import Peer
from sivo.sip.transactions.base import Key, ServerTransaction, State
from sivo.sip.transactions.outputs import Output
from sivo.sip.transactions.timers import Timers


class InviteServerTransaction(ServerTransaction):
    """Proceeding → Accepted (2xx) or Completed → Confirmed (others) → Terminated."""

    def __init__(self, key: Key, request: Request, source: Peer, local: Peer, timers: Timers, now: float) -> None:
        super().__init__(key, request, source, local, timers)
        self.state = State.PROCEEDING
        self.deadlines["100"] = now + timers.trying
        self._interval = timers.t1

    def receive(self, request: Request, now: float) -> list[Output]:
        if request.method == "ACK":
            if self.state is State.COMPLETED:
                self._confirm(now)
            return []
        # Accepted and Confirmed absorb repetitions: the UAS core repeats the 2xx, the ACK is here.
        return self.again() if self.state in (State.PROCEEDING, State.COMPLETED) else []

    def _confirm(self, now: float) -> None:
        self.state = State.CONFIRMED
        self.deadlines.clear()
        if self.reliable:
            self.end()
        else:
            self.deadlines["I"] = now + self.timers.t4

    def respond(self, response: Response, now: float) -> list[Output]:
        if self.state is State.ACCEPTED and response.is_success:
            return self._send(response)
        if self.state is not State.PROCEEDING:
            return []
        self.deadlines.pop("100", None)
        if response.is_provisional:
            return self._send(response)
        self.final = response
        if response.is_success:
            self.state = State.ACCEPTED
            self.deadlines["L"] = now + self.timers.limit
        else:
            self.state = State.COMPLETED
            self.deadlines["H"] = now + self.timers.limit
            if not self.reliable:
                self.deadlines["G"] = now + self._interval
        return self._send(response)

    def on_timer(self, name: str, now: float) -> list[Output]:
        if name == "100":
            return self._send(self.response(100))
        if name == "G":
            self._interval = min(2 * self._interval, self.timers.t2)
            self.deadlines["G"] = now + self._interval
            return self.again()
        self.end()  # H, I, L
        return []
