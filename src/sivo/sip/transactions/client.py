"""Non-INVITE client transaction: RFC 3261 §17.1.2."""

from __future__ import annotations

from sivo.sip.message import Request, Response
from sivo.sip.peer import Peer
from sivo.sip.transactions.base import ClientTransaction, Key, State
from sivo.sip.transactions.outputs import Answer, Output, Timeout
from sivo.sip.transactions.timers import Timers


class NonInviteClientTransaction(ClientTransaction):
    """Trying → Proceeding → Completed → Terminated."""

    def __init__(self, key: Key, request: Request, destination: Peer, timers: Timers) -> None:
        super().__init__(key, request, destination, timers)
        self._interval = timers.t1

    def start(self, now: float) -> list[Output]:
        self.deadlines["F"] = now + self.timers.limit
        if not self.reliable:
            self.deadlines["E"] = now + self._interval
        return self._send()

    def receive(self, response: Response, now: float) -> list[Output]:
        if self.state not in (State.TRYING, State.PROCEEDING):
            return []
        if response.is_provisional:
            self.state = State.PROCEEDING
        else:
            self.state = State.COMPLETED
            self.deadlines.clear()
            if self.reliable:
                self.end()  # timer K is zero
            else:
                self.deadlines["K"] = now + self.timers.t4
        return [Answer(response, self)]

    def on_timer(self, name: str, now: float) -> list[Output]:
        if name == "E":
            # From Proceeding on, the interval is T2 (§17.1.2.2).
            doubled = min(2 * self._interval, self.timers.t2)
            self._interval = self.timers.t2 if self.state is State.PROCEEDING else doubled
            self.deadlines["E"] = now + self._interval
            return self._send(again=True)
        self.end()
        return [Timeout(self)] if name == "F" else []  # K ends quietly
