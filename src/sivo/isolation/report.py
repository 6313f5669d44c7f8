"""The report: JSON that the platform's signing key (Ed25519, the ledger's) vouches for."""

from __future__ import annotations

from typing import Any, Protocol

from sivo.audit.canonical import canonical

FORMAT = 1
_SIGNED = b"sivo-isolation-v1\x00"
_SIGNATURE = "signature"


class Key(Protocol):
    """The platform's signing key."""

    @property
    def key_id(self) -> str: ...

    def sign(self, data: bytes) -> bytes: ...

    def verify(self, key_id: str, data: bytes, signature: bytes) -> bool: ...


def signed(report: dict[str, Any], key: Key) -> dict[str, Any]:
    """``report`` with the signature over everything else in it."""
    plain = {name: value for name, value in report.items() if name != _SIGNATURE}
    made = {"key_id": key.key_id, "value": key.sign(_SIGNED + canonical(plain)).hex()}
    return {**plain, _SIGNATURE: made}


def genuine(report: Any, key: Key) -> bool:
    """Whether this platform made ``report`` and nobody changed it since; False for whatever is no report."""
    signature = report.get(_SIGNATURE) if isinstance(report, dict) else None
    if not isinstance(signature, dict):
        return False
    plain = {name: value for name, value in report.items() if name != _SIGNATURE}
    try:
        value = bytes.fromhex(str(signature.get("value")))
    except ValueError:
        return False
    return key.verify(str(signature.get("key_id")), _SIGNED + canonical(plain), value)
