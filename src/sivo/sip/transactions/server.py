"""Non-INVITE server transaction: RFC 3261 §17.2.2."""

from __future__ import annotations

from sivo.sip.message import Request, Response
from sivo.sip.transactions.base import ServerTransaction, State
from sivo.sip.transactions.outputs import Output


class NonInviteServerTransaction(ServerTransaction):
    """Trying → Proceeding → Completed → Terminated."""

    def receive(self, request: Request, now: float) -> list[Output]:
        return self.again()  # in Trying there is nothing to repeat

    def respond(self, response: Response, now: float) -> list[Output]:
        if self.state not in (State.TRYING, State.PROCEEDING):
            return []
        if response.is_provisional:
            self.state = State.PROCEEDING
            return self._send(response)
        self.final = response
        self.state = State.COMPLETED
        outputs = self._send(response)
        if self.reliable:
            self.end()  # timer J is zero
        else:
            self.deadlines["J"] = now + self.timers.limit
        return outputs

    def on_timer(self, name: str, now: float) -> list[Output]:
        self.end()  # J
        return []
