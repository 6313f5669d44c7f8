"""Who may speak to us, and as whom: the source rules with the digest behind them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from sivo.base import logs
from sivo.edge.trust import Edge, Vouched
from sivo.routing import sources
from sivo.routing.directory import Directory, Extension
from sivo.routing.guessing import Account, Ban, Guessing
from sivo.routing.live import LiveDirectory
from sivo.routing.sources import Claim, EdgePing, FromTenant, Source, Stranger
from sivo.sip.digest import ha1
from sivo.sip.digest_server import DigestServer
from sivo.sip.message import Request, Response
from sivo.sip.peer import Peer
from sivo.sip.transactions import ServerTransaction

_FROM_HOST = re.compile(rb"\n(?:from|f)[ \t]*:[^\r\n]*sips?:(?:[^@\r\n>]*@)?([a-z0-9._-]+)", re.IGNORECASE)
_TO_TAG = re.compile(rb"\n(?:to|t)[ \t]*:[^\r\n]*;[ \t]*tag[ \t]*=", re.IGNORECASE)
log = logs.get("calls")


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The digest was right and the user is the one of From."""

    extension: Extension
    #: The digest user name: the extension's number, or one of its softphones.
    account: str


@dataclass(frozen=True, slots=True)
class Challenge:
    """401: no digest, or one that is not right."""

    realm: str
    stale: bool


@dataclass(frozen=True, slots=True)
class Forbidden:
    """403: a right digest of somebody else."""


Verdict = Authenticated | Challenge | Forbidden


class Gate:
    """Judges requests outside dialogs."""

    def __init__(
        self,
        directory: LiveDirectory,
        digest: DigestServer,
        guessing: Guessing | None = None,
        banned: Callable[[Ban], None] = lambda ban: None,
        edge: Edge | None = None,
    ) -> None:
        self._directory = directory
        self._digest = digest
        self._guessing = Guessing() if guessing is None else guessing
        self._banned = banned
        self._edge = Edge() if edge is None else edge
        self._warned = False
        #: What was found of the request that is being handled: it is asked for before there is any state, and after.
        self._found: tuple[Request, Directory, Source] | None = None

    def glance(self, data: bytes, source: Peer) -> bool:
        """Whether a message is worth reading: one look at its bytes, so that scanners cost next to nothing.

        Turned away is only what :meth:`hears` would turn away, too: no trunk's address, a From domain that is
        nobody's, and outside a dialog.
        """
        if data.startswith(b"SIP/2.0 ") or _TO_TAG.search(data) is not None:
            return True
        domain = _FROM_HOST.search(data)
        directory = self._directory.current
        if domain is None or directory.tenant_of_domain(domain.group(1).decode()) is not None:
            return True
        return bool(directory.trunks_at(source.host)) or self._edge.speaks(source)

    def hears(self, request: Request, source: Peer, now: float) -> bool:
        """Whether this request is answered at all: no stranger (rule c), and nobody who guesses passwords."""
        by_edge = self._edge.speaks(source)
        if by_edge and request.to.tag:
            return True  # of a dialog that is no more: 481
        claimed = self.classify(request, source)
        if isinstance(claimed, FromTenant) and not by_edge and "Authorization" in request.headers:
            return self._guessing.heard(source.host, _account(request, claimed), now)
        return not isinstance(claimed, Stranger)

    def classify(self, request: Request, source: Peer) -> Source:
        """Which of the source rules applies. Raises SipParseError for headers that cannot be read."""
        directory, known = self._directory.current, self._found
        if known is not None and known[0] is request and known[1] is directory:
            return known[2]
        found = self._classify(request, source, directory)
        self._found = (request, directory, found)
        return found

    def _classify(self, request: Request, source: Peer, directory: Directory) -> Source:
        if self._edge.speaks(source):
            vouched = self._edge.vouched(request, source)
            if vouched is None:
                return self._unproven(request)
            source = vouched.source
        from_, to = request.from_.uri, request.uri
        claim = Claim(
            method=request.method,
            from_user=from_.user or "",
            from_host=from_.host,
            to_user=to.user or "",
            source_host=source.host,
        )
        return sources.classify(directory, claim)

    def _unproven(self, request: Request) -> Source:
        """From an edge's place without its token: it asks whether we live, or it is somebody else."""
        if request.method == "OPTIONS":
            return EdgePing()
        if not self._warned:
            self._warned = True
            log.warning("the edge shows no token of this platform; render its configuration again")
        return Stranger()

    def authenticate(self, request: Request, claimed: FromTenant, source: Peer, now: float) -> Verdict:
        """Check the digest of a request that claims to come from a tenant's domain; wrong passwords are counted."""
        directory = self._directory.current
        vouched = self._edge.vouched(request, source)
        if vouched is not None:
            return _as_vouched(directory, claimed, vouched)

        def secret(username: str, algorithm: str) -> str | None:
            return _ha1(directory, claimed, username, algorithm)

        verdict = self._digest.verify(request, claimed.realm, secret, now)
        if verdict.reason == "wrong":
            for ban in self._guessing.wrong(source.host, _account(request, claimed), now):
                self._banned(ban)
        if not verdict.ok:
            return Challenge(claimed.realm, verdict.stale)
        owner = directory.extension_of_account(claimed.tenant.id, verdict.username or "")
        if claimed.extension is None or owner is None or owner.id != claimed.extension.id:
            return Forbidden()
        self._guessing.right(source.host, _account(request, claimed), now)
        return Authenticated(claimed.extension, verdict.username or "")

    def challenge(self, txn: ServerTransaction, challenge: Challenge, now: float) -> Response:
        """The 401 that asks for a digest."""
        response = txn.response(401)
        self._digest.challenge(response, challenge.realm, now, stale=challenge.stale)
        return response


def _as_vouched(directory: Directory, claimed: FromTenant, vouched: Vouched) -> Verdict:
    """The edge has checked the digest; that it is the user of From is for us to say."""
    owner = directory.extension_of_account(claimed.tenant.id, vouched.account)
    home = directory.tenant_of_domain(vouched.realm)
    if claimed.extension is None or owner is None or owner.id != claimed.extension.id or home != claimed.tenant:
        return Forbidden()
    return Authenticated(claimed.extension, vouched.account)


def _account(request: Request, claimed: FromTenant) -> Account:
    """Whose password it is: the user of From, for a right digest of another user is refused anyhow."""
    return claimed.tenant.id, (request.from_.uri.user or "")[:100]


def _ha1(directory: Directory, claimed: FromTenant, username: str, algorithm: str) -> str | None:
    extension = directory.extension_of_account(claimed.tenant.id, username)
    password = extension.password_of(username) if extension else None
    return ha1(username, claimed.realm, password, algorithm) if password else None
