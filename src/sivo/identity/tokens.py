"""Access tokens: RS256 JWTs with ``kid`` and the published claims (RFC 7519, RFC 8725 for what is refused)."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID, uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwt import JWTClaimsRegistry

from sivo.base.clock import Clock
from sivo.base.errors import SivoError
from sivo.identity.access import Role
from sivo.identity.signing_keys import ALGORITHM, SigningKey

AUDIENCE = "sivo-api"
ACCESS = "access"
#: Audience and type of a token that stands between password and second factor; it opens nothing else.
MFA_AUDIENCE = "sivo-mfa"
MFA = "mfa"
#: Longer ones are refused before anything is decoded; ours are below 1 KiB.
MAX_TOKEN_LENGTH = 4096


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified access token says. Times are Unix seconds."""

    user_id: UUID
    tenant_slug: str
    role: Role
    session_id: UUID
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Subject:
    """For whom a token is made."""

    user_id: UUID
    tenant_slug: str
    sip_domain: str
    role: Role
    session_id: UUID


@dataclass(frozen=True, slots=True)
class PendingClaims:
    """What a verified half-signed-in token says."""

    user_id: UUID
    tenant_id: UUID
    pending_id: UUID


class KeySource(Protocol):
    """Where signing keys come from: :class:`sivo.identity.signing_keys.SigningKeys`."""

    def current(self) -> SigningKey: ...

    async def find(self, kid: str) -> SigningKey | None: ...


class Tokens:
    """Issues and verifies the access tokens of one installation."""

    def __init__(self, keys: KeySource, clock: Clock, issuer: str) -> None:
        self._keys = keys
        self._clock = clock
        self._issuer = issuer

    def issue(self, subject: Subject, ttl_sec: int) -> str:
        """A signed access token with ``exp - iat`` exactly ``ttl_sec`` (``auth.jwt_ttl_sec``)."""
        claims: dict[str, Any] = {
            "aud": AUDIENCE,
            "typ": ACCESS,
            "sub": str(subject.user_id),
            "tenantSlug": subject.tenant_slug,
            "sipDomain": subject.sip_domain,
            "role": subject.role.value,
            "sid": str(subject.session_id),
            "jti": str(uuid4()),
        }
        return self._sign(claims, ttl_sec)

    def issue_pending(self, claims: PendingClaims, ttl_sec: int) -> str:
        """A signed token that can only finish the login ``claims.pending_id``."""
        return self._sign(
            {
                "aud": MFA_AUDIENCE,
                "typ": MFA,
                "sub": str(claims.user_id),
                "tid": str(claims.tenant_id),
                "jti": str(claims.pending_id),
            },
            ttl_sec,
        )

    async def verify(self, token: str) -> Claims:
        """The claims of an access token that we signed, for this audience, not expired. Raises UNAUTHENTICATED."""
        claims = await self._verified(token, AUDIENCE, ACCESS, "sid")
        try:
            return _claims(claims)
        except (ValueError, TypeError, KeyError) as error:
            raise refused("the token's claims are not those of an access token") from error

    async def verify_pending(self, token: str) -> PendingClaims:
        """The claims of a half-signed-in token. Raises UNAUTHENTICATED."""
        claims = await self._verified(token, MFA_AUDIENCE, MFA, "jti")
        try:
            return PendingClaims(UUID(claims["sub"]), UUID(claims["tid"]), UUID(claims["jti"]))
        except (ValueError, TypeError, KeyError) as error:
            raise refused("the token's claims are not those of a half-signed-in token") from error

    def _sign(self, claims: dict[str, Any], ttl_sec: int) -> str:
        now = int(self._clock.now().timestamp())
        key = self._keys.current()
        full = {"iss": self._issuer, **claims, "iat": now, "exp": now + ttl_sec}
        return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, full, key.key, algorithms=[ALGORITHM])

    async def _verified(self, token: str, audience: str, typ: str, essential: str) -> dict[str, Any]:
        """Claims whose signature, times, issuer, audience and type are right.

        ``alg`` is checked before a key is looked up, so ``none`` and HS256 with the public key never reach one.
        """
        header = _header(token)
        if header.get("alg") != ALGORITHM:
            raise refused("the token is not signed with RS256")
        kid = header.get("kid")
        key = await self._keys.find(kid) if isinstance(kid, str) else None
        if key is None:
            raise refused("the token was not signed by a key of this platform")
        try:
            decoded = jwt.decode(token, key.key, algorithms=[ALGORITHM])
            self._registry(audience, typ, essential).validate(decoded.claims)
        except JoseError as error:
            raise refused(f"the token is not valid: {error.error}") from error
        except (ValueError, TypeError, KeyError) as error:
            raise refused("the token is not valid") from error
        return dict(decoded.claims)

    def _registry(self, audience: str, typ: str, essential: str) -> JWTClaimsRegistry:
        required: dict[str, Any] = {name: {"essential": True} for name in ("sub", "exp", "iat", essential)}
        return JWTClaimsRegistry(
            now=int(self._clock.now().timestamp()),
            iss={"essential": True, "value": self._issuer},
            aud={"essential": True, "value": audience},
            typ={"essential": True, "value": typ},
            **required,
        )


def refused(message: str) -> SivoError:
    """The one shape of a refused token."""
    return SivoError("UNAUTHENTICATED", message, where="header Authorization", remedy="sign in again")


def _header(token: str) -> dict[str, Any]:
    """The protected header of a compact JWS, not verified yet."""
    if len(token) > MAX_TOKEN_LENGTH:
        raise refused("the token is too long")
    first, _, rest = token.partition(".")
    try:
        header = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except (binascii.Error, ValueError) as error:
        raise refused("the token is not a JWT") from error
    if not isinstance(header, dict) or not rest:
        raise refused("the token is not a JWT")
    return header


def _claims(claims: dict[str, Any]) -> Claims:
    return Claims(
        user_id=UUID(claims["sub"]),
        tenant_slug=str(claims["tenantSlug"]),
        role=Role(claims["role"]),
        session_id=UUID(claims["sid"]),
        issued_at=int(claims["iat"]),
        expires_at=int(claims["exp"]),
    )
