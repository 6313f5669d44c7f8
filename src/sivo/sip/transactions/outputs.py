"""What the transaction layer tells its driver to do.

Never changed once made; not frozen, because making one costs three times as much then, and a message makes several.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sivo.sip.message import Request, Response
from sivo.sip.peer import Peer

if TYPE_CHECKING:
    from sivo.sip.transactions.base import ClientTransaction, ServerTransaction


@dataclass(slots=True)
class Send:
    """Send these bytes; ``again`` marks a repetition."""

    data: bytes
    destination: Peer
    message: Request | Response
    again: bool = False


@dataclass(slots=True)
class Received:
    """A message was read and belongs to us; only for the ladder. Comes before what it caused."""

    message: Request | Response
    source: Peer


@dataclass(slots=True)
class Incoming:
    """A new request (not ACK, not CANCEL): answer it through its transaction."""

    request: Request
    txn: ServerTransaction
    source: Peer


@dataclass(slots=True)
class IncomingCancel:
    """The INVITE of ``txn`` was cancelled before it had a final answer. The CANCEL is answered already; the
    transaction user answers the INVITE with 487."""

    request: Request
    txn: ServerTransaction


@dataclass(slots=True)
class IncomingAck:
    """The ACK of a 2xx; ``txn`` is the INVITE's. Comes once for each 2xx."""

    request: Request
    source: Peer
    txn: ServerTransaction


@dataclass(slots=True)
class Answer:
    """A response for the transaction user. A 2xx comes once for each To tag; the user acknowledges it."""

    response: Response
    txn: ClientTransaction


@dataclass(slots=True)
class Timeout:
    """No (final) answer came in time: timer B or F, or 64 * T1 after a CANCEL. Treat it as 408."""

    txn: ClientTransaction


@dataclass(slots=True)
class AckTimeout:
    """No ACK came within 64 * T1 after our 2xx: the transaction user ends the dialog with BYE (§13.3.1.4)."""

    txn: ServerTransaction


@dataclass(slots=True)
class Dropped:
    """A datagram without effect. ``reason``: keepalive, malformed, refused, stray-ack, stray-response, full."""

    reason: str
    source: Peer
    detail: str = ""


Output = Send | Received | Incoming | IncomingCancel | IncomingAck | Answer | Timeout | AckTimeout | Dropped
