"""What the UAS core repeats by itself: its 2xx to an INVITE until the ACK comes (RFC 3261 §13.3.1.4), and reliable
provisional answers until their PRACK (RFC 3262 §3)."""

from __future__ import annotations

from sivo.sip.message import Response
from sivo.sip.transactions.base import ServerTransaction, Timed
from sivo.sip.transactions.outputs import AckTimeout, IncomingCancel, Output


class Answered(Timed):
    """The 2xx that ``txn`` has just sent: repeated after T1, doubling up to T2, until its ACK; AckTimeout 64 * T1 after
    it was first sent.

    It stays for 64 * T1 also when the ACK came, so that repeated ACKs are known for what they are. Over reliable
    transports the 2xx is repeated too: a proxy behind may be unreliable.
    """

    def __init__(self, txn: ServerTransaction, now: float) -> None:
        super().__init__(txn.timers)
        self.txn = txn
        self.acknowledged = False
        self._again = txn.again()
        self._interval = self.timers.t1
        self._over = False
        self.deadlines["2xx"] = now + self._interval
        self.deadlines["ACK"] = now + self.timers.limit

    @property
    def ended(self) -> bool:
        return self._over

    def acknowledge(self) -> bool:
        """The ACK came; True for the first one."""
        first = not self.acknowledged
        self.acknowledged = True
        self.deadlines.pop("2xx", None)
        return first

    def on_timer(self, name: str, now: float) -> list[Output]:
        if name == "2xx":
            self._interval = min(2 * self._interval, self.timers.t2)
            self.deadlines["2xx"] = now + self._interval
            return list(self._again)
        self._over = True
        self.deadlines.clear()
        return [] if self.acknowledged else [AckTimeout(self.txn)]


class Unacknowledged(Timed):
    """One reliable 1xx: repeated after T1, doubling, until its PRACK or the final answer. After 64 * T1 without one the
    caller counts as gone: the INVITE is cancelled (the transaction user's answer ends it)."""

    def __init__(self, txn: ServerTransaction, response: Response, now: float) -> None:
        super().__init__(txn.timers)
        self.txn = txn
        self.number = int(response.headers.get("RSeq") or 0)
        self._again = txn.again()
        self._interval = self.timers.t1
        self._over = False
        self.deadlines["1xx"] = now + self._interval
        self.deadlines["PRACK"] = now + self.timers.limit

    @property
    def ended(self) -> bool:
        return self._over or self.txn.final is not None

    def acknowledge(self) -> None:
        """The PRACK came."""
        self._over = True
        self.deadlines.clear()

    def on_timer(self, name: str, now: float) -> list[Output]:
        if self.ended:
            return []
        if name == "1xx":
            self._interval *= 2
            self.deadlines["1xx"] = now + self._interval
            return list(self._again)
        self.acknowledge()
        self.txn.cancelled = True
        return [IncomingCancel(self.txn.request, self.txn)]
