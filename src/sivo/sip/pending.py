"""INVITEs without a final answer, so that a process that comes back can end them: one that rings is cancelled (RFC 3261
§9.1), one that was to be answered is refused. Both need the transaction that the process before had, not a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sivo.sip.errors import SipParseError
from sivo.sip.headers import Headers
from sivo.sip.matching import server_key
from sivo.sip.message import Request
from sivo.sip.peer import Peer
from sivo.sip.reading import parse
from sivo.sip.transactions.base import ClientTransaction, ServerTransaction, State
from sivo.sip.transactions.invite_client import InviteClientTransaction
from sivo.sip.transactions.invite_server import InviteServerTransaction
from sivo.sip.transactions.timers import Timers

#: What CANCEL, ACK and a final answer are made of (§9.1, §17.1.1.3, §8.2.6). Credentials and bodies are not kept.
_KEPT = ("Via", "Route", "Record-Route", "From", "To", "Call-ID", "CSeq", "Contact", "Max-Forwards")


@dataclass(frozen=True, slots=True)
class Pending:
    """One such INVITE. ``peer``: where it came from or went; ``tag``: To tag of our answers, empty when we sent it."""

    invite: Request
    peer: Peer
    tag: str = ""

    @classmethod
    def sent(cls, txn: ClientTransaction) -> Pending:
        """Of an INVITE of ours."""
        return cls(_reduced(txn.request), txn.destination)

    @classmethod
    def received(cls, txn: ServerTransaction) -> Pending:
        """Of an INVITE that came in."""
        return cls(_reduced(txn.request), txn.source, txn.to_tag)

    def client(self, timers: Timers) -> InviteClientTransaction:
        """The transaction of an INVITE of ours, as if something had been heard of it."""
        txn = InviteClientTransaction((self.invite.via.branch, "INVITE"), self.invite, self.peer, timers)
        txn.state = State.PROCEEDING
        return txn

    def server(self, timers: Timers, local: Peer, now: float) -> InviteServerTransaction:
        """The transaction of an INVITE that came in; no 100 follows."""
        txn = InviteServerTransaction(server_key(self.invite), self.invite, self.peer, local, timers, now)
        txn.to_tag = self.tag
        txn.deadlines.clear()
        return txn

    def dump(self) -> dict[str, Any]:
        """Everything, as JSON values; :meth:`load` makes the same of it."""
        return {"pending": bytes(self.invite).decode(), "peer": list(self.peer), "tag": self.tag}

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> Pending:
        """What :meth:`dump` described. Raises SipParseError, KeyError or TypeError if it did not."""
        invite = parse(stored["pending"].encode())
        if not isinstance(invite, Request) or invite.method != "INVITE":
            raise SipParseError("no INVITE", "start line")
        return cls(invite, Peer(*stored["peer"]), stored["tag"])


def _reduced(invite: Request) -> Request:
    fields = Headers()
    fields.take(invite.headers, *_KEPT)
    return Request("INVITE", invite.uri, fields)
