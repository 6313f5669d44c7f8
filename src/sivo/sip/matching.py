"""What messages are matched by (RFC 3261 §17.2.3, §8.2.2.2, §12): transactions, merged requests, dialogs."""

from __future__ import annotations

from sivo.sip.message import Request, Response
from sivo.sip.transactions.base import Key
from sivo.sip.via import MAGIC_COOKIE


def server_key(request: Request) -> Key:
    """What a request is matched by on the server side (§17.2.3); the last part is the method, INVITE for ACK."""
    via = request.via
    method = "INVITE" if request.method == "ACK" else request.method
    if via.branch.startswith(MAGIC_COOKIE) and len(via.branch) > len(MAGIC_COOKIE):
        return (via.branch, via.sent_by, method)
    number, _ = request.cseq
    return (str(request.uri), request.from_.tag or "", request.call_id, str(number), str(via), method)


def merge_key(request: Request) -> Key:
    """What two paths of one request have in common (§8.2.2.2)."""
    number, method = request.cseq
    return (request.call_id, request.from_.tag or "", str(number), method)


def dialog_key(request: Request) -> Key:
    """Call-ID, our tag, their tag of a request received."""
    return (request.call_id, request.to.tag or "", request.from_.tag or "")


def answer_key(response: Response) -> Key:
    """The same of an answer that we sent."""
    return (response.call_id, response.to.tag or "", response.from_.tag or "")
