"""The transaction layer: finds the transaction a message belongs to, and does what RFC 3261 leaves to no machine.

Sans-I/O: datagrams, answers and the time go in, :data:`~sivo.sip.transactions.Output` comes out. Besides matching
(§17.1.3, §17.2.3) it answers CANCEL (§9.2), repeats 2xx until their ACK (§13.3.1.4), fills in ``received`` and
``rport`` (RFC 3581), refuses merged requests (§8.2.2.2) and keeps no state for sources that ``accept`` turns away.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from sivo.sip.errors import SipParseError
from sivo.sip.matching import answer_key, dialog_key, merge_key, server_key
from sivo.sip.message import Request, Response, new_branch, new_tag, response_to
from sivo.sip.peer import Peer
from sivo.sip.reading import parse, salvage
from sivo.sip.refusing import check, stateless
from sivo.sip.transactions.base import ClientTransaction, Key, ServerTransaction, State, Timed
from sivo.sip.transactions.client import NonInviteClientTransaction
from sivo.sip.transactions.invite_client import InviteClientTransaction, same_hop
from sivo.sip.transactions.invite_server import InviteServerTransaction
from sivo.sip.transactions.outputs import (
    Answer,
    Dropped,
    Incoming,
    IncomingAck,
    IncomingCancel,
    Output,
    Received,
    Send,
    Timeout,
)
from sivo.sip.transactions.server import NonInviteServerTransaction
from sivo.sip.transactions.timers import Timers
from sivo.sip.uas_core import Answered, Unacknowledged
from sivo.sip.via import Via

#: Server transactions kept at the same time; requests above it are answered 503 without state.
MAX_TRANSACTIONS = 20_000

_ENDS = (Answer, Timeout)

Accept = Callable[[Request, Peer], bool]
SentBy = Callable[[Peer], tuple[str, int]]


class TransactionLayer:
    """All transactions of one transport.

    ``accept(request, source)`` is asked before any state is made and before anything is answered; False (or a
    SipParseError from reading the request) means no reply and no state. ``sent_by(destination)`` gives host and port
    for the Via of requests to that peer.
    """

    def __init__(
        self,
        *,
        accept: Accept,
        sent_by: SentBy,
        timers: Timers | None = None,
        max_transactions: int = MAX_TRANSACTIONS,
    ) -> None:
        self.timers = timers or Timers()
        self._accept = accept
        self._sent_by = sent_by
        self._max = max_transactions
        self._servers: dict[Key, ServerTransaction] = {}
        self._clients: dict[Key, ClientTransaction] = {}
        self._answered: dict[Key, dict[int, Answered]] = {}
        self._reliable: dict[Key, Unacknowledged] = {}
        self._merged: dict[Key, ServerTransaction] = {}
        self._wakeups: list[tuple[float, int, Timed]] = []
        self._order = itertools.count()

    # --- what comes from the network ----------------------------------------------------------------------------

    def receive(self, data: bytes, source: Peer, local: Peer, now: float) -> list[Output]:
        """One datagram (or one framed message of a stream) from ``source`` to our address ``local``."""
        if not data.strip(b"\r\n\0 \t"):
            return [Dropped("keepalive", source)]
        try:
            message = parse(data, validate=False)
            if isinstance(message, Response):
                message.validate()
                return self._response(message, source, now)
        except SipParseError as error:
            return self._unreadable(data, source, error)
        return self._request(message, source, local, now)

    def _unreadable(self, data: bytes, source: Peer, error: SipParseError) -> list[Output]:
        """Not even the syntax is right; a request from somebody who is heard is told so all the same."""
        try:
            request = salvage(data)
            if request is not None:
                request.from_, request.cseq, request.call_id  # noqa: B018 - what an answer cannot do without
        except SipParseError:
            request = None
        if request is None:
            return [Dropped("malformed", source, str(error))]
        return self._bad_request(request, source, error)

    def _response(self, response: Response, source: Peer, now: float) -> list[Output]:
        # A second Via means it was meant for somebody behind us (§8.1.3.3).
        txn = self._clients.get((response.via.branch, response.cseq[1]))
        if txn is None or len(response.headers.all("Via")) != 1:
            return [Dropped("stray-response", source)]
        outputs: list[Output] = [Received(response, source), *_for_user(txn.receive(response, now))]
        if txn.is_invite:
            outputs += self._start_cancel(txn, now)
        self._settle(txn)
        return outputs

    def _request(self, request: Request, source: Peer, local: Peer, now: float) -> list[Output]:
        invite = None
        try:
            key = server_key(request)
            if request.method == "ACK":
                request.validate()
                return self._ack(request, key, source, now)
            if (txn := self._servers.get(key)) is not None:
                return self._repeated(txn, request, source, now)
            if request.method == "CANCEL":
                invite = self._invite_of(key, source)
            # Strangers are turned away before more is read of what they sent: scanners must cost next to nothing.
            if invite is None and not self._allowed(request, source):
                return [Dropped("refused", source)]
            check(request)
        except SipParseError as error:
            return self._bad_request(request, source, error)
        if request.method == "CANCEL":
            return self._cancel_received(request, key, source, local, now, invite)
        if (full := self._refuse_statelessly(request, source)) is not None:
            return full
        return self._new_request(request, key, source, local, now)

    def _repeated(self, txn: ServerTransaction, request: Request, source: Peer, now: float) -> list[Output]:
        outputs: list[Output] = [Received(request, source), *txn.receive(request, now)]
        self._settle(txn)
        return outputs

    def _invite_of(self, cancel: Key, source: Peer) -> ServerTransaction | None:
        """The INVITE that a CANCEL with this key is for; only who sent the INVITE can cancel it."""
        invite = self._servers.get((*cancel[:-1], "INVITE"))
        return invite if invite is not None and invite.source.host == source.host else None

    def _allowed(self, request: Request, source: Peer) -> bool:
        try:
            return self._accept(request, source)
        except SipParseError:
            return False

    def _bad_request(self, request: Request, source: Peer, error: SipParseError) -> list[Output]:
        """400 (or better) without state, but only for sources that would have been heard (§16.3, RFC 4475 §3.1.2)."""
        dropped = Dropped("malformed", source, str(error))
        if request.method == "ACK" or not self._allowed(request, source):
            return [dropped]
        try:
            via = request.via
        except SipParseError:
            if error.sip_status != 505:
                return [dropped]
            # Of another version is the Via, too: back to where it came from (RFC 4475 §3.1.2.16).
            answer = response_to(request, 505, to_tag=new_tag())
            return [dropped, Received(request, source), Send(bytes(answer), source, answer)]
        reason = f"Bad {error.header}" if error.sip_status == 400 else None
        return [dropped, Received(request, source), stateless(request, via, source, error.sip_status, reason)]

    def _refuse_statelessly(self, request: Request, source: Peer) -> list[Output] | None:
        if len(self._servers) >= self._max:
            answer = stateless(request, request.via, source, 503)
            return [Dropped("full", source), Received(request, source), answer]
        if request.to.tag is None and self._is_merged(request):
            return [Received(request, source), stateless(request, request.via, source, 482)]
        return None

    def _is_merged(self, request: Request) -> bool:
        known = self._merged.get(merge_key(request))
        # Some phones answer a challenge without a new CSeq: that is a new attempt, not a second path.
        return known is not None and (known.final is None or known.final.status not in (401, 407))

    def _new_request(self, request: Request, key: Key, source: Peer, local: Peer, now: float) -> list[Output]:
        txn = self._open(request, key, source, local, now)
        if request.to.tag is None:
            self._merged[merge_key(request)] = txn
        if request.method == "BYE":
            self._stop_repeating(request)
        if request.method == "PRACK":
            return [Received(request, source), *self.respond(txn, txn.response(self._prack(request)), now)]
        return [Received(request, source), Incoming(request, txn, source)]

    def _open(self, request: Request, key: Key, source: Peer, local: Peer, now: float) -> ServerTransaction:
        request.set_via(request.via.seen_from(source))
        txn: ServerTransaction
        if request.method == "INVITE":
            txn = InviteServerTransaction(key, request, source, local, self.timers, now)
        else:
            txn = NonInviteServerTransaction(key, request, source, local, self.timers)
        self._servers[key] = txn
        self._settle(txn)
        return txn

    def _ack(self, request: Request, key: Key, source: Peer, now: float) -> list[Output]:
        txn = self._servers.get(key)
        if txn is not None and txn.final is not None and not txn.final.is_success:
            txn.receive(request, now)
            self._settle(txn)
            return [Received(request, source)]
        answered = self._answered.get(dialog_key(request), {}).get(request.cseq[0])
        if answered is None:
            return [Dropped("stray-ack", source)]
        outputs: list[Output] = [Received(request, source)]
        if answered.acknowledge():
            outputs.append(IncomingAck(request, source, answered.txn))
        return outputs

    def _cancel_received(
        self, request: Request, key: Key, source: Peer, local: Peer, now: float, invite: ServerTransaction | None
    ) -> list[Output]:
        if invite is None:
            return [Received(request, source), stateless(request, request.via, source, 481)]
        cancel = self._open(request, key, source, local, now)
        cancel.to_tag = invite.to_tag  # §9.2
        outputs: list[Output] = [Received(request, source), *cancel.respond(cancel.response(200), now)]
        self._settle(cancel)
        if invite.state is State.PROCEEDING and not invite.cancelled:
            invite.cancelled = True
            outputs.append(IncomingCancel(request, invite))
        return outputs

    def _prack(self, request: Request) -> int:
        """The answer to a PRACK (RFC 3262 §3): 200 when it is for a 1xx of ours that waits for it, else 481."""
        waiting = self._reliable.get(dialog_key(request))
        if waiting is None or waiting.ended:
            return 481
        number, method = waiting.txn.request.cseq
        if (request.headers.get("RAck") or "").split() != [str(waiting.number), str(number), method]:
            return 481
        waiting.acknowledge()
        self._settle(waiting)
        return 200

    def _stop_repeating(self, bye: Request) -> None:
        """A BYE says that the peer has the 2xx, also when its ACK was lost."""
        for answered in self._answered.get(dialog_key(bye), {}).values():
            answered.acknowledge()

    # --- what comes from the transaction user -------------------------------------------------------------------

    def respond(self, txn: ServerTransaction, response: Response, now: float) -> list[Output]:
        """Answer a request. After its final answer further ones have no effect (CANCEL/200 race)."""
        first_success = txn.is_invite and response.is_success and txn.final is None
        outputs = txn.respond(response, now)
        if first_success and outputs:
            answered = Answered(txn, now)
            self._answered.setdefault(answer_key(response), {})[response.cseq[0]] = answered
            self._settle(answered)
        elif outputs and response.is_provisional and "RSeq" in response.headers:
            waiting = self._reliable[answer_key(response)] = Unacknowledged(txn, response, now)
            self._settle(waiting)
        self._settle(txn)
        return outputs

    def request(self, request: Request, destination: Peer, now: float) -> tuple[ClientTransaction, list[Output]]:
        """Send a request in a new client transaction. The Via is added to a copy: see ``txn.request``."""
        if request.method in ("ACK", "CANCEL"):
            raise ValueError(f"{request.method} has no transaction of its own: use acknowledge() or cancel()")
        sent = request.copy()
        branch = self._add_via(sent, destination)
        return self._start(sent, (branch, sent.method), destination, now)

    def _start(
        self, request: Request, key: Key, destination: Peer, now: float
    ) -> tuple[ClientTransaction, list[Output]]:
        kind = InviteClientTransaction if request.method == "INVITE" else NonInviteClientTransaction
        txn = kind(key, request, destination, self.timers)
        self._clients[key] = txn
        outputs = txn.start(now)
        self._settle(txn)
        return txn, outputs

    def _add_via(self, request: Request, destination: Peer) -> str:
        host, port = self._sent_by(destination)
        branch = new_branch()
        via = Via(destination.transport, host, port, {"branch": branch, "rport": None})
        request.headers.prepend("Via", str(via))
        return branch

    def cancel(self, txn: ClientTransaction, now: float, reason: str = "") -> list[Output]:
        """Cancel our INVITE. The CANCEL waits for a 1xx (§9.1); after a final answer there is nothing to cancel."""
        if not isinstance(txn, InviteClientTransaction):
            raise ValueError(f"only an INVITE can be cancelled, not {txn.request.method}")
        txn.cancel_reason = txn.cancel_reason or reason
        txn.cancel(now)
        outputs = self._start_cancel(txn, now)
        self._settle(txn)
        return outputs

    def _start_cancel(self, txn: ClientTransaction, now: float) -> list[Output]:
        if not isinstance(txn, InviteClientTransaction) or not txn.cancel_due:
            return []
        txn.cancel_due = False
        cancel = same_hop(txn.request, "CANCEL")
        if txn.cancel_reason:
            cancel.headers.add("Reason", txn.cancel_reason)
        _, outputs = self._start(cancel, (txn.key[0], "CANCEL"), txn.destination, now)
        return outputs

    def acknowledge(self, txn: ClientTransaction, ack: Request, destination: Peer) -> list[Output]:
        """Send the ACK of a 2xx (§13.2.2.4). It is sent again by itself when that 2xx comes again."""
        if not isinstance(txn, InviteClientTransaction) or ack.method != "ACK":
            raise ValueError("acknowledge() takes an INVITE's transaction and an ACK")
        sent = ack.copy()
        for name in ("Authorization", "Proxy-Authorization"):
            for value in txn.request.headers.all(name):
                sent.headers.add(name, value)
        self._add_via(sent, destination)
        return txn.acknowledge(sent, destination)

    def unreachable(self, destination: Peer, now: float) -> list[Output]:
        """Nothing can be sent to ``destination``: requests that wait for an answer from there have timed out."""
        waiting = [txn for txn in self._clients.values() if txn.destination == destination and txn.unanswered]
        for txn in waiting:
            txn.end()
            self._settle(txn)
        return _for_user([Timeout(txn) for txn in waiting])

    def adopt(self, txn: ClientTransaction | ServerTransaction) -> None:
        """Take up a transaction that an earlier process began (:mod:`sivo.sip.pending`)."""
        if isinstance(txn, ServerTransaction):
            self._servers[txn.key] = txn
        else:
            self._clients[txn.key] = txn

    # --- time -----------------------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """When to call :meth:`poll` next, at the latest; None if nothing waits."""
        return self._wakeups[0][0] if self._wakeups else None

    def poll(self, now: float) -> list[Output]:
        """Run every timer that is due."""
        outputs: list[Output] = []
        while self._wakeups and self._wakeups[0][0] <= now:
            at, _, timed = heapq.heappop(self._wakeups)
            if timed.scheduled == at:
                timed.scheduled = None
                if not timed.ended:
                    outputs += timed.fire(now)
                self._settle(timed)
        return _for_user(outputs)

    def _settle(self, timed: Timed) -> None:
        """Forget what has ended; make sure that poll is called in time for the rest."""
        if timed.ended:
            self._forget(timed)
            return
        deadline = timed.next_deadline()
        if deadline is not None and (timed.scheduled is None or deadline < timed.scheduled):
            timed.scheduled = deadline
            heapq.heappush(self._wakeups, (deadline, next(self._order), timed))

    def _forget(self, timed: Timed) -> None:
        if isinstance(timed, ServerTransaction):
            self._servers.pop(timed.key, None)
            if self._merged.get(merge := merge_key(timed.request)) is timed:
                del self._merged[merge]
        elif isinstance(timed, ClientTransaction):
            self._clients.pop(timed.key, None)
        elif isinstance(timed, Unacknowledged):
            waiting = (timed.txn.request.call_id, timed.txn.to_tag, timed.txn.request.from_.tag or "")
            if self._reliable.get(waiting) is timed:
                del self._reliable[waiting]
        elif isinstance(timed, Answered) and timed.txn.final is not None:
            known = self._answered.get(key := answer_key(timed.txn.final), {})
            known.pop(timed.txn.final.cseq[0], None)
            if not known:
                self._answered.pop(key, None)

    @property
    def active(self) -> dict[str, int]:
        """How many server and client transactions and unfinished 2xx there are."""
        return {
            "server": len(self._servers),
            "client": len(self._clients),
            "answered": sum(len(known) for known in self._answered.values()),
        }


def _for_user(outputs: list[Output]) -> list[Output]:
    """Without what became of our CANCELs: the INVITE's own answer or timer tells the transaction user."""
    return [output for output in outputs if not isinstance(output, _ENDS) or output.txn.request.method != "CANCEL"]
