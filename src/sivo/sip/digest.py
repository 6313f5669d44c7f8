"""Digest authentication (RFC 7616, in SIP by RFC 8760 and RFC 3261 §22): arithmetic, headers, and the client side.

``qop=auth`` only; algorithms MD5, SHA-256 and, where OpenSSL has it, SHA-512-256. ``-sess`` variants, ``auth-int`` and
user hashing are not done.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sivo.sip.errors import SipParseError
from sivo.sip.grammar import parse_params, quote
from sivo.sip.message import Request, Response


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _sha512_256(data: bytes) -> str:
    return hashlib.new("sha512_256", data).hexdigest()


#: Name -> hash, the strongest first.
ALGORITHMS: dict[str, Callable[[bytes], str]] = {"SHA-256": _sha256, "MD5": _md5}
if "sha512_256" in hashlib.algorithms_available:
    ALGORITHMS = {"SHA-512-256": _sha512_256, **ALGORITHMS}


def ha1(username: str, realm: str, password: str, algorithm: str = "MD5") -> str:
    """H(username:realm:password) in hex. Whoever has it can log in to this realm: treat it like the password."""
    return ALGORITHMS[algorithm](f"{username}:{realm}:{password}".encode())


def digest_response(
    key: str, method: str, uri: str, nonce: str, nc: str, cnonce: str, algorithm: str, qop: str = "auth"
) -> str:
    """The response value for HA1 ``key`` (RFC 7616 §3.4.1); with an empty ``qop`` in the form of RFC 2069."""
    digest = ALGORITHMS[algorithm]
    ha2 = digest(f"{method}:{uri}".encode())
    if not qop:
        return digest(f"{key}:{nonce}:{ha2}".encode())
    return digest(f"{key}:{nonce}:{nc}:{cnonce}:{qop}:{ha2}".encode())


@dataclass(frozen=True, slots=True)
class Challenge:
    """One WWW-Authenticate or Proxy-Authenticate value."""

    realm: str
    nonce: str
    algorithm: str = "MD5"
    opaque: str | None = None
    stale: bool = False
    qop: tuple[str, ...] = ("auth",)

    @classmethod
    def parse(cls, value: str) -> Challenge:
        """Raises SipParseError if it is no Digest challenge."""
        params = _digest_params(value, "WWW-Authenticate")
        return cls(
            realm=params.get("realm") or "",
            nonce=params.get("nonce") or "",
            algorithm=(params.get("algorithm") or "MD5").upper(),
            opaque=params.get("opaque"),
            stale=(params.get("stale") or "").lower() == "true",
            qop=tuple(part.strip().lower() for part in (params.get("qop") or "").split(",") if part.strip()),
        )

    def __str__(self) -> str:
        parts = [f"realm={quote(self.realm)}", f"nonce={quote(self.nonce)}", f"algorithm={self.algorithm}"]
        parts += [f"qop={quote(','.join(self.qop))}"] if self.qop else []
        parts += [f"opaque={quote(self.opaque)}"] if self.opaque is not None else []
        parts += ["stale=true"] if self.stale else []
        return f"Digest {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """One Authorization or Proxy-Authorization value."""

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str = "MD5"
    cnonce: str = ""
    nc: str = ""
    qop: str = ""
    opaque: str | None = None

    @classmethod
    def parse(cls, value: str) -> Credentials:
        """Raises SipParseError if it is no Digest answer or lacks what every answer needs."""
        params = _digest_params(value, "Authorization")
        for name in ("username", "realm", "nonce", "uri", "response"):
            if params.get(name) is None:
                raise SipParseError(f"{name} is missing", "Authorization")
        return cls(
            username=params["username"] or "",
            realm=params["realm"] or "",
            nonce=params["nonce"] or "",
            uri=params["uri"] or "",
            response=(params["response"] or "").lower(),
            algorithm=(params.get("algorithm") or "MD5").upper(),
            cnonce=params.get("cnonce") or "",
            nc=(params.get("nc") or "").lower(),
            qop=(params.get("qop") or "").lower(),
            opaque=params.get("opaque"),
        )

    def __str__(self) -> str:
        parts = [f"{name}={quote(getattr(self, name))}" for name in ("username", "realm", "nonce", "uri", "response")]
        parts.append(f"algorithm={self.algorithm}")
        if self.qop:
            parts += [f"cnonce={quote(self.cnonce)}", f"qop={self.qop}", f"nc={self.nc}"]
        if self.opaque is not None:
            parts.append(f"opaque={quote(self.opaque)}")
        return f"Digest {', '.join(parts)}"

    def __repr__(self) -> str:
        return f"<Credentials {self.username}@{self.realm}>"


def _digest_params(value: str, header: str) -> Mapping[str, str | None]:
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "digest":
        raise SipParseError(f"scheme {scheme[:20]!r} is not Digest", header)
    return parse_params(rest, header, ",")


class DigestClient:
    """Answers challenges for one account; counts its uses of each nonce.

    Give either ``password`` or ``ha1_of`` (realm, algorithm -> HA1), so that the password need not be kept.
    """

    def __init__(
        self,
        username: str,
        password: str | None = None,
        *,
        ha1_of: Callable[[str, str], str] | None = None,
    ) -> None:
        if (password is None) == (ha1_of is None):
            raise ValueError("give a password or ha1_of")
        self.username = username
        self._ha1_of = ha1_of or (lambda realm, algorithm: ha1(username, realm, password or "", algorithm))
        self._uses: dict[str, int] = {}

    def authorise(self, request: Request, response: Response) -> Request | None:
        """The next attempt after a 401 or 407: a copy without our Via, with CSeq + 1 and credentials.

        None if there is nothing to answer, or the credentials were refused already (and not as stale).
        """
        proxy = response.status == 407
        asked, answer = (
            ("Proxy-Authenticate", "Proxy-Authorization") if proxy else ("WWW-Authenticate", "Authorization")
        )
        challenge = self._choose(response.headers.all(asked))
        if challenge is None or (self._tried(request, answer, challenge.realm) and not challenge.stale):
            return None
        attempt = request.copy()
        attempt.headers.pop_first("Via")
        number, method = request.cseq
        attempt.headers.set("CSeq", f"{number + 1} {method}")
        others = [value for value in request.headers.all(answer) if _realm_of(value) != challenge.realm]
        attempt.headers.set(answer, *others, str(self.credentials(challenge, method, str(request.uri))))
        return attempt

    def credentials(self, challenge: Challenge, method: str, uri: str) -> Credentials:
        """The answer to ``challenge`` for one request."""
        count = self._uses.get(challenge.nonce, 0) + 1
        if len(self._uses) > 64:
            self._uses.clear()
        self._uses[challenge.nonce] = count
        nc, cnonce = f"{count:08x}", secrets.token_hex(8)
        qop = "auth" if "auth" in challenge.qop else ""
        key = self._ha1_of(challenge.realm, challenge.algorithm)
        value = digest_response(key, method, uri, challenge.nonce, nc, cnonce, challenge.algorithm, qop)
        return Credentials(
            self.username, challenge.realm, challenge.nonce, uri, value, challenge.algorithm, cnonce, nc, qop,
            challenge.opaque,
        )  # fmt: skip

    @staticmethod
    def _choose(values: list[str]) -> Challenge | None:
        """The first challenge that we can answer: the order is the server's preference (RFC 8760 §2.4)."""
        for value in values:
            try:
                challenge = Challenge.parse(value)
            except SipParseError:
                continue
            if challenge.algorithm in ALGORITHMS and (not challenge.qop or "auth" in challenge.qop):
                return challenge
        return None

    @staticmethod
    def _tried(request: Request, header: str, realm: str) -> bool:
        return any(_realm_of(value) == realm for value in request.headers.all(header))


def _realm_of(value: str) -> str | None:
    try:
        return Credentials.parse(value).realm
    except SipParseError:
        return None
