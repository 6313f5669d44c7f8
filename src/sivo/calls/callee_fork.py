"""The phones that we call: one INVITE to each, the first to answer wins (RFC 3261 §13.2, §16.7 without the proxy).

All offer the same RTP port, because only one of them will use it. Phones that lose are cancelled; one that answers at
the same moment gets its ACK and then a BYE.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from sivo.base import logs
from sivo.base.errors import SivoError
from sivo.base.ids import uuid7
from sivo.calls import causes
from sivo.calls.causes import Cause
from sivo.calls.inputs import CalleeAnswered, CalleeEarlyMedia, CalleeFailed, CalleeRinging, Input
from sivo.calls.legs import SDP_TYPE, Leg, sdp_of
from sivo.sip import session_timer
from sivo.sip.address import NameAddr
from sivo.sip.dialog import Dialog
from sivo.sip.digest import DigestClient
from sivo.sip.errors import SipParseError
from sivo.sip.message import Request, Response, new_request
from sivo.sip.offer_answer import AudioStream
from sivo.sip.peer import Peer
from sivo.sip.sdes import SrtpPolicy
from sivo.sip.session_timer import client_headers
from sivo.sip.transactions import ClientTransaction
from sivo.sip.udp import SipUdp
from sivo.sip.uri import Uri

log = logs.get("calls")


#: Answers of phones that do not take RTP/SAVP.
_NO_KEYS = (415, 488, 606)
#: Early dialogs of one INVITE; redirections one after the other, and places of one.
_MOST_DRAFTS, _MOST_REDIRECTS = 16, 5


@dataclass(frozen=True, slots=True)
class Destination:
    """One phone (or carrier) to ring: Request-URI, the place to send to, and the credentials it may ask for."""

    uri: Uri
    peer: Peer
    credentials: tuple[str, str] | None = field(default=None, repr=False)
    srtp: SrtpPolicy = SrtpPolicy.OFF
    #: What its INVITE carries besides: an edge is told what it has to know.
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


class Branch(Leg):
    """One INVITE of a fork, and the leg that it becomes when it wins."""

    def __init__(self, sip: SipUdp, destination: Destination) -> None:
        super().__init__(sip, destination.peer, destination.srtp)
        self.id: UUID = uuid7()
        self.destination = destination
        self.txn: ClientTransaction | None = None
        self.stream: AudioStream | None = None
        self.final = 0
        self.authorised = False
        #: Early dialogs by To tag, with the number of the last reliable 1xx (RFC 3262 §4).
        self.drafts: dict[str, tuple[Dialog, int]] = {}
        self.redirected = 0

    def invite(self, from_: NameAddr, to: NameAddr, port: int) -> Request:
        """The INVITE with our offer."""
        self.port = port
        headers = [*self.our_headers, *client_headers(), *self.destination.headers]
        request = new_request("INVITE", self.destination.uri, from_=from_, to=to, headers=headers)
        request.set_body(self.session.offer(port), SDP_TYPE)
        return request

    def draft(self, response: Response) -> None:
        """Acknowledge a reliable provisional answer with PRACK, each number once and in order."""
        number = response.headers.get("RSeq")
        if number is None:
            return
        tags = [tag.lower() for tag in response.headers.all("Require")]
        if self.txn is None or "100rel" not in tags or not number.isdigit() or not response.to.tag:
            return
        dialog, last = self.drafts.get(response.to.tag) or (Dialog.uac(self.txn.request, response), int(number) - 1)
        if int(number) != last + 1 or len(self.drafts) > _MOST_DRAFTS:
            return
        self.drafts[response.to.tag] = (dialog, int(number))
        if self.destination.peer.flow:
            dialog.flow = self.destination.peer
        rack = f"{number} {response.cseq[0]} INVITE"
        self.sip.ask(dialog.request("PRACK", headers=[("RAck", rack)]), dialog.destination, _unheeded)

    def listen(self, response: Response) -> bool:
        """Take the SDP of a provisional answer; True when there is something to hear now."""
        answer = sdp_of(response.body, response.content_type)
        if answer is None or self.stream is not None:
            return False
        self.stream = self.session.accept(answer)
        return True


class CalleeFork:
    """All phones of one callee. ``post`` gets what happened, ``learn`` each branch that can receive requests,
    ``added`` each one that a redirection made; ``redirect`` says where a user that a phone redirects to may be rung."""

    def __init__(
        self,
        sip: SipUdp,
        post: Callable[[Input], None],
        learn: Callable[[Branch], None],
        added: Callable[[Branch], None],
        redirect: Callable[[str], list[Destination]],
    ) -> None:
        self._sip = sip
        self._added = added
        self._redirect = redirect
        self._post = post
        self._learn = learn
        self.branches: list[Branch] = []
        self.winner: Branch | None = None
        self._done = False

    def start(self, destinations: list[Destination], from_: NameAddr, to: NameAddr, port: int) -> None:
        """Ring them all; with nobody to ring the callee has failed with 480."""
        for destination in destinations:
            branch = Branch(self._sip, destination)
            self.branches.append(branch)
            branch.txn = self._sip.request(branch.invite(from_, to, port), destination.peer)
        if not self.branches:
            self._fail()

    def owns(self, txn: ClientTransaction) -> Branch | None:
        """The branch of a client transaction."""
        return next((branch for branch in self.branches if branch.txn is txn), None)

    def on_response(self, branch: Branch, response: Response) -> None:
        """An answer to an INVITE of ours."""
        if response.status < 200:
            self._provisional(branch, response)
        elif response.status < 300:
            self._accepted(branch, response)
        elif not self._another_way(branch, response):
            self._refused(branch, response.status)

    def _another_way(self, branch: Branch, response: Response) -> bool:
        """Whether a refusal is answered with another INVITE."""
        if response.status in (401, 407):
            return self._authorise(branch, response)
        if response.status == 422:
            return self._longer(branch, response)
        if response.status in _NO_KEYS:
            return self._in_the_clear(branch)
        return response.status < 400 and self._redirected(branch, response)

    def _provisional(self, branch: Branch, response: Response) -> None:
        if response.status == 100 or self._done:
            return
        try:
            branch.draft(response)
            early = len(self.branches) == 1 and branch.listen(response)
        except SivoError as error:
            log.info("a provisional answer cannot be used", peer=str(branch.peer), error=str(error))
            early = False
        if early:
            self._post(CalleeEarlyMedia())
        elif branch.stream is None:
            self._post(CalleeRinging())

    def on_timeout(self, branch: Branch) -> None:
        """No final answer within the time of the transaction."""
        self._refused(branch, 408)

    def drop(self, cause: Cause) -> None:
        """CANCEL what rings, BYE who answered."""
        self._done = True
        for branch in self.branches:
            if branch.dialog is not None:
                branch.send_bye(cause)
            elif branch.txn is not None and not branch.final:
                self._sip.cancel(branch.txn)

    def _accepted(self, branch: Branch, response: Response) -> None:
        assert branch.txn is not None
        try:
            dialog = Dialog.uac(branch.txn.request, response)
        except SipParseError as error:
            log.warning("a 200 that makes no dialog", peer=str(branch.peer), error=str(error))
            self._refused(branch, 502)
            return
        if branch.destination.peer.flow:
            dialog.flow = branch.destination.peer  # a phone's own connection: the only way to it behind NAT
        draft = branch.drafts.get(dialog.id.remote_tag)
        if draft is not None:
            dialog.local_cseq = draft[0].local_cseq  # its PRACKs counted
        if branch.dialog is None:
            branch.dialog = dialog
            branch.terms = session_timer.as_client(response)
            branch.takes_update = "UPDATE" in response.headers.all("Allow")
            self._learn(branch)
        self._sip.acknowledge(branch.txn, dialog.ack(response), dialog.destination)
        branch.final = response.status
        if self._done or dialog is not branch.dialog:
            self._release(branch, dialog)
            return
        try:
            answer = sdp_of(response.body, response.content_type)
            branch.stream = branch.session.accept(answer) if answer else branch.stream
        except SivoError:
            branch.stream = None
        if branch.stream is None:
            branch.send_bye(causes.CAUSES["INCOMPATIBLE_DESTINATION"])
            self._refused(branch, 488)
            return
        self._win(branch)

    def _win(self, branch: Branch) -> None:
        self._done = True
        self.winner = branch
        for other in self.branches:
            if other is not branch and other.txn is not None and not other.final:
                self._sip.cancel(other.txn, causes.ELSEWHERE)
        self._post(CalleeAnswered())

    def _release(self, branch: Branch, dialog: Dialog) -> None:
        if dialog is branch.dialog:
            branch.send_bye(causes.NORMAL)
        else:
            self._sip.request(dialog.request("BYE"), dialog.destination)

    def _refused(self, branch: Branch, status: int) -> None:
        branch.final = status
        if not self._done and all(other.final for other in self.branches):
            self._fail()

    def _fail(self) -> None:
        self._done = True
        self._post(CalleeFailed(_best([branch.final for branch in self.branches])))

    def _longer(self, branch: Branch, response: Response) -> bool:
        """422: ring again with the session interval that this phone wants (RFC 4028 §7.3), once."""
        if branch.txn is None or branch.txn.request.headers.get("Session-Expires") != str(session_timer.INTERVAL):
            return False
        least = session_timer.least_of(response)
        if self._done or least <= session_timer.INTERVAL:
            return False
        again = _once_more(branch.txn.request)
        again.headers.set("Session-Expires", str(least))
        again.headers.set("Min-SE", str(least))
        branch.txn = self._sip.request(again, branch.destination.peer)
        return True

    def _in_the_clear(self, branch: Branch) -> bool:
        """A phone that takes none of our keys: without them, where its policy allows that."""
        if branch.txn is None or self._done or not branch.session.in_the_clear():
            return False
        log.info("a phone takes no SRTP; it is rung in the clear", peer=str(branch.peer))
        again = _once_more(branch.txn.request)
        again.set_body(branch.session.offer(branch.port), SDP_TYPE)
        branch.txn = self._sip.request(again, branch.destination.peer)
        return True

    def _redirected(self, branch: Branch, response: Response) -> bool:
        """3xx: ring those places of its Contacts that our routing allows instead (§8.1.3.4)."""
        if self._done or branch.redirected >= _MOST_REDIRECTS:
            return False
        try:
            users = [contact.uri.user or "" for contact in response.contacts[:_MOST_REDIRECTS]]
        except SipParseError:
            return False
        known = {other.destination for other in self.branches}
        found = [one for user in users for one in self._redirect(user) if one not in known]
        if not found or branch.txn is None:
            return False
        branch.final = response.status
        request = branch.txn.request
        for destination in dict.fromkeys(found):
            other = Branch(self._sip, destination)
            other.redirected = branch.redirected + 1
            self.branches.append(other)
            invite = other.invite(request.from_.with_tag(None), request.to.with_tag(None), branch.port)
            other.txn = self._sip.request(invite, destination.peer)
            self._added(other)
        return True

    def _authorise(self, branch: Branch, response: Response) -> bool:
        credentials = branch.destination.credentials
        if credentials is None or branch.authorised or branch.txn is None or self._done:
            return False
        again = DigestClient(*credentials).authorise(branch.txn.request, response)
        if again is None:
            return False
        branch.authorised = True
        branch.txn = self._sip.request(again, branch.destination.peer)
        return True


def _unheeded(txn: ClientTransaction, response: Response | None) -> None:
    """Nothing depends on the answer to a PRACK: the 1xx comes again when it was lost."""


def _once_more(request: Request) -> Request:
    """The INVITE with the next number, as a new transaction (§8.1.3.5)."""
    again = request.copy()
    again.headers.remove("Via")
    number, method = again.cseq
    again.headers.set("CSeq", f"{number + 1} {method}")
    return again


def _best(finals: list[int]) -> int:
    """The answer that says most (§16.7 step 6): any 6xx, else the lowest class; busy before no answer."""
    if not finals:
        return 480
    decisive = [status for status in finals if status >= 600]
    return min(decisive or finals, key=lambda status: (status // 100, status not in (486, 603), status))
