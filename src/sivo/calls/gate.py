"""Who may speak to us, and as whom: the source rules with the digest behind them."""

from __future__ import annotations

from dataclasses import dataclass

from sivo.routing import sources
from sivo.routing.directory import Directory, Extension
from sivo.routing.live import LiveDirectory
from sivo.routing.sources import Claim, FromTenant, Source, Stranger
from sivo.sip.digest import ha1
from sivo.sip.digest_server import DigestServer
from sivo.sip.message import Request, Response
from sivo.sip.peer import Peer
from sivo.sip.transactions import ServerTransaction


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

    def __init__(self, directory: LiveDirectory, digest: DigestServer) -> None:
        self._directory = directory
        self._digest = digest

    def classify(self, request: Request, source: Peer) -> Source:
        """Which of the source rules applies. Raises SipParseError for headers that cannot be read."""
        from_, to = request.from_.uri, request.uri
        claim = Claim(
            method=request.method,
            from_user=from_.user or "",
            from_host=from_.host,
            to_user=to.user or "",
            source_host=source.host,
        )
        return sources.classify(self._directory.current, claim)

    def is_stranger(self, request: Request, source: Peer) -> bool:
        """Rule (c): gets no reply and leaves no state."""
        return isinstance(self.classify(request, source), Stranger)

    def authenticate(self, request: Request, claimed: FromTenant, now: float) -> Verdict:
        """Check the digest of a request that claims to come from a tenant's domain."""
        directory = self._directory.current

        def secret(username: str, algorithm: str) -> str | None:
            return _ha1(directory, claimed, username, algorithm)

        verdict = self._digest.verify(request, claimed.realm, secret, now)
        if not verdict.ok:
            return Challenge(claimed.realm, verdict.stale)
        owner = directory.extension_of_account(claimed.tenant.id, verdict.username or "")
        if claimed.extension is None or owner is None or owner.id != claimed.extension.id:
            return Forbidden()
        return Authenticated(claimed.extension, verdict.username or "")

    def challenge(self, txn: ServerTransaction, challenge: Challenge, now: float) -> Response:
        """The 401 that asks for a digest."""
        response = txn.response(401)
        self._digest.challenge(response, challenge.realm, now, stale=challenge.stale)
        return response


def _ha1(directory: Directory, claimed: FromTenant, username: str, algorithm: str) -> str | None:
    extension = directory.extension_of_account(claimed.tenant.id, username)
    password = extension.password_of(username) if extension else None
    return ha1(username, claimed.realm, password, algorithm) if password else None
