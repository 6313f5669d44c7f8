"""Access tokens: what ours say, read by an independent library, and every forgery refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import jwt as pyjwt
import pytest
from joserfc.jwk import RSAKey

from sivo.base.clock import VirtualClock
from sivo.base.errors import SivoError
from sivo.identity.access import Role
from sivo.identity.signing_keys import SigningKey
from sivo.identity.tokens import AUDIENCE, Subject, Tokens

ISSUER = "https://app.example"
KEY = SigningKey("kid-1", RSAKey.generate_key(2048, None, True), datetime(2026, 1, 1, tzinfo=UTC))
STRANGER = RSAKey.generate_key(2048, None, True)


class Keys:
    """One key in memory."""

    def current(self) -> SigningKey:
        return KEY

    async def find(self, kid: str) -> SigningKey | None:
        return KEY if kid == KEY.kid else None


@pytest.fixture
def tokens(clock: VirtualClock) -> Tokens:
    return Tokens(Keys(), clock, ISSUER)


@pytest.fixture
def subject() -> Subject:
    return Subject(uuid4(), "acme", "acme.sip.example", Role.ADMIN, uuid4())


def _claims(clock: VirtualClock, subject: Subject, **changes: Any) -> dict[str, Any]:
    now = int(clock.now().timestamp())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "typ": "access",
        "sub": str(subject.user_id),
        "tenantSlug": "acme",
        "sipDomain": "acme.sip.example",
        "role": "admin",
        "sid": str(subject.session_id),
        "jti": "j",
        "iat": now,
        "exp": now + 300,
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def _pem(key: RSAKey) -> bytes:
    return key.as_pem(private=True)


def _sign(claims: dict[str, Any], kid: str = "kid-1", key: RSAKey = KEY.key) -> str:
    return pyjwt.encode(claims, _pem(key), algorithm="RS256", headers={"kid": kid})


def test_claims_and_header_as_pyjwt_reads_them(tokens: Tokens, subject: Subject, clock: VirtualClock) -> None:
    token = tokens.issue(subject, 86400)
    assert pyjwt.get_unverified_header(token) == {"alg": "RS256", "kid": "kid-1", "typ": "JWT"}
    claims = pyjwt.decode(
        token,
        KEY.key.as_pem(private=False),
        algorithms=["RS256"],
        audience=AUDIENCE,
        issuer=ISSUER,
        options={"verify_exp": False, "verify_iat": False},
    )
    now = int(clock.now().timestamp())
    assert UUID(claims.pop("jti"))
    assert claims == {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "typ": "access",
        "sub": str(subject.user_id),
        "tenantSlug": "acme",
        "sipDomain": "acme.sip.example",
        "role": "admin",
        "sid": str(subject.session_id),
        "iat": now,
        "exp": now + 86400,
    }


async def test_our_token_is_accepted_until_the_second_it_expires(
    tokens: Tokens, subject: Subject, clock: VirtualClock
) -> None:
    token = tokens.issue(subject, 300)
    clock.advance(299)
    claims = await tokens.verify(token)
    assert (claims.user_id, claims.session_id, claims.role) == (subject.user_id, subject.session_id, Role.ADMIN)
    clock.advance(1)
    with pytest.raises(SivoError) as caught:
        await tokens.verify(token)
    assert caught.value.code == "UNAUTHENTICATED"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _unsigned(claims: dict[str, Any], alg: str) -> str:
    return f"{_b64(json.dumps({'alg': alg, 'kid': 'kid-1'}).encode())}.{_b64(json.dumps(claims).encode())}."


def _hs256_with_public_key(claims: dict[str, Any]) -> str:
    """The classic confusion: HMAC keyed with the published public key."""
    signed = _unsigned(claims, "HS256").rstrip(".")
    mac = hmac.new(KEY.key.as_pem(private=False), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_b64(mac)}"


FORGERIES: dict[str, Any] = {
    "alg none": lambda claims: _unsigned(claims, "none"),
    "alg None": lambda claims: _unsigned(claims, "None"),
    "RS256 without signature": lambda claims: _unsigned(claims, "RS256"),
    "HS256 keyed with the public key": _hs256_with_public_key,
    "unknown kid": lambda claims: _sign(claims, kid="kid-2"),
    "no kid": lambda claims: pyjwt.encode(claims, _pem(KEY.key), algorithm="RS256"),
    "key of a stranger under our kid": lambda claims: _sign(claims, key=STRANGER),
    "PS256 with our key": lambda claims: pyjwt.encode(
        claims, _pem(KEY.key), algorithm="PS256", headers={"kid": "kid-1"}
    ),
    "other audience": lambda claims: _sign({**claims, "aud": "someone-else"}),
    "no audience": lambda claims: _sign({k: v for k, v in claims.items() if k != "aud"}),
    "other issuer": lambda claims: _sign({**claims, "iss": "https://evil.example"}),
    "other typ": lambda claims: _sign({**claims, "typ": "refresh"}),
    "no typ": lambda claims: _sign({k: v for k, v in claims.items() if k != "typ"}),
    "no expiry": lambda claims: _sign({k: v for k, v in claims.items() if k != "exp"}),
    "expired": lambda claims: _sign({**claims, "exp": claims["iat"]}),
    "from the future": lambda claims: _sign({**claims, "iat": claims["iat"] + 60}),
    "no session": lambda claims: _sign({k: v for k, v in claims.items() if k != "sid"}),
    "session that is no id": lambda claims: _sign({**claims, "sid": "../../x"}),
    "unknown role": lambda claims: _sign({**claims, "role": "root"}),
    "not base64": lambda claims: "***.x.y",
    "not json": lambda claims: "YWJj.x.y",
    "empty": lambda claims: "",
    "very long": lambda claims: _sign({**claims, "pad": "x" * 5000}),
}


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_token_is_refused(name: str, tokens: Tokens, subject: Subject, clock: VirtualClock) -> None:
    with pytest.raises(SivoError) as caught:
        await tokens.verify(FORGERIES[name](_claims(clock, subject)))
    assert caught.value.code == "UNAUTHENTICATED"


async def test_the_forgeries_start_from_a_good_token(tokens: Tokens, subject: Subject, clock: VirtualClock) -> None:
    """Guards the test above: unchanged, the same claims are accepted."""
    assert (await tokens.verify(_sign(_claims(clock, subject)))).user_id == subject.user_id


async def test_a_changed_payload_breaks_the_signature(tokens: Tokens, subject: Subject) -> None:
    header, payload, signature = tokens.issue(subject, 300).split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    forged = _b64(json.dumps({**claims, "role": "superadmin"}).encode())
    with pytest.raises(SivoError):
        await tokens.verify(f"{header}.{forged}.{signature}")
