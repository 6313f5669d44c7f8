"""The phone that called us: a user agent server towards it (RFC 3261 §13.3)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from sivo.calls import causes
from sivo.calls.causes import Cause
from sivo.calls.legs import SDP_TYPE, Leg, sdp_of, warning
from sivo.sip.dialog import Dialog
from sivo.sip.errors import NotAcceptable, SipParseError
from sivo.sip.message import Request
from sivo.sip.offer_answer import AudioStream
from sivo.sip.peer import Peer
from sivo.sip.pending import Pending
from sivo.sip.sdes import SrtpPolicy
from sivo.sip.transactions import ServerTransaction
from sivo.sip.udp import SipUdp


class CallerLeg(Leg):
    """INVITE received, until the BYE. Raises SipParseError for an offer that cannot be read."""

    def __init__(self, sip: SipUdp, txn: ServerTransaction, source: Peer, srtp: SrtpPolicy = SrtpPolicy.OFF) -> None:
        super().__init__(sip, source, srtp)
        self._txn = txn
        self.invite = txn.request
        self.acked = False
        self._bye_cause: Cause | None = None
        if not self.invite.contacts:
            raise SipParseError("an INVITE needs one", "Contact")
        self._timing = self.agree(self.invite)
        self._reliable = "100rel" in (tag.lower() for tag in self.invite.headers.all("Require"))
        self._provisional: set[int] = set()
        #: None for an INVITE without SDP: then we offer in the 200.
        self.offer = sdp_of(self.invite.body, self.invite.content_type)
        #: Why there can be no audio with this phone (answer 488); empty: there can.
        self.refusal = self._refusal()

    @cached_property
    def pending(self) -> dict[str, Any]:
        """The INVITE, for who has to refuse it in our place (:meth:`sivo.sip.pending.Pending.dump`)."""
        return Pending.received(self._txn).dump()

    def _refusal(self) -> str:
        try:
            self.session.check(self.offer)
        except NotAcceptable as error:
            return error.message
        return ""

    def ring(self) -> None:
        """180."""
        self._progress(180)

    def early_media(self, port: int) -> AudioStream | None:
        """183 with our SDP: the caller hears what the callee's side plays before it answers. None without an offer."""
        if self.offer is None or self._txn.final is not None:
            return None
        self.port = port
        body, stream = self.session.answer(self.offer, port)
        return stream if self._progress(183, body) else None

    def _progress(self, status: int, body: bytes = b"") -> bool:
        """A provisional answer; reliable where the caller requires it (RFC 3262 §3), and then one of them only: what
        came after it would have to wait for the PRACK, and the 200 says more."""
        if self._txn.final is not None or (self._reliable and self._provisional):
            return False
        headers = self.our_headers
        if self._reliable:
            headers += [("Require", "100rel"), ("RSeq", "1")]
        self._provisional.add(status)
        answer = self._txn.response(status, headers=headers, body=body, content_type=SDP_TYPE if body else "")
        self.sip.respond(self._txn, answer)
        if self._reliable and self.dialog is None:
            self.early = Dialog.uas(self.invite, answer, self.peer)
        return True

    def reject(self, status: int, phrase: str, retry_after: int | None = None, cause: Cause | None = None) -> None:
        """A final answer other than 2xx, unless there was one."""
        if self._txn.final is not None:
            return
        headers = [("Retry-After", str(retry_after))] if retry_after is not None else []
        if cause is not None:
            headers.append(("Reason", causes.reason_header(cause)))
        if status == 488:
            headers += warning(self.refusal)
        self.ended = True
        self.sip.respond(self._txn, self._txn.response(status, phrase, headers=headers))

    def answer(self, port: int) -> AudioStream | None:
        """200 with our SDP; gives the agreed stream, or None when it only comes with the ACK."""
        self.port = port
        stream: AudioStream | None = None
        if self.offer is None:
            body = self.session.offer(port)
            self._answer_due = True
        else:
            body, stream = self.session.answer(self.offer, port)
        headers = [*self.our_headers, *self._timing]
        ok = self._txn.response(200, headers=headers, body=body, content_type=SDP_TYPE)
        self.dialog = Dialog.uas(self.invite, ok, self.peer)
        self.sip.respond(self._txn, ok)
        return stream

    def take_ack(self, ack: Request) -> AudioStream | None:
        """The ACK of a 200 of ours; gives a stream when it brought the SDP answer."""
        self._confirmed()
        return self.late_answer(ack)

    def ack_missing(self) -> None:
        """No ACK within 64*T1: now a BYE may be sent all the same (§13.3.1.4)."""
        self._confirmed()

    def hang_up(self, cause: Cause) -> None:
        """BYE; held back until the ACK has come (§15: a callee sends none before)."""
        if self.acked:
            self.send_bye(cause)
        else:
            self._bye_cause = cause

    def _confirmed(self) -> None:
        self.acked = True
        if self._bye_cause is not None:
            self.send_bye(self._bye_cause)
