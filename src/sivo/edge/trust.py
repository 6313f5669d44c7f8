"""An edge as a node sees it: who sent a request, and as whom, is what the edge says. Pure.

Believed is a request from the address *and* port of a configured edge that carries the token of this platform: a source
address alone can be forged over UDP. The edge takes these headers from whatever comes from outside before it adds its
own, and nodes send it the token in turn, so that it does for nobody else what it does for them.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from uuid import UUID

from sivo.sip.errors import SipParseError
from sivo.sip.message import Request
from sivo.sip.peer import DEFAULT_PORT, Peer, is_ip, unbracketed
from sivo.sip.sdes import SrtpPolicy
from sivo.sip.uri import Uri, parse_hostport

TOKEN = "X-SIVO-Edge"  # noqa: S105 - the name of a header
#: ``udp:203.0.113.7:5062``: transport, address and port that the request came to the edge from.
SOURCE = "X-SIVO-Source"
#: ``201@acme.sip.example``: digest user name and realm that the edge has checked.
ACCOUNT = "X-SIVO-Account"
#: ``srtp`` or ``rtp``: how the phone's audio reaches the edge.
MEDIA = "X-SIVO-Media"
#: Towards the edge: the SRTP policy of the extension that is rung.
SRTP = "X-SIVO-SRTP"
HEADERS = (TOKEN, SOURCE, ACCOUNT, MEDIA, SRTP)
#: Request-URIs of phones: ``sip:201@<tenant id>.phones.invalid``. A tenant's domains may change, its id does not.
PHONES = "phones.invalid"


@dataclass(frozen=True, slots=True)
class Vouched:
    """What an edge says about a request. ``account`` is empty for who needs no password: a carrier."""

    source: Peer
    account: str = ""
    realm: str = ""
    protected: bool = False


class Edge:
    """The edges of this node; by default there are none. Raises ValueError for addresses that are none."""

    def __init__(self, token: str = "", edges: str = "") -> None:
        self._token = token
        self._peers = tuple(_peer(part.strip()) for part in edges.split(",") if part.strip())
        self._places = frozenset((peer.host, peer.port) for peer in self._peers)

    @property
    def peer(self) -> Peer | None:
        """Where calls to phones and carriers go; None: there is no edge, they are reached directly."""
        return self._peers[0] if self._peers else None

    def speaks(self, source: Peer) -> bool:
        """Whether this is where an edge sends from."""
        return bool(self._places) and (source.host, source.port) in self._places

    def vouched(self, request: Request, source: Peer) -> Vouched | None:
        """What an edge says about this request; None when it is not from an edge, or does not show our token."""
        if not self._token or not self.speaks(source) or not hmac.compare_digest(_one(request, TOKEN), self._token):
            return None
        transport, _, place = _one(request, SOURCE).partition(":")
        host, _, port = place.rpartition(":")
        host = unbracketed(host)
        if not is_ip(host) or not (port.isascii() and port.isdigit()):
            return None
        account, _, realm = _one(request, ACCOUNT).rpartition("@")
        protected = _one(request, MEDIA) == "srtp"
        return Vouched(Peer(host, int(port), transport.upper()), account, realm, protected)

    def srtp_here(self, policy: SrtpPolicy, request: Request, source: Peer) -> SrtpPolicy | None:
        """The policy for the way between us and whoever sent ``request``; None: it demands what the phone has not done.

        Behind an edge nothing is protected here: the edge has the keys of the phone.
        """
        vouched = self.vouched(request, source)
        if vouched is None:
            return policy
        return None if policy is SrtpPolicy.REQUIRED and not vouched.protected else SrtpPolicy.OFF

    # --- towards it ---

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What a request to an edge carries."""
        return ((TOKEN, self._token),) if self._peers else ()

    def phones(self, tenant_id: UUID, number: str) -> Uri:
        """The Request-URI for all phones of an extension that have registered at the edge."""
        return Uri("sip", number, f"{tenant_id}.{PHONES}")


def _one(request: Request, name: str) -> str:
    """The header's value where there is exactly one, as ASCII; else nothing."""
    values = request.headers.all(name)
    return values[0].strip() if len(values) == 1 and values[0].isascii() else ""


def _peer(text: str) -> Peer:
    try:
        host, port = parse_hostport(text, "SIVO_SIP_EDGES")
    except SipParseError as error:
        raise ValueError(f"{text!r} is not host:port") from error
    if not is_ip(host):
        raise ValueError(f"{host!r} is not an IP address")
    return Peer(unbracketed(host), port or DEFAULT_PORT)
