"""WebAuthn Level 2 ceremonies of one relying party, verified by the ``webauthn`` library.

The library is imported at the first use: it brings OpenSSL bindings that no other part of the process needs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sivo.identity.factor_rows import Factor

TIMEOUT_MS = 60_000


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Who asks: ``id`` is the host of the tenant's console, ``origins`` are the pages that may run the ceremony."""

    id: str
    name: str
    origins: tuple[str, ...]


def relying_party(dashboard_host: str, name: str, http_port: int) -> RelyingParty:
    """The relying party of a tenant. Browsers take plain HTTP for ``localhost`` names only."""
    origins = [f"https://{dashboard_host}"]
    if dashboard_host == "localhost" or dashboard_host.endswith(".localhost"):
        origins += [f"http://{dashboard_host}:{http_port}", f"https://{dashboard_host}:{http_port}"]
    return RelyingParty(dashboard_host, name, tuple(origins))


def registration_options(
    party: RelyingParty, user_id: bytes, email: str, challenge: bytes, known: Iterable[Factor]
) -> dict[str, Any]:
    """What ``navigator.credentials.create`` is called with."""
    import webauthn
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

    options = webauthn.generate_registration_options(
        rp_id=party.id,
        rp_name=party.name,
        user_name=email,
        user_id=user_id,
        challenge=challenge,
        timeout=TIMEOUT_MS,
        exclude_credentials=[PublicKeyCredentialDescriptor(id=one.credential_id or b"") for one in known],
    )
    return dict(json.loads(webauthn.options_to_json(options)))


def verify_registration(
    party: RelyingParty, credential: dict[str, Any], challenge: bytes
) -> tuple[bytes, bytes, int] | None:
    """Credential id, COSE public key and signature counter; None when anything about it is not right."""
    import webauthn
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        verified = webauthn.verify_registration_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=list(party.origins),
        )
    except (WebAuthnException, ValueError, KeyError, TypeError):
        return None
    return verified.credential_id, verified.credential_public_key, verified.sign_count


def authentication_options(party: RelyingParty, challenge: bytes, known: Iterable[Factor]) -> dict[str, Any]:
    """What ``navigator.credentials.get`` is called with."""
    import webauthn
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor

    options = webauthn.generate_authentication_options(
        rp_id=party.id,
        challenge=challenge,
        timeout=TIMEOUT_MS,
        allow_credentials=[PublicKeyCredentialDescriptor(id=one.credential_id or b"") for one in known],
    )
    return dict(json.loads(webauthn.options_to_json(options)))


def verify_authentication(
    party: RelyingParty, credential: dict[str, Any], challenge: bytes, factor: Factor
) -> int | None:
    """The new signature counter; None when anything is not right, a counter that went back included."""
    import webauthn
    from webauthn.helpers.exceptions import WebAuthnException

    try:
        verified = webauthn.verify_authentication_response(
            credential=credential,
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=list(party.origins),
            credential_public_key=factor.public_key or b"",
            credential_current_sign_count=factor.sign_count,
        )
    except (WebAuthnException, ValueError, KeyError, TypeError):
        return None
    return verified.new_sign_count


def credential_id(credential: dict[str, Any]) -> bytes:
    """The id in a credential as a browser sends it; empty when it has none."""
    from webauthn.helpers import base64url_to_bytes

    raw = credential.get("rawId") or credential.get("id")
    try:
        return base64url_to_bytes(raw) if isinstance(raw, str) else b""
    except ValueError:
        return b""
