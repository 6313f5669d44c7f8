"""Answers to requests that no state is kept for (RFC 3261 §8.2.7), and what makes a request one of them."""

from __future__ import annotations

from sivo.sip.errors import SipParseError
from sivo.sip.message import Request, new_tag, response_to
from sivo.sip.peer import Peer
from sivo.sip.transactions.outputs import Send
from sivo.sip.via import Via


def stateless(request: Request, via: Via, source: Peer, status: int, reason: str | None = None) -> Send:
    """The answer to a request with this topmost Via."""
    request.set_via(via.seen_from(source))
    response = response_to(request, status, reason, to_tag=new_tag())
    if status == 503:
        response.headers.add("Retry-After", "5")
    return Send(bytes(response), via.answer_to(source), response)


def check(request: Request) -> None:
    """Everything about a new request that does not depend on who reads it; raises SipParseError."""
    request.validate()
    if not request.uri.is_sip and request.uri.scheme != "tel":
        raise SipParseError(f"scheme {request.uri.scheme[:20]!r}", "Request-URI", sip_status=416)
