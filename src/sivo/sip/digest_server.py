"""The server side of Digest (RFC 7616 §3, RFC 8760): signed nonces without state, and a bounded memory of their use.

A nonce carries its time and a MAC over it and the realm, so that any process with the same secret accepts it.
Replays are refused by nonce count; what is remembered is bounded, and forgetting makes nonces stale, never reusable.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sivo.sip.digest import ALGORITHMS, Challenge, Credentials, digest_response
from sivo.sip.errors import SipParseError
from sivo.sip.message import Request, Response
from sivo.sip.uri import Uri

#: ``ha1_of(username, algorithm)`` -> HA1 in hex, or None for an unknown account.
Ha1Of = Callable[[str, str], str | None]

_STAMP, _SALT, _MAC = 6, 6, 12
_WINDOW = 64


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reason``: ok, missing, malformed, algorithm, uri, wrong, stale, replay. ``username`` is who claimed to ask.

    ``stale``: the password was right but the nonce was old or used; challenge again with ``stale=True``.
    ``wrong`` is the reason to count as a guess.
    """

    ok: bool
    username: str | None
    stale: bool
    reason: str


class DigestServer:
    """Challenges and verifies. ``secret``: at least 16 bytes, the same in every process that shares the phones.

    ``algorithms`` are accepted; ``offer`` are those challenged with, the preferred one first. The default
    offer is MD5 alone: phones on the market (baresip 1.0 among them) give up when *any* challenge in a 401 names an
    algorithm that they do not know, wherever it stands. Offer SHA-256 where the phones are known to speak it.
    ``nonce_ttl`` seconds of life for a nonce; ``memory`` nonces whose counts are remembered.
    Times are seconds of a clock that does not restart with the process (wall clock), for nonces outlive it.
    """

    def __init__(
        self,
        secret: bytes,
        algorithms: Sequence[str] = ("SHA-256", "MD5"),
        offer: Sequence[str] = ("MD5",),
        nonce_ttl: float = 300.0,
        memory: int = 10_000,
    ) -> None:
        if len(secret) < 16:
            raise ValueError("the nonce secret needs at least 16 bytes")
        unknown = [name for name in (*algorithms, *offer) if name not in ALGORITHMS]
        if unknown or not algorithms or not set(offer) <= set(algorithms):
            raise ValueError(f"unknown digest algorithms, or offered but not accepted: {unknown or list(offer)}")
        self._secret = secret
        self._algorithms = tuple(algorithms)
        self._offer = tuple(offer)
        self._ttl = nonce_ttl
        self._memory = memory
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()  # nonce -> highest count, window below it
        self._floor = -1  # nonces made at or before this time (ms) and not remembered are stale
        self._dummy = secrets.token_hex(32)

    # --- challenge ------------------------------------------------------------------------------------------------

    def challenge(
        self,
        response: Response,
        realm: str,
        now: float,
        *,
        proxy: bool = False,
        stale: bool = False,
        offer: Sequence[str] | None = None,
    ) -> Response:
        """Add one challenge an algorithm to a 401 (or 407 with ``proxy``), the preferred one first; returns it.

        ``offer`` overrides the server's own offer, for phones or tenants that are known to speak more.
        """
        name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
        nonce = self.nonce(realm, now)
        for algorithm in offer or self._offer:
            response.headers.add(name, str(Challenge(realm, nonce, algorithm, stale=stale)))
        return response

    def nonce(self, realm: str, now: float) -> str:
        """A fresh nonce for ``realm``."""
        head = int(now * 1000).to_bytes(_STAMP, "big") + secrets.token_bytes(_SALT)
        return base64.urlsafe_b64encode(head + self._mac(head, realm)).decode()

    def _mac(self, head: bytes, realm: str) -> bytes:
        return hmac.new(self._secret, head + realm.lower().encode(), hashlib.sha256).digest()[:_MAC]

    # --- verify ---------------------------------------------------------------------------------------------------

    def verify(self, request: Request, realm: str, ha1_of: Ha1Of, now: float, *, proxy: bool = False) -> Verdict:
        """Check the credentials for ``realm`` in ``request``. Unknown accounts cost the same as wrong passwords."""
        credentials = self._find(request, realm, proxy)
        if isinstance(credentials, str):
            return Verdict(False, None, False, credentials)
        refused = self._check(credentials, request, ha1_of)
        if refused is not None:
            return Verdict(False, credentials.username, False, refused)
        stamp = self._stamp(credentials.nonce, realm)
        if stamp is None or not stamp - 1000 <= now * 1000 <= stamp + self._ttl * 1000:
            return Verdict(False, credentials.username, True, "stale")
        fresh = self._count(credentials.nonce, stamp, int(credentials.nc, 16))
        if fresh is not None:
            return Verdict(False, credentials.username, True, fresh)
        return Verdict(True, credentials.username, False, "ok")

    @staticmethod
    def _find(request: Request, realm: str, proxy: bool) -> Credentials | str:
        """The credentials for ``realm``, or why there are none."""
        reason = "missing"
        for value in request.headers.all("Proxy-Authorization" if proxy else "Authorization"):
            try:
                credentials = Credentials.parse(value)
            except SipParseError:
                reason = "malformed"
                continue
            if credentials.realm.lower() == realm.lower():
                return credentials
        return reason

    def _check(self, credentials: Credentials, request: Request, ha1_of: Ha1Of) -> str | None:
        """The reason to refuse, or None: form, algorithm, URI, and the digest itself."""
        if credentials.qop != "auth" or not credentials.cnonce or not _is_count(credentials.nc):
            return "malformed"
        if credentials.algorithm not in self._algorithms:
            return "algorithm"
        if not _same_target(credentials.uri, request.uri):
            return "uri"
        key = ha1_of(credentials.username, credentials.algorithm)
        expected = digest_response(
            key or self._dummy,
            request.method,
            credentials.uri,
            credentials.nonce,
            credentials.nc,
            credentials.cnonce,
            credentials.algorithm,
        )
        same = hmac.compare_digest(expected.encode(), credentials.response.encode())
        return None if same and key is not None else "wrong"

    def _stamp(self, nonce: str, realm: str) -> int | None:
        """The time of a nonce of ours in ms, or None if it is not ours."""
        try:
            raw = base64.urlsafe_b64decode(nonce.encode("ascii"))
        except ValueError:
            return None
        if base64.urlsafe_b64encode(raw).decode() != nonce:
            return None  # the decoder skips foreign characters: one nonce, one spelling
        head, mac = raw[: _STAMP + _SALT], raw[_STAMP + _SALT :]
        if len(mac) != _MAC or not hmac.compare_digest(mac, self._mac(head, realm)):
            return None
        return int.from_bytes(head[:_STAMP], "big")

    def _count(self, nonce: str, stamp: int, count: int) -> str | None:
        """None for a first use; ``replay`` or ``stale`` otherwise. Datagrams may overtake each other by 64."""
        known = self._counts.get(nonce)
        if known is None:
            if stamp <= self._floor:
                return "stale"
            self._remember(nonce, (count, 1))
            return None
        top, window = known
        if count > top:
            moved = window << (count - top) if count - top < _WINDOW else 0
            self._counts[nonce] = (count, (moved | 1) & ((1 << _WINDOW) - 1))
            return None
        bit = 1 << (top - count) if top - count < _WINDOW else 0
        if not bit or window & bit:
            return "replay"
        self._counts[nonce] = (top, window | bit)
        return None

    def _remember(self, nonce: str, state: tuple[int, int]) -> None:
        self._counts[nonce] = state
        if len(self._counts) > self._memory:
            forgotten, _ = self._counts.popitem(last=False)
            raw = base64.urlsafe_b64decode(forgotten.encode("ascii"))
            self._floor = max(self._floor, int.from_bytes(raw[:_STAMP], "big"))


def _is_count(text: str) -> bool:
    return len(text) == 8 and all(char in "0123456789abcdef" for char in text) and int(text, 16) > 0


def _same_target(uri: str, request_uri: Uri) -> bool:
    """Whether credentials were made for who this request is for.

    The called user must be the one that was signed, or a captured answer could be sent elsewhere. Host, port and
    parameters may differ: outbound proxies rewrite them, and SIPp signs only the address that it sends to.
    """
    try:
        claimed = Uri.parse(uri)
    except SipParseError:
        return False
    return claimed.user is None or claimed.user == request_uri.user
