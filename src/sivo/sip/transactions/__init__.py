"""Transactions (RFC 3261 §17 with the Accepted state of RFC 6026): four machines, their timers and their outputs."""

from sivo.sip.transactions.base import ClientTransaction, ServerTransaction, State, Transaction
from sivo.sip.transactions.client import NonInviteClientTransaction
from sivo.sip.transactions.invite_client import InviteClientTransaction
from sivo.sip.transactions.invite_server import InviteServerTransaction
from sivo.sip.transactions.outputs import (
    AckTimeout,
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

__all__ = [
    "AckTimeout",
    "Answer",
    "ClientTransaction",
    "Dropped",
    "Incoming",
    "IncomingAck",
    "IncomingCancel",
    "InviteClientTransaction",
    "InviteServerTransaction",
    "NonInviteClientTransaction",
    "NonInviteServerTransaction",
    "Output",
    "Received",
    "Send",
    "ServerTransaction",
    "State",
    "Timeout",
    "Timers",
    "Transaction",
]
