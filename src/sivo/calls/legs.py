"""What both legs of a call share once they have a dialog: re-INVITE, UPDATE, hold, and the BYE (RFC 3261 §14, §15)."""

from __future__ import annotations

import asyncio

from sivo.calls import causes
from sivo.calls.causes import Cause
from sivo.sip import session_timer
from sivo.sip.dialog import Dialog
from sivo.sip.message import Request, Response
from sivo.sip.offer_answer import AudioStream, LocalSession
from sivo.sip.peer import Peer
from sivo.sip.sdes import SrtpPolicy
from sivo.sip.sdp import SessionDescription
from sivo.sip.session_timer import SessionTerms
from sivo.sip.transactions import ClientTransaction, ServerTransaction, State
from sivo.sip.udp import SipUdp

SDP_TYPE = "application/sdp"
ALLOW = "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, INFO, PRACK, REFER"
#: Transports whose SDP may carry keys.
SECURE = ("TLS", "WSS")
SUPPORTED = ("timer", "100rel", "replaces")


def sdp_of(body: bytes, content_type: str) -> SessionDescription | None:
    """The session description in a message, or None when it carries none. Raises SipParseError."""
    return SessionDescription.parse(body) if body and content_type == SDP_TYPE else None


def warning(refusal: str) -> list[tuple[str, str]]:
    """What goes into a 488 that a person may have to understand (RFC 3261 §20.43)."""
    return [("Warning", f'399 sivo "{refusal}"')] if refusal else []


def unsupported(txn: ServerTransaction) -> Response | None:
    """The answer to a request that needs what we do not do: 420 for extensions (RFC 3261 §8.2.2.3), 415 for a body
    other than SDP in an INVITE or UPDATE (§8.2.3), 406 for an INVITE that may not be answered with SDP; None when
    there is nothing of the kind."""
    request = txn.request
    required = [tag for tag in request.headers.all("Require") if tag and tag.lower() not in SUPPORTED]
    if required:
        return txn.response(420, headers=[("Unsupported", ", ".join(required))])
    if request.body and request.content_type != SDP_TYPE and request.method in ("INVITE", "UPDATE"):
        return txn.response(415, headers=[("Accept", SDP_TYPE)])
    if request.method == "INVITE" and not _takes_sdp(request):
        return txn.response(406)
    return None


def _takes_sdp(request: Request) -> bool:
    """Whether an answer with SDP is acceptable (§20.1: no Accept header means SDP)."""
    types = [text.partition(";")[0].strip().lower() for text in request.headers.all("Accept")]
    return not types or bool({SDP_TYPE, "application/*", "*/*"} & set(types))


class Leg:
    """One phone in a call, from the first message to the BYE. ``port`` is our RTP port towards it, ``srtp`` the policy
    of whose phone it is."""

    def __init__(self, sip: SipUdp, peer: Peer, srtp: SrtpPolicy = SrtpPolicy.OFF) -> None:
        self.sip = sip
        self.peer = peer
        self.dialog: Dialog | None = None
        #: The dialog of a reliable 180 or 183 while there is no other.
        self.early: Dialog | None = None
        self.port = 0
        self._ended = False
        self.session = LocalSession(sip.contact_for(peer)[0], srtp=srtp, secure=peer.transport in SECURE)
        self._bye: ClientTransaction | None = None
        #: What was agreed about refreshes, and the timers of them (room ``session_refresh``).
        self.terms: SessionTerms | None = None
        self.takes_update = False
        self.refreshing: ClientTransaction | None = None
        self.clocks: list[asyncio.TimerHandle] = []
        #: The 200 whose ACK must bring the SDP answer is out.
        self._answer_due = False

    @property
    def our_headers(self) -> list[tuple[str, str]]:
        """Contact and Allow as this phone has to see them."""
        supported = ("Supported", ", ".join(SUPPORTED))
        return [("Contact", f"<{self.sip.contact_uri(self.peer)}>"), ("Allow", ALLOW), supported]

    @property
    def ended(self) -> bool:
        """Whether the dialog is over; its timers end with it."""
        return self._ended

    @ended.setter
    def ended(self, value: bool) -> None:
        self._ended = value
        if value:
            self.stop_clocks()

    def stop_clocks(self) -> None:
        """No refresh and no expiry any more."""
        for clock in self.clocks:
            clock.cancel()
        self.clocks.clear()

    def agree(self, request: Request) -> list[tuple[str, str]]:
        """Session timer terms for our 2xx to ``request``; its headers. Raises SipParseError (422 among them)."""
        self.terms = session_timer.as_server(request)
        self.takes_update = self.takes_update or "UPDATE" in request.headers.all("Allow")
        return session_timer.server_headers(self.terms)

    @property
    def quiet(self) -> bool:
        """Whether nothing is on its way to this phone any more: no dialog, or a BYE that was answered."""
        if self.dialog is None:
            return True
        return self.ended and (self._bye is None or self._bye.state not in (State.TRYING, State.PROCEEDING))

    def renegotiate(self, txn: ServerTransaction) -> AudioStream | None:
        """Answer a re-INVITE or UPDATE: same port, the phone's new address and direction; 491 while an offer of ours is
        open (§14.2, RFC 6337 §2).

        Gives the new stream, or None when there is none (UPDATE without SDP, 491) or it comes with the ACK. Raises
        NotAcceptable and SipParseError, with nothing sent.
        """
        request = txn.request
        offer = sdp_of(request.body, request.content_type)
        glare = self.refreshing is not None and self.refreshing.is_invite
        if (glare or self._answer_due) and (offer is not None or txn.is_invite):
            self.sip.respond(txn, txn.response(491))
            return None
        body, stream = b"", None
        refreshed = self.agree(request)
        if offer is not None:
            body, stream = self.session.answer(offer, self.port)
        elif request.method == "INVITE":
            body = self.session.offer(self.port)
            self._answer_due = True
        headers = [*self.our_headers, *refreshed]
        ok = txn.response(200, headers=headers, body=body, content_type=SDP_TYPE if body else "")
        self.sip.respond(txn, ok)
        return stream

    def late_answer(self, ack: Request) -> AudioStream | None:
        """The stream that an ACK brings when our 200 carried the offer."""
        answer = sdp_of(ack.body, ack.content_type) if self._answer_due else None
        if answer is None:
            return None
        self._answer_due = False
        return self.session.accept(answer)

    def send_bye(self, cause: Cause) -> None:
        """BYE, once."""
        if self.ended or self.dialog is None:
            return
        self.ended = True
        bye = self.dialog.request("BYE", headers=[("Reason", causes.reason_header(cause))])
        self._bye = self.sip.request(bye, self.dialog.destination)
